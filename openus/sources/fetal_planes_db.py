"""FETAL_PLANES_DB: common maternal-fetal planes of 1,792 women."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, find, matched, read_csv

CARD = Card(
    slug="fetal-planes-db",
    index=25,
    name="FETAL_PLANES_DB",
    title="FETAL_PLANES_DB: Common maternal-fetal ultrasound images",
    anatomy="fetal",
    anatomy_detail="fetal abdomen, brain, femur, thorax; maternal cervix; other",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/3904280",
        ids={"record": "3904280", "doi": "10.5281/zenodo.3904280"},
        steps=("Download FETAL_PLANES_ZENODO.zip (2.1 GB), unpack it: Images/ and FETAL_PLANES_DB_data.csv come out.",),
    ),
    files=(
        RemoteFile(
            name="FETAL_PLANES_ZENODO.zip",
            url="https://zenodo.org/records/3904280/files/FETAL_PLANES_ZENODO.zip?download=1",
            md5="2a5fcc2cefb789bcc0f6c1f73e0ea43f",
            archive="zip",
        ),
    ),
    expected_images=12400,
    expected_patients=1792,
    citation=r"""@article{BurgosArtizzu2020, journal={Scientific Reports}, volume={10}, pages={10200}, year={2020},
  title={Evaluation of deep convolutional neural networks for automatic classification of common maternal fetal
    ultrasound planes}, doi={10.1038/s41598-020-67076-5},
  author={Burgos-Artizzu, X.P. and Coronado-Guti{\'e}rrez, D. and Valenzuela-Alcaraz, B. and Bonet-Carne, E. and
    Eixarch, E. and Crispi, F. and Gratac{\'o}s, E.}}""",
    notes=(
        "The official split is patient-disjoint: 7,129 pictures of 896 women for training, 5,271 of 896 for testing.",
        "Text of the scanner in the upper right corner can name the plane: a classifier may read it.",
        "dfhi holds its brain planes again, resized, under the same names and patients.",
    ),
    layout="published tables",
    unverified=("How many pictures bear calipers and text.",),
)

IMAGES = WRAPPER + r"(?P<id>Images/(?P<name>Patient(?P<number>\d{5})_Plane(?P<plane>[1-6])_\d+_of_\d+)\.png)"
IGNORED = ()

PLANES = {
    "1": ("Other", None),
    "2": ("Fetal abdomen", "fetal-abdomen"),
    "3": ("Fetal brain", "fetal-brain"),
    "4": ("Maternal cervix", "cervix"),
    "5": ("Fetal femur", "fetal-femur"),
    "6": ("Fetal thorax", "fetal-thorax"),
}
"""Number in the name -> word of column Plane (one to one in all 12,400 rows), and what it shows."""


def items(root: Path) -> Iterator[Item]:
    """Patient and label (Plane): the name. View: Brain_plane, of brains. Split: Train, 1 and 0 as train and test."""
    rows = read_csv(find(root, WRAPPER + r"FETAL_PLANES_DB_data\.csv"), key="Image_name", delimiter=";")
    for item, found in matched(root, IMAGES, IGNORED):
        row, (label, shows) = rows.get(found["name"], {}), PLANES[found["plane"]]
        yield replace(
            item,
            patient=str(int(found["number"])),
            label=label,
            anatomy=shows,
            view=(row.get("Brain_plane") or None) if found["plane"] == "3" else None,
            split={"1": "train", "0": "test"}.get(row.get("Train", "")),
        )
