"""TG3K: thyroid glands, a part of the Thyroid Dataset by itself. An extra: the same pictures as `thyroid`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, listed, read_json

CARD = Card(
    slug="tg3k",
    index=None,
    name="TG3K",
    title="TG3K: Thyroid Gland 3 Thousand",
    anatomy="thyroid",
    anatomy_detail="thyroid gland, healthy lobes as far as the source is known, consecutive slices of 16 sweeps",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    licence=Licence(),
    access=Access(
        kind="gdrive",
        url="https://drive.google.com/file/d/1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F/view",
        ids={"drive_file": "1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F"},
        steps=("Not needed beside thyroid, which holds it. Else unpack the Thyroid Dataset zip and keep tg3k/.",),
    ),
    files=(
        RemoteFile(
            name="Thyroid Dataset.zip",
            url="https://drive.google.com/uc?id=1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F",
            sha256="0ba1770076dab01b1f8fd661a227d80982168bc433de61c80fd266427b20cf60",
            archive="zip",
        ),
    ),
    expected_images=3585,
    citation=r"""@article{gong2023thyroid, journal={Computers in Biology and Medicine}, volume={155}, pages={106389},
  title={Thyroid region prior guided attention for ultrasound segmentation of thyroid nodules}, year={2023},
  author={Gong, Haifan and Chen, Jiaxin and Chen, Guanqi and Li, Haofeng and Li, Guanbin and Chen, Fei}}""",
    notes=(
        "Slices of 16 sweeps stand in order, and where one sweep ends is not marked: whether the split parts them is "
        "unknown. Neighbours are near copies, so few remain after deduplication.",
        "No licence is stated; the source of the pictures, probably Open-CAS, asks for a citation of its own.",
        "Only slices whose gland covers more than 0.06 of the picture were kept. The archive's name was not seen.",
    ),
    layout="public code",
    unverified=("Open-CAS as the source of the sweeps: inferred from number, size and content.",),
)

IMAGES = WRAPPER + r"(?P<id>thyroid-image/\d{4}\.jpg)"
IGNORED = (("mask", r"(?:^|/)thyroid-mask/"), ("other part of the archive", r"(?:^|/)(?:tn3k|DDTI dataset)/"))


def items(root: Path) -> Iterator[Item]:
    """Split: train or val of tg3k-trainval.json, whose positions are the file numbers. No patient, no sweep."""
    lists = read_json(find(root, WRAPPER + r"tg3k-trainval\.json"))
    parts = {part: n for part, n in lists.items() if isinstance(n, list)} if isinstance(lists, dict) else {}
    splits = {n: part for part in ("train", "val") for n in parts.get(part, ()) if isinstance(n, int)}
    for item in listed(root, IMAGES, IGNORED, mask=("-image/", "-mask/")):
        yield replace(item, split=splits.get(int(item.path[-8:-4])))
