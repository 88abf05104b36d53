"""SegThy: thyroids of volunteers, compounded volumes of tracked sweeps; their MR lies beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus.data import Access, Card, Item, Licence, Reading, RemoteFile
from openus.sources._layout import WRAPPER, existing, matched, swapped

_SITE = "https://www.campar.in.tum.de/public_datasets/2022_plosone_eilers"

CARD = Card(
    slug="segthy",
    index=40,
    name="Segthy",
    title="SegThy: Open-Access Dataset for Thyroid and Neck Segmentation (TUM CAMP)",
    anatomy="thyroid",
    anatomy_detail="thyroid lobes, carotid arteries, jugular veins of healthy volunteers; sweeps compounded to 3-D",
    species="human",
    subject="in-vivo",
    media=("nifti",),
    licence=Licence(),
    access=Access(
        kind="http",
        url="https://www.cs.cit.tum.de/camp/publications/segthy-dataset/",
        ids={"torrent_us": "https://academictorrents.com/details/a6530eb901e8c1c127166d1bebeffb0129f5bf9f"},
        steps=(
            "Download US_data.zip alone (about 18.6 GB) and unpack it; MRI_data.zip is no ultrasound.",
            "If the server refuses, take the torrent and compare the SHA-256.",
        ),
    ),
    files=(
        RemoteFile(
            name="US_data.zip",
            url=f"{_SITE}/US_data.zip",
            sha256="52c59ef4db08adfa0e6ea562c7fe747c612f2064e01f907a78b170b02fb459bb",
            archive="zip",
        ),
    ),
    citation=r"""@article{segthy, title={SegThy Open-Access Dataset for Thyroid and Neck Segmentation},
  author={Kr{\"o}nke and Eilers, C. and Dimova, D. and K{\"o}hler, M. and Buschner, G. and Schweiger, L. and
    Konstantinidou, L. and Makowski, M. and Nagarajah, J. and Navab, N. and Weber, W. and Wendler, T.},
  doi={10.1371/journal.pone.0268550}}""",
    notes=(
        "Slices lie turned by 180 degrees and are turned upright. Compounded volumes have empty borders, no sector.",
        "How many volumes and volunteers there are is unknown (more than 25 labelled volumes); versions differ.",
        "The page states no licence that was read; a derivative of somebody else is tagged CC BY 4.0.",
    ),
    layout="public code",
    unverified=(
        "28 volunteers, three physicians, repeated scans. What else lies in the zip.",
        "That slices lie turned: UltraSam and one other converter turn them. That no login is needed: one loader.",
        "Values of the masks: 0 and 1 by one loader, vessels too (2 to 5) by others; 1 is the thyroid in all.",
    ),
)

IMAGES = WRAPPER + (
    r"US_volunteer_dataset/(?P<id>(?:.*/)?(?P<video>(?P<patient>\d{3})_(?P<study>P\d+_\d+)_(?P<view>left|right)_US)"
    r"\.nii(?:\.gz)?)"
)
IGNORED = (("mask", r"(?:^|/)US_thyroid_label/"), ("MR", r"(?:^|/)MRI_volunteer_dataset/"))


def items(root: Path) -> Iterator[Item]:
    """Patient: the volunteer. Study: volunteer, physician and repetition. Video: one lobe's sweep. View: the side."""
    for item, found in matched(root, IMAGES, IGNORED):
        mask = swapped(item, "ground_truth_data/US/", "ground_truth_data/US_thyroid_label/").replace("_US.nii", ".nii")
        yield replace(
            item,
            study=f"{found['patient']}_{found['study']}",
            masks=existing(root, mask),
            reading=Reading(turn="rotate-180"),
        )
