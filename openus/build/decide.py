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

from openus import manifest, relations
from openus.build import held_out
from openus.build.curate import Curated, curated, role_of
from openus.build.identity import key, namespaced
from openus.build.staging import ITEMS, Segments
from openus.data import Progress, silent
from openus.dedup import cluster, fingerprint, search
from openus.errors import CorpusError
from openus.params import Params
from openus.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

DECIDED: tuple[tuple[str, str, str], ...] = (
    *manifest.COLUMNS,
    ("staged_tar", "string", "Segment that holds the encoded picture, relative to the staging folder."),
    ("staged_offset", "int64", "Byte offset of the encoded picture in that segment."),
    ("staged_size", "int64", "Bytes of the encoded picture there."),
    ("extension", "string", "jpg or png; null when the frame was not encoded."),
)
"""A decision is a manifest row that still points into staging."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What `decide` found: rows for the manifest, rows of rejected.parquet, counts per source."""

    table: pa.Table
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
    rows: list[dict[str, Any]] = []
    thumbs: list[bytes] = []
    rejected: list[dict[str, Any]] = []
    for source in chosen:
        _load(source, staging, role_of(source, parameters), rows, thumbs, rejected)
    _check_labels(chosen, rows)
    order = sorted(range(len(rows)), key=lambda i: rows[i]["key"])
    rows, thumbs = [rows[i] for i in order], [thumbs[i] for i in order]
    if parameters.leakage.drop:
        held_out.drop_related(rows)
    _rule_out(rows)
    _match(rows, thumbs, parameters, _adjudications(adjudicated, rows), progress)
    _follow_clips(rows)
    for row in rows:
        row["status"] = "kept" if row["drop_reason"] is None else "dropped"
        for name in ("repeats", "selection"):
            del row[name]
    metadata = manifest.manifest_metadata(next(iter(salts), ""))
    rejected.sort(key=lambda row: (row["source"], row["path"], row["frame_index"] or 0, row["message"]))
    return Decisions(
        table=manifest.table(rows, DECIDED, metadata),
        rejected=manifest.table(rejected, manifest.REJECTED),
        sources=_count(stats, rows, rejected),
    )


def _check_labels(chosen: Sequence[Source], rows: Sequence[Mapping[str, Any]]) -> None:
    """Warn of a published benchmark whose tables were not brought along: evaluation would be the first to tell."""
    labelled = Counter(row["source"] for row in rows if row["label"] is not None)
    seen = {row["source"] for row in rows}
    for card in (source.card for source in chosen):
        if card.role == "held-out" and not relations.is_own(card.slug) and card.slug in seen - labelled.keys():
            log.warning("%s: no picture has a label; the tables of its download are not where they were.", card.slug)


def _curated(staging: Path, slug: str) -> Curated:
    try:
        return curated(staging, slug)
    except OSError as error:
        raise CorpusError(f"{staging} holds nothing of {slug}.", "Curate it first.") from error


def _load(
    source: Source,
    staging: Path,
    role: str,
    rows: list[dict[str, Any]],
    thumbs: list[bytes],
    rejected: list[dict[str, Any]],
) -> None:
    """Append the frames and rejections of one source, joined with its items."""
    slug = source.card.slug
    items = manifest.read(staging / slug / "items.parquet").select([name for name, _, _ in ITEMS]).to_pylist()
    by_unit = {item["unit"]: item for item in items if item["unit"] is not None}
    for item in items:
        if item["error"] is not None:
            rejected.append(
                {"source": slug, "path": item["path"], "frame_index": None}
                | {name: item[name] for name in ("stage", "error", "message")}
            )
    for batch in Segments(staging / slug).table(set(by_unit)).to_batches(max_chunksize=8192):
        for frame in batch.to_pylist():
            item = by_unit[frame["unit"]]
            if frame["error"] is not None:
                names = ("frame_index", "stage", "error", "message")
                rejected.append({"source": slug, "path": item["path"]} | {name: frame[name] for name in names})
                continue
            thumbs.append(frame["thumb"])
            rows.append(_row(source, role, item, frame))


_COPIED = (
    "frame_index medium orig_width orig_height width height channels crop_x crop_y crop_w crop_h sector_kind has_text "
    "carries quality pixel_sha256 phash selection extension sha256"
).split()
_OF_ITEM = "masks label view split licence commercial_use redistribution derivatives species subject".split()


def _row(source: Source, role: str, item: Mapping[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
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
        "drop_reason": None,
        "duplicate_of": None,
        "leak_reason": None,
        "cluster": None,
        "repeats": None if frame["repeats"] is None else (frame["unit"], frame["repeats"]),
        **{name: frame[name] for name in _COPIED},
        **{name: item[name] for name in _OF_ITEM},
        "_unit": (frame["unit"], frame["position"]),
    }


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _rule_out(rows: list[dict[str, Any]]) -> None:
    """Give pretrain rows that have none the reasons that need no matching: quality and selection."""
    first: dict[tuple[str, str], tuple[str, int]] = {}
    for row in rows:
        if row["role"] == "held-out" or row["drop_reason"] is not None:
            continue
        if row["quality"] is not None:
            row["drop_reason"] = "blank" if row["quality"] == "blank" else "quality"
        elif row["selection"] != "keep":
            row["drop_reason"] = row["selection"]
        else:  # a clip that runs in a loop comes back to a frame that it has shown
            shown = first.setdefault((row["_unit"][0], row["pixel_sha256"]), row["_unit"])
            if shown != row["_unit"]:
                row["drop_reason"], row["repeats"] = "redundant-frame", shown


def _match(
    rows: list[dict[str, Any]],
    thumbs: list[bytes],
    parameters: Params,
    verdicts: Mapping[tuple[int, int], bool],
    progress: Progress,
) -> None:
    """Find matches among all but blank frames, which link nobody; set clusters, leakage and duplicates.

    Frames that selection dropped are searched too: a picture cut from a clip is then linked to its clip.
    """
    seen = [number for number, row in enumerate(rows) if row["quality"] != "blank"]
    matches = cluster.adjudicate(
        _found(rows, thumbs, seen, parameters, progress),
        [pair for pair, same in verdicts.items() if same],
        [pair for pair, same in verdicts.items() if not same],
    )
    pairs = [(match.i, match.j) for match in matches]
    _set_clusters(rows, pairs)
    if parameters.leakage.drop:
        held_out.drop_matched(rows, pairs)
    open_rows = [n for n in seen if rows[n]["role"] == "held-out" or rows[n]["drop_reason"] is None]
    place = {number: at for at, number in enumerate(open_rows)}
    rank = {number: order for order, number in enumerate(sorted(open_rows, key=lambda n: _rank(rows[n])))}
    decisions = cluster.decide(
        [rank[n] for n in open_rows],
        [replace(m, i=place[m.i], j=place[m.j]) for m in matches if m.i in place and m.j in place],
        [rows[n]["role"] == "held-out" for n in open_rows],
        drop_leakage=parameters.leakage.drop,
    )
    for number, decision in zip(open_rows, decisions, strict=True):
        if decision.reason is not None and decision.duplicate_of is not None:
            rows[number]["drop_reason"] = decision.reason
            rows[number]["duplicate_of"] = rows[open_rows[decision.duplicate_of]]["key"]


def _found(
    rows: list[dict[str, Any]], thumbs: list[bytes], seen: list[int], parameters: Params, progress: Progress
) -> Iterator[search.Match]:
    """Matches between row numbers: all with all, and then pretrain with held-out for itself.

    A search aligns a picture with its nearest few only, and among many look-alikes of pre-training a held-out one may
    not be of them. Asked for alone, as the gate does, it cannot be crowded out.
    """

    def prints(part: list[int]) -> search.Fingerprints:
        return _prints([rows[n] for n in part], [thumbs[n] for n in part])

    for match in search.matches(prints(seen), None, parameters.dedup, progress):
        yield replace(match, i=seen[match.i], j=seen[match.j])
    mine = [n for n in seen if rows[n]["role"] != "held-out"]
    theirs = [n for n in seen if rows[n]["role"] == "held-out"]
    if mine and theirs:
        for match in search.matches(prints(mine), prints(theirs), parameters.dedup, progress):
            yield replace(match, i=mine[match.i], j=theirs[match.j])


def _prints(rows: list[dict[str, Any]], thumbs: list[bytes]) -> search.Fingerprints:
    groups: dict[tuple[str, str], int] = {}
    side = fingerprint.THUMB_SIDE
    return search.Fingerprints(
        thumbs=np.frombuffer(b"".join(thumbs), np.uint8).reshape(len(rows), side, side),
        sha=[row["pixel_sha256"] for row in rows],
        group=np.array([groups.setdefault((row["source"], row["_unit"][0]), len(groups)) for row in rows], np.int64),
    )


def _rank(row: Mapping[str, Any]) -> tuple[bool, int, int, str]:
    """What is kept of two alike: held-out, then larger, then freer licence, then smaller key."""
    terms = (row["redistribution"], row["commercial_use"])
    strictness = sum({True: 0, None: 1, False: 2}[value] for value in terms)
    return row["role"] != "held-out", -row["orig_width"] * row["orig_height"], strictness, row["key"]


def _set_clusters(rows: list[dict[str, Any]], pairs: list[tuple[int, int]]) -> None:
    """Name each component of matches and in-clip repetitions after its smallest key; rows are sorted by key."""
    at = {row["_unit"]: number for number, row in enumerate(rows)}
    repeated = [(n, at[row["repeats"]]) for n, row in enumerate(rows) if row["repeats"] is not None]
    roots = cluster.components(len(rows), [*pairs, *repeated]).tolist()
    sizes = Counter(roots)
    for row, root in zip(rows, roots, strict=True):
        row["cluster"] = rows[root]["key"] if sizes[root] > 1 else None


def _follow_clips(rows: list[dict[str, Any]]) -> None:
    """Let `duplicate_of` of a redundant frame name the kept frame that stands for the one it repeats."""
    at = {row["_unit"]: row for row in rows}
    for unit in sorted(at):  # as they were read: what a frame repeats came before it
        row = at[unit]
        if row["drop_reason"] == "redundant-frame" and row["repeats"] is not None:
            repeated = at[row["repeats"]]
            row["duplicate_of"] = repeated["key"] if repeated["drop_reason"] is None else repeated["duplicate_of"]
    for row in rows:
        del row["_unit"]


def _adjudications(
    adjudicated: Mapping[frozenset[str], bool] | None, rows: list[dict[str, Any]]
) -> dict[tuple[int, int], bool]:
    """A person's word on pairs, as row numbers. Pairs of which one is not in this build say nothing here."""
    at = {row["key"]: number for number, row in enumerate(rows)} if adjudicated else {}
    found = {}
    for pair, same in (adjudicated or {}).items():
        keys = sorted(pair)
        if len(keys) == 2 and all(name in at for name in keys):
            found[at[keys[0]], at[keys[1]]] = same
    return found


def _count(
    stats: Mapping[str, Curated], rows: list[dict[str, Any]], rejected: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Counts per source, as build.json shows them. They must add up; `write_summary` checks that they do."""
    kept: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    local_only: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    dropped: dict[str, Counter[str]] = {slug: Counter() for slug in stats}
    for row in rows:
        seen[row["source"]] += 1
        if row["drop_reason"] is None:
            kept[row["source"]] += 1
            forbidden = row["redistribution"] is False or row["derivatives"] is False
            local_only[row["source"]] += forbidden
            unknown[row["source"]] += row["redistribution"] is None and not forbidden
        else:
            dropped[row["source"]][row["drop_reason"]] += 1
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
