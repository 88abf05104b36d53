"""A verdict of the gate that was written down, held against the corpus that somebody wants to train on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openus import manifest
from openus.errors import CorpusError, UsageError
from openus.params import DedupParams
from openus.shards.read import digest, pictures_digest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a passed gate proves: these pictures of this corpus show nothing of those sources' pictures."""

    digest: str
    pretrain: int
    held_out: int
    held_out_sources: Mapping[str, str]
    """Slug -> digest of the pictures that were compared: more or other pictures of that name are not proven absent."""
    overruled: int
    """Look-alikes that a person judged to be different pictures."""


def admit(corpus: Path, verdict: Path) -> Verdict:
    """The verdict, when it lets `corpus` through: it is of this corpus, byte by byte, and found nothing.

    Args:
        corpus: folder of a finished build.
        verdict: what `openus check-leakage --pretrain CORPUS --held-out … --json` printed.

    Raises:
        UsageError: there is no such file, or it is no verdict.
        CorpusError: the gate found leaks, looked less closely than by default, left out what the corpus holds out, or
            read another corpus than this.
    """
    how = f"Run: openus check-leakage --pretrain {corpus} --held-out {corpus} --json > {verdict}"
    if not (corpus / "manifest.parquet").is_file():
        raise CorpusError(f"{corpus} holds no manifest.parquet.", "Name the folder of a finished build.")
    try:
        said: dict[str, Any] = json.loads(verdict.read_text(encoding="utf-8"))
        rules = Counter(str(leak["rule"]) for leak in said["leaks"])
        params = DedupParams(**said["params"])
        compared = said["compared"]
        found = Verdict(
            digest=str(compared["pretrain"]["digest"]),
            pretrain=int(said["pretrain"]),
            held_out=int(said["held_out"]),
            held_out_sources=dict(compared["held_out"]["sources"]),
            overruled=len(said["overruled"]),
        )
        passed = said["ok"] is True and not rules
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The leakage gate has left no verdict at {verdict}: {reason}.", how) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{verdict} is no verdict of the leakage gate.", how) from error
    if not passed:
        each = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items()))
        raise CorpusError(
            f"The leakage gate has not passed: {rules.total()} findings ({each}) stand in {verdict}.",
            "Build again with leakage.drop on, and run the gate again.",
        )
    if _laxer(params, DedupParams()):
        raise CorpusError(f"The gate of {verdict} looked less closely than it does by default: {params}.", how)
    if found.held_out == 0:
        raise CorpusError(f"The gate of {verdict} compared with no held-out picture: it proves nothing.", how)
    if found.digest != digest(corpus):
        raise CorpusError(f"The gate of {verdict} read another corpus than {corpus} is now.", how)
    for slug, pictures in held_out_sources(corpus).items():
        if found.held_out_sources.get(slug) != pictures:
            raise CorpusError(f"{corpus} holds out {slug}, but the gate of {verdict} did not compare with it.", how)
    return found


def held_out_sources(corpus: Path) -> dict[str, str]:
    """Slug -> digest of its kept pictures, of each source that the manifest holds out."""
    rows = manifest.read(corpus / "manifest.parquet", ["key", "source", "role", "status", "sha256"]).to_pylist()
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        if row["role"] == "held-out" and row["status"] == "kept":
            found.setdefault(row["source"], []).append((row["key"], row["sha256"]))
    return {slug: pictures_digest(found[slug]) for slug in sorted(found)}


def _laxer(params: DedupParams, default: DedupParams) -> bool:
    """True when pairs that the default finds may go unseen."""
    return (
        not params.near
        or params.candidate > default.candidate
        or params.neighbours < default.neighbours
        or params.verdict > default.verdict
    )
