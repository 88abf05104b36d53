"""DFHI: fetal heads of FETAL_PLANES_DB and HC18, resized and outlined anew in eleven formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, match, matched, number, outside, read_csv

_PLANES = ("Trans-thalamic", "Trans-cerebellum", "Trans-ventricular")

CARD = Card(
    slug="dfhi",
    index=17,
    name="DFHI",
    title="Large-Scale Annotation Dataset for Fetal Head Biometry in Ultrasound Images",
    anatomy="fetal-head",
    anatomy_detail="fetal head and brain: brain, cavum septi pellucidi, lateral ventricle",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/8265464",
        ids={"record": "8265464", "doi": "10.5281/zenodo.8265464", "version": "v2"},
        steps=(
            "Open the record; https://zenodo.org/api/records/8265464 names all files with sizes and MD5.",
            "Download the four zips of the three planes and of 'Diverse Fetal Head Images'; leave the '-orginal-' "
            "ones, which hold the same pictures. Unpack them, and for masks the '…egmentation…' zips within.",
        ),
    ),
    files=tuple(RemoteFile(name=f"{name}.zip", archive="zip") for name in ("Diverse Fetal Head Images", *_PLANES)),
    expected_images=3832,
    citation=r"""@misc{alzubaidi2023dfhi, author={Alzubaidi, Mahmood and others}, year={2023}, version={v2},
  title={Large-Scale Annotation Dataset for Fetal Head Biometry in Ultrasound Images}, publisher={Zenodo},
  doi={10.5281/zenodo.8265464}}""",
    notes=(
        "Probably no picture that FETAL_PLANES_DB and HC18 lack: same names, resized to 959x661 (the aspect may be "
        "changed), so no byte is equal. The tables' one pixel size is used for both axes all the same.",
        "3,832 pictures by three places, 3,792 by another. Patients of the planes are FETAL_PLANES_DB's; study of the "
        "diverse part: HC18's training examination.",
        "The cavum is green in the planes' masks and yellow in the diverse part's.",
    ),
    layout="public code",
    unverified=("The names of the '-orginal-size' zips.", "Whether the pixel sizes mean the resized pictures."),
)

IMAGES = outside(r"[^/]*-orginal-[^/]*") + (
    r"(?P<id>(?P<view>Trans-(?:thalamic|cerebellum|ventricular))/Patient(?P<number>\d{5})_Plane3_\d+_of_\d+\.png"
    r"|Orginal_train_images_to_959_661/(?P<study>\d{3})_\d?HC\.png)"
)
MASKS = r"(?i:.*segmentation[^/]*/SegmentationClass/(?P<name>[^/]*\.png))"
IGNORED = (
    ("second copy", r"(?:^|/)[^/]*-orginal-[^/]*/"),
    ("mask", r"(?:^|/)(?:SegmentationClass|SegmentationObject|gtFine)/"),
)


def items(root: Path) -> Iterator[Item]:
    """Patient: FETAL_PLANES_DB's number. Study: HC18's examination. View: the plane. Spacing: the planes' tables."""
    masks = {found["name"]: path for path, found in match(root, MASKS)}
    sizes: dict[str, float | None] = {}
    for plane in _PLANES:
        table = read_csv(find(root, WRAPPER + rf"(?i:{plane}-Pixel-Size\.csv)"), key="Label")
        for name, row in table.items():
            cell = next((row[key] for key in row if key.split() == ["Pixel", "in", "mm"]), None)
            sizes[name.removesuffix(".png")] = number(cell)
    for item, found in matched(root, IMAGES, IGNORED):
        name = item.path.rpartition("/")[2]
        spacing = sizes.get(name.removesuffix(".png")) if found["number"] else None
        yield replace(
            item,
            patient=str(int(found["number"])) if found["number"] else None,
            view=found["view"] or "Diverse fetal head",
            spacing_mm=(spacing, spacing),
            masks=(masks[name],) if name in masks else (),
        )
