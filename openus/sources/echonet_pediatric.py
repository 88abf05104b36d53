"""EchoNet-Pediatric: heart clips of children in two views. By application; nothing made of it may be passed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, find, matched, read_csv, swapped

_TERMS = "Stanford University School of Medicine EchoNet-Pediatric Dataset Research Use Agreement"
CARD = Card(
    slug="echonet-pediatric",
    index=20,
    name="EchoNet-Pediatric",
    title="EchoNet-Pediatric (EchoNet-Peds): a large pediatric echocardiography video data resource",
    anatomy="heart",
    anatomy_detail="apical four-chamber and parasternal short-axis clips, 0 to 18 years, 112x112 pixels; Stanford",
    species="human",
    subject="in-vivo",
    media=("avi",),
    licence=Licence(_TERMS, commercial_use=False, redistribution=False, derivatives=False),
    access=Access(
        kind="form",
        url="https://echonet.github.io/pediatric/index.html#dataset",
        ids={"aimi_azure": "https://stanfordaimi.azurewebsites.net/datasets/a84b6be6-0d33-41f9-8996-86e5df53b005"},
        gated="application",
        steps=(
            "Open the page, 'Accessing Dataset' (2023: aimi_azure below; perhaps stanford.redivis.com now).",
            "Register yourself, accept the agreement, download: A4C/ and PSAX/, each with FileList.csv and Videos/.",
        ),
    ),
    expected_images=7643,
    counted="clips",
    citation="""@article{reddy2023echonetpeds, author={Reddy, Charitha and Lopez, Leo and Ouyang, David and Zou, James
    Y. and He, Bryan}, title={Video-Based Deep Learning for Automated Assessment of Left Ventricular Ejection Fraction
    in Pediatric Patients}, journal={Journal of the American Society of Echocardiography}, year={2023},
    doi={10.1016/j.echo.2023.01.015}}""",
    notes=(
        "The agreement forbids copies and derived works for others: what is made of it stays with the registered user.",
        "images: clips. Counts differ: 7,643 and 7,600 on the page, 7,810 by two users.",
        "Folds go by patient, alike in both views; none is the test. EF, age and so on (FileList.csv) are no label.",
        "VolumeTracings.csv outlines the left ventricle. Frame rates of the files are not to be trusted.",
    ),
    layout="public code",
    unverified=("The number of clips; the number of patients is not known.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?P<view>A4C|PSAX)/Videos/(?P<video>(?P<patient>CR[0-9a-z]{7})-(?P<study>CR[0-9a-z]{7})-\d{6})\.avi)"
)
IGNORED: tuple[tuple[str, str], ...] = ()
_OTHER = {"A4C": "PSAX", "PSAX": "A4C"}


def items(root: Path) -> Iterator[Item]:
    """Patient, study (accession), video: first, second part and whole of the stem. Split: fold-k, k = column Split.

    A clip that stands in both folders and in the other view's table alone is of that view: some copies link the two.
    """
    rows = {view: read_csv(find(root, WRAPPER + rf"{view}/FileList\.csv"), key="FileName") for view in _OTHER}
    for item, found in matched(root, IMAGES, IGNORED):
        name, view, other = f"{found['video']}.avi", found["view"], _OTHER[found["view"]]
        if name not in rows[view] and name in rows[other] and existing(root, swapped(item, f"{view}/", f"{other}/")):
            continue
        fold = rows[view].get(name, {}).get("Split")
        yield replace(item, split=f"fold-{fold}" if fold else None)
