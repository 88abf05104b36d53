"""EchoNet-Dynamic: four-chamber clips of 10,030 adults. By application; nothing made of it may be passed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, listed, read_csv

_TERMS = "Stanford University School of Medicine EchoNet-Dynamic Dataset Research Use Agreement"
CARD = Card(
    slug="echonet-dynamic",
    index=19,
    name="EchoNet-Dynamic",
    title="EchoNet-Dynamic: a large new cardiac motion video data resource",
    anatomy="heart",
    anatomy_detail="apical four-chamber clips of adults, 112x112 pixels, apex up, text masked out; Stanford",
    species="human",
    subject="in-vivo",
    media=("avi",),
    licence=Licence(_TERMS, commercial_use=False, redistribution=False, derivatives=False),
    access=Access(
        kind="form",
        url="https://echonet.github.io/dynamic/",
        ids={
            "redivis": "https://stanford.redivis.com/datasets/66s1-2hsmzj5rn",
            "aimi_azure_old": "https://stanfordaimi.azurewebsites.net/datasets/834e1cd1-92f7-4268-9daa-d359198b310a",
        },
        gated="application",
        steps=(
            "Open the page, 'Accessing Dataset' (in May 2026 it led to redivis below).",
            "Register yourself, accept the agreement, download (7 GB), unpack; never pass on the link or the files.",
        ),
    ),
    files=(RemoteFile(name="EchoNet-Dynamic.zip", archive="zip"),),
    expected_images=10030,
    counted="clips",
    expected_patients=10030,
    citation="""@article{ouyang2020echonet, author={Ouyang, David and He, Bryan and Ghorbani, Amirata and Yuan, Neal and
    Ebinger, Joseph and Langlotz, Curtis P. and Heidenreich, Paul A. and Harrington, Robert A. and Liang, David H. and
    Ashley, Euan A. and Zou, James Y.}, title={Video-based {AI} for beat-to-beat assessment of cardiac function},
    journal={Nature}, volume={580}, pages={252--256}, year={2020}, doi={10.1038/s41586-020-2145-8}}""",
    notes=(
        "The agreement forbids copies and derived works for others: what is made of it stays with the registered user.",
        "images: clips (1,770,636 frames). EF, ESV and EDV of FileList.csv are numbers: no label. "
        "VolumeTracings.csv outlines the left ventricle in two frames a clip.",
        "Some clips are tinted as a whole; most show an orange probe mark and ticks. Six rows tell another size.",
    ),
    layout="public code",
    unverified=("That the portal serves one zip of that name. The tables and clips were seen in copies.",),
)

IMAGES = WRAPPER + r"(?P<id>Videos/(?P<video>0X[0-9A-F]+)\.avi)"
IGNORED: tuple[tuple[str, str], ...] = ()


def items(root: Path) -> Iterator[Item]:
    """Patient and video: the stem, one clip a person. Split: TRAIN, VAL or TEST of FileList.csv. View: A4C."""
    rows = read_csv(find(root, WRAPPER + r"FileList\.csv"), key="FileName")
    splits = {name.removesuffix(".avi"): row.get("Split") or None for name, row in rows.items()}
    for item in listed(root, IMAGES, IGNORED):
        yield replace(item, patient=item.video, view="A4C", split=splits.get(item.video or ""))
