"""105US: liver metastases of pancreatic cancer, from an author's page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, match, matched

CARD = Card(
    slug="105us",
    index=1,
    name="105US",
    title="100+ 2D US Images and Tumor Segmentation Masks (105 images of liver metastases of pancreatic cancer)",
    anatomy="liver",
    anatomy_detail="liver metastases of pancreatic cancer, whole screens, curved arrays; some lists wrongly say breast",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence(),
    access=Access(
        kind="form",
        url="https://www.researchgate.net/publication/329586355_100_2D_US_Images_and_Tumor_Segmentation_Masks",
        ids={"researchgate_publication": "329586355", "paper_doi": "10.1038/s41598-017-12925-z", "arxiv": "1710.02984"},
        gated="login",
        steps=(
            "Open the page in a browser (it serves no programs; a free account may be asked for) and download "
            "the archive; its name is unknown.",
            "Unpack it, and the zips within, 105USImages.zip and 105USMasks.zip. Read '105 US Images/readme.txt'.",
        ),
    ),
    files=(RemoteFile(name="105USImages.zip", archive="zip"), RemoteFile(name="105USMasks.zip", archive="zip")),
    expected_images=105,
    citation=r"""@article{hann2017algorithm, journal={Scientific Reports}, year={2017},
  title={Algorithm guided outlining of 105 pancreatic cancer liver metastases in Ultrasound},
  author={Hann, Alexander and Bettac, Lucas and Haenle, Mark M. and Graeter, Tilmann and Berger, Andreas W. and
    Dreyhaupt, Jens and Schmalstieg, Dieter and Zoller, Wolfram G. and Egger, Jan},
  doi={10.1038/s41598-017-12925-z}}""",
    notes=(
        "The title says 100, the content is 105. No licence was found; a readme.txt lies beside the pictures.",
        "105 pictures are not 105 patients: none are told. Masks are gray, threshold at 127.",
    ),
    layout="public code",
    unverified=("The names of the nested zips.", "The readme.txt and that numbers have no gaps: one inspection."),
)

IMAGES = WRAPPER + r"(?P<id>105 US Images/(?P<n>\d{3})\.png)"
IGNORED = (("mask", r"(?:^|/)105 US Masks/\d{3} G man\.png$"),)


def items(root: Path) -> Iterator[Item]:
    """No patient, label or split is told; masks lie in a folder of their own, wherever their zip was unpacked."""
    masks = {found["n"]: path for path, found in match(root, WRAPPER + r"105 US Masks/(?P<n>\d{3}) G man\.png")}
    for item, found in matched(root, IMAGES, IGNORED):
        yield replace(item, masks=(masks[found["n"]],) if found["n"] in masks else ())
