"""FASS: fetal abdomens of term pregnancies, with four structures outlined in pickled arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, listed

_NAME = "Fetal Abdominal Structures Segmentation Dataset Using Ultrasonic Images"

CARD = Card(
    slug="fass",
    index=22,
    name="FASS",
    title=_NAME,
    anatomy="fetal-abdomen",
    anatomy_detail="abdominal circumference plane: abdominal aorta, intrahepatic umbilical vein, stomach, liver",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="mendeley",
        url="https://data.mendeley.com/datasets/4gcpm9dsc3/1",
        ids={"dataset": "4gcpm9dsc3", "version": "1", "file": "89e74076-ff57-4e81-9634-4fc29c6128ff"},
        steps=(
            "Open the page in a browser, download the zip (1.06 GB; 'Download All' wraps it once more), unpack it.",
        ),
    ),
    files=(
        RemoteFile(
            name=f"{_NAME}.zip",
            url="https://data.mendeley.com/public-files/datasets/4gcpm9dsc3/files/"
            "89e74076-ff57-4e81-9634-4fc29c6128ff/file_downloaded",
            sha256="bde4ab58689bdbc59fa8c0222d41a9fbe1edf16dab40ac95346b6c2f2a7d22ee",
            archive="zip",
        ),
    ),
    expected_images=1588,
    expected_patients=169,
    citation=r"""@misc{fass2023, title={Fetal Abdominal Structures Segmentation Dataset Using Ultrasonic Images},
  author={Santos, L. O. and others}, year={2023}, publisher={Mendeley Data}, doi={10.17632/4gcpm9dsc3.1}}""",
    notes=(
        "Outlines lie in ARRAY_FORMAT/ as pickled arrays: opening them runs code, so they are not read.",
        "Most pictures are RGB with differing channels: coloured marks or text may be burned in.",
    ),
    layout="public code",
    unverified=("That a P-number is a patient: the 169 of the page were not counted in the names.",),
)

IMAGES = WRAPPER + r"(?P<id>IMAGES/P(?P<patient>\d+)_IMG\d+\.png)"
IGNORED = (("mask", r"(?:^|/)ARRAY_FORMAT/[^/]*\.npy$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: the number after P, as it is written (P01 and P0149 stand side by side). No label, no split."""
    return listed(root, IMAGES, IGNORED, view="fetal abdominal circumference plane")
