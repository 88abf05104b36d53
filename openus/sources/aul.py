"""AUL: liver screens with and without a mass; outlines as polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched

CARD = Card(
    slug="aul",
    index=4,
    name="AUL",
    title="Annotated Ultrasound Liver images",
    anatomy="liver",
    anatomy_detail="liver B-mode with or without a focal mass; whole screens with text and a body mark",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/7272660",
        ids={"record": "7272660", "doi": "10.5281/zenodo.7272660"},
        steps=(
            "Download all zips of the record (Benign.zip, Malignant.zip, Normal.zip) and unpack them side by side.",
        ),
    ),
    files=tuple(RemoteFile(name=f"{name}.zip", archive="zip") for name in ("Benign", "Malignant", "Normal")),
    expected_images=735,
    citation=r"""@article{xu2023liver, author={Xu, Yiming and others}, year={2023}, doi={10.1093/bib/bbac569},
  title={Improving artificial intelligence pipeline for liver malignancy diagnosis using ultrasound images and video
    frames}, journal={Briefings in Bioinformatics}}
@misc{aul2022, title={Annotated Ultrasound Liver images}, year={2022}, publisher={Zenodo},
  doi={10.5281/zenodo.7272660}}""",
    notes=(
        "735 pictures (200 benign, 435 malignant, 100 normal), numbered from 1 in each class; patients are not named.",
        "outline/ marks the scan sector; of Malignant 229 and 306 it is the liver's outline; Malignant 374 has no "
        "liver mask.",
        "The record asks users to contact and credit the authors.",
    ),
    layout="public code",
    unverified=("The licence: one catalogue.", "That the record serves exactly three zips.", "One patient a picture."),
)

IMAGES = WRAPPER + r"(?P<id>(?P<label>Benign|Malignant|Normal)/image/\d+\.jpg)"
IGNORED = (("outline", r"(?:^|/)segmentation/(?:liver|mass|outline)/\d+\.json$"),)


def items(root: Path) -> Iterator[Item]:
    """Label: the class folder. Masks: the polygons of liver, mass and scan sector, where they are."""
    for item, _ in matched(root, IMAGES, IGNORED):
        above, _, name = item.path.rpartition("/image/")
        stem = name.removesuffix(".jpg")
        masks = (f"{above}/segmentation/{part}/{stem}.json" for part in ("liver", "mass", "outline"))
        yield replace(item, masks=existing(root, *masks))
