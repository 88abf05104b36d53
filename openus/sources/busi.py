"""BUSI: breast ultrasound of Baheya Hospital, Cairo. No patients published; many near-duplicates of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, listed

CARD = Card(
    slug="busi",
    index=None,
    name="BUSI (not in OpenUS-46; in UltraSam's US-43d and OpenUS)",
    title="Dataset of breast ultrasound images",
    anatomy="breast",
    anatomy_detail="Baheya Hospital, Cairo, 2018; women of 25 to 75; GE LOGIQ E9; about 70 pictures show the axilla",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence(),
    access=Access(
        kind="http",
        url="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        ids={"paper_doi": "10.1016/j.dib.2019.104863", "kaggle_mirror": "aryashah2k/breast-ultrasound-images-dataset"},
        steps=("Unpack https://scholar.cu.edu.eg/Dataset_BUSI.zip (unstable certificate: check the SHA-256).",),
    ),
    files=(
        RemoteFile(
            name="Dataset_BUSI.zip",
            url="https://scholar.cu.edu.eg/Dataset_BUSI.zip",
            sha256="b2ce09f6063a31a73f628b6a6ee1245187cbaec225e93e563735691d68654de7",
            archive="zip",
        ),
    ),
    expected_images=780,
    citation=r"""@article{aldhabyani2020busi, title={Dataset of breast ultrasound images},
  author={Al-Dhabyani, Walid and Gomaa, Mohammed and Khaled, Hussien and Fahmy, Aly},
  journal={Data in Brief}, volume={28}, pages={104863}, year={2020}, doi={10.1016/j.dib.2019.104863}}""",
    notes=(
        "images: 780 pictures in the archive (1,578 files with masks); one list counts masks too (1,560).",
        "No patient ids: 203 pairs correlate above 0.97 (319 of 780 pictures), ten of them across classes; "
        "benign (433) and malignant (145) are equal pixel for pixel. A split by file name leaks.",
        "No licence at the source; mirrors disagree (CC0, CC-BY-4.0, other). Many pictures carry calipers and text.",
    ),
    layout="real files",
    unverified=("The licence: mirrors disagree.", "600 patients; the scanner."),
)

IMAGES = WRAPPER + r"(?P<id>(?P<label>benign|malignant|normal)/(?P=label) \((?P<n>\d+)\)\.png)"
IGNORED = (("mask", r"\(\d+\)_mask(?:_\d)?\.png$"),)


def items(root: Path) -> Iterator[Item]:
    """Pictures by class folder; label: the class word."""
    for item in listed(root, IMAGES, IGNORED):
        stem = item.path.removesuffix(".png")
        yield replace(item, masks=existing(root, *(f"{stem}_mask{n}.png" for n in ("", "_1", "_2"))))
