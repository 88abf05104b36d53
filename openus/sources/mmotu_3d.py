"""MMOTU-3D: 170 contrast-enhanced pictures of ovarian tumours; nothing of it is 3-D. Falls with MMOTU-2D."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, find, matched, read_text, swapped

CARD = Card(
    slug="mmotu-3d",
    index=34,
    name="MMOTU-3D",
    title="MMOTU, subset OTU_CEUS (folder OTU_3d): contrast-enhanced ultrasound of ovarian tumours",
    anatomy="ovary",
    anatomy_detail="ovarian tumours, contrast-enhanced (sepia map), with body text, pointing hands and scanner names",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    licence=Licence(),
    access=Access(
        kind="gdrive",
        url="https://drive.google.com/drive/folders/1c5n0fVKrM9-SZE1kacTXPt1pt844iAs1",
        ids={"folder": "1c5n0fVKrM9-SZE1kacTXPt1pt844iAs1", "code": "cv516Buaa/MMOTU_DS2Net"},
        steps=(
            "Open the Drive folder of MMOTU, download OTU_3d (OTU_CEUS in the paper) and unpack it, if it is zipped.",
        ),
    ),
    expected_images=170,
    citation=r"""@article{DBLP:journals/corr/abs-2207-06799, journal={CoRR}, volume={abs/2207.06799}, year={2022},
  title={A Multi-Modality Ovarian Tumor Ultrasound Image Dataset for Unsupervised Cross-Domain Semantic Segmentation},
  author={Qi Zhao and Shuchang Lyu and Wenpei Bai and Linghan Cai and Binghao Liu and Meijing Wu and Xiubo Sang and
    Min Yang and Lijiang Chen}}""",
    notes=(
        "Of the department of mmotu-2d, without patients: dropped from pre-training while mmotu-2d is held out.",
        "Label: the class number of train_cls.txt and val_cls.txt; names are mmotu-2d's, as far as was seen.",
        "Numbers 1 to 170 are not those of mmotu-2d. Augmented copies under the same numbers circulate.",
        "The source states no licence for the data; third-party copies claim CC BY 4.0.",
    ),
    layout="public code",
    unverified=("The lists' names and lines ('138.JPG  3'): one docstring; train.txt and val.txt also a config.",),
)

IMAGES = WRAPPER + r"(?P<id>OTU_3d/images/(?P<n>\d+)\.JPG)"
IGNORED = (("mask", r"(?:^|/)OTU_3d/annotations/[^/]*\.PNG$"),)


def items(root: Path) -> Iterator[Item]:
    """Label: the class number. Split: train or val. Both from the lists."""
    lines: dict[str, tuple[str, str | None]] = {}
    for part in ("train", "val"):
        text = "".join(read_text(find(root, WRAPPER + rf"OTU_3d/{part}{kind}\.txt")) + "\n" for kind in ("", "_cls"))
        for n, label in re.findall(r"(?m)^[ \t]*(\d+)(?:\.JPG)?(?:[ \t]+(\d))?[ \t]*\r?$", text):
            lines[n] = (part, label or lines.get(n, ("", None))[1])
    for item, found in matched(root, IMAGES, IGNORED):
        stem = swapped(item, "/images/", "/annotations/").removesuffix(".JPG")
        split, label = lines.get(found["n"], (None, None))
        yield replace(item, label=label, split=split, masks=existing(root, f"{stem}.PNG", f"{stem}_binary.PNG"))
