"""BP: frames of the brachial plexus of a Kaggle competition of 2016, with masks in the training part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, listed

CARD = Card(
    slug="bp-nerve",
    index=6,
    name="BP",
    title="Ultrasound Nerve Segmentation (Kaggle competition, 2016)",
    anatomy="brachial-plexus",
    anatomy_detail="neck, transverse B-mode, cropped, 580x420 pixels; no plexus marked in 59 % of the training frames",
    species="human",
    subject="in-vivo",
    media=("tiff",),
    licence=Licence("Kaggle competition rules (text not seen); no open licence"),
    access=Access(
        kind="kaggle-competition",
        url="https://www.kaggle.com/competitions/ultrasound-nerve-segmentation/data",
        ids={"competition": "ultrasound-nerve-segmentation", "competition_number": "5144"},
        gated="licence-click",
        steps=(
            "Log in to Kaggle and accept https://www.kaggle.com/c/ultrasound-nerve-segmentation/rules.",
            "Press 'Download All', or make an API token and run "
            "`kaggle competitions download -c ultrasound-nerve-segmentation`.",
            "Unpack ultrasound-nerve-segmentation.zip, then train.zip and test.zip in it.",
        ),
    ),
    files=(RemoteFile(name="ultrasound-nerve-segmentation.zip", archive="zip"),),
    expected_images=11143,
    citation=r"""@misc{ultrasound-nerve-segmentation, title={Ultrasound Nerve Segmentation}, publisher={Kaggle},
  author={Anna Montoya and Hasnin and kaggle446 and shirzad and Will Cukierski and yffud}, year={2016},
  url={https://kaggle.com/competitions/ultrasound-nerve-segmentation}}""",
    notes=(
        "Read the rules of the competition before use: what they allow was not seen. Open licences on copies elsewhere "
        "were set by third parties.",
        "No class label. Of near-identical frames one may have a mask and the other none. Empty mask: no plexus "
        "marked.",
        "The organisers warn of identical and very similar frames. The second number of a name is no order in time.",
        "images: 5,635 of train and 5,508 of test; one list counts 11,134. Test has no patients and no masks.",
    ),
    layout="public code",
    unverified=("That the test files run from 1.tif to 5508.tif. That image numbers are shuffled.",),
)

IMAGES = WRAPPER + r"(?P<id>(?P<split>train|test)/(?:(?<=train/)(?P<patient>\d+)_|(?<=test/))\d+\.tif)"
IGNORED = (("mask", r"_mask\.tif$"),)


def items(root: Path) -> Iterator[Item]:
    """Patient: in train, the number before `_`; no one is in both parts. Split: train or test. View: one for all."""
    for item in listed(root, IMAGES, IGNORED):
        mask = existing(root, item.path.removesuffix(".tif") + "_mask.tif")
        yield replace(item, view="transverse neck", masks=mask)
