"""CACTUS: views of a heart phantom with a grade of quality for each picture. No human data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, listed, read_csv

CARD = Card(
    slug="cactus",
    index=13,
    name="Cactus Dataset",
    title="CACTUS: An open dataset and framework for automated Cardiac Assessment and Classification of Ultrasound "
    "images",
    anatomy="heart",
    anatomy_detail="CAE Blue Phantom, phased array (GE Vivid-q, M4S): five cardiac views and pictures of no view",
    species="phantom",
    subject="phantom",
    media=("jpg",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="frdr",
        url="https://doi.org/10.20383/103.01484",
        ids={
            "doi": "10.20383/103.01484",
            "project_page": "https://users.encs.concordia.ca/~kadem/cactus",
            "academic_torrents_infohash": "329c0ee4a0037a2628e2f2dba826066f764f193c",
        },
        steps=(
            "Open the url (FRDR, Canada) or the link on the authors' project_page, and download the data set. Or take "
            "the torrent of that infohash at academictorrents.com: CactusDataset_2025.110003.zip, 13.18 GB.",
            "Unpack so that the folders 'Images Dataset' and 'Grades' stand side by side.",
        ),
    ),
    files=(RemoteFile(name="CactusDataset_2025.110003.zip", archive="zip"),),
    expected_images=37736,
    expected_patients=0,
    citation="""@article{elmekki2025cactus, journal={Computers in Biology and Medicine}, volume={190}, pages={110003},
  title={{CACTUS}: An open dataset and framework for automated Cardiac Assessment and Classification of Ultrasound
    images using deep transfer learning}, year={2025}, doi={10.1016/j.compbiomed.2025.110003}, author={Hanae Elmekki
    and Ahmed Alagha and Hani Sami and Amanda Spilkin and Antonela Zanuttini and Ehsan Zakeri and Jamal Bentahar and
    Lyes Kadem and Wen-Fang Xie and Philippe Pibarot and Rabeb Mizouni and Hadi Otrok and Shakti Singh and Azzam
    Mourad}}""",
    notes=(
        "A phantom, no patients, no official split. Frames of one scan are near copies: keep them together.",
        "The first number of a name is the grade of quality, not a patient. Random: no standard view, grade 0.",
        "Videos/ is left out: the training clips are probably the source of the stills, and of the real-time scans one "
        "is a screen recording with results drawn in. github.com/coding-groot/cactus is an unrelated project.",
    ),
    layout="public code",
    unverified=(
        "The form of the names, hence the scan: one was seen. That the download needs no login.",
        "The files at FRDR, and what the torrent's zip unpacks to.",
    ),
)

IMAGES = WRAPPER + (
    r"(?P<id>Images? Dataset/(?P<view>A4C|PL|PSAV|PSMV|Random|SC)/"
    r"(?:(?P<label>10|\d)_)?(?:(?P<video>[^/]+?)_frame_\d+)?[^/]*\.(?:jpe?g|png))"
)
IGNORED = (("source clip", r"(?:^|/)Videos/Training/[^/]+\.mp4$"), ("overlay", r"(?:^|/)Videos/Real[ -]Time Scan/"))


def items(root: Path) -> Iterator[Item]:
    """View: the folder. Label: Grade of the view's table, else what begins the name. Video: the scan, before "
    "`_frame_`."""
    views = ("A4C", "PL", "PSAV", "PSMV", "Random", "SC")
    grades = {view: read_csv(find(root, WRAPPER + rf"Grades/{view}_grades\.csv"), key="Image Name") for view in views}
    for item in listed(root, IMAGES, IGNORED):
        row = grades[item.view or ""].get(item.path.rpartition("/")[2], {})
        yield replace(item, label=row.get("Grade") or item.label)
