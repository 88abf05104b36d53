"""Which sources share pictures or patients, as data. What follows from it is decided in `build` and `leakage`.

Strengths: `proven` (pixels or whole name lists compared), `strong` (names, or two independent code bases),
`possible` (same group, not shown).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Strength = Literal["proven", "strong", "possible"]
Policy = Literal["hold out together", "one group", "audit"]


@dataclass(frozen=True, slots=True)
class SharedImages:
    """Pictures of `a` that are also pictures of `b` (or stand twice in `a`, where both are one)."""

    a: str
    b: str
    strength: Strength
    evidence: str
    join: str
    """How the same picture is named on both sides, where that is known."""
    images: int | None
    """How many pictures of `a`, as its card counts them, add nothing to `b`; None where nobody counted."""


@dataclass(frozen=True, slots=True)
class SharedPatients:
    """Sources whose patients may be the same, without ids to tell."""

    a: str
    b: str
    strength: Strength
    why: str
    policy: Policy
    """`hold out together`: `a` is kept out of pre-training while `b` is held out. `one group`: one namespace of
    patients. `audit`: nothing follows but a look at near-duplicates."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """Something outside the 46 that carries pictures or patients of benchmarks."""

    other: str
    leaks: tuple[str, ...]
    why: str
    mark: tuple[str, str] | None = None
    """(keyword, text) of a PNG text chunk by which a copy is known."""


PATIENT_GROUPS: Mapping[str, tuple[str, ...]] = {
    "fetal-planes": ("fetal-planes-db", "dfhi"),
    "intrapartum": ("fh-ps-aop", "jnu-ifm", "psfhs"),
}
"""Group -> sources with one namespace of patients, never on both sides of a split: the same ids (DFHI's names are
FETAL_PLANES_DB's), or patients of one group of authors that cannot be told apart."""

SAME_IMAGES: tuple[SharedImages, ...] = (
    SharedImages(
        "ultrasound-fetus", "hc18", "proven", "its malignant pictures are HC18's training set, benign and normal both "
        "its test set", "999 by number, 335 renamed", 1669,
    ),
    SharedImages(
        "fast-u-net", "hc18", "proven", "999 of 999 names of its HC part are HC18's training names; perhaps resized",
        "same file name", 999,
    ),
    SharedImages("dfhi", "hc18", "strong", "Diverse Fetal Head Images, resized to 959x661", "same file name", None),
    SharedImages(
        "dfhi", "fetal-planes-db", "strong", "the three planes, resized to 959x661",
        "same file name Patient#####_Plane3_k_of_n.png", None,
    ),
    SharedImages("tn3k", "thyroid", "proven", "the archive contains it", "same path in the archive", 3493),
    SharedImages("tg3k", "thyroid", "proven", "the archive contains it", "same path in the archive", 3585),
    SharedImages("ddti", "thyroid", "proven", "the archive's DDTI.zip is its repacked form: 637 single-nodule pictures "
                 "cut from its originals", "same file name in 1_or_data", None),
    SharedImages(
        "psfhs", "fh-ps-aop", "strong", "at least 257 pictures by their numbers, inferred; pixels not compared",
        "same five-digit numbers, to be confirmed by pixels", None,
    ),
    SharedImages("fh-ps-aop", "jnu-ifm", "strong", "same origin; which picture is which is unknown", "", None),
    SharedImages(
        "gist514-db", "gist514-db", "proven", "usd514_jpeg_raw is the uncropped twin of usd514_jpeg_roi",
        "same file name", 0,
    ),
    SharedImages("bus-uc", "bus-uc", "proven", "All/ repeats Benign/ and Malignant/", "same file name", 0),
    SharedImages(
        "stmus-nda", "stmus-nda", "proven", "the tree again under Segmentation_models/data/MuscleCNN", "same file name",
        0,
    ),
    SharedImages(
        "luss-phantom", "luss-phantom", "proven", "PNG frames are cut from the .webm clips", "<clip>-F<frame>", 0,
    ),
    SharedImages("camus", "camus", "proven", "ED and ES files repeat frames of half_sequence", "Info_*.cfg", 0),
    SharedImages(
        "upbd", "upbd", "proven", "imageData in each JSON is the picture with contours drawn in", "same stem", 0,
    ),
    SharedImages("cardiacudc", "cardiacudc", "strong", "label_all_frame repeats about seven Site_* videos", "", None),
    SharedImages(
        "kidneyus", "kidneyus", "proven", "20 byte-identical copies of ten pictures, for intra-rater tests",
        "same IM number", 20,
    ),
    SharedImages("bus-b", "bus-b", "proven", "32 = 40, 33 = 42, 53 = 309, 54 = 310", "", 4),
    SharedImages(
        "busi", "busi", "proven", "319 of its 780 pictures are near another one; 330 are gone in Curated BUSI", "", 330,
    ),
    SharedImages("microseg", "microseg", "proven", "MUP is UltraSam's second name for the same record", "", 0),
    SharedImages("acouslic", "acouslic", "strong", "versions 1.0 and 1.1 hold the same pictures", "same UUID", 0),
)  # fmt: skip
"""`a` is the side that gives way. Duplicates are found by their pixels all the same; this is what is known before."""

SAME_PATIENTS: tuple[SharedPatients, ...] = (
    SharedPatients(
        "mmotu-3d", "mmotu-2d", "possible", "170 contrast-enhanced pictures of the same department; no ids",
        "hold out together",
    ),
    SharedPatients("psfhs", "jnu-ifm", "possible", "same group of authors", "one group"),
    SharedPatients(
        "psfhs", "fh-ps-aop", "strong", "the challenge's numbers run on from JNU-IFM into PSFHS", "one group",
    ),
    SharedPatients("fh-ps-aop", "jnu-ifm", "strong", "the challenge's pictures are said to be JNU-IFM's", "one group"),
    SharedPatients("cardiacudc", "echocp", "possible", "same hospital and uploader", "audit"),
    SharedPatients("blues", "pocus", "possible", "same authors; recordings differ", "audit"),
    SharedPatients("echonet-dynamic", "echonet-lvh", "possible", "both of Stanford: compare the file names", "audit"),
    *(
        SharedPatients("bus-uc", b, "possible", "pictures of a teaching site, ultrasoundcases.info; untested", "audit")
        for b in ("busi", "bus-bra", "buid", "s1")
    ),
)  # fmt: skip

CARRIERS: tuple[Carrier, ...] = (
    Carrier("BUS-CoT", ("bus-bra",), "1,553 of its 5,163 pictures come from BUS-BRA or BUSI"),
    Carrier(
        "any folder whose PNG text chunk says 'BUS-BRA dataset'", ("bus-bra",), "the authors' mark survives copying",
        ("Description", "BUS-BRA dataset"),
    ),
    Carrier("ViTaL", ("mmotu-2d",), "same hospital, 496 patients, may share patients"),
    Carrier(
        "UltraSam checkpoints", ("bus-bra", "mmotu-2d", "gist514-db"),
        "their training pictures and masks were in UltraSam's training",
    ),
)  # fmt: skip

LOCAL_NAMESPACE = "local"
"""All of a person's own archives: the same patient in two folders is one patient. First word of their slugs."""


def is_own(slug: str) -> bool:
    """True for a person's own archive.

    >>> is_own("local-ward3"), is_own("busi")
    (True, False)
    """
    return slug.startswith(own_slug(""))


def own_slug(name: str) -> str:
    """The slug of a person's own archive.

    >>> own_slug("ward3")
    'local-ward3'
    """
    return f"{LOCAL_NAMESPACE}-{name}"


def own_name(slug: str) -> str:
    """What a person called the archive that `own_slug` gave this slug.

    >>> own_name("local-ward3")
    'ward3'
    """
    return slug.removeprefix(own_slug(""))


def unique_images(slug: str, expected: int | None) -> int | None:
    """Pictures of a source, `expected` as published, that no other source holds too and that do not stand in it twice.

    None where a known overlap was never counted: then nobody knows.

    >>> unique_images("fast-u-net", 1411), unique_images("bus-bra", 1875), unique_images("psfhs", 1358)
    (412, 1875, None)
    """
    shared = [one.images for one in SAME_IMAGES if one.a == slug]
    if expected is None or None in shared:
        return None
    return max(0, expected - sum(count or 0 for count in shared))


def marked(text: Mapping[str, str]) -> str | None:
    """The benchmark whose authors' mark is among the text chunks of a PNG (keyword -> text), None without one.

    >>> marked({"Description": "BUS-BRA dataset"}), marked({"Description": "my scan"})
    ('bus-bra', None)
    """
    for carrier in CARRIERS:
        if carrier.mark is not None and carrier.mark[1].casefold() in text.get(carrier.mark[0], "").casefold():
            return carrier.leaks[0]
    return None


def namespace(slug: str) -> str:
    """The namespace of a source's patient, study and video ids: its group's name, `local`, or its own slug.

    >>> namespace("psfhs"), namespace("local-ward3"), namespace("busi")
    ('intrapartum', 'local', 'busi')
    """
    if is_own(slug):
        return LOCAL_NAMESPACE
    return next((name for name, members in PATIENT_GROUPS.items() if slug in members), slug)


def may_share_patients(a: str, b: str) -> str | None:
    """Why pictures of two sources that tell no patients must not stand on two sides of a split; None where they may.

    >>> may_share_patients("psfhs", "jnu-ifm")
    "psfhs and jnu-ifm share the patients of the group 'intrapartum'"
    >>> may_share_patients("mmotu-2d", "mmotu-3d") is None, may_share_patients("busi", "hc18") is None
    (False, True)
    """
    if a == b:
        return None
    for one in SAME_PATIENTS:
        if {one.a, one.b} == {a, b} and one.policy == "hold out together":
            return f"{one.a} may share patients with {one.b}; no ids tell them apart"
    group = namespace(a)
    if group in PATIENT_GROUPS and group == namespace(b):
        return f"{a} and {b} share the patients of the group {group!r}"
    return None


def held_out_partners(slug: str, held_out: Collection[str]) -> str | None:
    """Why the pretrain source `slug` falls to the relation rule when `held_out` is held out; None where it does not.

    Members of one patient group fall with each other, and sources that are to be held out together with their
    partners. A source that is itself held out has no reason to be kept from anything.
    """
    if slug in held_out:
        return None
    for one in SAME_PATIENTS:
        if one.a == slug and one.policy == "hold out together" and one.b in held_out:
            return f"{slug} may share patients with {one.b}, which is held out; no ids tell them apart"
    group = namespace(slug)
    for partner in PATIENT_GROUPS.get(group, ()):
        if partner in held_out:
            return f"{slug} and {partner}, which is held out, share the patients of the group {group!r}"
    return None
