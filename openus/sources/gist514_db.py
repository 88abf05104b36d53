"""GIST514-DB: endoscopic ultrasound of stromal tumours and leiomyomas. A held-out benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, find, matched, read_json

CARD = Card(
    slug="gist514-db",
    index=27,
    name="GIST514-DB",
    title="GIST514-DB (endoscopic ultrasound: gastrointestinal stromal tumour against leiomyoma; the data of Query2)",
    anatomy="gastrointestinal",
    anatomy_detail="wall of the upper gastrointestinal tract; one subepithelial lesion a picture, GIST or leiomyoma",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    role="held-out",
    licence=Licence("CC-BY-NC-SA-4.0", commercial_use=False, redistribution=True, derivatives=True),
    access=Access(
        kind="gdrive",
        url="https://drive.google.com/drive/folders/1TG9Bq-OaKkMXV2s42f_oZJdoTOfIAZLi",
        ids={"folder": "1TG9Bq-OaKkMXV2s42f_oZJdoTOfIAZLi", "code": "github.com/howardchina/query2"},
        steps=(
            "Open the Drive folder and download all of it; some tools stop at 50 files a folder: check for all 514.",
            "Unpack what the browser zipped: a folder usd514_jpeg_roi with images/ and annotations/ must come out.",
        ),
    ),
    expected_images=514,
    citation=r"""@article{he2022query2, doi={10.1016/j.compbiomed.2022.106424},
  title={Query2: Query over queries for improving gastrointestinal stromal tumour detection in an endoscopic
    ultrasound},
  author={He, Qi and Bano, Sophia and Liu, Jing and Liu, Wentian and Stoyanov, Danail and Zuo, Siyang},
  journal={Computers in Biology and Medicine}, pages={106424}, year={2022}, publisher={Elsevier}}""",
    notes=(
        "Label: the category of a picture's one annotation, lmym (leiomyoma, 251) or GIST (263).",
        "Split: fold-N, where val_anno_crop_split_N.json names the picture. The authors test on that val file.",
        "No patients are released: each picture is its own group, and folds may share patients.",
        "usd514_jpeg_raw holds the same pictures uncropped and is left out. Text inside a crop may remain.",
        "Pictures and masks of split 0 were in UltraSam's training.",
        "torch-em exchanges the two class counts.",
    ),
    layout="public code",
    unverified=(
        "One picture a patient: two docstrings.",
        "That usd514_jpeg_raw lies in the folder: the authors' configs.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>usd514_jpeg_roi/images/(?P<name>[^/]+\.jpg))"
IGNORED = (
    ("uncropped twin", r"(?:^|/)usd514_jpeg_raw/images/"),
    ("label raster", r"(?:^|/)preprocessed/[^/]*\.tif$"),
)


def items(root: Path) -> Iterator[Item]:
    """Label: the category's name. Split: the fold in which the picture is tested. Both from the COCO files."""
    labels = _labels(_coco(root, "all_anno_crop"))
    folds: dict[str, str] = {}
    for fold in range(5):
        coco = _coco(root, f"val_anno_crop_split_{fold}")
        folds |= dict.fromkeys(_names(coco).values(), f"fold-{fold}")
        labels = _labels(coco) | labels
    for item, found in matched(root, IMAGES, IGNORED):
        yield replace(item, label=labels.get(found["name"]), split=folds.get(found["name"]))


def _coco(root: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    """Its lists of records; what is no list of records is empty."""
    found = read_json(find(root, WRAPPER + rf"usd514_jpeg_roi/annotations/{name}\.json"))
    lists = found if isinstance(found, dict) else {}
    return {
        key: [record for record in lists.get(key) or () if isinstance(record, dict)]
        for key in ("images", "annotations", "categories")
    }


def _names(coco: dict[str, list[dict[str, Any]]]) -> dict[Any, str]:
    return {image.get("id"): str(image.get("file_name", "")).rpartition("/")[2] for image in coco["images"]}


def _labels(coco: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """File name -> name of the category of its annotation."""
    names, words = _names(coco), {one.get("id"): one.get("name") for one in coco["categories"]}
    pairs = ((names.get(one.get("image_id")), words.get(one.get("category_id"))) for one in coco["annotations"])
    return {name: str(word) for name, word in pairs if name and word}
