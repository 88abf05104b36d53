"""FEFT: fetal hearts of the first trimester, five classes of views, frames of clips. No licence at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, listed

CARD = Card(
    slug="feft",
    index=24,
    name="FEFT",
    title="First Trimester Fetal Echocardiography Data Set for Classification",
    anatomy="fetal-heart",
    anatomy_detail="first trimester: aorta, atrioventricular flows, V sign, X sign, other (GINECHO clinic, Craiova)",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    licence=Licence(),
    access=Access(
        kind="figshare",
        url="https://figshare.com/articles/figure/First_Trimester_Fetal_Echocardiography_Data_Set_for_Classification/"
        "21215492?file=37624184",
        ids={"article": "21215492", "file": "37624184"},
        steps=(
            "Open the page and read its licence, which was not seen.",
            "Press Download and unpack: 'Fetal Echocardiography First Trimester' with train/, valid/ and test/.",
        ),
    ),
    citation="""@misc{feft_figshare_21215492, publisher={figshare}, note={figshare article 21215492},
  title={First Trimester Fetal Echocardiography Data Set for Classification}}""",
    notes=(
        "The licence was not read at the source: whether the pictures may be used or passed on is unknown.",
        "Names hold no patient and no clip, and neighbouring numbers are near-identical frames of one clip. Whether "
        "the split is by patient is unknown. Numbers start again in each class and part.",
        "How many pictures there are is unknown; the test part has 1,379, of which 79 are X sign.",
    ),
    layout="public code",
    unverified=(
        "The test part's count; the clinic; that file 37624184 is an archive with this tree. Authors: not seen.",
    ),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?P<split>train|valid|test)/(?P<label>(?P<view>Aorta|Flows|Other|V sign|X sign))/[^/]+ \(\d+\)\.jpg)"
)
IGNORED = ()


def items(root: Path) -> Iterator[Item]:
    """Label and view: the class folder. Split: train, valid or test. No patient and no video is told."""
    return listed(root, IMAGES, IGNORED)
