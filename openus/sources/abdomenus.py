"""AbdomenUS: real abdominal pictures (RUS) and ones simulated from CT (AUS)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched

CARD = Card(
    slug="abdomenus",
    index=2,
    name="AbdomenUS",
    title="US simulation & segmentation (ussimandsegm): real and synthetic abdominal ultrasound, with segmentations",
    anatomy="abdomen",
    anatomy_detail="liver, kidney, gallbladder, spleen, vessels; in the simulated part also pancreas, adrenals, bones",
    species="human",
    subject="in-vivo",
    media=("jpg", "png"),
    licence=Licence(),
    access=Access(
        kind="kaggle-dataset",
        url="https://www.kaggle.com/datasets/ignaciorlando/ussimandsegm",
        ids={"kaggle": "ignaciorlando/ussimandsegm"},
        gated="login",
        steps=(
            "Make a Kaggle account and an API token.",
            "`kaggle datasets download -d ignaciorlando/ussimandsegm`, unpack: abdominal_US/ with RUS/ and AUS/.",
        ),
    ),
    files=(RemoteFile(name="ussimandsegm.zip", archive="zip"),),
    expected_images=1543,
    citation=r"""@article{vitale2020realism, volume={15}, pages={183--192}, year={2020},
  title={Improving realism in patient-specific abdominal ultrasound simulation using CycleGANs},
  author={Vitale, Santiago and Orlando, Jos{\'e} Ignacio and Iarussi, Emmanuel and Larrabide, Ignacio},
  doi={10.1007/s11548-019-02046-5}, journal={International Journal of Computer Assisted Radiology and Surgery}}""",
    notes=(
        "617 real pictures and 926 simulated by ray casting from CT. Simulated ones bear species simulated and subject "
        "simulation in the manifest, so that one can leave them out, as UltraSam and OpenUS do.",
        "Released after a Kaggle Open Data Research Grant; which terms apply could not be read.",
        "Padding has the gray value 10, so it is no black border. The split is that of an image-translation work.",
    ),
    layout="public code",
    unverified=("The 633 and 293 simulated pictures of train and test.", "The padding's value: one loader."),
)

IMAGES = WRAPPER + r"(?P<id>(?P<part>RUS|AUS)/images/(?P<split>train|test)/(?P<stem>[^/]+)\.(?:jpg|png))"
IGNORED = (("mask", r"(?:^|/)(?:RUS|AUS)/annotations/(?:train|test)/"),)


def items(root: Path) -> Iterator[Item]:
    """Split: train or test. Patient: of simulated pictures the CT that they are made from, as `ct14` of ct14-1.png."""
    for item, found in matched(root, IMAGES, IGNORED):
        part, split, stem = found.group("part", "split", "stem")
        masks = existing(root, f"{item.path.removesuffix(item.id)}{part}/annotations/{split}/{stem}.png")
        marked = replace(item, masks=masks)
        if part == "AUS":
            case = stem.partition("-")[0] if "-" in stem else None
            marked = replace(marked, patient=case, species="simulated", subject="simulation")
        yield marked
