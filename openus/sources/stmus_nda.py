"""STMUS_NDA: transverse sections of three limb muscles, healthy and with neuromuscular disease, with masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, listed

_FILE = "b1601a22-98a5-41ce-9fbb-54dd21834b55"
CARD = Card(
    slug="stmus-nda",
    index=41,
    name="STMUS_NDA",
    title="Deep learning segmentation of transverse musculoskeletal ultrasound images (Polito-Radboud-DeepLearningUS)",
    anatomy="muscle",
    anatomy_detail="biceps brachii (BB), gastrocnemius medialis (GM), tibialis anterior (TA); Esaote MyLab Twice",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="mendeley",
        url="https://data.mendeley.com/datasets/3jykz7wz8d/1",
        ids={"dataset": "3jykz7wz8d", "version": "1", "doi": "10.17632/3jykz7wz8d.1", "file": _FILE},
        steps=("Download the zip on the page and unpack it. 'Download All' wraps it into a second zip: unpack both.",),
    ),
    files=(
        RemoteFile(
            name="DATASET_10.1016j.compbiomed.2021.104623.zip",
            url=f"https://data.mendeley.com/public-files/datasets/3jykz7wz8d/files/{_FILE}/file_downloaded",
            sha256="81dbec46e9f3035831f97aa828735cd6ba04171a72902a9416e7847e75148a11",
            archive="zip",
        ),
    ),
    expected_images=3917,
    expected_patients=1283,
    citation=r"""@article{marzola2021deep, author={Marzola, Francesco and van Alfen, Nens and Doorduin, Jonne and
    Meiburger, Kristen M}, title={Deep learning segmentation of transverse musculoskeletal ultrasound images for
    neuromuscular disease assessment}, journal={Computers in Biology and Medicine}, volume={135}, pages={104623},
  year={2021}, publisher={Elsevier}, doi={10.1016/j.compbiomed.2021.104623}}""",
    notes=(
        "images: the paper's. Others took 4,355 from BB, GM and TA, the folders read here. No patient ids are known.",
        "Segmentation_models/ repeats the pictures, scaled, as train, val and test: left out, and with it the split.",
    ),
    layout="public code",
    unverified=("Licence and counts (second hand), the device, and that the scaled copies bear the same names.",),
)

IMAGES = WRAPPER + r"(?P<id>(?P<view>BB|GM|TA)/(?P<label>Healthy|Pathological)/Images/[^/]+\.png)"
IGNORED = (("mask", r"/Masks/|/(?:train|val|test)annot/"), ("second copy", r"(?:^|/)Segmentation_models/.*\.png$"))


def items(root: Path) -> Iterator[Item]:
    """View: the muscle, BB, GM or TA, always transverse. Label: Healthy or Pathological. No patient, no split."""
    for item in listed(root, IMAGES, IGNORED):
        yield replace(item, masks=existing(root, "/Masks/".join(item.path.rsplit("/Images/", 1))))
