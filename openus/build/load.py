"""From staged tables to what `decide` works on: what its rules look at, row by row, and all else as a table.

A corpus may have millions of frames. A row here takes half a kilobyte, the table about as much, a thumbnail four.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openus import manifest
from openus.build.curate import role_of
from openus.build.identity import key, namespaced
from openus.build.staging import ITEMS, Segments
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
    """The frames and rejections of the chosen sources. `rows` are sorted by key; row n of `facts` and `thumbs` is
    theirs: the manifest's columns that nothing decides on, and uint8 (n, 64, 64)."""

    rows: list[Row]
    facts: pa.Table
    thumbs: NDArray[np.uint8]
    rejected: list[dict[str, Any]]


def load(chosen: Sequence[Source], staging: Path, parameters: Params) -> Staged:
    """What is staged of the `chosen` sources, as their last listing has it."""
    import pyarrow as pa

    rows: list[Row] = []
    facts: list[pa.Table] = [manifest.table([], _FACTS)]
    rejected: list[dict[str, Any]] = []
    items = {source.card.slug: _items(source.card.slug, staging, rejected) for source in chosen}
    for source in chosen:
        role = role_of(source, parameters)
        units = items[source.card.slug]
        for part in Segments(staging / source.card.slug).parts(units.keys()):
            some = []
            for frame in part.drop_columns(["thumb"]).to_pylist():
                item = units[frame["unit"]]
                if frame["error"] is not None:
                    rejected.append(_rejection(source.card.slug, item["path"], frame))
                    continue
                some.append(_facts(source, role, item, frame))
                rows.append(_row(some[-1], item, frame))
            facts.append(manifest.table(some, _FACTS))
    order = np.array(sorted(range(len(rows)), key=lambda number: rows[number].key), np.int64)
    return Staged(
        [rows[number] for number in order],
        pa.concat_tables(facts).combine_chunks().take(order),
        _thumbnails(items, staging, order),
        rejected,
    )


def _items(slug: str, staging: Path, rejected: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The items of a source by unit; those without one are rejections."""
    items = manifest.read(staging / slug / "items.parquet").select([name for name, _, _ in ITEMS]).to_pylist()
    rejected += [_rejection(slug, item["path"], item) for item in items if item["error"] is not None]
    return {item["unit"]: item for item in items if item["unit"] is not None}


def _rejection(slug: str, path: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of rejected.parquet."""
    names = ("stage", "error", "message")
    return {"source": slug, "path": path, "frame_index": row.get("frame_index")} | {name: row[name] for name in names}


def _thumbnails(items: Mapping[str, Mapping[str, Any]], staging: Path, order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The thumbnails of all frames, in the `order` of those that were read: read anew, so that none is held twice."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    thumbs = np.empty((len(order), THUMB_SIDE, THUMB_SIDE), np.uint8)
    start = 0
    for slug, units in items.items():
        for some in _encoded_thumbs(staging / slug, units):
            thumbs[place[start : start + len(some)]] = np.frombuffer(b"".join(some), np.uint8).reshape(
                -1, *thumbs.shape[1:]
            )
            start += len(some)
    return thumbs


def _encoded_thumbs(folder: Path, units: Mapping[str, Any]) -> Iterator[list[bytes]]:
    import pyarrow.compute as pc

    for part in Segments(folder).parts(units.keys(), ["thumb", "error"]):
        yield part.filter(pc.is_null(part["error"]))["thumb"].to_pylist()


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
