"""Matching pairs among fingerprints, streamed: no n x n table, memory bounded, the same pairs everywhere.

Two stages. **Candidates**: each thumbnail has a coarse descriptor (`describe`). A picture is also looked for as it
would be when cropped at its sides and mirrored, so the descriptors of its windows are compared with everybody's plain
one by a matrix product. Descriptors are small whole numbers, so products are exact whatever the processor and the
block size. **Verdict**: candidates are laid on each other (`align`) and are one picture when their local structure
agrees.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openus.dedup import align
from openus.dedup.candidates import build_index, look_up
from openus.dedup.describe import Window, describe, product_of, windows
from openus.params import DedupParams

_PAIRS = 128
"""Candidate pairs aligned at once."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Fingerprints of n pictures as columns.

    phash: uint64 (n,) · thumbs: uint8 (n, 64, 64), may be memory-mapped · sha: n hex strings (`pixel_sha256`) ·
    group: int64 (n,), the file that a frame comes from: a self-join looks for no pair inside a group. Negative: a group
    of its own. A cross-join pays no heed to groups, which two tables number each for itself.
    """

    phash: NDArray[np.uint64]
    thumbs: NDArray[np.uint8]
    sha: Sequence[str]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.thumbs)


@dataclass(frozen=True, slots=True)
class Match:
    """Row i of the first table and row j of the second show one picture (in a self-join i < j).

    score: correlation of the aligned local structures, 0 to 1, in thousandths; 1 for equal pixels.
    """

    i: int
    j: int
    score: float
    kind: Literal["exact", "near"]


def matches(a: Fingerprints, b: Fingerprints | None, params: DedupParams) -> Iterator[Match]:
    """Pairs of `a` x `b`, or of `a` with itself when `b` is None, that show one picture, sorted by (i, j).

    A picture without structure (blank, one gray) matches nothing. Which pairs come does not depend on the order of the
    rows. Memory: some 20 bytes a candidate pair, at most `params.neighbours` of them a row (and ties), beside the
    descriptors, 256 bytes a row.
    """
    exact = sorted(_exact(a, b))
    equal = [Match(i, j, 1.0, "exact") for i, j in exact]
    if not params.near:
        yield from equal
        return
    known = set(exact)
    near = (Match(i, j, score, "near") for i, j, score in _near(a, b, params) if (i, j) not in known)
    yield from heapq.merge(equal, near, key=lambda match: (match.i, match.j))


def _exact(a: Fingerprints, b: Fingerprints | None) -> Iterator[tuple[int, int]]:
    """Pairs with equal pixels, outside their group, that have structure."""
    stored = a if b is None else b
    rows: dict[str, list[int]] = defaultdict(list)
    for j, sha in enumerate(stored.sha):
        rows[sha].append(j)
    for i, sha in enumerate(a.sha):
        others = [j for j in rows.get(sha, ()) if b is not None or (j > i and not 0 <= a.group[i] == a.group[j])]
        if others and describe(a.thumbs[i : i + 1], windows()[:1]).any():
            yield from ((i, j) for j in others)


def _near(a: Fingerprints, b: Fingerprints | None, params: DedupParams) -> Iterator[tuple[int, int, float]]:
    """(i, j, score) of pairs whose aligned structure reaches the verdict, sorted."""
    every = windows()
    found = _candidates(a, b, every, params)
    stored = a if b is None else b
    fresh = np.ones(len(found.i), dtype=bool)
    fresh[1:] = (found.i[1:] != found.i[:-1]) | (found.j[1:] != found.j[:-1])
    begins = np.append(np.flatnonzero(fresh), len(found.i))
    for first in range(0, len(begins) - 1, _PAIRS):
        bounds = begins[first : first + _PAIRS + 1]
        scores = _scores(a, stored, found, slice(int(bounds[0]), int(bounds[-1])), every)
        best = np.maximum.reduceat(scores, bounds[:-1] - bounds[0])
        for at, score in zip(bounds[:-1].tolist(), best.astype(np.float64).round(3).tolist(), strict=True):
            if score >= params.verdict:
                yield int(found.i[at]), int(found.j[at]), score


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Pairs worth aligning, sorted; a pair found from both sides comes twice.

    forward: the first picture was windowed, else the second. window: by which of `windows()`.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    forward: NDArray[np.bool_]
    window: NDArray[np.int8]


def _candidates(a: Fingerprints, b: Fingerprints | None, every: Sequence[Window], params: DedupParams) -> _Candidates:
    """Windows of `a` looked for in `b` and windows of `b` in `a`: either picture may be a part of the other."""
    if b is None:
        query, stored, window = _lookup(a, a, every, params, a.group)
        i, j, forward = np.minimum(query, stored), np.maximum(query, stored), query < stored
    else:
        there, back = _lookup(a, b, every, params), _lookup(b, a, every, params)
        i, j = np.concatenate([there[0], back[1]]), np.concatenate([there[1], back[0]])
        window = np.concatenate([there[2], back[2]])
        forward = np.arange(len(i)) < len(there[0])
    order = np.lexsort((window, forward, j, i))
    return _Candidates(i[order], j[order], forward[order], window[order])


def _lookup(
    query: Fingerprints,
    stored: Fingerprints,
    every: Sequence[Window],
    params: DedupParams,
    group: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """(query rows, stored rows, windows) of the best `params.neighbours` of each query above `params.candidate`."""
    index = build_index(stored.thumbs, every[0])
    least = product_of(params.candidate)
    hits = list(look_up(query.thumbs, index, every, least, params.neighbours, group))
    none = [np.zeros(0, np.int64)]
    rows = np.concatenate([hit.query for hit in hits] or none)
    found = np.concatenate([hit.stored for hit in hits] or none)
    return rows, found, np.concatenate([hit.window for hit in hits] or none).astype(np.int8)


def _scores(
    a: Fingerprints, b: Fingerprints, found: _Candidates, part: slice, every: Sequence[Window]
) -> NDArray[np.float32]:
    """Agreement of the candidates in `part`: the windowed picture laid on the other."""
    first, second = a.thumbs[found.i[part]], b.thumbs[found.j[part]]
    forward = found.forward[part, None, None]
    moving, fixed = np.where(forward, first, second), np.where(forward, second, first)
    mirrored = np.array([window.mirrored for window in every])[found.window[part]]
    moving = np.where(mirrored[:, None, None], moving[:, :, ::-1], moving)
    start = np.array([window.params for window in every], dtype=np.float32)[found.window[part]]
    return align.compare(fixed, np.ascontiguousarray(moving), start)
