"""Clusters are components; a picture falls only for a kept one that it matches itself."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openus.dedup.cluster import Decision, UnionFind, adjudicate, components, decide
from openus.dedup.search import Match


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], list[Match], list[bool]]:
    n = draw(st.integers(1, 14))
    rank = draw(st.permutations(range(n)))
    protected = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    row = st.integers(0, n - 1)
    pairs = draw(st.dictionaries(st.tuples(row, row).filter(lambda p: p[0] < p[1]), st.booleans(), max_size=25))
    return list(rank), [Match(i, j, 1.0, "exact" if exact else "near") for (i, j), exact in pairs.items()], protected


@given(problems())
def test_what_is_dropped_matches_what_is_kept(problem: tuple[list[int], list[Match], list[bool]]) -> None:
    rank, found, protected = problem
    decisions = decide(rank, found, protected)
    kind = {frozenset((m.i, m.j)): m.kind for m in found}
    for row, (reason, target) in enumerate(decisions):
        partners = [next(iter(pair - {row})) for pair in kind if row in pair]
        leaks = any(protected[partner] for partner in partners)
        if reason is None:
            assert target is None
            if not protected[row]:
                assert not leaks
                assert all(rank[p] > rank[row] for p in partners if decisions[p].reason is None)
            continue
        assert target is not None
        assert not protected[row]
        assert decisions[target].reason is None
        assert frozenset((row, target)) in kind
        assert (reason == "leakage") == leaks == protected[target]
        if reason != "leakage":
            assert rank[target] < rank[row]
            assert reason == f"{kind[frozenset((row, target))]}-duplicate"


@given(problems(), st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(problem: tuple[list[int], list[Match], list[bool]], seed: int) -> None:
    rank, found, protected = problem
    place = list(range(len(rank)))
    random.Random(seed).shuffle(place)
    back = np.argsort(place).tolist()
    moved = [Match(*sorted((place[m.i], place[m.j])), m.score, m.kind) for m in found]
    random.Random(seed).shuffle(moved)
    turned = decide([rank[b] for b in back], moved, [protected[b] for b in back])
    for row, (reason, target) in enumerate(decide(rank, found, protected)):
        assert turned[place[row]] == (reason, None if target is None else place[target])


@given(problems())
def test_leaks_can_be_left_in(problem: tuple[list[int], list[Match], list[bool]]) -> None:
    rank, found, protected = problem
    decisions = decide(rank, found, protected, drop_leakage=False)
    assert all(decision.reason != "leakage" for decision in decisions)
    assert all(decision.duplicate_of is None or not protected[decision.duplicate_of] for decision in decisions)


def test_a_chain_drops_only_direct_matches() -> None:
    chain = [Match(0, 1, 0.9, "near"), Match(1, 2, 0.9, "near"), Match(2, 3, 0.9, "near")]
    assert decide([0, 1, 2, 3], chain, [False] * 4) == [
        Decision(),
        Decision("near-duplicate", 0),
        Decision(),
        Decision("near-duplicate", 2),
    ]
    assert components(5, [(m.i, m.j) for m in chain]).tolist() == [0, 0, 0, 0, 4]


def test_equal_pixels_go_before_rank_and_held_out_before_all() -> None:
    pairs = [Match(0, 2, 0.9, "near"), Match(1, 2, 1.0, "exact")]
    assert decide([0, 1, 2], pairs, [False] * 3)[2] == Decision("exact-duplicate", 1)
    assert decide([2, 0, 1], pairs, [True, False, False])[2] == Decision("leakage", 0)


def test_held_out_duplicates_stay() -> None:
    assert decide([0, 1], [Match(0, 1, 1.0, "exact")], [True, True]) == [Decision(), Decision()]


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_components_agree_with_flooding(case: tuple[int, list[tuple[int, int]]]) -> None:
    n, pairs = case
    label = list(range(n))
    for _ in range(n):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    assert components(n, pairs).tolist() == label
    assert components(n, pairs[::-1]).tolist() == label


def test_a_long_chain_needs_no_recursion() -> None:
    sets = UnionFind(200_000)
    for row in range(199_999, 0, -1):
        sets.union(row, row - 1)
    assert sets.find(199_999) == 0


def test_a_judgement_stands_above_the_measurement() -> None:
    found = [Match(0, 1, 1.0, "exact"), Match(1, 2, 0.9, "near")]
    assert adjudicate(found, [(4, 3)], [(1, 0)]) == [Match(1, 2, 0.9, "near"), Match(3, 4, 1.0, "near")]
    assert adjudicate(found, [(0, 1)], [(0, 1)]) == [Match(1, 2, 0.9, "near")]
    assert adjudicate(found, [(1, 0)], []) == found
