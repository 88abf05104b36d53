"""CCAUI: transverse sections of the common carotid artery, frames of recordings, with masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, listed, swapped

CARD = Card(
    slug="ccaui",
    index=16,
    name="CCAUI",
    title="Common Carotid Artery Ultrasound Images",
    anatomy="vessel",
    anatomy_detail="common carotid artery, transverse (cross-section) B-mode; left and right sides",
    species="human",
    subject="in-vivo",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="mendeley",
        url="https://data.mendeley.com/datasets/d4xt63mgjm/1",
        ids={"dataset": "d4xt63mgjm", "version": "1", "doi": "10.17632/d4xt63mgjm.1"},
        steps=(
            "Open https://data.mendeley.com/datasets/d4xt63mgjm/1 and press 'Download All'.",
            "Unpack until a folder holds both 'US images' and 'Expert mask images'.",
        ),
    ),
    expected_images=1100,
    expected_patients=11,
    citation=r"""@misc{momot2022ccaui,
  author={Momot, Agata}, title={Common Carotid Artery Ultrasound Images}, year={2022}, publisher={Mendeley Data},
  version={V1}, doi={10.17632/d4xt63mgjm.1}
}""",
    notes=(
        "Video: the recording, the file name before '_slice_'. No subject ids: 11 subjects, each with several "
        "recordings; frames of one recording are near copies. Split by recording at the least.",
        "RGB with a warm tint of up to 24 levels: not gray in three channels.",
        "Pair images and masks by file name, not by sorted position.",
    ),
    layout="real files",
    unverified=("What the prefix of a file name means (date, time, counter, preset).",),
)

IMAGES = WRAPPER + r"(?P<id>US images/(?:(?P<video>[^/]+?)_slice_)?[^/]+\.png)"
IGNORED = (("mask", r"(?:^|/)Expert mask images/"),)


def items(root: Path) -> Iterator[Item]:
    """Video: the recording in the name. View: the one that all pictures show."""
    for item in listed(root, IMAGES, IGNORED):
        yield replace(
            item,
            view="transverse common carotid artery",
            masks=existing(root, swapped(item, "US images/", "Expert mask images/")),
        )
