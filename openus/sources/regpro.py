"""mu-RegPro: prostate volumes reconstructed from transrectal ultrasound; MR of the same men lies beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched, swapped

CARD = Card(
    slug="regpro",
    index=38,
    name="regPro",
    title="mu-RegPro: MR to Ultrasound Registration for Prostate challenge (MICCAI 2023)",
    anatomy="prostate",
    anatomy_detail="parasagittal slices of a rotating bi-plane probe, reconstructed to 3-D; SmartTarget trial, London",
    species="human",
    subject="in-vivo",
    media=("nifti",),
    licence=Licence("CC-BY-NC-SA-4.0", commercial_use=False, redistribution=True, derivatives=True),
    access=Access(
        kind="zenodo",
        url="https://zenodo.org/records/8004388",
        ids={"record": "8004388", "concept_doi": "10.5281/zenodo.7870104"},
        steps=("Open the record, download train.zip and val.zip, unpack both. Keep to this record: there are others.",),
    ),
    files=(RemoteFile(name="train.zip", archive="zip"), RemoteFile(name="val.zip", archive="zip")),
    expected_images=73,
    counted="volumes",
    expected_patients=73,
    citation=r"""@misc{muregpro2023, title={MR to Ultrasound Registration for Prostate Challenge - Dataset},
  author={{mu-RegPro challenge organisers, University College London}}, publisher={Zenodo},
  url={https://zenodo.org/records/8004388}, note={all versions: https://doi.org/10.5281/zenodo.7870104}}""",
    notes=(
        "images counts volumes (65 training, 8 validation), one a patient, resampled to 0.8 mm: no speckle is "
        "left at its native resolution, and no sector.",
        "Sagittal slices are taken, turned by 180 degrees, so that the probe lies above.",
        "Its policy, beside the licence: research only; if unsure, neither use nor pass on.",
        "DeepReg's test data are very likely the same trial's volumes at half size.",
    ),
    layout="public code",
    unverified=(
        "The names of the archives: one converter. Authors and year of the record.",
        "That layer 0 of us_labels is the gland.",
        "That pictures are upright so: UltraSam alone turns them, and DeepReg's volumes agree.",
    ),
)

IMAGES = WRAPPER + r"(?P<id>(?P<split>train|val)/(?:.*/)?us_images/(?P<video>case(?P<patient>\d{6}))\.nii\.gz)"
IGNORED = (("mask", r"(?:^|/)(?:us|mr)_labels/"), ("MR", r"(?:^|/)mr_images/"))
SAGITTAL = Reading(axes=(1, 2, 0), turn="rotate-180")
"""Slices along the file's first axis, rows along its third, away from the probe after the turn."""


def items(root: Path) -> Iterator[Item]:
    """Patient: the case, which runs on from train into val. Video: the volume. Split: train or val."""
    for item, _ in matched(root, IMAGES, IGNORED):
        yield replace(item, masks=existing(root, swapped(item, "us_images/", "us_labels/")), reading=SAGITTAL)
