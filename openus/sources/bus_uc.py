"""BUS_UC: breast tumours from a teaching site, benign and malignant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, listed

CARD = Card(
    slug="bus-uc",
    index=10,
    name="BUS_UC",
    title="BUS_UC (Breast Ultrasound, images from Ultrasound Cases)",
    anatomy="breast",
    anatomy_detail="breast tumours of the teaching site ultrasoundcases.info; masks drawn afterwards by a radiologist",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="mendeley",
        url="https://data.mendeley.com/datasets/3ksd7w7jkx/1",
        ids={"dataset": "3ksd7w7jkx", "version": "1", "doi": "10.17632/3ksd7w7jkx.1"},
        steps=("Open the page, press 'Download All' for the zip of version 1, unpack it.",),
    ),
    files=(
        RemoteFile(
            name="3ksd7w7jkx-1.zip",
            url="https://prod-dcd-datasets-cache-zipfiles.s3.eu-west-1.amazonaws.com/3ksd7w7jkx-1.zip",
            archive="zip",
        ),
    ),
    expected_images=811,
    citation=r"""@article{iqbal2024memory, author={Iqbal, Ahmed and Sharif, Muhammad}, year={2024},
  title={Memory-efficient transformer network with feature fusion for breast tumor segmentation and classification
    task},
  journal={Engineering Applications of Artificial Intelligence}, doi={10.1016/j.engappai.2023.107292}}
@misc{bus_uc_mendeley, title={BUS\_UC}, publisher={Mendeley Data}, year={2023}, doi={10.17632/3ksd7w7jkx.1}}""",
    notes=(
        "The licence is the record's; the pictures stem from a website of somebody else.",
        "811 pictures (358 benign, 453 malignant); other lists say 810 or 855. All/ repeats them and is left out.",
        "No patients are told, and the site shows several pictures a case: neighbours may be one patient. Never "
        "compared with busi, bus-bra, buid and s1, which may hold pictures of the same site.",
    ),
    layout="public code",
    unverified=("The licence.", "How file names are written: 01, 010 and 0319 were seen in one place each."),
)

IMAGES = WRAPPER + r"(?P<id>(?P<label>Benign|Malignant)/images/\d+\.png)"
IGNORED = (("mask", r"(?:^|/)masks/[^/]*\.png$"), ("second copy", r"(?:^|/)All/images/"))


def items(root: Path) -> Iterator[Item]:
    """Label: the class folder. No patient, no split."""
    return listed(root, IMAGES, IGNORED, mask=("/images/", "/masks/"))
