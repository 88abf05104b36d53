"""TN-SCUI 2020: thyroid nodules of a challenge whose terms forbid passing them on. An extra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, find, matched, read_csv, swapped

CARD = Card(
    slug="tnscui",
    index=None,
    name="TNSCUI",
    title="TN-SCUI 2020: Thyroid Nodule Segmentation and Classification in Ultrasound Images (MICCAI 2020 challenge)",
    anatomy="thyroid",
    anatomy_detail="thyroid nodules, Chinese multi-centre alliance (CMUAA), Ruijin Hospital",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("challenge terms", redistribution=False),
    access=Access(
        kind="form",
        url="https://tn-scui2020.grand-challenge.org/Home/",
        ids={"challenge": "tn-scui2020.grand-challenge.org", "design_document": "10.5281/zenodo.3715942"},
        gated="application",
        steps=(
            "Join the challenge, send its organisers the signed agreement (the form was not seen), wait for the link.",
            "Download and unpack: TNSCUI2020_train/ with image/, mask/ and train.csv, and the test set.",
        ),
    ),
    expected_images=4554,
    citation=r"""@misc{zhou2020thyroid, year=2020, month=mar, publisher={Zenodo}, doi={10.5281/zenodo.3715942},
  title={Thyroid Nodule Segmentation and Classification in Ultrasound Images},
  author={Zhou, Jianqiao and Jia, Xiaohong and Ni, Dong and Noble, Alison and Huang, Ruobing and Tan, Tao and
    Van, Manh The}}""",
    notes=(
        "Participants 'are not allowed to provide the challenge data anywhere' (the organisers, by e-mail).",
        "3,644 training pictures (1,641 benign, 2,003 malignant); 910 test pictures have no released labels.",
        "DDTI repacked 'in TNSCUI format' is often mistaken for it. A repacked copy (JPEGImages/) is read too.",
        "The file number may be a patient; that is not confirmed, so no patient is told.",
    ),
    layout="public code",
    unverified=("A signed agreement as the way in.",),
)

IMAGES = WRAPPER + (
    r"(?P<id>image/(?P<n>\d+)\.(?:PNG|png)|JPEGImages/[^/]+\.jpg"
    r"|(?:(?<=image/)|(?<=_testset/)|(?<=_test/))(?P<split>test)_\d+\.(?:PNG|png))"
)
IGNORED = (("mask", r"(?:^|/)(?:mask|SegmentationClass)/"),)


def items(root: Path) -> Iterator[Item]:
    """Split: the name, test_1 or a number. Label: CATE of train.csv, 0 benign, 1 malignant. The copy has neither."""
    rows = read_csv(find(root, WRAPPER + r"train\.csv"), key="ID")
    grades = {name.split(".")[0].lstrip("0"): row.get("CATE") for name, row in rows.items()}
    for item, found in matched(root, IMAGES, IGNORED):
        number = (found["n"] or "").lstrip("0")
        label = {"0": "benign", "1": "malignant"}.get(grades.get(number) or "") if number else None
        repacked = swapped(item, "JPEGImages/", "SegmentationClass/").removesuffix(".jpg") + ".png"
        mask = swapped(item, "image/", "mask/") if number else repacked
        yield replace(item, split="train" if number else item.split, label=label, masks=existing(root, mask))
