"""HC18: fetal heads in the standard plane, with the ellipse outline of the training part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, number, read_csv

_FILES = "https://zenodo.org/api/records/1327317/files"

CARD = Card(
    slug="hc18",
    index=28,
    name="HC",
    title="Automated measurement of fetal head circumference using 2D ultrasound images (HC18)",
    anatomy="fetal",
    anatomy_detail="fetal head, standard plane for head circumference",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/1327317",
        ids={"record": "1327317", "concept_record": "1322000", "doi": "10.5281/zenodo.1327317"},
        steps=("Download the four files of the record.", "Unpack the two zip files; each holds a folder of its name."),
    ),
    files=(
        RemoteFile(
            name="training_set.zip",
            url=f"{_FILES}/training_set.zip/content",
            size_bytes=132926838,
            md5="00eb8198b9a505b2b3a6dfc740382497",
            sha256="fd20d7909df892cfbdc0850de18072dbdad4dc3bc0a57202d4cc818d4715de36",
            archive="zip",
        ),
        RemoteFile(
            name="test_set.zip",
            url=f"{_FILES}/test_set.zip/content",
            size_bytes=43518463,
            md5="8402af5d137ef40a2888c1011ef3fe7e",
            sha256="6356d1171e5805dabb83af72c13eb2b32fc3d6c0c2015c58eb9ee083521e9bdd",
            archive="zip",
        ),
        RemoteFile(
            name="training_set_pixel_size_and_HC.csv",
            url=f"{_FILES}/training_set_pixel_size_and_HC.csv/content",
            size_bytes=33688,
            md5="c0761518fece2bd2d2ad4218f2cd9777",
            sha256="1c08fa81c374c5f9509f3aa6a6568e4dc6cc5434ff82d0df731db7e4f25816b3",
        ),
        RemoteFile(
            name="test_set_pixel_size.csv",
            url=f"{_FILES}/test_set_pixel_size.csv/content",
            size_bytes=9096,
            md5="8476dc198cc6542f26c57e87faeee033",
            sha256="215970c7334fcb3794c88d39cbe33fe334f4323cbce8cddeeda04aa5c0faf227",
        ),
    ),
    size_bytes=176_488_085,
    expected_images=1334,
    expected_patients=551,
    citation=r"""@article{vandenHeuvel2018hc18,
  title={Automated measurement of fetal head circumference using 2D ultrasound images},
  author={van den Heuvel, Thomas L. A. and de Bruijn, Dagmar and de Korte, Chris L. and van Ginneken, Bram},
  journal={PLOS ONE}, year={2018}, doi={10.1371/journal.pone.0200412},
  note={Data: Zenodo, doi:10.5281/zenodo.1327317}
}""",
    notes=(
        "No patient ids: 551 women stand behind 806 + 335 numbers, so a number is an examination at best and one "
        "woman may stand on both sides of the split.",
        "Study = split + number: test numbers start again at 000 and are other examinations.",
        "ultrasound-fetus, fast-u-net (HC part) and dfhi hold the same pictures under other names or sizes.",
        "Near-duplicates: nine pairs inside one training number; test 263 = 280.",
    ),
    layout="real files",
    unverified=(
        "That the examinations of one woman cannot be told: nothing is published.",
        "First names in the citation: from memory.",
    ),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?!test_set/\d{3}_\d)(?P<split>training|test)_set/(?P<name>(?P<examination>\d{3})_\d?HC\.png))"
)
IGNORED = (("mask", r"(?:^|/)training_set/\d{3}_\d?HC_Annotation\.png$"),)


def items(root: Path) -> Iterator[Item]:
    """Study: split and number. Split: training or test. Spacing: the tables' `pixel size(mm)`. No label."""
    tables = {
        "training": read_csv(find(root, WRAPPER + r"training_set_pixel_size_and_HC\.csv"), key="filename"),
        "test": read_csv(find(root, WRAPPER + r"test_set_pixel_size\.csv"), key="filename"),
    }
    for item, found in matched(root, IMAGES, IGNORED):
        spacing = number(tables[found["split"]].get(found["name"], {}).get("pixel size(mm)"))
        yield replace(
            item,
            study=f"{found['split']}-{found['examination']}",
            view="fetal head standard plane",
            spacing_mm=(spacing, spacing),
            masks=existing(root, item.path.removesuffix(".png") + "_Annotation.png"),
        )
