"""The Thyroid Dataset of TRFE-Net: one archive with TN3K, TG3K and a copy of DDTI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources import tg3k, tn3k
from openus.sources._layout import WRAPPER, existing, matched, swapped

CARD = Card(
    slug="thyroid",
    index=43,
    name="Thyroid Dataset",
    title="Thyroid Dataset of TRFE-Net / TRFE+ (one archive with TN3K, TG3K and a copy of DDTI)",
    anatomy="thyroid",
    anatomy_detail="thyroid nodules (TN3K, DDTI) and thyroid glands, slices of 16 sweeps (TG3K)",
    species="human",
    subject="in-vivo",
    media=("jpg", "png"),
    licence=Licence(),
    access=Access(
        kind="gdrive",
        url="https://drive.google.com/file/d/1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F/view",
        ids={
            "file": "1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F",
            "code": "github.com/haifangong/TRFE-Net-for-thyroid-nodule-segmentation",
        },
        steps=(
            "Download the Drive file (one zip), check its SHA-256, unpack it; unpack DDTI.zip in it where it lies.",
        ),
    ),
    files=(
        RemoteFile(
            name="Thyroid Dataset.zip",
            url="https://drive.google.com/uc?id=1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F",
            sha256="0ba1770076dab01b1f8fd661a227d80982168bc433de61c80fd266427b20cf60",
            archive="zip",
        ),
    ),
    expected_images=7715,
    citation=r"""@article{gong2022thyroid, journal={Computers in Biology and Medicine}, volume={155}, pages={106389},
  title={Thyroid Region Prior Guided Attention for Ultrasound Segmentation of Thyroid Nodules}, year={2023},
  author={Gong, Haifan and Chen, Jiaxin and Chen, Guanqi and Li, Haofeng and Chen, Fei and Li, Guanbin}}""",
    notes=(
        "7,715 = 3,493 TN3K + 3,585 TG3K + 637 DDTI. The extras tn3k, tg3k and ddti hold the same: take either.",
        "The repository's MIT licence is for its code; DDTI and the source of TG3K belong to others.",
        "No patients: TN3K shows 2,421 without naming them, TG3K 16 sweeps without marking them.",
        "DDTI.zip holds each picture three times; only 1_or_data/image is read. Its category.csv is no diagnosis.",
        "The archive's name on Drive was not seen.",
    ),
    layout="public code",
    unverified=("The names of the files in DDTI.zip, and that label4*.csv lie in this zip: one page each.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?:trainval|test)-image/\d{4}\.jpg|thyroid-image/\d{4}\.jpg|(?P<ddti>1_or_data/image/\d+\.PNG))"
)
IGNORED = (
    ("mask", r"(?:^|/)(?:(?:trainval|test|thyroid)-mask|1_or_data/mask)/"),
    ("second copy", r"(?:^|/)2_preprocessed_data/"),
)


def items(root: Path) -> Iterator[Item]:
    """As tn3k and tg3k say of their parts; of DDTI neither patient nor label is known here."""
    parts = {item.id: item for part in (tn3k, tg3k) for item in part.items(root)}
    for item, found in matched(root, IMAGES, IGNORED):
        masks = existing(root, swapped(item, "1_or_data/image/", "1_or_data/mask/")) if found["ddti"] else ()
        yield parts.get(item.id) or replace(item, masks=masks)
