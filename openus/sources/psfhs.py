"""PSFHS: fetal head and pubic symphysis during birth, of three hospitals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, listed

CARD = Card(
    slug="psfhs",
    index=37,
    name="PSFHS",
    title="PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head",
    anatomy="fetal-head",
    anatomy_detail="intrapartum transperineal view: pubic symphysis and fetal head (ObEye, Esaote MyLab)",
    species="human",
    subject="in-vivo",
    media=("mha",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/10969427",
        ids={"record": "10969427", "doi": "10.5281/zenodo.10969427"},
        steps=("Download PSFHS.zip from the record and unpack it; everything lies under PSFHS/.",),
    ),
    files=(
        RemoteFile(
            name="PSFHS.zip",
            url="https://zenodo.org/records/10969427/files/PSFHS.zip?download=1",
            sha256="3f4a8126c84640e4d1b8a4e296d0dfd599cea6529b64b9ee00e5489bfd17ea95",
            archive="zip",
        ),
    ),
    expected_images=1358,
    expected_patients=1124,
    citation=r"""@article{chen2024psfhs,
  title={PSFHS: Intrapartum ultrasound image dataset for AI-based segmentation of pubic symphysis and fetal head},
  author={Chen, Gaowen and Bai, Jieyun and Ou, Zhanhong and Lu, Yaosheng and Wang, Huijin},
  journal={Scientific Data}, volume={11}, number={1}, pages={436}, year={2024}, doi={10.1038/s41597-024-03266-4}}""",
    notes=(
        "1,124 women, but no table tells whose picture is whose: it cannot be split by patient.",
        "Folder names are fh-ps-aop's, and from 03744.mha on perhaps its file names: keep the two in separate folders.",
        "At least 257 pictures are probably in fh-ps-aop too; with jnu-ifm the three are one patient group.",
    ),
    layout="public code",
    unverified=("Whether the three planes of a file are equal.", "The names 03744 to 05101: one project's lists."),
)

IMAGES = WRAPPER + r"(?P<id>image_mha/\d{5}\.mha)"
IGNORED = (("mask", r"(?:^|/)label_mha/\d{5}\.mha$"),)


def items(root: Path) -> Iterator[Item]:
    """View: transperineal, of all. There is no official split, no label and no patient."""
    return listed(root, IMAGES, IGNORED, mask=("image_mha/", "label_mha/"), view="transperineal")
