"""MicroSeg: prostates by micro-ultrasound, one stack a patient, the data of MicroSegNet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched

_NAME = "Micro_Ultrasound_Prostate_Segmentation_Dataset"

CARD = Card(
    slug="microseg",
    index=32,
    name="MicroSeg",
    title="Micro-Ultrasound Prostate Segmentation Dataset (data of MicroSegNet)",
    anatomy="prostate",
    anatomy_detail="prostate by transrectal micro-ultrasound, one 3-D stack of 2-D frames a patient",
    species="human",
    subject="in-vivo",
    media=("nifti",),
    licence=Licence(),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/10475293",
        ids={"record": "10475293"},
        steps=(f"Open the record, read its licence (not seen), download {_NAME}.zip and unpack it.",),
    ),
    files=(
        RemoteFile(
            name=f"{_NAME}.zip",
            url=f"https://zenodo.org/records/10475293/files/{_NAME}.zip",
            sha256="031645dc30948314e379d0a0a7d54bad1cd4e1f3f918b77455d69810aa05dce3",
            archive="zip",
        ),
    ),
    expected_images=75,
    counted="volumes",
    expected_patients=75,
    citation=r"""@article{jiang2024microsegnet, pages={102326}, year={2024},
  title={MicroSegNet: A deep learning approach for prostate segmentation on micro-ultrasound images},
  author={Jiang, Hongxu and Imran, Muhammad and Muralidharan, Preethika and Patel, Anjali and Pensa, Jake and
    Liang, Muxuan and Benidir, Tarik and Grajo, Joseph R and Joseph, Jason P and Terry, Russell and others},
  journal={Computerized Medical Imaging and Graphics}}""",
    notes=(
        "images counts volumes (55 training, 20 test), one a patient; how many slices they hold is unknown.",
        "Slices lie upside down and are flipped top to bottom.",
        "The code's MIT licence does not speak of the data.",
    ),
    layout="public code",
    unverified=(
        "Whether slices are mirrored too: of UltraSam's two scripts one flips both ways, one top to bottom.",
        "The folders of the students' annotations.",
    ),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?:train|test)/micro_ultrasound_scans/microUS_(?P<patient>(?P<split>train|test)_(?P<n>\d+))\.nii\.gz)"
)
IGNORED = (("mask", r"(?:^|/)[a-z_]*_annotations/"),)


def items(root: Path) -> Iterator[Item]:
    """Patient and video: split and number, which is not unique alone. Split: train or test. Masks: the experts'."""
    for item, _ in matched(root, IMAGES, IGNORED):
        name = f"expert_annotations/expert_annotation_{item.patient}.nii.gz"
        mask = item.path.replace(f"micro_ultrasound_scans/microUS_{item.patient}.nii.gz", name)
        masks = existing(root, mask)
        yield replace(item, video=item.patient, masks=masks, reading=Reading(turn="flip-top-bottom"))
