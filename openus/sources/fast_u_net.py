"""Fast-U-Net: fetal abdomens (AC) and the HC18 training heads (HC), out of seven RAR files, and three samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, read_text, swapped

CARD = Card(
    slug="fast-u-net",
    index=23,
    name="Fast-U-Net",
    title="Fast-U-Net: abdominal circumference (AC) and head circumference (HC) segmentation data",
    anatomy="fetal",
    anatomy_detail="AC: fetal abdomen; HC: fetal head (HC18 training set)",
    species="human",
    subject="in-vivo",
    media=("png", "jpg"),
    licence=Licence(),
    access=Access(
        kind="github",
        url="https://github.com/vahidashkani/Fast-U-Net",
        ids={"repo": "vahidashkani/Fast-U-Net", "commit": "5123c8e12fb9d847cc04eae2c69d6e9508731205"},
        steps=(
            "Clone or download the repository; the RAR files are plain blobs (no LFS).",
            "Unpack the seven .rar files under Dataset/AC and Dataset/HC with bsdtar, unrar or 7z where they lie.",
        ),
    ),
    files=(
        RemoteFile(name="Dataset/AC/AC_image1.rar", archive="rar"),
        RemoteFile(name="Dataset/AC/AC_image2.rar", archive="rar"),
        RemoteFile(
            name="Dataset/AC/AC_mask.rar",
            size_bytes=640311,
            md5="9b1cb8b29207eb6f74895e8bfb412515",
            sha256="9dcc0a7f6a2cd38cff34d3f75a1d0322eff74aa9bdc35c8acb9b6d4ef7287bec",
            archive="rar",
        ),
        RemoteFile(name="Dataset/HC/HC_image1.rar", archive="rar"),
        RemoteFile(name="Dataset/HC/HC_image2.rar", archive="rar"),
        RemoteFile(name="Dataset/HC/HC_image3.rar", archive="rar"),
        RemoteFile(name="Dataset/HC/HC_mask.rar", archive="rar"),
        RemoteFile(name="Dataset/AC/train.txt", size_bytes=19176),
        RemoteFile(name="Dataset/AC/val.txt", size_bytes=4774),
        RemoteFile(name="Dataset/HC/train.txt", size_bytes=56326),
        RemoteFile(name="Dataset/HC/val.txt", size_bytes=13990),
    ),
    expected_images=1411,
    citation=r"""@article{ashkani2022fast,
  title={Fast and Accurate U-Net Model for Fetal Ultrasound Image Segmentation},
  author={Ashkani Chenarlogh, Vahid and Ghelich Oghli, Mostafa and Shabanzadeh, Ali and Sirjani, Nasim and
    Akhavan, Ardavan and Shiri, Isaac and Arabi, Hossein and Sanei Taheri, Morteza and Tarzamni, Mohammad Kazem},
  journal={Ultrasonic Imaging}, volume={44}, number={1}, year={2022}, doi={10.1177/01617346211069882}
}""",
    notes=(
        "images: 412 AC + 999 HC of the lists; three pictures of test_data come on top (1,414).",
        "The HC part is HC18's training set by name (999 of 999), perhaps resized. Study: HC18's examination number; "
        "56 of them stand in both lists.",
        "The repository has no licence; the HC part comes from HC18 (CC BY 4.0).",
        "The inner folder names of the image archives were not seen: pictures are told by their names.",
    ),
    layout="published tables",
    unverified=("The inner folders and picture sizes of the image archives.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>test_data/image/\d+\.jpg"
    r"|(?P<ac>(?:fa_)?\d{4}\.png)"
    r"|(?P<hc>(?P<study>\d{3})_\d?HC\.png))"
)
IGNORED = (
    ("mask", r"(?i)(?:^|/)[^/]*mask[^/]*/|_Annotation\.png$"),
    ("figure", r"(?:^|/)Fast_unet/[^/]*\.jpg$"),
)


def items(root: Path) -> Iterator[Item]:
    """Study: HC18's examination number, in the HC part. View: the plane. Split: the lists of either part."""
    splits = _splits(root)
    for item, found in matched(root, IMAGES, IGNORED):
        part = "AC" if found["ac"] else "HC" if found["hc"] else None
        view = {"AC": "fetal abdomen circumference plane", "HC": "fetal head circumference plane", None: "fetal head"}
        masks = existing(root, swapped(item, "test_data/image/", "test_data/mask/")) if part is None else ()
        yield replace(item, view=view[part], split=splits.get(item.id), masks=masks)


def _splits(root: Path) -> dict[str, str]:
    """Name -> train or val, of lines `resized_data/image/0039.png resized_data/mask/0039.png`."""
    splits: dict[str, str] = {}
    for part in ("AC", "HC"):
        for split in ("train", "val"):
            text = read_text(find(root, WRAPPER + rf"{part}/{split}\.txt"))
            for name in re.findall(r"(?m)^\S*?([^/\s]+\.png)\s", text):
                splits.setdefault(name, split)
    return splits
