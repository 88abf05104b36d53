"""FH-PS-AOP: fetal head and pubic symphysis during birth, the public part of a challenge of 2023."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, listed

_NAME = "Pubic Symphysis-Fetal Head Segmentation and Angle of Progression"

CARD = Card(
    slug="fh-ps-aop",
    index=26,
    name="FH-PS-AOP",
    title=f"{_NAME} (MICCAI 2023 challenge, public training set)",
    anatomy="fetal-head",
    anatomy_detail="intrapartum transperineal view: pubic symphysis and fetal head",
    species="human",
    subject="in-vivo",
    media=("mha",),
    licence=Licence(),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/7851339",
        ids={"record": "7851339", "concept_doi": "10.5281/zenodo.7851338"},
        steps=("Read the licence on the page, which was not seen.", "Download the one zip and unpack it."),
    ),
    files=(
        RemoteFile(
            name=f"{_NAME}.zip",
            url=f"https://zenodo.org/records/7851339/files/{_NAME.replace(' ', '%20')}.zip",
            sha256="2b14d1c78e11cfb799d74951b0b985b90777c195f7a456ccd00528bf02802e21",
            archive="zip",
        ),
    ),
    expected_images=4000,
    citation=r"""@misc{fhpsaop2023, title={Pubic Symphysis-Fetal Head Segmentation and Angle of Progression},
  author={Bai, Jieyun and Ou, Zhanhong and Lu, Yaosheng}, year={2023}, publisher={Zenodo},
  doi={10.5281/zenodo.7851339}}""",
    notes=(
        "MedSegBench writes CC BY-NC 4.0 for it, and nobody quotes the record: take commercial use for forbidden.",
        "No patient, no clip: names are opaque. Said to be JNU-IFM's frames at 256x256, and numbers from 03744 on are "
        "probably PSFHS's pictures; the three are one patient group.",
        "All pictures are 256x256 whatever their source was: the aspect ratio may be changed.",
    ),
    layout="public code",
    unverified=("The authors of the record.", "The last of the 4,000 numbers and whether there are gaps."),
)

IMAGES = WRAPPER + r"(?P<id>image_mha/\d{5}\.mha)"
IGNORED = (("mask", r"(?:^|/)label_mha/\d{5}\.mha$"),)


def items(root: Path) -> Iterator[Item]:
    """View: transperineal, of all. No patient and no label; the hidden test pictures of the challenge are not here."""
    return listed(root, IMAGES, IGNORED, mask=("image_mha/", "label_mha/"), view="transperineal")
