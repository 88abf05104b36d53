"""EchoCP: long four-chamber clips with contrast bubbles, at rest and under Valsalva, upside down in their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, listed, read_xlsx

_PARTS = ("EchoCP_dataset.z01", "EchoCP_dataset.change2zip")
CARD = Card(
    slug="echocp",
    index=18,
    name="EchoCP",
    title="EchoCP: An Echocardiography Dataset in Contrast Transthoracic Echocardiography for Patent Foramen Ovale "
    "Diagnosis",
    anatomy="heart",
    anatomy_detail="apical four-chamber with agitated-saline bubbles in the right heart; Guangdong, China",
    species="human",
    subject="in-vivo",
    media=("nifti",),
    licence=Licence("Apache-2.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="kaggle-dataset",
        url="https://www.kaggle.com/datasets/xiaoweixumedicalai/echocp",
        ids={"kaggle": "xiaoweixumedicalai/echocp", "arxiv": "2105.08267"},
        gated="login",
        steps=(
            "Sign in to Kaggle, make an API token and run `kaggle datasets download -d xiaoweixumedicalai/echocp`.",
            "By hand: unpack the zip that Kaggle makes around them, rename .change2zip to .zip beside the .z01 (5.5 GB "
            "in all), run `7z x EchoCP_dataset.zip`; `zip -s 0` is said to damage it. The table lies beside the "
            "archives.",
        ),
    ),
    files=(*(RemoteFile(name, archive="zip") for name in _PARTS), RemoteFile("echoCP_diagnosis_label.xlsx")),
    expected_images=60,
    counted="clips",
    expected_patients=30,
    citation="""@inproceedings{wang2021echocp, author={Wang, Tianchen and Li, Zhihe and Huang, Meiping and Zhuang, Jian
    and Bi, Shanshan and Zhang, Jiawei and Shi, Yiyu and Fei, Hongwen and Xu, Xiaowei}, title={{EchoCP}: An
    Echocardiography Dataset in Contrast Transthoracic Echocardiography for Patent Foramen Ovale Diagnosis},
    booktitle={MICCAI}, year={2021}, note={arXiv:2105.08267}}""",
    notes=(
        "images: clips, two a patient, of more than a thousand near-identical frames: sample in time.",
        "Label: the level of patent foramen ovale of echoCP_diagnosis_label.xlsx, 0 for none.",
        "Frames are turned upright here. Masks, on chosen frames: 1 LV, 2 LA, 3 RA, 4 RV. Text was not looked for.",
    ),
    layout="public code",
    unverified=("The licence: one catalogue. The mask values, the sizes, the order of the authors.",),
)

IMAGES = WRAPPER + r"(?P<id>(?P<video>(?P<patient>\d{3})_[rv])_image\.nii\.gz)"
IGNORED = (("mask", r"_label\.nii\.gz$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: the first number. Video: with r (rest) or v (Valsalva). View: A4C. Label: PFO level. No split."""
    rows = read_xlsx(find(root, WRAPPER + r"(?i:echoCP_diagnosis_label\.xlsx)"), "Idx", "Action")
    levels = {
        f"{row['Idx'].zfill(3)}_{row['Action'][:1].lower()}": word.lower().replace("o", "0")
        for row in rows.values()
        for name, word in row.items()
        if name.startswith("PFO level")
    }
    for item in listed(root, IMAGES, IGNORED):
        masks = existing(root, item.path.replace("_image.nii", "_label.nii"))
        level = levels.get(item.video or "") or None
        yield replace(item, view="A4C", label=level, masks=masks, reading=Reading(turn="rotate-180", clip=True))
