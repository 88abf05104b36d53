"""LUSS_phantom: frames of a lung phantom (COVID-19) with masks of ribs, pleural line and artefacts. No human data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence
from openus.sources._layout import WRAPPER, existing, listed

CARD = Card(
    slug="luss-phantom",
    index=31,
    name="LUSS_phantom",
    title="Lung ultrasound COVID phantom dataset used for training machine learning model (University of Leeds)",
    anatomy="lung",
    anatomy_detail="COVID-19 training phantom: ribs, pleural line, A-lines, B-lines and their confluence",
    species="phantom",
    subject="phantom",
    media=("png",),
    licence=Licence("CC-BY-4.0", commercial_use=True, redistribution=True, derivatives=True),
    access=Access(
        kind="eprints",
        url="https://archive.researchdata.leeds.ac.uk/1263/",
        ids={"eprint": "1263", "doi": "10.5518/1485"},
        steps=(
            "Open https://archive.researchdata.leeds.ac.uk/1263/ and download the archive 'LUS_model' (about 91 MB).",
            "Unpack it: train/ and test/, perhaps below data/ or data-3/. 'VideoClips' (about 135 MB) is not needed.",
        ),
    ),
    expected_images=564,
    expected_patients=0,
    citation="""@article{howell2024deep, author={Howell, Lewis and Ingram, Nicola and Lapham, Roger and Morrell, Adam
    and McLaughlan, James R.}, journal={Ultrasonics}, volume={140}, pages={107251}, year={2024},
  title={Deep learning for real-time multi-class segmentation of artefacts in lung ultrasound},
  doi={10.1016/j.ultras.2024.107251}}
@misc{luss_phantom_data, title={Lung ultrasound COVID phantom dataset used for training machine learning model},
  publisher={University of Leeds}, year={2024}, doi={10.5518/1485}}""",
    notes=(
        "The pictures were cut from 297 clips of 2 s (VideoClips/*.webm). Only the pictures are read: they have masks "
        "and the official split, and three code bases agree on them, while one alone tells of the clips.",
        "A phantom, no patients. Frames of one clip may stand in both train and test: split anew by video.",
        "Masks hold 0 to 5: background, rib, pleural line, A-line, B-line, B-line confluence; they look black.",
    ),
    layout="public code",
    unverified=("Licence: another list read it. Clip in the names, number of clips, journal volume: one code base.",),
)

IMAGES = WRAPPER + r"(?P<id>(?P<split>train|test)/images/(?P<video>[^/]+?)(?:-F(?:(?!-F)[^/])+)?\.png)"
IGNORED = (("mask", r"(?:^|/)(?:train|test)/masks/"), ("source clip", r"\.webm$"), ("model or script", r"\.(?:h5|m)$"))


def items(root: Path) -> Iterator[Item]:
    """Split: train or test. Video: the clip, the name before the last `-F`. Masks bear the picture's name. No label."""
    for item in listed(root, IMAGES, IGNORED):
        yield replace(item, masks=existing(root, "/masks/".join(item.path.rsplit("/images/", 1))))
