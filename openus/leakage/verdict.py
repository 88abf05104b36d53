"""A verdict of the gate that was written down, held against the corpus that somebody wants to train on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openus.errors import CorpusError, UsageError
from openus.shards.read import digest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a passed gate proves: these pictures of this corpus show nothing of those sources' pictures."""

    digest: str
    pretrain: int
    held_out: int
    held_out_sources: Mapping[str, str]
    """Slug -> digest of the pictures that were compared: more or other pictures of that name are not proven absent."""


def admit(corpus: Path, verdict: Path) -> Verdict:
    """The verdict, when it lets `corpus` through: it is of this corpus, byte by byte, and found nothing.

    Args:
        corpus: folder of a finished build.
        verdict: what `openus check-leakage --pretrain CORPUS --held-out … --json` printed.

    Raises:
        UsageError: there is no such file, or it is no verdict.
        CorpusError: the gate found leaks, compared with nothing, or read another corpus than this.
    """
    how = f"Run: openus check-leakage --pretrain {corpus} --held-out {corpus} --json > {verdict}"
    try:
        said: dict[str, Any] = json.loads(verdict.read_text(encoding="utf-8"))
        ok, leaks, compared = said["ok"], said["leaks"], said["compared"]
        pretrain, held_out = int(said["pretrain"]), int(said["held_out"])
        read, sources = compared["pretrain"]["digest"], dict(compared["held_out"]["sources"])
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The leakage gate has left no verdict at {verdict}: {reason}.", how) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{verdict} is no verdict of the leakage gate.", how) from error
    if not ok or leaks:
        rules = ", ".join(f"{count} {rule}" for rule, count in sorted(Counter(leak["rule"] for leak in leaks).items()))
        raise CorpusError(
            f"The leakage gate has not passed: {len(leaks)} findings ({rules}) stand in {verdict}.",
            "Build again with leakage.drop on, and run the gate again.",
        )
    if held_out == 0:
        raise CorpusError(f"The gate of {verdict} compared with no held-out picture: it proves nothing.", how)
    if read is None or read != digest(corpus):
        raise CorpusError(f"The gate of {verdict} read another corpus than {corpus} is now.", how)
    return Verdict(read, pretrain, held_out, sources)
