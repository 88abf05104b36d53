"""Re-reading a corpus against its manifest: nothing missing, nothing extra, nothing altered, everything decodes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openus import manifest
from openus.data import Progress, silent
from openus.errors import CorpusError
from openus.shards.read import StoredSample, decoded, samples


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; `key` is None for a fault of the whole shard."""

    shard: str
    key: str | None
    error: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found."""

    shards: int
    samples: int
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.faults


def verify(corpus: Path, progress: Progress = silent) -> Verification:
    """Read every shard of `corpus` against `manifest.parquet`: checksums, counts, addresses, decodability.

    Raises CorpusError when there is no readable manifest.
    """
    table = manifest.read(corpus / "manifest.parquet")
    missing = [name for name, _, _ in manifest.COLUMNS if name not in table.column_names]
    if missing:
        raise CorpusError(f"manifest.parquet has no column {missing[0]}.", "Build the corpus again.")
    rows = table.to_pylist()
    faults: list[Fault] = []
    for key, count in sorted(Counter(row["key"] for row in rows).items()):
        if count > 1:
            faults.append(Fault("manifest.parquet", key, f"{count} rows have this key"))
    kept = {row["key"]: row for row in rows if row["status"] == "kept"}
    for row in rows:
        if (row["status"] == "kept") != (row["shard"] is not None):
            faults.append(Fault("manifest.parquet", row["key"], f"status {row['status']} and shard {row['shard']}"))
    expected = {row["shard"] for row in kept.values() if row["shard"]}
    found = {path.relative_to(corpus).as_posix() for path in (corpus / "shards").glob("*.tar")}
    faults += [Fault(name, None, "the manifest names it, but it is not there") for name in sorted(expected - found)]
    faults += [Fault(name, None, "no row of the manifest names it") for name in sorted(found - expected)]
    count = 0
    unseen = {key for key, row in kept.items() if row["shard"] in found}
    both = sorted(expected & found)
    for number, name in enumerate(both, start=1):
        try:
            for sample in samples(corpus / name):
                count += 1
                faults += [Fault(name, sample.key, error) for error in _check(sample, name, kept.get(sample.key))]
                unseen.discard(sample.key)
        except CorpusError as error:
            faults.append(Fault(name, None, error.message))
        progress("shards read", number, len(both))
    faults += [Fault(str(kept[key]["shard"]), key, "the shard does not hold it") for key in sorted(unseen)]
    return Verification(shards=len(found), samples=count, faults=tuple(faults))


def _check(sample: StoredSample, shard: str, row: dict[str, Any] | None) -> list[str]:
    """What is wrong with one stored sample, beside its row."""
    if row is None:
        return ["no kept row of the manifest has this key"]
    errors = []
    if (shard, sample.offset, len(sample.picture)) != (row["shard"], row["offset"], row["size"]):
        errors.append("it does not lie where the manifest says")
    if hashlib.sha256(sample.picture).hexdigest() != row["sha256"]:
        errors.append("the checksum of the picture differs")
    if sample.meta is None:
        errors.append("it has no JSON")
    elif differing := _differing(sample.meta, manifest.sample_meta(row)):
        errors.append(f"its JSON says another {differing} than the manifest")
    picture = decoded(sample.picture)
    if picture is None:
        errors.append("the picture does not decode")
    else:
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        if (picture.shape[1], picture.shape[0], channels) != (row["width"], row["height"], row["channels"]):
            errors.append(f"the picture is {picture.shape[1]} × {picture.shape[0]} × {channels}, not as the row says")
    return errors


def _differing(a: dict[str, Any], b: dict[str, Any]) -> str | None:
    """The first name whose values differ or that only one of them has. Values out of a shard may be of any kind."""
    return next((name for name in sorted(a | b) if name not in a or name not in b or a[name] != b[name]), None)
