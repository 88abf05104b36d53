"""CardiacUDC: apical four-chamber clips of two Chinese hospitals, screen grabs that lie upside down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, listed

_PARTS = "z01 z02 z03 z04 z05 z06 change2zip".split()
CARD = Card(
    slug="cardiacudc",
    index=15,
    name="CardiacUDC",
    title="CardiacUDA / CardiacUDC echocardiogram videos (public A4C part)",
    anatomy="heart",
    anatomy_detail="apical four-chamber cine, sites G and R, Philips and Hitachi; the three other views are unreleased",
    species="human",
    subject="in-vivo",
    media=("nifti",),
    licence=Licence("Apache-2.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="kaggle-dataset",
        url="https://www.kaggle.com/datasets/xiaoweixumedicalai/cardiacudc-dataset",
        ids={"kaggle": "xiaoweixumedicalai/cardiacudc-dataset", "arxiv": "2309.11145"},
        gated="login",
        steps=(
            "Sign in to Kaggle, make a token, `kaggle datasets download -d xiaoweixumedicalai/cardiacudc-dataset`.",
            "All seven parts are needed (4.5 GB). By hand: unpack the zip that Kaggle makes around them, rename "
            ".change2zip to .zip, `7z x cardiacUDC_dataset.zip`; `unzip` cannot open it, and `zip -s 0` is said to "
            "damage it.",
        ),
    ),
    files=tuple(RemoteFile(f"cardiacUDC_dataset.{part}", archive="zip") for part in _PARTS),
    expected_images=364,
    counted="clips",
    citation="""@inproceedings{yang2023graphecho, author={Yang, Jiewen and Ding, Xinpeng and Zheng, Ziyang and Xu,
    Xiaowei and Li, Xiaomeng}, title={{GraphEcho}: Graph-Driven Unsupervised Domain Adaptation for Echocardiogram Video
    Segmentation}, booktitle={Proceedings of the IEEE/CVF International Conference on Computer Vision (ICCV)},
    month={October}, year={2023}, pages={11878--11887}}""",
    notes=(
        "images: clips, as the author confirms; the paper's 992 count four views. Patients: not known.",
        "Numbers begin again in each folder; label_all_frame repeats clips of others: a patient may have two ids.",
        "Label: only where normal hearts stand beside patients (Site_R_126, label_all_frame). EchoCP: same hospital.",
        "Screen grabs, turned upright here, with text at the top, perhaps personal: keep the crop on.",
        "Masks: 1 LV, 2 LA, 3 RA, 4 RV (6 once); on five frames a clip; in label_all_frame outlines; in Site_R_73 "
        "none.",
    ),
    layout="public code",
    unverified=("How many clips of label_all_frame are repeated (about seven), and the total size.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>(?P<video>(?P<patient>(?:(?:Site_R_126|label_all_frame)/(?P<label>patient|normal)|"
    r"Site_[GR]_\d+/(?:patient|normal))-?\d+)-(?P<view>\d))_image\.nii\.gz)"
)
IGNORED = (("mask", r"_label\.nii\.gz$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: folder, kind and number. Video: the stem. View: the last digit, 4. Label: normal or patient."""
    for item in listed(root, IMAGES, IGNORED):
        masks = existing(root, item.path.replace("_image.nii", "_label.nii"))
        view = "A4C" if item.view == "4" else None
        yield replace(item, view=view, masks=masks, reading=Reading(turn="rotate-180", clip=True))
