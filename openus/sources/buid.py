"""BUID: breast lesions of an open site, three files a case. An extra."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, listed

_SITE = "https://qamebi.com/wp-content/uploads/2022/11"

CARD = Card(
    slug="buid",
    index=None,
    name="BUID (also QAMEBI, BLUI)",
    title="Breast Ultrasound Images Database",
    anatomy="breast",
    anatomy_detail="breast lesions, benign and malignant; Iran; Aixplorer Ultimate (SuperSonic Imagine)",
    species="human",
    subject="in-vivo",
    media=("bmp",),
    licence=Licence(),
    access=Access(
        kind="http",
        url="https://qamebi.com/breast-ultrasound-images-database/",
        ids={"paper_doi": "10.1016/j.compbiomed.2022.106438"},
        steps=("Download Benign.zip and Malignant.zip from the page and unpack them side by side.",),
    ),
    files=(
        RemoteFile(name="Benign.zip", url=f"{_SITE}/Benign.zip", archive="zip"),
        RemoteFile(name="Malignant.zip", url=f"{_SITE}/Malignant.zip", archive="zip"),
    ),
    expected_images=232,
    citation=r"""@article{abbasian2023breast, author={Abbasian Ardakani, Ali and others}, year={2023},
  title={An open-access breast lesion ultrasound image database: Applicable in artificial intelligence studies},
  journal={Computers in Biology and Medicine}, doi={10.1016/j.compbiomed.2022.106438}}""",
    notes=(
        "232 lesions (109 benign, 123 malignant), numbered from 1 in either class; no patients are told.",
        "'Lesion.bmp' is derived from 'Image.bmp' (the lesion cut out or drawn) and is left out.",
        "The page states no formal licence. Never compared with the other breast sources.",
    ),
    layout="public code",
    unverified=("The absence of a licence.", "What Lesion.bmp shows exactly.", "That numbers have no gaps."),
)

IMAGES = WRAPPER + r"(?P<id>(?P<label>Benign|Malignant)/\d+ (?P=label) Image\.bmp)"
IGNORED = (("mask", r" Mask\.tif$"), ("lesion crop", r" Lesion\.bmp$"))


def items(root: Path) -> Iterator[Item]:
    """Label: the class folder. No patient, no split."""
    return listed(root, IMAGES, IGNORED, mask=(" Image.bmp", " Mask.tif"))
