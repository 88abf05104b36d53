"""From matching pairs to decisions: clusters, what is dropped, and for what.

A cluster is a connected component of matches and is information only: it may chain pictures that do not match each
other. A picture is dropped only for a *kept* picture that it matches itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openus.dedup.search import Match

Reason = Literal["exact-duplicate", "near-duplicate", "leakage"]


class Decision(NamedTuple):
    """Kept when `reason` is None; else dropped for the kept row `duplicate_of`."""

    reason: Reason | None = None
    duplicate_of: int | None = None


class UnionFind:
    """Disjoint sets of the rows 0 … n-1; the root of a set is its smallest row."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, row: int) -> int:
        """The smallest row of the set that `row` is in."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def union(self, a: int, b: int) -> None:
        """Join the sets of `a` and `b`."""
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low


def components(n: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """For each of n rows the smallest row of its connected component, int64 (n,)."""
    sets = UnionFind(n)
    for a, b in pairs:
        sets.union(a, b)
    return np.fromiter((sets.find(row) for row in range(n)), dtype=np.int64, count=n)


def adjudicate(
    found: Iterable[Match], same: Iterable[tuple[int, int]], different: Iterable[tuple[int, int]]
) -> list[Match]:
    """The found matches, less those a person has judged `different`, plus those judged `same`; sorted by (i, j).

    A judgement stands above everything, equal pixels included. A pair judged both ways is `different`.
    """
    blocked = {(min(pair), max(pair)) for pair in different}
    pairs = {(min(m.i, m.j), max(m.i, m.j)): m for m in found}
    for a, b in same:
        pair = (min(a, b), max(a, b))
        pairs.setdefault(pair, Match(*pair, 1.0, "near"))
    return [pairs[pair] for pair in sorted(pairs) if pair not in blocked and pair[0] != pair[1]]


def decide(
    rank: Sequence[int], matches: Iterable[Match], protected: Sequence[bool], *, drop_leakage: bool = True
) -> list[Decision]:
    """What becomes of each row, going through them by rank and keeping all that match no kept row.

    Args:
        rank: place of each row, smaller first, no two alike. A caller ranks held-out > larger > freer licence >
            smaller key.
        matches: of the table with itself, `i` and `j` being rows.
        protected: rows of held-out sources: never dropped. Another row that matches one is `leakage`.
        drop_leakage: False leaves leaks in, so that a gate after it has something to find.

    Returns:
        One decision a row. `duplicate_of` is, of the kept rows matched, the one with equal pixels, then the best in
        rank.
    """
    exact: list[dict[int, bool]] = [{} for _ in rank]
    for match in matches:
        exact[match.i][match.j] = exact[match.j][match.i] = match.kind == "exact"
    decisions = [Decision() for _ in rank]
    kept = [bool(row) for row in protected]
    for row in sorted(range(len(rank)), key=rank.__getitem__):
        if protected[row]:
            continue
        others = [other for other in exact[row] if kept[other] and (drop_leakage or not protected[other])]
        if not others:
            kept[row] = True
            continue
        best = min(others, key=lambda other: (not protected[other], not exact[row][other], rank[other]))
        reason: Reason = "exact-duplicate" if exact[row][best] else "near-duplicate"
        decisions[row] = Decision("leakage" if protected[best] else reason, best)
    return decisions
