"""BUS-UCLM: 683 breast frames of 38 patients, with lesion masks; most frames are normal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, find, matched, outside, read_csv

CARD = Card(
    slug="bus-uclm",
    index=11,
    name="BUS_UCML (BUS-UCLM)",
    title="BUS-UCLM: Breast ultrasound lesion segmentation dataset",
    anatomy="breast",
    anatomy_detail="38 scans of Ciudad Real General University Hospital, 2022-2023; Siemens ACUSON S2000, 18L6 HD",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="mendeley",
        url="https://data.mendeley.com/datasets/7fvgj4jsp7/3",
        ids={"dataset": "7fvgj4jsp7", "version": "3", "doi": "10.17632/7fvgj4jsp7.3"},
        steps=("Open version 3, press 'Download All' and unpack: BUS-UCLM/ holds INFO.csv, images/ and masks/.",),
    ),
    expected_images=683,
    expected_patients=38,
    citation=r"""@article{vallez2025bus, title={BUS-UCLM: Breast ultrasound lesion segmentation dataset},
  author={Vallez, Noelia and Bueno, Gloria and Deniz, Oscar and Rienda, Miguel Angel and Pastor, Carlos},
  journal={Scientific Data}, volume={12}, number={1}, pages={242}, year={2025}, doi={10.1038/s41597-025-04562-3}}""",
    notes=(
        "The licence is that of version 3. Version 1 (the link of OpenUS-46) is CC-BY-NC-3.0: take version 3, as the "
        "files do not tell the versions apart.",
        "The split (63 test, 620 train) is the authors' script's: five patients are the test part.",
        "The 3 to 39 frames of a patient are one scan: neighbours are near copies. Five patients have benign and "
        "malignant frames: the label is the frame's. Normal frames have black masks; a mask may be wider than its "
        "picture.",
        "INFO.csv marks 37 frames with Doppler colour, 154 with marks such as calipers, 6 with two pictures in one.",
        "images: 419 normal, 174 benign, 90 malignant; lists that say 264 leave the normal frames out.",
    ),
    layout="published tables",
    unverified=(
        "The tree of version 3 (seen of version 1). The licences: second hand; the authors' repository says CC-BY-4.0 "
        "in README.md and CC BY-NC 4.0 in LICENSE.md.",
    ),
)

IMAGES = outside("partitions") + r"(?P<id>images/(?P<name>(?P<patient>[A-Z]{4})_\d{3}\.png))"
IGNORED = (("second copy", r"(?:^|/)partitions/"), ("overlay", r"(?:^|/)visualization/"), ("mask", r"(?:^|/)masks/"))


def items(root: Path) -> Iterator[Item]:
    """Patient: the four letters. Label: Label of INFO.csv. Split: test or train, as the authors' script parts them."""
    table = read_csv(find(root, WRAPPER + r"INFO\.csv"), key="Image", delimiter=";")
    for item, found in matched(root, IMAGES, IGNORED):
        label, mask = table.get(found["name"], {}).get("Label"), "masks/".join(item.path.rsplit("images/", 1))
        split = "test" if item.patient in ("COPE", "ANFO", "ELCO", "CRCI", "FLKA") else "train"
        yield replace(item, label=label or None, split=split, masks=existing(root, mask))
