"""From staged tables to what `decide` works on: rows of what its rules look at, and the manifest's columns so far.

A corpus may have a million frames, so that what is held of each counts: its thumbnail, 4 KB, is most of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openus import manifest
from openus.build.curate import role_of
from openus.build.identity import key, namespaced
from openus.build.staging import ITEMS, STAGED, Segments
from openus.data import Role
from openus.dedup.fingerprint import THUMB_SIDE
from openus.params import Params
from openus.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

DECIDED: tuple[tuple[str, str, str], ...] = (
    *manifest.COLUMNS,
    ("staged_tar", "string", "Segment that holds the encoded picture, relative to the staging folder."),
    ("staged_offset", "int64", "Byte offset of the encoded picture in that segment."),
    ("staged_size", "int64", "Bytes of the encoded picture there."),
    ("extension", "string", "jpg or png; null when the frame was not encoded."),
)
"""A decision is a manifest row that still points into staging."""

VERDICT = ("status", "drop_reason", "duplicate_of", "leak_reason", "cluster")
"""Columns that `decide` fills."""
_LATER = {*VERDICT, "shard", "offset", "size"}
_FACTS = tuple(column for column in DECIDED if column[0] not in _LATER)
_BUT_THUMBS = [name for name, _, _ in STAGED if name not in ("unit", "thumb")]

BATCH = 1024
"""Staged rows that are Python objects at once."""


@dataclass(slots=True, kw_only=True)
class Row:
    """What the rules look at of a frame, named as in the manifest, and what they decide."""

    key: str
    source: str
    role: Role
    patient_id: str | None
    study_id: str | None
    video_id: str | None
    carries: str | None
    quality: str | None
    pixel_sha256: str
    orig_width: int
    orig_height: int
    redistribution: bool | None
    commercial_use: bool | None
    derivatives: bool | None
    selection: str
    """keep, redundant-frame or over-cap."""
    file: str
    """Source and content key of the file: two sources may have the same file under the same name."""
    position: int
    """Order of the frame in it."""
    repeats: int | None
    """Position of the frame that a redundant one repeats."""
    drop_reason: str | None = None
    duplicate_of: str | None = None
    leak_reason: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Staged:
    """The frames and rejections of the chosen sources."""

    rows: list[Row]
    """Sorted by key; so are the next two."""
    facts: pa.Table
    """The manifest's columns that are known before anything is decided."""
    thumbs: NDArray[np.uint8]
    """uint8 (n, 64, 64). The search blacks them out where they are not to be found: of no use after it."""
    rejected: list[dict[str, Any]]


def load(chosen: Sequence[Source], staging: Path, parameters: Params) -> Staged:
    """What is staged of the `chosen` sources, as their last listing has it."""
    import pyarrow as pa

    rows: list[Row] = []
    facts: list[pa.Table] = [manifest.table([], _FACTS)]
    rejected: list[dict[str, Any]] = []
    units = [
        (source.card.slug, _read(source, staging, role_of(source, parameters), rows, facts, rejected))
        for source in chosen
    ]
    order = np.array(sorted(range(len(rows)), key=lambda number: rows[number].key), np.int64)
    unsorted = pa.concat_tables(facts)
    facts.clear()
    return Staged(
        [rows[number] for number in order],
        pa.concat_tables([unsorted.slice(0, 0), *manifest.gather(unsorted, order)]),
        _thumbnails(units, staging, order),
        rejected,
    )


def _read(
    source: Source,
    staging: Path,
    role: Role,
    rows: list[Row],
    facts: list[pa.Table],
    rejected: list[dict[str, Any]],
) -> frozenset[str]:
    """Append the frames and rejections of one source; returns its units."""
    slug = source.card.slug
    items = _items(slug, staging, rejected)
    for some in _batches(Segments(staging / slug), items.keys(), _BUT_THUMBS):
        found = []
        for frame in some.to_pylist():
            item = items[frame["unit"]]
            if frame["error"] is not None:
                rejected.append(_rejection(slug, item["path"], frame))
                continue
            found.append(_facts(source, role, item, frame))
            rows.append(_row(found[-1], item, frame))
        facts.append(manifest.table(found, _FACTS))
    return frozenset(items)


def _items(slug: str, staging: Path, rejected: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The items of a source by unit; those without one are rejections."""
    items = manifest.read(staging / slug / "items.parquet").select([name for name, _, _ in ITEMS]).to_pylist()
    rejected += [_rejection(slug, item["path"], item) for item in items if item["error"] is not None]
    return {item["unit"]: item for item in items if item["unit"] is not None}


def _rejection(slug: str, path: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of rejected.parquet."""
    names = ("stage", "error", "message")
    return {"source": slug, "path": path, "frame_index": row.get("frame_index")} | {name: row[name] for name in names}


def _batches(segments: Segments, units: Set[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Staged rows of the units, a few at a time, always in the same order."""
    for part in segments.parts(units, columns):
        yield from part.to_batches(max_chunksize=BATCH)


def _thumbnails(
    units: Sequence[tuple[str, frozenset[str]]], staging: Path, order: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The thumbnails of all frames, in the `order` of those that were read: read anew, so that none is held twice."""
    import pyarrow.compute as pc

    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    thumbs = np.empty((len(order), THUMB_SIDE, THUMB_SIDE), np.uint8)
    start = 0
    for slug, of_source in units:
        for some in _batches(Segments(staging / slug), of_source, ["thumb", "error"]):
            encoded = some.filter(pc.is_null(some["error"]))["thumb"].to_pylist()
            pixels = np.frombuffer(b"".join(encoded), np.uint8).reshape(-1, THUMB_SIDE, THUMB_SIDE)
            thumbs[place[start : start + len(pixels)]] = pixels
            start += len(pixels)
    assert start == len(order), "staging changed while it was read; a build holds its lock"
    return thumbs


_COPIED = (
    "frame_index medium orig_width orig_height width height channels crop_x crop_y crop_w crop_h sector_kind has_text "
    "carries quality pixel_sha256 phash extension sha256"
).split()
_OF_ITEM = "masks label view split licence commercial_use redistribution derivatives species subject".split()


def _facts(source: Source, role: Role, item: Mapping[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest row without a verdict."""
    card = source.card
    slug = card.slug
    in_clip = frame["frame_index"] is not None
    return {
        "key": key(slug, item["id"], frame["frame_index"]),
        "source": slug,
        "source_index": card.index,
        "role": role,
        "patient_id": item["patient_id"] or namespaced(slug, frame["header_patient"]),
        "study_id": item["study_id"] or namespaced(slug, frame["header_study"]),
        "video_id": item["video_id"] or (item["clip_id"] if in_clip else None),
        "anatomy": item["anatomy"] or frame["body_part"],
        "raw_path": item["path"],
        "raw_sha256": item["content_sha256"].partition("+")[0],
        "raw_member": item["member"],
        "spacing_mm_x": _first(item["spacing_mm_x"], frame["spacing_mm_x"]),
        "spacing_mm_y": _first(item["spacing_mm_y"], frame["spacing_mm_y"]),
        "staged_tar": frame["tar"] and f"{slug}/{frame['tar']}",
        "staged_offset": frame["offset"],
        "staged_size": frame["size"],
        **{name: frame[name] for name in _COPIED},
        **{name: item[name] for name in _OF_ITEM},
    }


_SEEN_BY_RULES = (
    "key source role patient_id study_id video_id carries quality pixel_sha256 orig_width orig_height redistribution "
    "commercial_use derivatives"
).split()


def _row(facts: Mapping[str, Any], item: Mapping[str, Any], frame: Mapping[str, Any]) -> Row:
    return Row(
        **{name: facts[name] for name in _SEEN_BY_RULES},
        selection=sys.intern(frame["selection"]),
        file=sys.intern(f"{facts['source']}/{item['unit']}"),
        position=frame["position"],
        repeats=frame["repeats"],
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
