"""MMOTU, subset OTU_2d: ovarian tumours in 2-D ultrasound. A held-out benchmark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, find, matched, read_text, swapped

CARD = Card(
    slug="mmotu-2d",
    index=33,
    name="MMOTU-2D",
    title="MMOTU, subset OTU_2d (Multi-Modality Ovarian Tumor Ultrasound image dataset, 2-D ultrasound)",
    anatomy="ovary",
    anatomy_detail=(
        "ovarian tumours, cysts and normal ovaries, mostly transvaginal convex B-mode, some with colour Doppler box, "
        "calipers, body text"
    ),
    species="human",
    subject="in-vivo",
    media=("jpg",),
    role="held-out",
    licence=Licence(),
    access=Access(
        kind="gdrive",
        url="https://drive.google.com/drive/folders/1c5n0fVKrM9-SZE1kacTXPt1pt844iAs1",
        ids={
            "folder": "1c5n0fVKrM9-SZE1kacTXPt1pt844iAs1",
            "code": "github.com/cv516Buaa/MMOTU_DS2Net",
            "figshare_copy_article": "25058690",
            "figshare_copy_file": "44222642",
            "zenodo_copy": "21128657",
            "kaggle_copy": "orvile/mmotu-ovarian-ultrasound-images-dataset",
            "huggingface_copy": "norayao/MMOTU",
        },
        steps=(
            "Open the Drive folder, download OTU_2d and unpack it, if it is zipped.",
            "Leave the figshare, Zenodo and Kaggle copies: other layouts, perhaps fewer pictures.",
        ),
    ),
    expected_images=1469,
    citation=r"""@article{DBLP:journals/corr/abs-2207-06799,
  author={Qi Zhao and Shuchang Lyu and Wenpei Bai and Linghan Cai and Binghao Liu and Meijing Wu and Xiubo Sang and
    Min Yang and Lijiang Chen},
  title={A Multi-Modality Ovarian Tumor Ultrasound Image Dataset for Unsupervised Cross-Domain Semantic Segmentation},
  journal={CoRR}, volume={abs/2207.06799}, year={2022}
}""",
    notes=(
        "Label and split come from train_cls.txt, val_cls.txt, train.txt and val.txt; without them both are unknown.",
        "val (469) is used as the test set by the authors, UltraSam and UltraBench.",
        "No patients are released, and neighbouring numbers often show one examination: 34 near-identical pairs lie "
        "across the official split, six pairs bear two class words.",
        "mmotu-3d comes from the same department and may share patients: held out together.",
        "The source states no licence for the data; third-party copies claim CC BY 4.0.",
    ),
    layout="real files",
    unverified=(
        "A third mask N_binary_binary.PNG: seen for OTU_3d only.",
        "Names of the archives in the Drive folder.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>OTU_2d/images/(?P<n>\d+)\.JPG)"
IGNORED = (("mask", r"(?:^|/)OTU_2d/annotations/[^/]*\.PNG$"),)

CLASSES = (
    "Chocolate_Cyst",
    "SerousCystadenoma",
    "Teratoma",
    "ThecaCellTumor",
    "SimpleCyst",
    "NormalOvary",
    "MucinousCystadenoma",
    "HighGradeSerousCystadenoma",
)
"""Class number -> name, in the authors' order (MMOTU_DS2Net, mmseg/datasets/mmotu.py)."""


def items(root: Path) -> Iterator[Item]:
    """Label: the class name. Split: train or val. Both from the official lists alone."""
    splits, labels = _lists(root)
    for item, found in matched(root, IMAGES, IGNORED):
        stem = swapped(item, "/images/", "/annotations/").removesuffix(".JPG")
        yield replace(
            item,
            label=labels.get(found["n"]),
            split=splits.get(found["n"]),
            masks=existing(root, f"{stem}.PNG", f"{stem}_binary.PNG"),
        )


def _lists(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Number -> split and number -> class, of lines `658` and `658.JPG  5`."""
    splits: dict[str, str] = {}
    labels: dict[str, str] = {}
    for split in ("train", "val"):
        for name in (split, f"{split}_cls"):
            text = read_text(find(root, WRAPPER + rf"OTU_2d/{name}\.txt"))
            for n, label in re.findall(r"(?m)^[ \t]*(\d+)(?:\.JPG)?(?:[ \t]+([0-7]))?[ \t]*\r?$", text):
                splits.setdefault(n, split)
                if label:
                    labels.setdefault(n, CLASSES[int(label)])
    return splits, labels
