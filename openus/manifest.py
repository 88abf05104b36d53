"""The manifest: one row per decoded frame, kept or dropped, and the meaning of every column.

`COLUMNS` is the schema and its documentation in one; `docs/manifest.md` is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openus import __version__
from openus.errors import CorpusError
from openus.relations import is_own
from openus.storage import atomic

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = "1"

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("key", "string", "Sample key: <slug>-<16 hex of sha256(item id)>-<frame, 6 digits>. Equal in every build."),
    ("source", "string", "Slug of the source; `local-NAME` for a person's own archive."),
    ("source_index", "int32", "1–46 in the OpenUS-46 list; null for extras and own archives."),
    ("role", "string", "`pretrain` or `held-out`."),
    ("split", "string", "The source's own official split, in its own word; null where it has none."),
    ("label", "string", "The source's own label word, unchanged. `openus info SLUG` says which one."),
    ("patient_id", "string", "Patient, namespaced by source or patient group; HMAC for own archives; null if unknown."),
    ("study_id", "string", "Examination, namespaced the same way; null if unknown."),
    ("video_id", "string", "Clip, sweep or volume that the frame comes from, namespaced; null for stills."),
    ("frame_index", "int32", "0-based index in its file; null for stills."),
    ("medium", "string", "Format of the file by its bytes: png, jpg, dicom, nifti, mha, nrrd, mp4 …"),
    ("anatomy", "string", "Word of the controlled vocabulary (`openus.anatomy`); null if unknown."),
    ("view", "string", "The source's own word for view, plane or probe; null if it gives none."),
    ("species", "string", "human, mouse, porcine, phantom …"),
    ("subject", "string", "in-vivo, ex-vivo, phantom or simulation."),
    ("raw_path", "string", "Path of the file, relative to the source's folder."),
    ("raw_member", "string", "Member inside the file (HDF5 data set, sweep); null for the whole file."),
    ("raw_sha256", "string", "SHA-256 of the file at `raw_path`."),
    ("masks", "string", "JSON list of the masks' paths, relative to the source's folder; null where it has none."),
    ("orig_width", "int32", "Columns of the decoded frame."),
    ("orig_height", "int32", "Rows of the decoded frame."),
    ("width", "int32", "Columns of the stored picture."),
    ("height", "int32", "Rows of the stored picture."),
    ("channels", "int32", "Channels of the stored picture: 1 gray, 3 RGB."),
    ("crop_x", "int32", "Left edge of the crop, in pixels of the decoded frame."),
    ("crop_y", "int32", "Top edge of the crop."),
    ("crop_w", "int32", "Width of the crop."),
    ("crop_h", "int32", "Height of the crop."),
    ("sector_kind", "string", "Shape of the ultrasound field: convex, phased, linear …; null where undecided."),
    ("has_text", "bool", "True where burned-in text or calipers were found; a flag by heuristic, not a proof."),
    ("carries", "string", "Benchmark whose authors' mark the file bears (BUS-BRA's PNG text); null for none."),
    ("quality", "string", "Rule that the frame fails: blank, no-contact (a probe in air); null for a usable frame."),
    ("spacing_mm_x", "float64", "Millimetres per column of the decoded frame (× crop_w / width for the stored one)."),
    ("spacing_mm_y", "float64", "Millimetres per row of the decoded frame."),
    ("pixel_sha256", "string", "SHA-256 over shape and decoded pixels before crop (gray when channels are equal)."),
    ("phash", "string", "64-bit perceptual hash of the stored (else normalised) picture, 16 hex digits; no verdict."),
    ("status", "string", "`kept` (has bytes in a shard) or `dropped`."),
    ("drop_reason", "string", "exact-duplicate, near-duplicate, redundant-frame, over-cap, leakage, blank or quality."),
    ("duplicate_of", "string", "Key of the kept frame that stands for a dropped one; null otherwise."),
    ("leak_reason", "string", "Of a frame dropped as leakage: what it shares with what is held out; null for others."),
    ("cluster", "string", "Smallest key of the connected component of matches; null for a frame without a match."),
    ("shard", "string", "Tar file, relative to the corpus folder; null for dropped frames."),
    ("offset", "int64", "Byte offset of the encoded picture in the shard."),
    ("size", "int64", "Bytes of the encoded picture."),
    ("sha256", "string", "SHA-256 of the encoded picture's bytes; null for frames that were never encoded."),
    ("licence", "string", "SPDX identifier, or the source's own words; null where it states nothing."),
    ("commercial_use", "bool", "Terms allow commercial use; null for unknown. An item may be stricter than its card."),
    ("redistribution", "bool", "Terms allow passing on what is made of it; null for unknown."),
    ("derivatives", "bool", "Terms allow derived works; null for unknown."),
)  # fmt: skip

REJECTED: tuple[tuple[str, str, str], ...] = (
    ("source", "string", "Slug of the source."),
    ("path", "string", "Path of the file, relative to the source's folder."),
    ("frame_index", "int32", "First frame that did not come; null when the file yielded none."),
    ("stage", "string", "list or decode."),
    ("error", "string", "What kind: a class of `openus.errors`, WorkerCrashed, TimedOut, or a library's own surprise."),
    ("message", "string", "What is wrong, in one sentence."),
)


def named(names: str) -> tuple[tuple[str, str, str], ...]:
    """The columns of those names, in their order, for another table that holds them too."""
    known = {column[0]: column for column in COLUMNS}
    return tuple(known[name] for name in names.split())


NOT_IN_SAMPLE = frozenset(
    "status drop_reason duplicate_of leak_reason cluster shard offset size sha256 phash pixel_sha256 quality".split()
)
"""Columns that the JSON of a sample leaves to the manifest."""
PATHS = frozenset(("raw_path", "raw_member", "masks"))
"""Columns that the JSON of a sample has for published sources only."""


def sample_meta(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON beside a picture says: who, what, whence and under which terms; no path of an own archive."""
    hidden = NOT_IN_SAMPLE | PATHS if is_own(str(row["source"])) else NOT_IN_SAMPLE
    return {name: row[name] for name, _, _ in COLUMNS if name not in hidden}


def schema(columns: Iterable[tuple[str, str, str]] = COLUMNS, metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """The pyarrow schema; each field's metadata holds its `meaning`."""
    import pyarrow as pa

    types = {"string": pa.string(), "bool": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(),
             "float64": pa.float64(), "binary": pa.binary()}  # fmt: skip
    fields = [pa.field(name, types[kind], metadata={"meaning": meaning}) for name, kind, meaning in columns]
    return pa.schema(fields, metadata={k: str(v) for k, v in (metadata or {}).items()})


def table(
    rows: list[dict[str, Any]],
    columns: Iterable[tuple[str, str, str]] = COLUMNS,
    metadata: Mapping[str, str] | None = None,
) -> pa.Table:
    """Rows as a table of the schema; absent keys are null, unknown keys are an error of the caller."""
    import pyarrow as pa

    columns = tuple(columns)
    names = {name for name, _, _ in columns}
    for row in rows[:1]:
        if unknown := set(row) - names:
            raise AssertionError(f"columns without a meaning: {sorted(unknown)}")
    target = schema(columns, metadata)
    return pa.table({name: [row.get(name) for row in rows] for name, _, _ in columns}, schema=target)


def with_columns(
    value: pa.Table,
    changed: Mapping[str, Sequence[Any]],
    columns: Iterable[tuple[str, str, str]] = COLUMNS,
    metadata: Mapping[str, str] | None = None,
) -> pa.Table:
    """`value` with some columns new or `changed`, as a table of the schema: others that it lacks are null, those that
    the schema does not have are left out."""
    import pyarrow as pa

    target = schema(columns, metadata)
    have = {name: value[name] for name in value.column_names} | dict(changed)
    none = pa.nulls(len(value))
    return pa.table({name: have.get(name, none) for name in target.names}, schema=target)


def gather(value: pa.Table, rows: Sequence[int] | NDArray[np.int64], at_once: int = 1024) -> Iterator[pa.Table]:
    """The given rows of a table in the given order, `at_once` at a time.

    pyarrow's own `take` lays each column end to end, and fails where its texts are more than 2 GiB.
    """
    import pyarrow as pa

    batches = value.combine_chunks().to_batches()  # one, but for such a column
    ends = np.cumsum([len(batch) for batch in batches])
    for start in range(0, len(rows), at_once):
        some = np.asarray(rows[start : start + at_once], np.int64)
        within = np.searchsorted(ends, some, side="right")
        parts = [batches[k].take(pa.array(some[within == k] - (ends[k] - len(batches[k])))) for k in np.unique(within)]
        yield pa.Table.from_batches(parts).take(np.argsort(np.argsort(within, kind="stable")))


def manifest_metadata(salt_fingerprint: str) -> dict[str, str]:
    """File-level metadata: schema and openus version, and which HMAC key hashed the patients."""
    return {"openus": __version__, "openus.schema": SCHEMA_VERSION, "openus.salt": salt_fingerprint}


def write(value: pa.Table, path: Path) -> None:
    """A table as Parquet, atomically, in bytes that depend on the table alone."""
    import pyarrow.parquet as pq

    with atomic(path) as file:
        # Pages begin anew with each chunk.
        pq.write_table(value.combine_chunks(), file, compression="zstd", row_group_size=64_000, store_schema=True)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file, or a folder of them, as one table. Raises CorpusError naming what is wrong."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise CorpusError(f"{path} is not there.", "Name the manifest.parquet of a finished build.")
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise CorpusError(f"{path} is no readable manifest: {error}.", "Build the corpus again.") from error


def salt_of(value: pa.Table) -> str | None:
    """Fingerprint of the HMAC key that hashed the patients of own archives in this manifest."""
    found = (value.schema.metadata or {}).get(b"openus.salt")
    return found.decode() if found else None
