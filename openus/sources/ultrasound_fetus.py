"""Ultrasound Fetus Dataset: HC18 once more, under class words that mean nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, listed

CARD = Card(
    slug="ultrasound-fetus",
    index=45,
    name="Ultrasound Fetus Dataset",
    title="Ultrasound Fetus Dataset",
    anatomy="fetal-head",
    anatomy_detail="fetal head, standard plane; all pixels come from HC18",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="kaggle-dataset",
        url="https://www.kaggle.com/datasets/orvile/ultrasound-fetus-dataset",
        ids={"kaggle": "orvile/ultrasound-fetus-dataset", "mendeley": "yrzzw9m6kk", "mendeley_version": "2"},
        steps=(
            "Better do not: take hc18, which holds every picture of it.",
            "Else unpack Kaggle's archive, or https://data.mendeley.com/datasets/yrzzw9m6kk/2 and its Datasets.rar.",
        ),
    ),
    files=(
        RemoteFile(
            name="yrzzw9m6kk-2.zip",
            url="https://data.mendeley.com/public-api/zip/yrzzw9m6kk/download/2",
            size_bytes=910379316,
            sha256="627076751f7bebc20068d98ac8609f8b7d9c7927b9480d7f9fb818ad8a171479",
            archive="zip",
        ),
    ),
    expected_images=1669,
    citation=r"""@misc{anitha2024ultrasoundfetus, title={Ultrasound Fetus Dataset}, author={Anitha, A}, year={2024},
  publisher={Mendeley Data}, version={V1}, doi={10.17632/yrzzw9m6kk.1}}""",
    notes=(
        "malignant is HC18's training set (999), benign and normal both its test set (335): no labels; splits leak.",
        "The licence is the re-uploader's; HC18 asks for credit to its authors. FetusDataset.csv is unrelated.",
    ),
    layout="public code",
    unverified=("That the Kaggle copy equals version 1: same class counts and names.",),
)

IMAGES = WRAPPER + r"(?P<id>(?P<split>train|test|validation)/(?:benign|malignant|normal)/\d+_\d?HC\.png)"
IGNORED = (
    ("mask", r"_\d?HC_Annotation\.png$|\(\d+\)_mask\.png$"),
    ("second copy", r"(?:^|/)(?:Datasets|OverlayedImages)/(?:benign|malignant|normal)/"),
)


def items(root: Path) -> Iterator[Item]:
    """View: the standard plane, of all. Split: train, test or validation. No label, no patient."""
    return listed(root, IMAGES, IGNORED, mask=("HC.png", "HC_Annotation.png"), view="fetal head standard plane")
