"""Matching pairs among fingerprints, streamed: no n x n table, memory bounded, the same pairs everywhere.

Two stages. **Candidates**: each thumbnail has a coarse descriptor (`describe`). A picture is also looked for as it
would be when cropped at its sides and mirrored, so the descriptors of its windows are compared with everybody's plain
one by a matrix product. Descriptors are small whole numbers, so products are exact whatever the processor and the
block size. **Verdict**: candidates are laid on each other (`align`) and are one picture when their local structure
agrees.
"""

from __future__ import annotations

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
    group: int64 (n,), the file that a frame comes from: pairs inside a group are not looked for.
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
    rows.
    """
    exact = set(_exact(a, b))
    if not params.near:
        yield from (Match(i, j, 1.0, "exact") for i, j in sorted(exact))
        return
    every = windows()
    ways = _merge(_candidates(a, b, every, params), exact)
    pairs = sorted(ways)
    for start in range(0, len(pairs), _PAIRS):
        some = pairs[start : start + _PAIRS]
        scores = _scores(a, b or a, some, ways, every)
        for i, j in some:
            if (i, j) in exact:
                yield Match(i, j, 1.0, "exact")
            elif scores.get((i, j), 0.0) >= params.verdict:
                yield Match(i, j, scores[i, j], "near")


Pair = tuple[int, int]
Way = tuple[bool, int]
"""How a pair was found: was the first the one that was windowed (else the second), and by which window."""


def _exact(a: Fingerprints, b: Fingerprints | None) -> Iterator[Pair]:
    """Pairs with equal pixels, outside their group, that have structure."""
    rows: dict[str, list[int]] = defaultdict(list)
    for j, sha in enumerate((b or a).sha):
        rows[sha].append(j)
    stored = b or a
    for i, sha in enumerate(a.sha):
        others = [j for j in rows.get(sha, ()) if (b is not None or j > i) and stored.group[j] != a.group[i]]
        if others and describe(a.thumbs[i : i + 1], windows()[:1]).any():
            yield from ((i, j) for j in others)


def _merge(found: Iterator[tuple[Pair, Way]], exact: set[Pair]) -> dict[Pair, list[Way]]:
    ways: dict[Pair, list[Way]] = {pair: [] for pair in exact}
    for pair, way in found:
        if pair not in exact:
            ways.setdefault(pair, []).append(way)
    return ways


def _candidates(
    a: Fingerprints, b: Fingerprints | None, every: Sequence[Window], params: DedupParams
) -> Iterator[tuple[Pair, Way]]:
    """Pairs worth aligning, each direction for itself: windows of `a` in `b`, then windows of `b` in `a`."""
    if b is None:
        for i, j, way in _lookup(a, a, every, params):
            yield ((i, j), (True, way)) if i < j else ((j, i), (False, way))
        return
    for i, j, way in _lookup(a, b, every, params):
        yield (i, j), (True, way)
    for j, i, way in _lookup(b, a, every, params):
        yield (i, j), (False, way)


def _lookup(
    query: Fingerprints, stored: Fingerprints, every: Sequence[Window], params: DedupParams
) -> Iterator[tuple[int, int, int]]:
    """(query row, stored row, window) of the best `params.neighbours` of each query above `params.candidate`."""
    index = build_index(stored.thumbs, every[0])
    least = product_of(params.candidate)
    for hits in look_up(query.thumbs, query.group, index, stored.group, every, least, params.neighbours):
        yield from zip(hits.query.tolist(), hits.stored.tolist(), hits.window.tolist(), strict=True)


def _scores(
    a: Fingerprints, b: Fingerprints, pairs: Sequence[Pair], ways: dict[Pair, list[Way]], every: Sequence[Window]
) -> dict[Pair, float]:
    """The best score of each pair over the ways in which it was found."""
    tries = [(pair, way) for pair in pairs for way in ways[pair]]
    if not tries:
        return {}
    moving, fixed, start = [], [], []
    for (i, j), (forward, number) in tries:
        window = every[number]
        source, target = (a.thumbs[i], b.thumbs[j]) if forward else (b.thumbs[j], a.thumbs[i])
        moving.append(source[:, ::-1] if window.mirrored else source)
        fixed.append(target)
        start.append(window.params)
    scores = align.compare(np.stack(fixed), np.stack(moving), np.array(start, dtype=np.float32))
    best: dict[Pair, float] = {}
    for (pair, _), score in zip(tries, scores.round(3).tolist(), strict=True):
        best[pair] = max(best.get(pair, 0.0), score)
    return best
