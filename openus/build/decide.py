"""decide: from staged tables to one verdict per frame. Table work; of pixels only the thumbnails.

Order of the rules, each of which leaves a reason: held-out patients and relations (`leakage`) · `blank`, other quality
· in-clip selection · matches, among which `leakage` goes before all else. Held-out frames are never dropped: there
everything is a flag.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openus import manifest, relations
from openus.build import held_out
from openus.build.curate import Curated, curated
from openus.build.load import DECIDED, VERDICT, Row, load
from openus.data import Progress, silent
from openus.dedup import cluster, search
from openus.errors import CorpusError
from openus.params import Params
from openus.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decisions:
    """What `decide` found: rows for the manifest, rows of rejected.parquet, counts per source."""

    table: pa.Table
    """Columns `load.DECIDED`, sorted by key."""
    rejected: pa.Table
    sources: dict[str, dict[str, Any]]


def decide(
    chosen: Sequence[Source],
    staging: Path,
    parameters: Params,
    adjudicated: Mapping[frozenset[str], bool] | None = None,
    progress: Progress = silent,
) -> Decisions:
    """Decide on every staged frame of the `chosen` sources.

    Args:
        chosen: the sources, each curated into `staging` before under the same HMAC key.
        staging: the staging folder.
        parameters: of the build.
        adjudicated: a person's word on pairs of keys (True same, False different); it goes before the measured one.
        progress: told of pairs compared.

    Raises:
        CorpusError: staging lacks a source, or was made under different HMAC keys.
    """
    stats = {source.card.slug: _curated(staging, source.card.slug) for source in chosen}
    salts = {one.salt for one in stats.values() if one.salt}
    if len(salts) > 1:
        raise CorpusError(
            "The own archives were curated under different OPENUS_SALT keys.", "Curate them again under one."
        )
    staged = load(chosen, staging, parameters)
    rows, rejected = staged.rows, staged.rejected
    _check_labels(chosen, staged.facts)
    if parameters.leakage.drop:
        held_out.drop_related(rows)
    _rule_out(rows)
    _match(rows, staged.thumbs, parameters, _adjudications(adjudicated, rows), progress)
    _follow_clips(rows)
    rejected.sort(key=lambda row: (row["source"], row["path"], row["frame_index"] or 0, row["message"]))
    return Decisions(
        table=_decided(staged.facts, rows, manifest.manifest_metadata(next(iter(salts), ""))),
        rejected=manifest.table(rejected, manifest.REJECTED),
        sources=_count(stats, rows, rejected),
    )


def _decided(facts: pa.Table, rows: Sequence[Row], metadata: Mapping[str, str]) -> pa.Table:
    """The staged facts with the verdicts."""
    verdicts: dict[str, list[str | None]] = {
        "status": ["kept" if row.drop_reason is None else "dropped" for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in VERDICT if name != "status"},
    }
    return manifest.with_columns(facts, verdicts, DECIDED, metadata)


def _check_labels(chosen: Sequence[Source], facts: pa.Table) -> None:
    """Warn of a published benchmark whose tables were not brought along: evaluation would be the first to tell."""
    import pyarrow.compute as pc

    seen = set(facts["source"].unique().to_pylist())
    labelled = set(facts["source"].filter(pc.is_valid(facts["label"])).unique().to_pylist())
    for card in (source.card for source in chosen):
        if card.role == "held-out" and not relations.is_own(card.slug) and card.slug in seen - labelled:
            log.warning("%s: no picture has a label; the tables of its download are not where they were.", card.slug)


def _curated(staging: Path, slug: str) -> Curated:
    try:
        return curated(staging, slug)
    except OSError as error:
        raise CorpusError(f"{staging} holds nothing of {slug}.", "Curate it first.") from error


def _rule_out(rows: list[Row]) -> None:
    """Give pretrain rows that have none the reasons that need no matching: quality and selection."""
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.role == "held-out" or row.drop_reason is not None:
            continue
        if row.quality is not None:
            row.drop_reason = "blank" if row.quality == "blank" else "quality"
        elif row.selection != "keep":
            row.drop_reason = row.selection
        else:  # a clip that runs in a loop comes back to a frame that it has shown
            shown = first.setdefault((row.file, row.pixel_sha256), row.position)
            if shown != row.position:
                row.drop_reason, row.repeats = "redundant-frame", shown


def _match(
    rows: list[Row],
    thumbs: NDArray[np.uint8],
    parameters: Params,
    verdicts: Mapping[tuple[int, int], bool],
    progress: Progress,
) -> None:
    """Find matches among all but blank frames, which link nobody; set clusters, leakage and duplicates.

    Frames that selection dropped are searched too: a picture cut from a clip is then linked to its clip.
    """
    matches = cluster.adjudicate(
        _found(rows, thumbs, parameters, progress),
        [pair for pair, same in verdicts.items() if same],
        [pair for pair, same in verdicts.items() if not same],
    )
    pairs = [(match.i, match.j) for match in matches]
    _set_clusters(rows, pairs)
    if parameters.leakage.drop:
        held_out.drop_matched(rows, pairs)
    open_rows = [
        n
        for n, row in enumerate(rows)
        if row.quality != "blank" and (row.role == "held-out" or row.drop_reason is None)
    ]
    place = {number: at for at, number in enumerate(open_rows)}
    rank = {number: order for order, number in enumerate(sorted(open_rows, key=lambda n: _rank(rows[n])))}
    decisions = cluster.decide(
        [rank[n] for n in open_rows],
        [replace(m, i=place[m.i], j=place[m.j]) for m in matches if m.i in place and m.j in place],
        [rows[n].role == "held-out" for n in open_rows],
        drop_leakage=parameters.leakage.drop,
    )
    for number, decision in zip(open_rows, decisions, strict=True):
        if decision.reason is not None and decision.duplicate_of is not None:
            rows[number].drop_reason = decision.reason
            rows[number].duplicate_of = rows[open_rows[decision.duplicate_of]].key


def _found(
    rows: list[Row], thumbs: NDArray[np.uint8], parameters: Params, progress: Progress
) -> Iterator[search.Match]:
    """Matches between row numbers: all with all, and then pretrain with held-out for itself.

    A search aligns a picture with its nearest few only, and among many look-alikes of pre-training a held-out one may
    not be of them. Asked for alone, as the gate does, it cannot be crowded out. Thumbnails that are not to be found
    are blacked out in place, which costs no second copy of the others: nothing is like a picture without structure.
    """
    numbers: dict[str, int] = {}
    group = np.array([numbers.setdefault(row.file, len(numbers)) for row in rows], np.int64)
    sha = [row.pixel_sha256 for row in rows]

    def hide(some: list[int]) -> None:
        thumbs[some] = 0
        for n in some:
            sha[n] = ""

    hide([n for n, row in enumerate(rows) if row.quality == "blank"])
    everything = search.Fingerprints(thumbs, sha, group)
    yield from search.matches(everything, None, parameters.dedup, progress)
    theirs = [n for n, row in enumerate(rows) if row.role == "held-out"]
    if 0 < len(theirs) < len(rows):
        held = everything.take(theirs)
        hide(theirs)
        for match in search.matches(everything, held, parameters.dedup, progress):
            yield replace(match, j=theirs[match.j])


def _rank(row: Row) -> tuple[bool, int, int, str]:
    """What is kept of two alike: held-out, then larger, then freer licence, then smaller key."""
    strictness = sum({True: 0, None: 1, False: 2}[value] for value in (row.redistribution, row.commercial_use))
    return row.role != "held-out", -row.orig_width * row.orig_height, strictness, row.key


def _set_clusters(rows: list[Row], pairs: list[tuple[int, int]]) -> None:
    """Name each component of matches and in-clip repetitions after its smallest key; rows are sorted by key."""
    repeating = {row.file for row in rows if row.repeats is not None}
    at = {(row.file, row.position): number for number, row in enumerate(rows) if row.file in repeating}
    repeated = [(n, at[row.file, row.repeats]) for n, row in enumerate(rows) if row.repeats is not None]
    roots = cluster.components(len(rows), [*pairs, *repeated]).tolist()
    sizes = Counter(roots)
    for row, root in zip(rows, roots, strict=True):
        row.cluster = rows[root].key if sizes[root] > 1 else None


def _follow_clips(rows: list[Row]) -> None:
    """Let `duplicate_of` of a redundant frame name the kept frame that stands for the one it repeats."""
    repeating = {row.file for row in rows if row.repeats is not None}
    at = {(row.file, row.position): row for row in rows if row.file in repeating}
    for file, position in sorted(at):  # as they were read: what a frame repeats came before it
        row = at[file, position]
        if row.drop_reason == "redundant-frame" and row.repeats is not None:
            repeated = at[file, row.repeats]
            row.duplicate_of = repeated.key if repeated.drop_reason is None else repeated.duplicate_of


def _adjudications(adjudicated: Mapping[frozenset[str], bool] | None, rows: list[Row]) -> dict[tuple[int, int], bool]:
    """A person's word on pairs, as row numbers. Pairs of which one is not in this build say nothing here."""
    at = {row.key: number for number, row in enumerate(rows)} if adjudicated else {}
    found = {}
    for pair, same in (adjudicated or {}).items():
        keys = sorted(pair)
        if len(keys) == 2 and all(name in at for name in keys):
            found[at[keys[0]], at[keys[1]]] = same
    return found


def _count(stats: Mapping[str, Curated], rows: list[Row], rejected: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Counts per source, as build.json shows them. They must add up; `write_summary` checks that they do."""
    kept: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    local_only: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    dropped: dict[str, Counter[str]] = {slug: Counter() for slug in stats}
    for row in rows:
        seen[row.source] += 1
        if row.drop_reason is None:
            kept[row.source] += 1
            forbidden = row.redistribution is False or row.derivatives is False
            local_only[row.source] += forbidden
            unknown[row.source] += row.redistribution is None and not forbidden
        else:
            dropped[row.source][row.drop_reason] += 1
    refused = Counter(row["source"] for row in rejected)
    return {
        slug: {
            "seen": seen[slug] + refused[slug],
            "kept": kept[slug],
            "local_only": local_only[slug],
            "terms_unknown": unknown[slug],
            "dropped": dict(sorted(dropped[slug].items())),
            "rejected": refused[slug],
            "files": {
                "taken": one.files_taken,
                "ignored": one.files_ignored,
                "rejected": one.files_rejected,
            },
        }
        for slug, one in stats.items()
    }
