"""Thyroid Ultrasound Cine-clip: biopsied nodules, all clips in one HDF5 file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, find, matched, number, read_csv, read_hdf5

CARD = Card(
    slug="thyroid-cineclip",
    index=44,
    name="Thyroid US Cineclip",
    title="Thyroid Ultrasound Cine-clip (Stanford AIMI)",
    anatomy="thyroid",
    anatomy_detail="biopsied thyroid nodules, cine clips of convex and linear probes",
    species="human",
    subject="in-vivo",
    media=("hdf5",),
    licence=Licence("Stanford AIMI dataset terms", redistribution=False),
    access=Access(
        kind="form",
        url="https://stanfordaimi.azurewebsites.net/datasets/a72f2b02-7b53-4c5d-963c-d7253220bfd5",
        ids={"dataset": "a72f2b02-7b53-4c5d-963c-d7253220bfd5"},
        gated="licence-click",
        steps=(
            "Make an account on Stanford AIMI Shared Datasets, open the page, accept the research use agreement.",
            "Download the folder thyroidultrasoundcineclip: dataset.hdf5 and metadata.csv, side by side.",
        ),
    ),
    files=(RemoteFile(name="dataset.hdf5"), RemoteFile(name="metadata.csv")),
    citation=r"""@misc{stanfordaimi_thyroidcineclip, title={Thyroid Ultrasound Cine-clip},
  howpublished={Stanford AIMI Shared Datasets},
  url={https://stanfordaimi.azurewebsites.net/datasets/a72f2b02-7b53-4c5d-963c-d7253220bfd5}}""",
    notes=(
        "17,412 frames; 192 clips of 167 patients by one place. A clip is a nodule, and two may be of one patient; "
        "patients are not named, so a split by clip is not one by patient.",
        "Label: histopath_diagnosis, 0 or 1 (1 malignant by use); metadata.csv has ti-rads_level and the side too.",
        "The terms could not be read; passing on is taken for forbidden.",
    ),
    layout="public code",
    unverified=(
        "The research use agreement and the steps to it: by the account of others.",
        "192 nodules of 167 patients; frames of 802 x 1054 pixels.",
        "That histopath_diagnosis 1 is malignant.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>dataset\.hdf5)"
IGNORED = ()


def items(root: Path) -> Iterator[Item]:
    """One item a clip. Video: annot_id without its trailing underscore. Label: histopath_diagnosis."""
    table = read_csv(find(root, WRAPPER + r"metadata\.csv"), key="annot_id")
    for item, _ in matched(root, IMAGES, IGNORED):
        clips: dict[str, list[tuple[float, int]]] = {}
        for row, (clip, frame) in enumerate(read_hdf5(root / item.path, "annot_id", "frame_num")):
            clips.setdefault(clip, []).append((number(frame.rstrip("_")) or 0, row))
        if not clips:  # then the file is damaged, which the decoder tells
            yield replace(item, reading=Reading(dataset="image"))
        for clip, frames in sorted(clips.items()):
            rows, name = table.get(clip, {}), clip.rstrip("_")
            yield replace(
                item,
                id=f"{item.id}#{name}",
                member=name,
                video=name,
                label=rows.get("histopath_diagnosis") or None,
                reading=Reading(dataset="image", frames=tuple(row for _, row in sorted(frames))),
            )
