"""pack: from decisions to OUT. Bytes are copied from staging, never encoded again; the order is a seeded shuffle."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openus import manifest
from openus.build.curate import Progress
from openus.build.decide import Decisions
from openus.build.identity import is_own
from openus.errors import CorpusError, UsageError
from openus.params import ShardParams
from openus.shards.write import Address, Sample, write_shards

ROLES = ("held-out", "pretrain")
ASIDE = ".openus.part"
"""Folder in OUT where a corpus is written before it takes its place."""

NOT_IN_SAMPLE = frozenset(
    "status drop_reason duplicate_of cluster shard offset size sha256 phash pixel_sha256 quality raw_path raw_member "
    "masks staged_tar staged_offset staged_size extension".split()
)
"""Columns that a sample's JSON leaves to the manifest; paths are added for published sources."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written."""

    shards: int
    samples: int
    picture_bytes: int
    shard_bytes: int


def pack(
    decisions: Decisions,
    staging: Path,
    out: Path,
    seed: int,
    shards: ShardParams,
    progress: Progress | None = None,
) -> Packed:
    """Write `out/shards/`, `out/manifest.parquet` and `out/rejected.parquet` from decided rows.

    The order within a role is a function of `seed` and the keys, so a sample does not move because others came or
    went. Shards are written aside and take their place together; the manifest, which vouches for them, comes last.

    Raises CorpusError when staging lacks bytes that a decision points to.
    """
    rows = decisions.table.to_pylist()
    aside = out / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    folder = aside / "shards"
    folder.mkdir(parents=True)
    addresses: dict[str, Address] = {}
    try:
        for role in ROLES:
            kept = [row for row in rows if row["status"] == "kept" and row["role"] == role]
            kept.sort(key=lambda row: shuffled(seed, row["key"]))
            before = len(addresses)
            for address in write_shards(
                _samples(kept, staging), folder, role, max_samples=shards.max_samples, max_bytes=shards.max_bytes
            ):
                addresses[address.key] = address
                if progress:
                    progress(f"packing {role}", len(addresses) - before, len(kept))
        written = sorted(folder.glob("*.tar"))
        shard_bytes = sum(path.stat().st_size for path in written)
        for row in rows:
            if found := addresses.get(row["key"]):
                row |= {"shard": found.shard, "offset": found.offset, "size": found.size}
            for name in ("staged_tar", "staged_offset", "staged_size", "extension"):
                del row[name]
        table = manifest.table(rows, manifest.COLUMNS, _text(decisions.table.schema.metadata))
        manifest.write(decisions.rejected, aside / "rejected.parquet")
        manifest.write(table, aside / "manifest.parquet")
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    # Everything is written; what follows renames. Killed here, the folder still shows by ASIDE whose it is.
    (out / "manifest.parquet").unlink(missing_ok=True)
    shutil.rmtree(out / "shards", ignore_errors=True)
    for name in ("shards", "rejected.parquet", "manifest.parquet"):
        (aside / name).rename(out / name)
    aside.rmdir()
    return Packed(len(written), len(addresses), sum(a.size for a in addresses.values()), shard_bytes)


def shuffled(seed: int, key: str) -> bytes:
    """Sort key of the shuffle."""
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def claim(out: Path) -> None:
    """Make `out` ready to take a corpus. Raises UsageError when it is somebody else's folder."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file.", "Name a folder for the corpus.")
    ours = (out / "build.json").exists() or (out / "manifest.parquet").exists() or (out / ASIDE).exists()
    if (out / "shards").exists() and not ours:
        raise UsageError(f"{out} holds a folder `shards` that openus did not make.", "Name another folder.")
    out.mkdir(parents=True, exist_ok=True)


def sample_meta(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON beside a picture says: who, what, whence and under which terms; no path of an own archive."""
    meta = {name: value for name, value in row.items() if name not in NOT_IN_SAMPLE}
    if not is_own(row["source"]):
        meta |= {name: row[name] for name in ("raw_path", "raw_member", "masks")}
    return meta


def _samples(rows: list[dict[str, Any]], staging: Path) -> Iterator[Sample]:
    """The samples in the order of `rows`, with their bytes out of staging."""
    open_files: dict[str, Any] = {}
    try:
        for row in rows:
            name = row["staged_tar"]
            if name is None:
                raise CorpusError(f"{row['key']} was kept but never encoded.", "Build again with a fresh --staging.")
            if name not in open_files:
                open_files[name] = (staging / name).open("rb")
            file = open_files[name]
            file.seek(row["staged_offset"])
            picture = file.read(row["staged_size"])
            if hashlib.sha256(picture).hexdigest() != row["sha256"]:
                raise CorpusError(f"{name} in staging is damaged at {row['key']}.", "Delete that source's staging.")
            yield Sample(row["key"], row["extension"], picture, sample_meta(row))
    except OSError as error:
        raise CorpusError(f"Staging cannot be read: {error}.", "Build again with a fresh --staging.") from error
    finally:
        for file in open_files.values():
            file.close()


def _text(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items() if key != b"ARROW:schema"}
