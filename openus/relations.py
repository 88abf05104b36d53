"""Which sources share pictures or patients, as data. What follows from it is decided in `build` and `leakage`.

Strengths: `proven` (pixels or whole name lists compared), `strong` (names, or two independent code bases),
`possible` (same group, not shown).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

PATIENT_GROUPS: Mapping[str, tuple[str, ...]] = {"intrapartum": ("fh-ps-aop", "jnu-ifm", "psfhs")}
"""Group -> sources of one group of authors whose patients cannot be told apart: one namespace of patients, never on
both sides of a split."""

HELD_OUT_WITH: Mapping[str, tuple[str, ...]] = {"mmotu-3d": ("mmotu-2d",)}
"""Source -> sources whose being held out keeps it out of pre-training: patients may be shared, no ids tell."""

LOCAL_NAMESPACE = "local"
"""All of a person's own archives: the same patient in two folders is one patient."""


@dataclass(frozen=True, slots=True)
class SharedImages:
    """Two sources (or one, with itself) that hold the same pictures."""

    a: str
    b: str
    strength: str
    evidence: str


SAME_IMAGES: tuple[SharedImages, ...] = (
    SharedImages("ultrasound-fetus", "hc18", "proven", "its 999 malignant and 335 benign/normal pictures are HC18's"),
    SharedImages("fast-u-net", "hc18", "proven", "999 of 999 HC names are HC18's training names; perhaps resized"),
    SharedImages("dfhi", "hc18", "strong", "same file names, resized to 959x661"),
    SharedImages("dfhi", "fetal-planes-db", "strong", "same file names Patient#####_Plane3_k_of_n, resized to 959x661"),
    SharedImages("thyroid", "tn3k", "proven", "the archive contains it"),
    SharedImages("thyroid", "tg3k", "proven", "the archive contains it"),
    SharedImages("thyroid", "ddti", "proven", "637 single-nodule pictures cut from DDTI's originals"),
    SharedImages("psfhs", "fh-ps-aop", "strong", "same five-digit numbers; at least 257 pictures, inferred"),
    SharedImages("jnu-ifm", "fh-ps-aop", "strong", "same origin; which picture is which is unknown"),
    SharedImages("gist514-db", "gist514-db", "proven", "usd514_jpeg_raw is the uncropped twin of usd514_jpeg_roi"),
    SharedImages("bus-uc", "bus-uc", "proven", "All/ repeats Benign/ and Malignant/"),
    SharedImages("stmus-nda", "stmus-nda", "proven", "the tree again under Segmentation_models/data/MuscleCNN"),
    SharedImages("luss-phantom", "luss-phantom", "proven", "PNG frames are cut from the .webm clips"),
    SharedImages("camus", "camus", "proven", "ED and ES files repeat frames of half_sequence"),
    SharedImages("upbd", "upbd", "proven", "imageData in each JSON is the picture with contours drawn in"),
    SharedImages("cardiacudc", "cardiacudc", "strong", "label_all_frame repeats about seven Site_* videos"),
)
"""For information; duplicates are found by their pixels."""


def namespace(slug: str) -> str:
    """The namespace of a source's patient, study and video ids: its group's name, `local`, or its own slug.

    >>> namespace("psfhs"), namespace("local-ward3"), namespace("busi")
    ('intrapartum', 'local', 'busi')
    """
    if slug.startswith(f"{LOCAL_NAMESPACE}-"):
        return LOCAL_NAMESPACE
    return next((name for name, members in PATIENT_GROUPS.items() if slug in members), slug)


def held_out_partners(slug: str, held_out: Collection[str]) -> str | None:
    """Why the pretrain source `slug` falls to the relation rule when `held_out` is held out; None where it does not.

    Members of one patient group fall with each other, and sources of HELD_OUT_WITH with their partners. A source that
    is itself held out has no reason to be kept from anything.
    """
    if slug in held_out:
        return None
    for partner in HELD_OUT_WITH.get(slug, ()):
        if partner in held_out:
            return f"{slug} may share patients with {partner}, which is held out; no ids tell them apart"
    group = namespace(slug)
    for partner in PATIENT_GROUPS.get(group, ()):
        if partner in held_out:
            return f"{slug} and {partner}, which is held out, share the patients of the group {group!r}"
    return None
