"""The order that pictures are shown in: shares of an epoch, and steps that may start anywhere."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import BATCH, make_steps

from model.order import Steps, epoch_order, quotas
from model.pictures import Pictures
from openus.errors import UsageError

pictures = toy.pictures


# ---- an epoch

group_sizes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 40), min_size=1)


def make_groups(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    ends = np.cumsum([0, *sizes.values()])
    return {name: np.arange(ends[n], ends[n + 1]) for n, name in enumerate(sizes)}


@given(group_sizes, st.floats(0, 1), st.integers(1, 300))
def test_quotas_sum_and_are_near_their_shares(sizes: dict[str, int], power: float, size: int) -> None:
    found = quotas(make_groups(sizes), power, size)
    assert sum(found.values()) == size
    total = sum(n**power for n in sizes.values())
    assert all(abs(found[name] - size * n**power / total) < 1 + 1e-6 for name, n in sizes.items())
    if size >= sum(sizes.values()):
        assert min(found.values()) >= 1
    assert found == quotas(make_groups(dict(reversed(sizes.items()))), power, size)


def test_equal_remainders_go_by_name() -> None:
    assert quotas(make_groups({"c": 5, "a": 5, "b": 5}), 0.5, 11) == {"a": 4, "b": 4, "c": 3}


def test_a_large_source_does_not_drown_a_small_one() -> None:
    groups = make_groups({"clips": 10_000, "stills": 105})
    order = epoch_order(groups, 0.5, 10_105, 0, 0)
    stills = int((order >= 10_000).sum())
    assert stills == round(10_105 * 105**0.5 / (105**0.5 + 100))  # 939 of 10,105 rather than 105
    assert quotas(groups, 1.0, 10_105) == {"clips": 10_000, "stills": 105}
    assert set(quotas(groups, 0.0, 10_106).values()) == {5053}


@given(group_sizes, st.integers(0, 9), st.integers(0, 2**40))
def test_power_1_shows_each_picture_once_an_epoch(sizes: dict[str, int], epoch: int, seed: int) -> None:
    total = sum(sizes.values())
    order = epoch_order(make_groups(sizes), 1.0, total, seed, epoch)
    assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(total))


@settings(max_examples=60)
@given(group_sizes, st.floats(0, 1), st.integers(1, 200), st.integers(1, 12), st.integers(-5, 5))
def test_pictures_of_a_group_are_shown_equally_often(
    sizes: dict[str, int], power: float, size: int, epochs: int, seed: int
) -> None:
    groups = make_groups(sizes)
    shown: Counter[int] = Counter()
    for epoch in range(epochs):
        order = epoch_order(groups, power, size, seed, epoch)
        assert len(order) == size
        shown.update(order.tolist())
    for rows in groups.values():
        counts = [shown[int(row)] for row in rows]
        assert max(counts) - min(counts) <= 1


def test_orders_belong_to_seed_and_epoch_and_never_change() -> None:
    groups = make_groups({"a": 6, "b": 4})
    orders = [tuple(epoch_order(groups, 1.0, 10, *name).tolist()) for name in ((0, 0), (0, 1), (1, 0))]
    assert len(set(orders)) == 3
    assert orders[0] == (4, 5, 8, 9, 3, 7, 0, 2, 1, 6)
    mixed = np.concatenate([epoch_order(make_groups({"a": 500, "b": 500}), 1.0, 1000, 0, n)[:500] for n in range(4)])
    assert 900 < (mixed < 500).sum() < 1100, "groups are mixed within an epoch"


# ---- steps


def taken(steps: Steps) -> list[list[tuple[int, int, int]]]:
    return list(steps)


@pytest.mark.parametrize("size", [12, 13, 3])
def test_steps_walk_through_the_epochs(pictures: Pictures, size: int) -> None:
    """Also where epochs end within a micro-batch, once or more often."""
    micros = taken(make_steps(pictures, size=size, total=6))
    assert {len(micro) for micro in micros} == {4}
    indices = [index for micro in micros for index in micro]
    assert [(epoch, position) for _, epoch, position in indices] == [divmod(n, size) for n in range(6 * BATCH)]
    groups = pictures.groups("source")
    for epoch in range(6 * BATCH // size):
        rows = [row for row, at, _ in indices if at == epoch]
        assert rows == epoch_order(groups, 0.5, size, 0, epoch).tolist()


@pytest.mark.parametrize("world", [2, 4])
def test_micro_batches_are_the_same_for_any_number_of_processes(pictures: Pictures, world: int) -> None:
    one = taken(make_steps(pictures, micro_batch=2))
    parts = [taken(make_steps(pictures, micro_batch=2, rank=rank, world=world)) for rank in range(world)]
    assert [micro for together in zip(*parts, strict=True) for micro in together] == one
    assert all(len(part) == len(make_steps(pictures, micro_batch=2, rank=1, world=world)) for part in parts)


@pytest.mark.parametrize("start", [0, 1, 3, 17, 20])
def test_a_run_goes_on_where_it_stopped(pictures: Pictures, start: int) -> None:
    whole = taken(make_steps(pictures, size=13, total=20))
    assert taken(make_steps(pictures, size=13, total=20, start=start)) == whole[2 * start :]


def test_starting_late_costs_nothing(pictures: Pictures) -> None:
    began = time.perf_counter()
    next(iter(make_steps(pictures, start=10**9, total=10**9 + 1)))
    assert time.perf_counter() - began < 1


def test_a_batch_that_cannot_be_dealt_is_refused(pictures: Pictures) -> None:
    with pytest.raises(UsageError, match=r"8 pictures .* micro-batches of 3"):
        make_steps(pictures, micro_batch=3)
    with pytest.raises(UsageError, match="to 3 processes"):
        make_steps(pictures, micro_batch=4, world=3)
