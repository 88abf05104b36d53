"""No patient, clip or set of twins stands on two sides, official lists are kept, what cannot be split says so."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluate.splits import Outer, Plan, Rows, _groups_by_class, group_numbers, inner, labelled, plan, straddling
from openus.errors import UsageError

FOLDS = [f"fold-{k}" for k in range(1, 6)]


def table(
    labels: Sequence[str | None],
    patients: Sequence[str | None] | None = None,
    splits: Sequence[str | None] | None = None,
    clusters: Sequence[str | None] | None = None,
    studies: Sequence[str | None] | None = None,
    videos: Sequence[str | None] | None = None,
) -> Rows:
    count = len(labels)
    nothing = [None] * count
    columns = SimpleNamespace(
        key=[f"k{i:05}" for i in range(count)], label=labels, patient_id=patients or nothing,
        split=splits or nothing, cluster=clusters or nothing, study_id=studies or nothing, video_id=videos or nothing,
    )  # fmt: skip
    return labelled(columns, "label")  # type: ignore[arg-type]


def parts(rows: Rows, fold: Outer, seed: int) -> tuple[set[str], set[str], set[str]]:
    train, validation = inner(rows, fold, 0.2, seed)
    every = np.sort(np.concatenate([train, validation, fold.test]))
    assert len(np.unique(every)) == len(every)
    if fold.validation is None:
        assert len(every) == len(rows.keys)
    train_of, validation_of, test_of = ({rows.groups[i] for i in at} for at in (train, validation, fold.test))
    return train_of, validation_of, test_of


@pytest.fixture(scope="module")
def bus_bra(real: Path) -> tuple[Rows, list[dict[str, str]]]:
    folder = real / "sources" / "bus-bra" / "BUSBRA"
    with (folder / "bus_data.csv").open() as data, (folder / "5-fold-cv.csv").open() as folds:
        rows = [{**fold, **one} for one, fold in zip(csv.DictReader(data), csv.DictReader(folds), strict=True)]
    made = table(
        [row["Pathology"] for row in rows], [row["Case"] for row in rows], [f"fold-{r['kFold']}" for r in rows]
    )
    return made, rows


def test_no_patient_of_the_whole_bus_bra_stands_on_two_sides(bus_bra: tuple[Rows, list[dict[str, str]]]) -> None:
    rows, _ = bus_bra
    found = plan(rows, folds=5)
    assert len(rows.keys) == 1875 and rows.classes == ("benign", "malignant")
    assert found.rule == "official folds" and [fold.name for fold in found.folds] == FOLDS
    assert [len(fold.test) for fold in found.folds] == [376, 385, 366, 365, 383]
    assert found.straddling_patients == 0
    for fold in found.folds:
        for seed in range(3):
            train, validation, test = parts(rows, fold, seed)
            assert not train & validation and not train & test and not validation & test
            assert len(validation) / len(train | validation) == pytest.approx(0.2, abs=0.005)
            malignant = {rows.groups[i] for i in range(1875) if rows.labels[i] == 1}
            assert len(validation & malignant) / len(validation) == pytest.approx(342 / 1064, abs=0.01)


def test_by_the_official_inner_flags_two_hundred_patients_would(bus_bra: tuple[Rows, list[dict[str, str]]]) -> None:
    """The measure that says 0 above says this of the flags that are not used."""
    rows, flags = bus_bra
    counts = []
    for k in range(1, 6):
        train, validation = (np.array([i for i, one in enumerate(flags) if one[f"valid_{k}"] == v]) for v in ("1", "0"))
        counts.append(len(straddling(rows.patients, train, validation)))
    assert counts == [210, 201, 212, 216, 211]


@st.composite
def made_up(draw: st.DrawFn) -> tuple[Rows, int]:
    """Patients with one to five pictures, some unknown, some of two classes; with official folds or without."""
    classes = draw(st.integers(2, 4))
    patients = draw(st.integers(classes * 6, 40))
    official = draw(st.booleans())
    labels: list[str | None] = []
    names: list[str | None] = []
    clusters: list[str | None] = []
    splits: list[str | None] = []
    for p in range(patients):
        kind = draw(st.sampled_from(["patient", "patient", "patient", "cluster", "nothing"]))
        for _ in range(draw(st.integers(1, 5)) if kind != "nothing" else 1):
            other = draw(st.integers(0, 9)) == 0
            labels.append(f"c{(p + other) % classes}")
            names.append(f"p{p}" if kind == "patient" else None)
            clusters.append(f"c{p}" if kind == "cluster" else None)
            splits.append(f"fold-{p // classes % 3 + 1}" if official else None)
    return table(labels, names, splits, clusters), draw(st.integers(0, 5))


def entangled(seed: int) -> Rows:
    """Names that cross: the clip of a known patient has pictures of none, look-alikes link patients, and so on."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(60, 120))
    columns: list[list[str | None]] = [
        [str(name) if known else None for name, known in zip(rng.integers(0, count, count), known_of, strict=True)]
        for known_of in rng.random((4, count)) < rng.uniform(0.1, 0.35, (4, 1))
    ]
    patients, studies, videos, clusters = columns
    return table([["a", "b", "b"][i % 3] for i in range(count)], patients, None, clusters, studies, videos)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_drawn_parts_no_patient_examination_clip_or_look_alikes(seed: int) -> None:
    rows = entangled(seed)
    found = plan(rows, folds=3)
    assert found.rule == "drawn by group" and found.straddling_patients == found.straddling_clusters == 0
    for fold in found.folds:
        train, validation = inner(rows, fold, 0.2, seed)
        for names in (rows.patients, rows.studies, rows.videos, rows.clusters, rows.groups):
            assert not straddling(names, fold.test, fold.rest) and not straddling(names, train, validation)


def test_frames_of_a_clip_stay_together_without_any_patient() -> None:
    videos = [f"v{i // 8}" for i in range(160)]
    rows = table([["a", "b"][i // 8 % 2] for i in range(160)], videos=videos)
    found = plan(rows, folds=5)
    assert len(set(rows.groups)) == 20 and len(found.folds) == 5
    for fold in found.folds:
        assert not straddling(videos, fold.test, fold.rest)
        for seed in range(3):
            assert not straddling(videos, *inner(rows, fold, 0.2, seed))


@settings(max_examples=60, deadline=None)
@given(made_up())
def test_no_group_of_a_made_up_table_stands_on_two_sides(case: tuple[Rows, int]) -> None:
    rows, seed = case
    found = plan(rows, folds=3)
    tested = np.concatenate([fold.test for fold in found.folds])
    assert sorted(tested.tolist()) == list(range(len(rows.keys)))  # each picture once
    assert found.straddling_patients == found.straddling_clusters == 0
    for fold in found.folds:
        train, validation, test = parts(rows, fold, seed)
        assert not train & validation and not train & test and not validation & test
        assert train and validation and test


def test_drawn_folds_are_even_in_every_class() -> None:
    labels = [["a", "b", "b"][p % 3] for p in range(60) for _ in range(1 + p % 4)]
    patients = [str(p) for p in range(60) for _ in range(1 + p % 4)]
    rows = table(labels, patients)
    found = plan(rows, folds=5)
    assert found.rule == "drawn by group" and len(found.folds) == 5
    for c in (0, 1):
        counts = [int((rows.labels[fold.test] == c).sum()) for fold in found.folds]
        assert max(counts) - min(counts) <= 2


@pytest.mark.parametrize(("sizes", "tested"), [((2, 2), {3, 6}), ((3, 1), {4, 5})])
def test_a_group_goes_where_its_class_is_rarest_and_then_where_the_fewest_pictures_are(
    sizes: tuple[int, int], tested: set[int]
) -> None:
    """Class a has groups of four pictures and one; a fold of the four only gets a group of b all the same."""
    groups = ["a1"] * 4 + ["a2"] + ["b1"] * sizes[0] + ["b2"] * sizes[1]
    rows = table([group[0] for group in groups], groups)
    folds = plan(rows, folds=2).folds
    assert {len(fold.test) for fold in folds} == tested
    assert all(len(set(rows.labels[fold.test].tolist())) == 2 for fold in folds)


def test_a_group_of_several_classes_counts_to_the_most_frequent_and_of_equals_to_the_first() -> None:
    rows = table(["a", "b", "b", "b", "a", "a"], ["p", "p", "p", "q", "q", "r"])
    assert _groups_by_class(rows, np.arange(6)) == [["q", "r"], ["p"]]


def test_train_and_validation_are_drawn_anew_by_seed_and_fold_and_alike_again() -> None:
    rows = table(["a", "b"] * 50, [str(i // 2) for i in range(100)])
    found = plan(rows, folds=5)
    one, two = found.folds[0], found.folds[1]
    assert np.array_equal(inner(rows, one, 0.2, 0)[1], inner(rows, one, 0.2, 0)[1])
    assert not np.array_equal(inner(rows, one, 0.2, 0)[1], inner(rows, one, 0.2, 1)[1])
    assert {rows.groups[i] for i in inner(rows, one, 0.2, 0)[1]} != {
        rows.groups[i] for i in inner(rows, two, 0.2, 0)[1]
    }
    assert not np.array_equal(inner(rows, one, 0.2, 0)[1], inner(rows, replace(one, name=two.name), 0.2, 0)[1])
    again = plan(rows, folds=5)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(found.folds, again.folds, strict=True))


def _two_lists(words: Sequence[str]) -> tuple[Rows, Plan]:
    rows = table(["a", "b"] * 30, [str(i) for i in range(60)], [words[i // 2 % len(words)] for i in range(60)])
    return rows, plan(rows, folds=5)


def test_official_val_is_the_test_part_where_there_is_no_test() -> None:
    rows, found = _two_lists(["train", "val"])
    (fold,) = found.folds
    assert found.rule == "official lists" and fold.name == "val" and fold.validation is None
    assert {rows.splits[i] for i in fold.test} == {"val"}
    train, validation = inner(rows, fold, 0.2, 0)
    assert {rows.splits[i] for i in train} == {rows.splits[i] for i in validation} == {"train"}


def test_official_val_validates_where_there_is_a_test() -> None:
    rows, found = _two_lists(["train", "val", "test"])
    (fold,) = found.folds
    train, validation = inner(rows, fold, 0.2, 0)
    assert [{rows.splits[i] for i in at} for at in (train, validation, fold.test)] == [{"train"}, {"val"}, {"test"}]
    rows, found = _two_lists(["train", "test"])
    assert {rows.splits[i] for i in found.folds[0].test} == {"test"} and found.folds[0].validation is None


def test_an_official_split_that_parts_a_patient_is_kept_and_counted() -> None:
    patients = [str(i // 2) for i in range(40)]
    clusters = ["twins" if i in (4, 9) else None for i in range(40)]
    splits = ["val" if i in (1, 3) or i > 30 else "train" for i in range(40)]
    splits[9] = "val"
    rows = table(["a", "a", "b", "b"] * 10, patients, splits, clusters)
    found = plan(rows, folds=5)
    assert {rows.splits[i] for i in found.folds[0].test} == {"val"}
    assert found.straddling_patients == 4  # 0, 1, 4 (pictures 8 and 9), 15 (30 and 31)
    assert found.straddling_clusters == 1


def test_a_patient_in_official_validation_and_test_is_counted_too() -> None:
    patients = ["p" if i in (2, 4) else str(i) for i in range(24)]
    rows = table(["a", "b"] * 12, patients, [["train", "val", "test"][i // 2 % 3] for i in range(24)])
    assert plan(rows, folds=5).straddling_patients == 1


def test_what_has_no_label_or_no_part_is_left_out_and_counted() -> None:
    labels = ["a", "b"] * 20 + [None, "a"]
    rows = table(labels, [str(i) for i in range(42)], ["train", "train", "val", "val"] * 10 + ["train", None])
    assert rows.left_out == {"without label": 1, "without official split": 1}
    assert len(rows.keys) == len(rows.labels) == 40


def test_groups_are_what_patient_examination_clip_and_look_alikes_link() -> None:
    """A copy of no known patient belongs to the patient it looks like, and so does the clip that the copy is of."""
    rows = table(
        ["a", "b"] * 5,
        ["p", None, None, "p", None, None, "q", None, None, None],
        None,
        ["c", "c", None, None, None, None, "d", None, None, "d"],
        ["s", None, None, None, "s", None, None, None, "q", None],
        [None, "v", "v", None, None, None, None, "p", "p", None],
    )
    assert rows.groups == ("p", "p", "p", "p", "p", "k00005", "q", "k00007", "k00007", "q")
    assert group_numbers(rows.groups).tolist() == [2, 2, 2, 2, 2, 0, 3, 1, 1, 3]
    two = table(["a", "b"] * 2, ["q", "p", "q", None], None, ["c", "c", None, None])
    assert two.groups == ("p", "p", "p", "k00003")  # look-alikes of two patients are one group


def test_a_copy_of_no_known_patient_is_not_parted_from_the_patient() -> None:
    """By patient first, and only then by cluster, the copy would be a group of its own."""
    patients = [str(i) for i in range(30)] + [None] * 30
    clusters = [f"c{i % 30}" for i in range(60)]
    rows = table(["a", "b"] * 30, patients, None, clusters)
    found = plan(rows, folds=5)
    assert found.straddling_clusters == 0 and len(set(rows.groups)) == 30
    assert not any(straddling(clusters, *inner(rows, fold, 0.2, 0)) for fold in found.folds)


@pytest.mark.parametrize(
    ("labels", "splits", "said"),
    [
        (["a"] * 8, None, "only the label 'a'"),
        ([None] * 8, None, "no label"),
        (["a", "b"] * 4, ["odd", "even"] * 4, "odd, even"),
        (["a", "b"] * 4, ["fold-1", "train"] * 4, "fold-1"),
        (["a", "b"] * 4, ["test"] * 8, "only test"),
        (["a", "b"] * 4, ["val", "test"] * 4, "only val and test"),
        (["a", "b"] * 4, ["fold-1"] * 8, "nothing to train on"),
        (["a", "b"] * 4, ["train"] * 4 + ["val"] * 3 + ["train"], None),
        (["a"] * 4 + ["b"] * 4, ["train"] * 4 + ["val"] * 4, "tests b"),
        (["a"] * 7 + ["b"], None, "tests b"),
    ],
)
def test_what_cannot_be_split_is_said(labels: list[str | None], splits: list[str] | None, said: str | None) -> None:
    def run() -> None:
        plan(table(labels, [str(i) for i in range(8)], splits), folds=4)

    if said is None:
        run()
    else:
        with pytest.raises(UsageError, match=said):
            run()


def test_too_few_patients_are_said() -> None:
    with pytest.raises(UsageError, match=r"2 groups .* cannot be dealt to 5 folds"):
        plan(table(["a", "b"] * 4, ["1", "2"] * 4), folds=5)
    rows = table(["a", "b"] * 2, ["1", "2", "3", "4"])
    with pytest.raises(UsageError, match="too few groups"):
        inner(rows, plan(rows, folds=2).folds[0], 0.2, 0)
    with pytest.raises(UsageError, match="folds is 1"):
        plan(rows, folds=1)


def test_a_class_of_one_remaining_patient_trains_and_does_not_validate() -> None:
    rows = table(["a", "b"] * 10 + ["c", "c"], [str(i) for i in range(20)] + ["20", "21"])
    for fold in plan(rows, folds=2).folds:
        train, validation = inner(rows, fold, 0.2, 0)
        assert 2 in rows.labels[train] and 2 not in rows.labels[validation]
