"""Staging: what was decoded once, under keys made of its content.

`staging/<source>/` holds segments, `<name>.tar` (encoded pictures) with `<name>.parquet` (one row per frame or
rejection), and `items.parquet`, the last listing. A segment's Parquet is written after its tar, so its presence says
that both are whole; a tar without one is swept away. The *unit* of work is one file under one set of parameters: its
key holds the path, the SHA-256 of the bytes (of a header, with its data file), the parameters that shape pixels, and
STAGING_VERSION. A later build takes every unit that it finds and decodes only the others, so it does not matter which
build, how many workers or how many kills made them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from openus import manifest
from openus.errors import CorpusError, UsageError
from openus.shards.write import TarAppender
from openus.storage import exclusive, sweep

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

STAGING_VERSION = 4
"""Raised whenever decode, normalise, fingerprint or select give other results for the same parameters."""

STAGED: tuple[tuple[str, str, str], ...] = (
    ("unit", "string", "Content key of the unit that this row came from."),
    ("position", "int32", "0-based order of the frame in its unit; null for a rejection."),
    ("frame_index", "int32", "As in the manifest; for a rejection, the first frame that did not come."),
    *manifest.named("medium orig_width orig_height width height channels crop_x crop_y crop_w crop_h sector_kind"),
    *manifest.named("has_text quality spacing_mm_x spacing_mm_y"),
    ("header_patient", "string", "HMAC of issuer and Patient ID."),
    ("header_study", "string", "HMAC of the Study Instance UID."),
    ("body_part", "string", "Body Part Examined, as a word of the vocabulary."),
    *manifest.named("carries pixel_sha256 phash"),
    (
        "thumb",
        "binary",
        "Gray thumbnail for matching: of the encoded picture, or of the normalised one that was not encoded.",
    ),
    ("selection", "string", "keep, redundant-frame or over-cap."),
    ("repeats", "int32", "Position of the frame that a redundant one repeats."),
    ("extension", "string", "jpg or png; null when the frame was not encoded."),
    ("tar", "string", "Segment that holds the encoded picture."),
    ("offset", "int64", "Byte offset of the encoded picture in the segment."),
    *manifest.named("size sha256"),
    ("stage", "string", "Of a rejection: decode."),
    ("error", "string", "Of a rejection: what kind, as in rejected.parquet."),
    ("message", "string", "Of a rejection: what is wrong, in one sentence."),
)

ITEMS: tuple[tuple[str, str, str], ...] = (
    ("id", "string", "Item id, of which keys are made."),
    ("path", "string", "Relative to the source's folder."),
    ("member", "string", "Of the file, that the item is (HDF5 data set, sweep); null for the whole file."),
    ("unit", "string", "Content key; null when this run could not read or decode the file (the next one retries)."),
    ("content_sha256", "string", "SHA-256 of the file; of a header, after a +, that of its data file as well."),
    ("raw_size", "int64", "Bytes of the file, with those of the data file where it is only a header."),
    (
        "raw_mtime_ns",
        "int64",
        "With path and size: the file is taken for unchanged. Of a header and its data file the sum.",
    ),
    *manifest.named("patient_id study_id video_id"),
    ("clip_id", "string", "Stands in for video_id where the file holds several frames."),
    *manifest.named("label view split anatomy species subject masks"),
    ("spacing_mm_x", "float64", "Millimetres per column, of the source's own table; goes before the file's."),
    ("spacing_mm_y", "float64", "Millimetres per row, of the source's own table; goes before the file's."),
    *manifest.named("licence commercial_use redistribution derivatives"),
    ("stage", "string", "Of a failure that the next run retries: list or decode."),
    ("error", "string", "Of a failure: what kind, as in rejected.parquet."),
    ("message", "string", "Of a failure: what is wrong, in one sentence."),
)


def file_part(unit: str) -> str:
    """The part of a unit's key that names the file (or its member)."""
    return unit[:16]


def unit_key(path: str, member: str | None, content_sha256: str, params_digest: str) -> str:
    """Content key of a file under a set of parameters: 16 hex digits for the file, 16 for bytes and parameters."""
    name = hashlib.sha256(f"{path}\0{member or ''}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    content = hashlib.sha256(f"{STAGING_VERSION}\0{content_sha256}\0{params_digest}".encode()).hexdigest()[:16]
    return name + content


@dataclass
class Segments:
    """The segments of one source; appends new units and commits them from time to time."""

    folder: Path
    max_bytes: int = 64 * 1024 * 1024
    max_seconds: float = 10.0
    _units: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _file: IO[bytes] | None = None
    _tar: TarAppender | None = None
    _began: float = 0.0

    def units(self) -> dict[str, list[str]]:
        """Content keys of every unit that is staged whole, by the part of them that names the file."""
        found: dict[str, list[str]] = {}
        for path in self._committed():
            for unit in manifest.read(path, ["unit"])["unit"].unique().to_pylist():
                found.setdefault(file_part(unit), []).append(unit)
        return found

    def with_frames(self) -> set[str]:
        """Content keys of the staged units of which a frame came."""
        import pyarrow.compute as pc

        found: set[str] = set()
        for path in self._committed():
            part = manifest.read(path, ["unit", "position"])
            found.update(part.filter(pc.is_valid(part["position"]))["unit"].unique().to_pylist())
        return found

    def parts(self, wanted: Set[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Rows of the `wanted` units, one copy of each, segment by segment; always in the same order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        taken: set[str] = set()
        for path in self._committed():
            # Only what is wanted is read: a segment of another STAGING_VERSION may have other columns.
            fresh = (set(manifest.read(path, ["unit"])["unit"].unique().to_pylist()) & wanted) - taken
            if fresh:
                part = manifest.read(path, columns and ["unit", *columns])
                yield part.filter(pc.is_in(part["unit"], pa.array(sorted(fresh))))
                taken |= fresh

    def clean(self) -> None:
        """Remove what a killed build left (hidden parts, tars whose Parquet never came) and segments that are damaged.

        What is removed is decoded again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        for tar in self.folder.glob("segment-*.tar"):
            if not tar.with_suffix(".parquet").exists():
                tar.unlink()
        for path in self._committed():
            if not _whole(path):
                log.warning("%s in staging is damaged: its files are decoded again.", path.stem)
                path.unlink()
                path.with_suffix(".tar").unlink(missing_ok=True)

    def append(self, unit: str, rows: list[dict[str, Any]], pictures: list[bytes | None]) -> None:
        """Add a finished unit: `rows` beside `pictures` (None where a row has none). Commits when it is time.

        Interrupted, the unit is not added; what the tar holds of it has no row and is nobody's.
        """
        if self._tar is None:
            self._file = (self.folder / ".open.part").open("wb")
            self._tar = TarAppender(self._file)
            self._began = time.monotonic()
        for number, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
            if picture is not None:
                offset = self._tar.add(f"{unit}-{number:06d}.{row['extension']}", picture)
                row |= {"offset": offset, "size": len(picture), "sha256": hashlib.sha256(picture).hexdigest()}
        self._units[unit] = rows  # in one step, whole
        if self._tar.position >= self.max_bytes or time.monotonic() - self._began >= self.max_seconds:
            self.commit()

    def commit(self) -> None:
        """Make everything appended so far durable: the tar first, then the Parquet that vouches for it.

        Interrupted, what it was about is lost, and a second call has nothing to do.
        """
        file, tar, units = self._file, self._tar, self._units
        self._file, self._tar, self._units = None, None, {}
        if file is None or tar is None:
            return
        with file:
            tar.close()
            file.flush()
            os.fsync(file.fileno())
        if not units:  # the first was interrupted
            (self.folder / ".open.part").unlink()
            return
        name = "segment-" + hashlib.sha256("\n".join(units).encode()).hexdigest()[:16]
        (self.folder / ".open.part").replace(self.folder / f"{name}.tar")
        rows = [row for of_unit in units.values() for row in of_unit]
        for row in rows:
            if row.get("extension"):
                row["tar"] = f"{name}.tar"
        manifest.write(manifest.table(rows, STAGED), self.folder / f"{name}.parquet")

    def _committed(self) -> list[Path]:
        return sorted(self.folder.glob("segment-*.parquet"))


def _whole(path: Path) -> bool:
    """True when the Parquet of a segment can be read and its tar is there in all its length."""
    try:
        table = manifest.read(path, ["offset", "size"])
        ends = [o + s for o, s in zip(table["offset"].to_pylist(), table["size"].to_pylist(), strict=True) if o]
        return path.with_suffix(".tar").stat().st_size >= max(ends, default=0)
    except (CorpusError, OSError):
        return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Exclusive use of a folder, made if need be.

    Raises CorpusError when another build holds it or its disk cannot lock, UsageError when it cannot be a folder.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(folder))
        except BlockingIOError as error:
            raise CorpusError(f"{folder} is in use by another build.", "Wait for it, or name another.") from error
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror or error}.", "Name a folder that can be written.") from error
        yield
