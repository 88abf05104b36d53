"""CACTUS: views of a heart phantom with a grade of quality for each picture. No human data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, listed

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
        ids={"doi": "10.20383/103.01484", "project_page": "https://users.encs.concordia.ca/~kadem/cactus"},
        steps=(
            "Open the url (FRDR, Canada) or the link on the authors' project_page: about 13 GB to download.",
            "Unpack so that the folders 'Images Dataset' and 'Grades' stand side by side.",
        ),
    ),
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
    unverified=("The form of the names, hence the scan: one was seen. That the download needs no login.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>Images? Dataset/(?P<view>A4C|PL|PSAV|PSMV|Random|SC)/"
    r"(?:(?P<label>10|\d)_)?(?:(?P<video>[^/]+?)_frame_\d+)?[^/]*\.(?:jpe?g|png))"
)
IGNORED = (("source clip", r"(?:^|/)Videos/Training/[^/]+\.mp4$"), ("overlay", r"(?:^|/)Videos/Real[ -]Time Scan/"))


def items(root: Path) -> Iterator[Item]:
    """View: the folder. Label: the grade, 0 to 10, that begins the name. Video: the scan, before `_frame_`."""
    return listed(root, IMAGES, IGNORED)
