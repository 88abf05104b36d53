"""The search finds the same picture however it was dressed, and no other."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from phantoms import TRANSFORMS, crop, phantom, prints

from openus.dedup import align, candidates
from openus.dedup.candidates import batch, build_index, look_up
from openus.dedup.describe import describe, product_of, windows
from openus.dedup.search import Fingerprints, Match, matches
from openus.params import DedupParams

PARAMS = DedupParams()


@pytest.fixture(scope="module")
def originals() -> Fingerprints:
    return prints([phantom(seed) for seed in range(40)])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transformed_copy_is_found_and_nothing_else(name: str, originals: Fingerprints) -> None:
    copies = prints([TRANSFORMS[name](phantom(seed)) for seed in range(8)])
    found = {(m.i, m.j) for m in matches(originals, copies, PARAMS)}
    assert found == {(seed, seed) for seed in range(8)}


def test_pictures_in_one_sector_do_not_match(originals: Fingerprints) -> None:
    assert list(matches(originals, None, PARAMS)) == []


def test_self_join_is_sorted_and_skips_groups() -> None:
    pictures = [phantom(1), TRANSFORMS["half"](phantom(1)), phantom(2), TRANSFORMS["mirror"](phantom(1))]
    assert [(m.i, m.j) for m in matches(prints(pictures), None, PARAMS)] == [(0, 1), (0, 3), (1, 3)]
    assert [(m.i, m.j) for m in matches(prints(pictures, group=[5, 5, 5, 6]), None, PARAMS)] == [(0, 3), (1, 3)]


def test_near_and_equal_pairs_of_a_cross_join_come_sorted_together() -> None:
    a = prints([phantom(1), phantom(2), phantom(3)], sha=["1", "2", "3"])
    b = prints([phantom(3), phantom(1), TRANSFORMS["half"](phantom(2)), phantom(1)], sha=["x", "1", "y", "z"])
    assert [(m.i, m.j, m.kind) for m in matches(a, b, PARAMS)] == [
        (0, 1, "exact"), (0, 3, "near"), (1, 2, "near"), (2, 0, "near"),
    ]  # fmt: skip


def test_cross_join_pays_no_heed_to_groups() -> None:
    one = prints([phantom(1)], group=[0])
    assert [(m.i, m.j) for m in matches(one, replace(one, sha=["other"]), PARAMS)] == [(0, 0)]


def test_equal_pixels_are_exact_even_where_near_is_off() -> None:
    table = prints([phantom(1), phantom(2), phantom(1)], sha=["x", "y", "x"])
    assert list(matches(table, None, replace(PARAMS, near=False))) == [Match(0, 2, 1.0, "exact")]
    assert list(matches(table, None, PARAMS)) == [Match(0, 2, 1.0, "exact")]
    near = list(matches(prints([phantom(1), phantom(1)]), None, PARAMS))
    assert [(m.i, m.j, m.kind) for m in near] == [(0, 1, "near")]


def test_equal_pixels_inside_a_group_are_no_pair() -> None:
    table = prints([phantom(1)] * 3, group=[4, 4, -1], sha=["x", "x", "x"])
    assert [(m.i, m.j) for m in matches(table, None, PARAMS)] == [(0, 2), (1, 2)]


def test_the_better_of_two_directions_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter((0.1, 0.9))

    def compare(fixed: align.Levels, moving: align.Levels, pairs: align.Pairs) -> np.ndarray:
        assert len(pairs) == 1
        return np.array([next(scores)], np.float32)

    monkeypatch.setattr(align, "compare", compare)
    assert [m.score for m in matches(prints([phantom(1)] * 2), None, PARAMS)] == [0.9]


def test_a_few_bright_spots_agree_by_chance_and_count_little() -> None:
    spots = np.zeros((1, 64, 64), np.uint8)
    for x, y in ((20, 30), (40, 25), (30, 45)):
        cv2.circle(spots[0], (x, y), 2, 200, -1)
    start = np.array([align.IDENTITY], np.float32)
    assert align.agreement(spots, spots, start)[0] < PARAMS.verdict
    thumb = prints([phantom(1)]).thumbs
    assert align.agreement(thumb, thumb, start)[0] > 0.96


def test_equal_pictures_without_structure_are_still_equal() -> None:
    speck = np.zeros((64, 64), np.uint8)
    speck[30, 30] = 40
    table = prints([speck, speck, speck], sha=["x", "x", "y"])
    assert list(matches(table, None, PARAMS)) == [Match(0, 1, 1.0, "exact")]


@pytest.mark.parametrize("level", [0, 7, 200])
def test_featureless_pictures_match_nothing(level: int) -> None:
    flat = np.full((120, 160), level, np.uint8)
    noisy = np.clip(flat + np.random.default_rng(0).integers(0, 2, flat.shape), 0, 255).astype(np.uint8)
    table = prints([flat, flat, noisy, phantom(1)], sha=["a", "a", "b", "c"])
    assert list(matches(table, None, PARAMS)) == []


def test_an_empty_table_has_no_pair(originals: Fingerprints) -> None:
    empty = Fingerprints(np.zeros((0, 64, 64), np.uint8), [], np.zeros(0, np.int64))
    assert list(matches(empty, None, PARAMS)) == []
    assert list(matches(empty, originals, PARAMS)) == []
    assert list(matches(originals, empty, PARAMS)) == []


def test_the_order_of_rows_does_not_matter() -> None:
    pictures = [change(phantom(seed)) for seed in range(4) for change in (lambda p: p, *list(TRANSFORMS.values())[:6])]
    table = prints(pictures)
    order = np.random.default_rng(0).permutation(len(pictures))
    shuffled = table.take(order)
    params = replace(PARAMS, neighbours=3)
    straight = {(m.i, m.j, m.score) for m in matches(table, None, params)}
    turned = {(*sorted((int(order[m.i]), int(order[m.j]))), m.score) for m in matches(shuffled, None, params)}
    assert straight == turned
    assert straight


def test_a_screen_cut_on_one_side_is_found(originals: Fingerprints) -> None:
    cut = prints([crop(phantom(seed), 0.0, 0.28, 0.0, 0.0) for seed in range(6)])
    assert {(m.i, m.j) for m in matches(originals, cut, PARAMS)} == {(seed, seed) for seed in range(6)}


def test_scores_say_how_well_pictures_agree() -> None:
    thumbs = prints([phantom(1), TRANSFORMS["jpeg50"](phantom(1)), phantom(2), np.zeros((64, 64), np.uint8)]).thumbs
    start = np.tile(np.array([align.IDENTITY], np.float32), (3, 1))
    levels = align.levels(thumbs)
    pairs = align.Pairs(np.zeros(3, np.int64), np.array([1, 2, 3]), np.zeros(3, bool), start)
    same, other, black = align.compare(levels, levels, pairs).tolist()
    assert same > 0.93
    assert other == black == -1
    assert align.compare(levels, levels, pairs.take(np.zeros(0, np.int64))).shape == (0,)


def test_registration_finds_shift_and_scale() -> None:
    thumb = prints([phantom(3)]).thumbs.astype(np.float32)
    true = np.array([[0.9, 0.03, 0.95, -0.02]], np.float32)
    fixed = align.local_structure(align.warp(thumb, true)[0], 9)[0]
    start = np.array([align.IDENTITY], np.float32)
    found = align.register(fixed, align.local_structure(thumb, 9)[0], start, steps=15)
    assert np.abs(found - true).max() < 0.01


def _random_thumbs(n: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    base = rng.integers(0, 255, (n, 16, 16), dtype=np.uint8)
    base[n // 2 :] = base[: n - n // 2] // 2 + base[n // 2 :] // 3
    return np.stack([cv2.resize(picture, (64, 64), interpolation=cv2.INTER_CUBIC) for picture in base])


@pytest.mark.parametrize(("similarity", "views"), [(0.4, 40), (-1.0, 40), (-1.0, 1)])
def test_candidates_equal_brute_force(similarity: float, views: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_QUERIES", 7)
    monkeypatch.setattr(candidates, "_BLOCK", 1000)
    thumbs, every, least = _random_thumbs(90), windows()[:views], product_of(similarity)
    group = np.arange(90) // 3
    described = describe(thumbs, every)
    products = np.einsum("wnd,md->nwm", described, described[0])
    expected = {}
    for query in range(90):
        rows = [m for m in range(90) if group[m] != group[query] and products[query, :, m].max() >= least]
        rows.sort(key=lambda m: (-products[query, :, m].max(), m))
        limit = products[query, :, rows[min(4, len(rows) - 1)]].max() if rows else 0
        for m in rows:
            if products[query, :, m].max() >= limit:
                expected[query, m] = int(products[query, :, m].argmax())
    index = build_index(thumbs, every[0])
    found = [look_up(thumbs, at, index, every, least, 5, group) for at in range(0, len(thumbs), batch(index))]
    got = {(int(q), int(s)): int(w) for h in found for q, s, w in zip(h.query, h.stored, h.window, strict=True)}
    assert got == expected
    assert len(got) > 100


def test_buckets_find_nearly_all_that_brute_force_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbs, every, least = _random_thumbs(1500), windows(), product_of(0.6)
    monkeypatch.setattr(candidates, "_PER_BUCKET", 20)

    def found(brute: int) -> set[tuple[int, int]]:
        index = build_index(thumbs, every[0], brute)
        hits = [look_up(thumbs[:200], 0, index, every, least, 8, np.full(1500, -1))]
        return {(int(q), int(s)) for h in hits for q, s in zip(h.query, h.stored, strict=True)}

    everything = found(2000)
    assert len(found(100) & everything) >= 0.9 * len(everything)
    assert len(everything) > 150


def test_buckets_do_not_depend_on_the_order_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_PER_BUCKET", 20)
    thumbs = _random_thumbs(600)
    order = np.random.default_rng(1).permutation(600)
    straight, turned = (build_index(table, windows()[0], brute=100) for table in (thumbs, thumbs[order]))
    assert np.array_equal(straight.centres, turned.centres)
    assert sorted(order[turned.rows].tolist()) == sorted(straight.rows.tolist())


def _read(root: Path, name: str) -> np.ndarray:
    picture = cv2.imread(str(root / name), cv2.IMREAD_GRAYSCALE)
    assert picture is not None, name
    return picture


def test_known_pairs_of_stills(real: Path) -> None:
    wanted = ("resized re-encode", "near-duplicate in the set itself", "PNG of the same JPEG", "same pixels, other")
    with (real / "known_pairs.csv").open() as file:
        pairs = [(r["a"], r["b"]) for r in csv.DictReader(file) if r["relation"].startswith(wanted)]
    pairs = pairs[::4] + [pair for pair in pairs if "ultrasam" in pair[1]]
    names = sorted(set(itertools.chain(*pairs)))
    found = {(names[m.i], names[m.j]) for m in matches(prints([_read(real, name) for name in names]), None, PARAMS)}
    missed = [pair for pair in pairs if tuple(sorted(pair)) not in found]
    assert missed == []
    assert len(pairs) > 30


def test_bus_bra_holds_no_near_duplicate(real: Path) -> None:
    folder = real / "sources/bus-bra/BUSBRA/Images"
    pictures = [_read(real, path.relative_to(real).as_posix()) for path in sorted(folder.glob("*.png"))]
    assert len(pictures) > 100
    assert list(matches(prints(pictures), None, PARAMS)) == []


def test_lesions_of_other_sets_do_not_match_bus_bra(real: Path) -> None:
    bus_bra = sorted((real / "sources/bus-bra/BUSBRA/Images").glob("*.png"))
    others = [p for p in sorted((real / "sources/busi").rglob("*.png")) if "_mask" not in p.name]
    others += sorted((real / "sources/stu-hospital").rglob("*test_image*.png"))
    tables = [prints([_read(real, p.relative_to(real).as_posix()) for p in paths]) for paths in (bus_bra, others)]
    assert list(matches(tables[0], tables[1], PARAMS)) == []
    assert len(others) > 80
