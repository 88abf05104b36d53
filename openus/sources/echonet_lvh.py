"""EchoNet-LVH: parasternal long-axis clips of adults. By application; nothing made of it may be passed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, listed, read_csv

_TERMS = "Stanford University School of Medicine EchoNet-LVH Dataset Research Use Agreement"
CARD = Card(
    slug="echonet-lvh",
    index=None,
    name="EchoNet-LVH",
    title="EchoNet-LVH: a large parasternal long axis echocardiography video data resource",
    anatomy="heart",
    anatomy_detail="parasternal long axis, walls and chamber of the left ventricle, native size; Stanford",
    species="human",
    subject="in-vivo",
    media=("avi",),
    licence=Licence(_TERMS, commercial_use=False, redistribution=False, derivatives=False),
    access=Access(
        kind="form",
        url="https://echonet.github.io/lvh/",
        ids={
            "aimi_azure": "https://stanfordaimi.azurewebsites.net/datasets/5b7fcc28-579c-4285-8b72-e4238eac7bd1",
            "aimi": "https://aimi.stanford.edu/datasets/echonet-lvh",
            "redivis": "https://stanford.redivis.com/datasets/cchq-0srz1fy9a",
        },
        gated="application",
        steps=(
            "Open the page, register at the portal that it links (or redivis below), accept the agreement.",
            "Download and unpack: Batch1/ to Batch4/ and MeasurementsList.csv. Without that file it is another data "
            "set.",
        ),
    ),
    files=(RemoteFile(name="EchoNet-LVH.zip", archive="zip"),),
    expected_images=12000,
    counted="clips",
    citation="""@article{duffy2022echonetlvh, author={Duffy, Grant and Cheng, Paul P. and Yuan, Neal and He, Bryan and
    Kwan, Alan C. and Shun-Shin, Matthew J. and Alexander, Kevin M. and Ebinger, Joseph and Lungren, Matthew P. and
    Rader, Florian and Liang, David H. and Schnittger, Ingela and Ashley, Euan A. and Zou, James Y. and Patel, Jignesh
    and Witteles, Ronald and Cheng, Susan and Ouyang, David}, title={High-Throughput Precision Phenotyping of Left
    Ventricular Hypertrophy With Cardiovascular Deep Learning}, journal={JAMA Cardiology}, year={2022},
    doi={10.1001/jamacardio.2021.6059}}""",
    notes=(
        "Terms as of EchoNet-Dynamic: no copies or derived works for others; what is made of it stays with the user.",
        "No patients are told apart. No label: the table holds lengths (IVSd, LVIDd, LVPWd and others, in cm).",
        "The table's split (10,189 / 1,145 / 337 by a user's count) is not the paper's (echonet/lvh issue 13): the "
        "paper's is hashed_index_old_split.csv, by the authors there.",
    ),
    layout="public code",
    unverified=(
        "That there are just four batches; whether the portal still serves the set; the address on Redivis.",
        "What split holds: one text tells of folds 0 to 9.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>Batch\d+/(?P<video>0X[0-9A-F]+)\.avi)"
IGNORED: tuple[tuple[str, str], ...] = ()


def items(root: Path) -> Iterator[Item]:
    """Video: the stem. Split: train, val or test of MeasurementsList.csv, which has several rows a clip. View: PLAX."""
    rows = read_csv(find(root, WRAPPER + r"MeasurementsList\.csv"), key="HashedFileName")
    for item in listed(root, IMAGES, IGNORED):
        yield replace(item, view="PLAX", split=rows.get(item.video or "", {}).get("split") or None)
