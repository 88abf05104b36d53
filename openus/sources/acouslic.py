"""ACOUSLIC-AI: blind obstetric sweeps of novices, six to a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, find, matched, read_csv, swapped

CARD = Card(
    slug="acouslic",
    index=3,
    name="ACOUSLIC",
    title="ACOUSLIC-AI: Abdominal Circumference Operator-agnostic UltraSound Measurement in Low-Income Countries",
    anatomy="fetal",
    anatomy_detail="blind sweeps over the abdomen of pregnant women, for the fetal abdomen; curved array",
    species="human",
    subject="in-vivo",
    media=("mha",),
    licence=Licence("CC-BY-NC-SA-4.0", commercial_use=False, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/12697994",
        ids={"record": "12697994", "version": "1.1", "doi": "10.5281/zenodo.12697994", "older_record": "11005384"},
        steps=(
            "Download acouslic-ai-train-set.zip of version 1.1 and unpack it into a folder of its own.",
            "Leave version 1.0: its circumferences are twice too large; its pictures are the same.",
        ),
    ),
    files=(
        RemoteFile(
            name="acouslic-ai-train-set.zip",
            url="https://zenodo.org/records/12697994/files/acouslic-ai-train-set.zip",
            archive="zip",
        ),
    ),
    expected_images=300,
    counted="files of six sweeps",
    citation=r"""@article{sappia2025acouslic, author={Sappia, M. Sof{\'i}a and others}, year={2025},
  title={ACOUSLIC-AI challenge report: Fetal abdominal circumference measurement on blind-sweep ultrasound data from
    low-income countries}, journal={Medical Image Analysis}, doi={10.1016/j.media.2025.103640}}
@misc{acouslic_data, title={ACOUSLIC-AI training and development set}, publisher={Zenodo}, year={2024},
  doi={10.5281/zenodo.12697994}}""",
    notes=(
        "images counts files of 840 frames: six sweeps of 140 (1,800 items, 252,000 frames), and nothing runs "
        "on from one to the next. Neighbours are near copies: what is kept is a matter of frame selection.",
        "6,620 frames have a mask (1 optimal, 2 suboptimal plane); each file has a mask file.",
        "OpenUS-46 lists it under abdomen. 10 validation and some 282 test cases of the challenge are not public.",
    ),
    layout="public code",
    unverified=(
        "The licence: one catalogue.",
        "That both versions hold the same pictures.",
        "Frame rate and subjects.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>images/stacked_fetal_ultrasound/(?P<study>[0-9a-f-]{36})\.mha)"
IGNORED = (("mask", r"(?:^|/)masks/stacked_fetal_abdomen/"),)
SWEEPS, FRAMES = 6, 140
"""Sweeps of a file, frames of a sweep."""


def items(root: Path) -> Iterator[Item]:
    """Six items a file. Patient: subject_id of the table. Study: the file. Video: the sweep. View: its course."""
    table = find(root, WRAPPER + r"circumferences/fetal_abdominal_circumferences_per_sweep\.csv")
    rows = read_csv(table, key="uuid")
    for item, _ in matched(root, IMAGES, IGNORED):
        patient = rows.get(item.study or "", {}).get("subject_id") or None
        mask = swapped(item, "images/stacked_fetal_ultrasound/", "masks/stacked_fetal_abdomen/")
        whole = replace(item, patient=patient, masks=existing(root, mask))
        for sweep in range(1, SWEEPS + 1):
            frames = tuple(range((sweep - 1) * FRAMES, sweep * FRAMES))
            yield replace(
                whole,
                id=f"{item.id}#sweep-{sweep}",
                member=f"sweep-{sweep}",
                video=f"{item.study}-{sweep}",
                view=f"{'transverse' if sweep <= SWEEPS // 2 else 'longitudinal'} sweep {sweep}",
                reading=Reading(frames=frames, clip=True),
            )
