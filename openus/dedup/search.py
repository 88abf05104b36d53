"""Matching pairs among fingerprints, streamed: no n x n table, memory bounded, the same pairs everywhere.

Two stages. **Candidates**: each thumbnail has a coarse descriptor (`describe`). A picture is also looked for as it
would be when cropped at its sides and mirrored, so the descriptors of its windows are compared with everybody's plain
one by a matrix product. Descriptors are small whole numbers, so products are exact whatever the processor and the
block size. **Verdict**: candidates are laid on each other (`align`) and are one picture when their local structure
agrees.
"""

from __future__ import annotations

import heapq
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from openus.data import Progress, silent
from openus.dedup import align
from openus.dedup.candidates import Hits, batch, build_index, look_up
from openus.dedup.describe import Window, product_of, windows
from openus.params import DedupParams

_PAIRS = 512
"""Candidate pairs aligned at once."""
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Fingerprints of n pictures as columns.

    thumbs: uint8 (n, 64, 64), may be memory-mapped · sha: n hex strings (`pixel_sha256`), an empty one is equal to
    none · group: int64 (n,), the file that a frame comes from: a self-join looks for no pair inside a group. Negative:
    a group of its own. A cross-join pays no heed to groups, which two tables number each for itself.
    """

    thumbs: NDArray[np.uint8]
    sha: Sequence[str]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.thumbs)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Fingerprints:
        """Those of the given rows, in the given order."""
        chosen = np.asarray(rows, np.int64)
        return Fingerprints(self.thumbs[chosen], [self.sha[row] for row in chosen], self.group[chosen])


@dataclass(frozen=True, slots=True)
class Match:
    """Row i of the first table and row j of the second show one picture (in a self-join i < j).

    score: correlation of the aligned local structures, 0 to 1, in thousandths; 1 for equal pixels.
    """

    i: int
    j: int
    score: float
    kind: Literal["exact", "near"]


def matches(
    a: Fingerprints, b: Fingerprints | None, params: DedupParams, progress: Progress = silent
) -> Iterator[Match]:
    """Pairs of `a` x `b`, or of `a` with itself when `b` is None, that show one picture, sorted by (i, j).

    A picture without structure is like nothing else but its equals, and one of a single gray matches nothing. Which
    pairs come does not depend on the order of the rows. Memory: some 20 bytes a candidate pair, at most
    `params.neighbours` of them a row (and ties), beside the descriptors, 256 bytes a row. `progress` is told of
    the pairs compared.
    """
    exact = sorted(_exact(a, b))
    equal = [Match(i, j, 1.0, "exact") for i, j in exact]
    if not params.near:
        yield from equal
        return
    known = set(exact)
    near = (Match(i, j, score, "near") for i, j, score in _near(a, b, params, progress) if (i, j) not in known)
    yield from heapq.merge(equal, near, key=lambda match: (match.i, match.j))


def _exact(a: Fingerprints, b: Fingerprints | None) -> Iterator[tuple[int, int]]:
    """Pairs with equal pixels, outside their group. Pictures of one gray are equal everywhere and link nobody."""
    stored = a if b is None else b
    rows: dict[str, list[int]] = defaultdict(list)
    for j, sha in enumerate(stored.sha):
        if sha:
            rows[sha].append(j)
    for i, sha in enumerate(a.sha):
        others = [j for j in rows.get(sha, ()) if b is not None or (j > i and not 0 <= a.group[i] == a.group[j])]
        if others and a.thumbs[i].min() < a.thumbs[i].max():
            yield from ((i, j) for j in others)


def _near(
    a: Fingerprints, b: Fingerprints | None, params: DedupParams, progress: Progress
) -> Iterator[tuple[int, int, float]]:
    """(i, j, score) of pairs whose aligned structure reaches the verdict, sorted."""
    every = windows()
    found = _candidates(a, b, every, params)
    first_levels = align.levels(a.thumbs)
    second_levels = first_levels if b is None else align.levels(b.thumbs)
    fresh = np.ones(len(found.i), dtype=bool)
    fresh[1:] = (found.i[1:] != found.i[:-1]) | (found.j[1:] != found.j[:-1])
    begins = np.append(np.flatnonzero(fresh), len(found.i))

    def scored(first: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        bounds = begins[first : first + _PAIRS + 1]
        scores = _scores(first_levels, second_levels, found, slice(int(bounds[0]), int(bounds[-1])), every)
        return bounds[:-1], np.maximum.reduceat(scores, bounds[:-1] - bounds[0]).astype(np.float64).round(3)

    for number, (places, best) in enumerate(_threaded(scored, range(0, len(begins) - 1, _PAIRS))):
        progress("comparing candidates", min((number + 1) * _PAIRS, len(begins) - 1), len(begins) - 1)
        for at, score in zip(places.tolist(), best.tolist(), strict=True):
            if score >= params.verdict:
                yield int(found.i[at]), int(found.j[at]), score


def _threaded(work: Callable[[int], _Done], places: Iterable[int]) -> Iterator[_Done]:
    """`work` on all places, in order. numpy and OpenCV let go of the interpreter, so threads share out the cores."""
    count = os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[_Done]] = deque()
        for place in places:
            waiting.append(pool.submit(work, place))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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

    def look(start: int) -> Hits:
        return look_up(query.thumbs, start, index, every, least, params.neighbours, group)

    hits = list(_threaded(look, range(0, len(query), batch(index))))
    none = [np.zeros(0, np.int64)]
    rows = np.concatenate([hit.query for hit in hits] or none)
    found = np.concatenate([hit.stored for hit in hits] or none)
    return rows, found, np.concatenate([hit.window for hit in hits] or none).astype(np.int8)


def _pairs(found: _Candidates, every: Sequence[Window], part: slice, *, forward: bool) -> align.Pairs:
    """The candidates in `part` of one direction: the windowed picture is laid on the other."""
    moving, fixed = (found.i, found.j) if forward else (found.j, found.i)
    windowed = found.window[part]
    mirrored = np.array([window.mirrored for window in every])[windowed]
    start = np.array([window.params for window in every], dtype=np.float32)[windowed]
    pairs = align.Pairs(fixed[part], moving[part], mirrored, start)
    return pairs.take(found.forward[part] == forward)


def _scores(
    a: align.Levels, b: align.Levels, found: _Candidates, part: slice, every: Sequence[Window]
) -> NDArray[np.float32]:
    """Agreement of the candidates in `part`, i in `a` and j in `b`."""
    forward = found.forward[part]
    scores = np.empty(len(forward), np.float32)
    scores[forward] = align.compare(b, a, _pairs(found, every, part, forward=True))
    scores[~forward] = align.compare(a, b, _pairs(found, every, part, forward=False))
    return scores
