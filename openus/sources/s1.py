"""S1: benign and malignant breast tumours with masks, the supporting data of an article. No patients published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import existing, listed, outside

CARD = Card(
    slug="s1",
    index=39,
    name="S1",
    title="S1 supporting data of 'Segmentation and recognition of breast ultrasound images based on an expanded U-Net'",
    anatomy="breast",
    anatomy_detail="breast tumours, benign and malignant",
    species="human",
    subject="in-vivo",
    media=("jpg",),
    licence=Licence(),
    access=Access(
        kind="http",
        url="https://pmc.ncbi.nlm.nih.gov/articles/PMC8205136/",
        ids={"pmcid": "PMC8205136", "doi": "10.1371/journal.pone.0253202"},
        steps=("Open the article and download the zip S1 under 'Supporting information'.", "Unpack; it holds Data/."),
    ),
    expected_images=201,
    citation=r"""@article{guo2021expanded,
  title={Segmentation and recognition of breast ultrasound images based on an expanded U-Net},
  author={Guo, Yanjun and Duan, Xingguang and Wang, Chengyi and Guo, Huiqin},
  journal={PLOS ONE}, volume={16}, number={6}, pages={e0253202}, year={2021}, doi={10.1371/journal.pone.0253202}}""",
    notes=(
        "The terms were not read at the source: whether the pictures may be passed on is unknown.",
        "Expanded masks tell benign (gray 127) from malignant (255), general ones do not; no label is read from them.",
        "Both test folders are taken, as it is unknown whether they hold the same pictures: exact copies are found by "
        "their pixels. Numbers may start again in each folder. Segmentation_Results/ holds outputs of networks.",
        "The pictures may come from public breast collections; this was not tested.",
    ),
    layout="public code",
    unverified=("That S1 is this article's file; its name was not seen.", "201 pictures (one list says 192)."),
)

IMAGES = outside("Segmentation_Results") + (
    r"(?P<id>(?P<split>Training|Testing)DataSet/(?:Test-(?:Expanded|General-1)-)?BreastTumourImages/\d+\.jpg)"
)
IGNORED = (("result", r"(?:^|/)Segmentation_Results/"), ("mask", r"-Labels/"))

_LABELS = ("Expanded-3-channel-Labels", "General-1-channel-Labels", "3-channel-Labels", "channel-Labels")


def items(root: Path) -> Iterator[Item]:
    """Split: Training or Testing, of the folder's name. Masks: same number, in the folders named like the picture's."""
    for item in listed(root, IMAGES, IGNORED):
        before, _, name = item.path.removesuffix(".jpg").rpartition("BreastTumourImages")
        yield replace(item, masks=existing(root, *(f"{before}{folder}{name}.png" for folder in _LABELS)))
