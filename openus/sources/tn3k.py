"""TN3K: thyroid nodules, a part of the Thyroid Dataset by itself. An extra: the same pictures as `thyroid`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, match, matched, read_text

CARD = Card(
    slug="tn3k",
    index=None,
    name="TN3K",
    title="TN3K: Thyroid Nodule 3 Thousand (with TNCD benign/malignant labels)",
    anatomy="thyroid",
    anatomy_detail="thyroid nodules, several devices and views, Zhujiang Hospital, January 2016 to August 2020",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    licence=Licence(),
    access=Access(
        kind="gdrive",
        url="https://drive.google.com/file/d/1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F/view",
        ids={
            "drive_file": "1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F",
            "huggingface": "haifan-gong/TN3K",
            "github": "haifangong/TRFE-Net-for-thyroid-nodule-segmentation",
            "commit": "6e35530",
        },
        steps=(
            "Not needed beside thyroid, which holds it. Else take the Thyroid Dataset zip (`openus info thyroid`), or "
            "TN3K.rar of the authors' Hugging Face copy, or the RAR parts under picture/ of the GitHub repository; "
            "unpack it: tn3k/ is inside.",
        ),
    ),
    files=(
        RemoteFile(
            name="Thyroid Dataset.zip",
            url="https://drive.google.com/uc?id=1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F",
            sha256="0ba1770076dab01b1f8fd661a227d80982168bc433de61c80fd266427b20cf60",
            archive="zip",
        ),
        RemoteFile(
            name="TN3K.rar",
            sha256="407fe2b4992e83b037621214aaaa39d86072e03d4ee3765f3c68d06e546e4ad4",
            archive="rar",
        ),
    ),
    expected_images=3493,
    expected_patients=2421,
    citation=r"""@article{gong2022thyroid, journal={Computers in Biology and Medicine}, volume={155}, pages={106389},
  title={Thyroid Region Prior Guided Attention for Ultrasound Segmentation of Thyroid Nodules}, year={2023},
  author={Gong, Haifan and Chen, Jiaxin and Chen, Guanqi and Li, Haofeng and Chen, Fei and Li, Guanbin}}""",
    notes=(
        "The repository's MIT licence is for its code; the authors' Hugging Face copy of the data bears the tag MIT.",
        "No patients are released: 2,421 people, 3,493 pictures. The five official folds of trainval take every fifth "
        "number, so neighbours of one patient may stand on both sides; they are not read.",
        "Numbers begin again at 0000 in test. Masks are JPEG with gray edges.",
    ),
    layout="published tables",
    unverified=(
        "Where label4*.csv come from: one page shows them in the zip. TN3K.rar's checksum: one project's notes.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>(?P<split>trainval|test)-image/(?P<n>\d{4})\.jpg)"
MASKS = WRAPPER + r"(?P<split>trainval|test)-mask/(?P<n>\d{4})\.jpg"
"""They may lie in a folder of their own, where their RAR was unpacked."""
IGNORED = (
    ("mask", r"(?:^|/)(?:trainval|test)-mask/"),
    ("other part of the archive", r"(?:^|/)(?:tg3k|DDTI dataset)/"),
)


def items(root: Path) -> Iterator[Item]:
    """Label: 0 and 1 of label4trainval.csv and label4test.csv, benign and malignant. Split: trainval or test."""
    labels = {}
    for part in ("trainval", "test"):
        text = read_text(find(root, WRAPPER + rf"label4{part}\.csv"))
        for n, label in re.findall(r"(?m)^\s*(\d{4})\.jpg\s*,\s*([01])\s*$", text):
            labels[part, n] = ("benign", "malignant")[int(label)]
    masks = {(found["split"], found["n"]): path for path, found in match(root, MASKS)}
    for item, found in matched(root, IMAGES, IGNORED):
        key = (found["split"], found["n"])
        yield replace(item, label=labels.get(key), masks=(masks[key],) if key in masks else ())
