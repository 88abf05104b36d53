"""pack: from decisions to OUT. Bytes are copied from staging, never encoded again; the order is a seeded shuffle."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openus import manifest
from openus.build.decide import Decisions
from openus.data import Progress, silent
from openus.errors import CorpusError, UsageError
from openus.params import ShardParams
from openus.shards.write import Address, Sample, write_shards

if TYPE_CHECKING:
    import pyarrow as pa

ROLES = ("held-out", "pretrain")
ASIDE = ".openus.part"
"""Folder in OUT where a corpus is written before it takes its place."""

OPEN_FILES = 64
"""Segments open at once; a large staging has more than a process may open."""


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
    progress: Progress = silent,
) -> Packed:
    """Write `out/shards/`, `out/manifest.parquet` and `out/rejected.parquet` from decided rows.

    The order within a role is a function of `seed` and the keys, so a sample does not move because others came or
    went. Shards are written aside and take their place together; the manifest, which vouches for them, comes last.
    build.json goes: `write_summary` writes that of the new corpus.

    Raises CorpusError when staging lacks bytes that a decision points to.
    """
    table = decisions.table.combine_chunks()
    aside = out / ASIDE
    if aside.exists() and not _is_corpus(out):  # killed among the renames below: ASIDE alone says whose the shards are
        shutil.rmtree(out / "shards", ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)
    folder = aside / "shards"
    folder.mkdir(parents=True)
    addresses: dict[str, Address] = {}
    try:
        for role in ROLES:
            kept = _kept(table, role, seed)
            before = len(addresses)
            for address in write_shards(
                _samples((row for some in manifest.gather(table, kept) for row in some.to_pylist()), staging),
                folder,
                role,
                max_samples=shards.max_samples,
                max_bytes=shards.max_bytes,
            ):
                addresses[address.key] = address
                progress(f"packing {role}", len(addresses) - before, len(kept))
        written = sorted(folder.glob("*.tar"))
        shard_bytes = sum(path.stat().st_size for path in written)
        manifest.write(decisions.rejected, aside / "rejected.parquet")
        manifest.write(_addressed(table, addresses), aside / "manifest.parquet")
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    # Everything is written; what follows renames. Killed here, the folder still shows by ASIDE whose it is.
    for name in ("manifest.parquet", "build.json"):  # which is of the old corpus, and written anew after this
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "shards", ignore_errors=True)
    for name in ("shards", "rejected.parquet", "manifest.parquet"):
        (aside / name).rename(out / name)
    aside.rmdir()
    return Packed(len(written), len(addresses), sum(a.size for a in addresses.values()), shard_bytes)


def _kept(table: pa.Table, role: str, seed: int) -> list[int]:
    """Row numbers of what is kept for a role, in the order of its shards."""
    columns = (table[name].to_pylist() for name in ("status", "role", "key"))
    kept = [(shuffled(seed, key), n) for n, (status, of, key) in enumerate(zip(*columns, strict=True))
            if status == "kept" and of == role]  # fmt: skip
    return [n for _, n in sorted(kept)]


def _addressed(table: pa.Table, addresses: Mapping[str, Address]) -> pa.Table:
    """The manifest: decisions with the address of what was kept."""
    found = [addresses.get(key) for key in table["key"].to_pylist()]
    where = {name: [one and getattr(one, name) for one in found] for name in ("shard", "offset", "size")}
    return manifest.with_columns(table, where, metadata=_text(table.schema.metadata))


def shuffled(seed: int, key: str) -> bytes:
    """Sort key of the shuffle."""
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def claim(out: Path) -> None:
    """Make `out` ready to take a corpus. Raises UsageError when it is somebody else's folder, or cannot be one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):  # told now, not after the last frame
            pass
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or error}.", "Name a folder that can be written.") from error
    shards = out / "shards"
    if shards.is_symlink() or (out / "manifest.parquet").is_dir():
        raise UsageError(f"{out}: its shards or manifest are not as a build leaves them.", "Move them or name another.")
    if shards.exists() and not (out / ASIDE).exists() and not _is_corpus(out):
        raise UsageError(f"{out} holds a folder `shards` that openus did not make.", "Name another folder.")


def _is_corpus(out: Path) -> bool:
    """True when a manifest or build.json of ours lies in `out`."""
    try:
        if "openus.schema" in _text(manifest.read(out / "manifest.parquet", []).schema.metadata):
            return True
    except CorpusError:
        pass
    try:
        return {"version", "salt", "sources"} <= set(json.loads((out / "build.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return False


def _samples(rows: Iterable[dict[str, Any]], staging: Path) -> Iterator[Sample]:
    """The samples in the order of `rows`, with their bytes out of staging."""
    open_files: dict[str, Any] = {}
    try:
        for row in rows:
            name = row["staged_tar"]
            if name is None:
                raise CorpusError(f"{row['key']} was kept but never encoded.", "Build again with a fresh --staging.")
            if name not in open_files:
                if len(open_files) == OPEN_FILES:
                    open_files.pop(next(iter(open_files))).close()
                open_files[name] = (staging / name).open("rb")
            file = open_files[name]
            file.seek(row["staged_offset"])
            picture = file.read(row["staged_size"])
            if hashlib.sha256(picture).hexdigest() != row["sha256"]:
                raise CorpusError(f"{name} in staging is damaged at {row['key']}.", "Delete that source's staging.")
            yield Sample(row["key"], row["extension"], picture, manifest.sample_meta(row))
    except OSError as error:
        raise CorpusError(f"Staging cannot be read: {error}.", "Build again with a fresh --staging.") from error
    finally:
        for file in open_files.values():
            file.close()


def _text(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items() if key != b"ARROW:schema"}
