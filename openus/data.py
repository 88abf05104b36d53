"""The nouns. Frozen data, no behaviour beyond what follows from the fields themselves.

Card ──describes──▶ a source         Item ──decoded into──▶ Frame…
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["pretrain", "held-out"]
Turn = Literal["rotate-180", "flip-top-bottom", "flip-left-right"]
LayoutEvidence = Literal["real files", "published tables", "public code", "description"]
Pixels = NDArray[np.uint8]
Progress = Callable[[str, int, int | None], None]
"""Told of long work: what is being done, how much of it is, of how much; None while nobody knows."""
Advance = Callable[[int], None]
"""Told of each piece of long work: its size, in bytes or as its caller counts."""


def silent(*_: object) -> None:
    """A `Progress` or `Advance` for whoever does not listen."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file as its site serves it. What nobody has published is None."""

    name: str
    url: str | None = None
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    """Of git's blob of it: `sha1("blob <size>\\0" + bytes)`."""
    archive: str | None = None
    """Kind of archive (`zip`, `rar`, `tar.gz` …), None for a plain file."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Of an archive whose own bytes are not stable: path of each file that must come out -> git SHA-1 of it."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a person or program gets a source."""

    kind: str
    """Protocol: zenodo, figshare, mendeley, kaggle-dataset, gdrive, github, tcia, girder, http, form …"""
    url: str
    ids: Mapping[str, str] = field(default_factory=dict)
    gated: str | None = "none"
    """none, login, licence-click or application; None for unknown."""
    steps: tuple[str, ...] = ()
    """What a person does by hand, in order."""


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of a source, or of one item that is stricter than its source.

    `name` is an SPDX identifier where there is one, else the source's own words, None where it states nothing.
    The permissions are True, False, or None for unknown.
    """

    name: str | None = None
    commercial_use: bool | None = None
    redistribution: bool | None = None
    derivatives: bool | None = None
    """Whether derived works may be made and passed on (CC: no ND clause)."""

    @property
    def local_only(self) -> bool:
        """Whether what is made of it may be used where it was made, and not be passed on."""
        return self.redistribution is False or self.derivatives is False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a source. Unknown is None, never a guess."""

    slug: str
    index: int | None
    """1–46 in the OpenUS-46 list; None for extras and for a person's own archive."""
    name: str
    title: str
    anatomy: str | None
    """A word of `openus.anatomy.VOCABULARY`."""
    species: str | None
    subject: str | None
    """in-vivo, ex-vivo, phantom or simulation."""
    media: tuple[str, ...]
    role: Role = "pretrain"
    licence: Licence
    access: Access
    anatomy_detail: str = ""
    files: tuple[RemoteFile, ...] = ()
    size_bytes: int | None = None
    """Of the whole download."""
    expected_images: int | None = None
    """Pictures as published, or what `counted` says."""
    counted: str = "pictures"
    """What `expected_images` counts: pictures, clips, volumes …"""
    expected_patients: int | None = None
    citation: str = ""
    notes: tuple[str, ...] = ()
    """What a user of the source should know: leaks, duplicates, label caveats."""
    layout: LayoutEvidence | None = None
    """The best that the layout was read from: real files, the publisher's own tables or file lists, public code that
    reads it, or a description."""
    unverified: tuple[str, ...] = ()
    """What of this card rests on one weak place."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read where its bytes do not say so. The default reads it as it lies."""

    turn: Turn | None = None
    """What brings every decoded picture upright, named as PIL's `Transpose`."""
    axes: tuple[int, int, int] = (0, 1, 2)
    """Of a volume: which axes of the file (0 runs fastest) are a picture's columns, its rows, and the slices."""
    frames: tuple[int, ...] | None = None
    """Which frames of the file belong to the item, None for all. HDF5 gives them in this order, a volume in its own."""
    clip: bool = False
    """Of a volume: its slices are the frames of a clip, in one geometry, and no stack through a body."""
    dataset: str | None = None
    """Of an HDF5 file: the data set that holds the pictures, (frames, rows, columns[, 3])."""


AS_IT_LIES = Reading()


@dataclass(frozen=True, slots=True)
class Item:
    """One file (or one member of a file) that holds frames. Listing items reads no pixels.

    `id` is the path from the dataset layout's own root (an optional top folder does not count) plus `#member`
    inside a file; keys are made of it, so the same picture has the same key wherever a person unpacked it.
    Patient, study and video are the source's own words here; namespacing and hashing happen in `build`.
    """

    id: str
    path: str
    """Relative to the source's folder, with `/`."""
    member: str | None = None
    patient: str | None = None
    study: str | None = None
    video: str | None = None
    label: str | None = None
    view: str | None = None
    split: str | None = None
    anatomy: str | None = None
    """Only where it differs from the card's; so are the next two."""
    species: str | None = None
    subject: str | None = None
    spacing_mm: tuple[float | None, float | None] = (None, None)
    """(x, y), millimetres per original pixel, where a table of the source says so."""
    licence: Licence | None = None
    """Only where it differs from the card's."""
    masks: tuple[str, ...] = ()
    """Paths of the masks that belong to this item, relative to the source's folder."""
    reading: Reading = AS_IT_LIES


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of whom and what it shows. Never written anywhere as it is: `build` hashes it.

    patient: Patient ID (0010,0020) · issuer: Issuer of Patient ID (0010,0021) · study: Study Instance UID
    (0020,000D) · body_part: Body Part Examined (0018,0015) · carries: the benchmark whose authors' mark a PNG bears.
    """

    patient: str | None = None
    issuer: str | None = None
    study: str | None = None
    body_part: str | None = None
    carries: str | None = None


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in pixels of the decoded frame: left, top, width, height."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture. Decoders fill the first block, `normalise` the second.

    pixels: uint8, (rows, columns) for gray or (rows, columns, 3) in RGB order; row 0 is nearest the probe as the
    source shows it. Gray pictures stored in three equal channels are gray here.
    """

    pixels: Pixels
    index: int | None = None
    """0-based in its file; None for a still."""
    spacing_mm: tuple[float | None, float | None] = (None, None)
    """(x, y), millimetres per pixel of the decoded picture."""
    header: Header = field(default_factory=Header)

    crop: Crop | None = None
    """What part of the decoded frame `pixels` now shows; None before `normalise`."""
    sector_kind: str | None = None
    """convex, phased, linear … None where undecided."""
    has_text: bool | None = None
    quality: str | None = None
    """None for a usable frame, else the rule that it fails, e.g. `blank`."""
