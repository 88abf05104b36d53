"""Scores are scikit-learn's; intervals and tests do what their names say."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from model.metrics import Predictions, _ranks, by_seed, difference, holm, scores, summarise

NAMES = ("normal", "benign", "malignant", "other")


def made(
    seed: int, patients: int = 40, classes: int = 2, seeds: int = 1, signal: float = 1.0, digits: int = 2
) -> Predictions:
    """Patients of one to three pictures; rounded, so that there are ties."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), rng.integers(1, 4, patients)).astype(np.int64)
    of = np.concatenate([np.arange(classes), rng.integers(0, classes, patients - classes)]).astype(np.int64)
    labels = of[groups]
    logits = rng.normal(size=(seeds, len(groups), classes)) + rng.normal(size=(patients, classes))[groups]
    logits[:, np.arange(len(groups)), labels] += signal
    raised = np.exp(logits)
    probabilities = np.round(raised / raised.sum(axis=2, keepdims=True), digits)
    keys = tuple(f"k{i:04}" for i in range(len(groups)))
    return Predictions(keys, groups, labels, probabilities, NAMES[:classes], tuple(range(seeds)))


def by_sklearn(
    labels: NDArray[np.int64], p: NDArray[np.float64], names: tuple[str, ...], w: NDArray[np.float64] | None = None
) -> dict[str, float]:
    predicted, every = p.argmax(axis=1), list(range(len(names)))
    present = sorted(set(labels.tolist()))
    found = {
        "accuracy": sk.accuracy_score(labels, predicted, sample_weight=w),
        "balanced_accuracy": sk.recall_score(
            labels, predicted, labels=present, average="macro", sample_weight=w, zero_division=0
        ),
    }
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        shared = {"sample_weight": w, "zero_division": 0}
        found[f"{name}_macro"] = function(labels, predicted, labels=present, average="macro", **shared)
        found[f"{name}_weighted"] = function(labels, predicted, labels=every, average="weighted", **shared)
        each = function(labels, predicted, labels=every, average=None, **shared)
        found |= {f"{name}/{names[c]}": each[c] for c in present}
    for name, function in (("auroc", sk.roc_auc_score), ("auprc", sk.average_precision_score)):
        each = {c: function(labels == c, p[:, c], sample_weight=w) for c in present}
        found |= {f"{name}/{names[c]}": value for c, value in each.items()}
        found[f"{name}_macro"] = np.mean(list(each.values()))
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(classes: int, seed: int) -> None:
    one = made(seed, classes=classes)
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 4, (3, len(one.labels))).astype(float)
    found = scores(one.labels, one.probabilities[0], one.classes, np.concatenate([np.ones_like(weights[:1]), weights]))
    for row, w in enumerate([None, *weights]):
        expected = by_sklearn(one.labels, one.probabilities[0], one.classes, w)
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, abs=1e-12), (name, row)


def test_a_weight_is_as_many_copies_and_zero_is_absence() -> None:
    one = made(3, classes=4)
    weights = np.random.default_rng(0).integers(0, 3, len(one.labels))
    copied = np.repeat(np.arange(len(one.labels)), weights)
    found = scores(one.labels, one.probabilities[0], one.classes, weights[None].astype(float))
    expected = scores(one.labels[copied], one.probabilities[0][copied], one.classes)
    for name in expected:
        assert found[name][0] == pytest.approx(expected[name][0], abs=1e-12), name


def test_never_predicted_and_absent_classes_follow_the_documented_rule() -> None:
    labels = np.array([0, 0, 1, 1])
    p = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0], [0.6, 0.4, 0.0]])
    found = {name: float(value[0]) for name, value in scores(labels, p, NAMES[:3]).items()}
    assert found["precision/benign"] == 0 and found["recall/benign"] == 0 and found["auroc/benign"] == 1
    assert np.isnan(found["f1/malignant"]) and np.isnan(found["auroc/malignant"])
    assert found["f1_macro"] == pytest.approx((2 / 3 + 0) / 2)  # over the two classes that there are
    assert found["recall_macro"] == found["balanced_accuracy"] == 0.5


def test_a_resample_without_a_class_is_left_out_and_counted() -> None:
    one = made(0, patients=12)
    rare = replace(one, labels=(one.groups == 0).astype(np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = summarise(rare, 1000, seed=0)
    assert found["accuracy"].resamples == 1000
    drawn = 1 - (1 - 1 / 12) ** 12
    assert found["auroc_macro"].resamples == pytest.approx(1000 * drawn, abs=60)
    assert found["f1_macro"].resamples == found["auroc_macro"].resamples == found["recall/benign"].resamples
    assert found["auroc_macro"].low is not None


def test_the_estimate_is_the_mean_over_seeds_of_pooled_scores() -> None:
    one = made(1, seeds=3)
    each = [value["auroc_macro"] for value in by_seed(one)]
    found = summarise(one, 200, seed=0)["auroc_macro"]
    assert found.value == pytest.approx(np.mean(each), abs=1e-12)
    assert found.sd_seeds == pytest.approx(np.std(each, ddof=1), abs=1e-12)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high


def test_a_resample_takes_the_same_patients_in_all_seeds() -> None:
    """Three equal seeds are one: were patients drawn per seed, the mean would vary less."""
    one = made(2)
    three = replace(one, probabilities=np.repeat(one.probabilities, 3, axis=0), seeds=(0, 1, 2))
    single, triple = summarise(one, 300, seed=5)["f1_macro"], summarise(three, 300, seed=5)["f1_macro"]
    assert (single.low, single.high) == pytest.approx((triple.low, triple.high), abs=1e-12)
    assert triple.sd_seeds == 0


def _share_covered(by_patient: bool) -> float:
    """How often the interval of accuracy holds the truth, when a patient's three pictures are right or wrong alike."""
    rng, inside = np.random.default_rng(0), 0
    for trial in range(200):
        right = rng.random(50) < 0.7
        labels = np.repeat(np.arange(50) % 2, 3).astype(np.int64)
        answer = np.where(np.repeat(right, 3), labels, 1 - labels)
        groups = np.repeat(np.arange(50), 3) if by_patient else np.arange(150)
        one = Predictions(tuple(map(str, range(150))), groups, labels, np.eye(2)[answer][None], NAMES[:2], (0,))
        found = summarise(one, 200, seed=trial)["accuracy"]
        assert found.low is not None and found.high is not None
        inside += found.low <= 0.7 <= found.high
    return inside / 200


def test_intervals_cover_because_patients_are_drawn_and_not_pictures() -> None:
    assert 0.89 <= _share_covered(by_patient=True) <= 0.985
    assert _share_covered(by_patient=False) < 0.85


def test_p_is_uniform_when_there_is_no_difference() -> None:
    values = []
    for trial in range(150):
        both = made(trial, patients=30, seeds=2, digits=6)
        first, second = (replace(both, probabilities=both.probabilities[i : i + 1], seeds=(0,)) for i in range(2))
        values.append(difference(first, second, 99, seed=trial)["auroc_macro"].p)
    p = np.array(values, dtype=float)
    assert p.min() >= 1 / 100 and 0.42 < p.mean() < 0.58
    assert (p <= 0.05).mean() < 0.11 and 0.1 < (p <= 0.2).mean() < 0.32


def _scored(trial: int, scales: tuple[float, float], shift: float, lead: float) -> tuple[Predictions, Predictions]:
    """Two models that share a part of chance: the first better by `lead`, both scaled, the second's logits shifted."""
    rng = np.random.default_rng(trial)
    labels = (rng.random(60) < 0.35).astype(np.int64)
    labels[:2] = 0, 1
    shared = rng.normal(size=60)
    logits = [(1 + more) * labels + 0.7 * (shared + rng.normal(size=60)) - 0.5 for more in (lead, 0.0)]
    found = []
    for one, scale, moved in zip(logits, scales, (0.0, shift), strict=True):
        p = 1 / (1 + np.exp(-(one * scale + moved)))
        both = np.stack([1 - p, p], axis=1)[None]
        found.append(Predictions(tuple(map(str, range(60))), np.arange(60), labels, both, NAMES[:2], (0,)))
    return found[0], found[1]


@pytest.mark.parametrize(("scales", "shift"), [((1.0, 0.05), 0.0), ((4.0, 0.2), 0.0), ((1.0, 1.0), 2.0)])
def test_unlike_calibration_costs_the_test_of_the_areas_neither_level_nor_power(
    scales: tuple[float, float], shift: float
) -> None:
    """Were probabilities swapped, a model shifted by 2 logits would hide a difference that is there."""
    p = {lead: np.array([_p(_scored(trial, scales, shift, lead)) for trial in range(100)]) for lead in (0.0, 1.0)}
    assert (p[0.0] <= 0.05).mean() <= 0.12 and (p[0.0] <= 0.2).mean() >= 0.1
    assert (p[1.0] <= 0.05).mean() >= 0.65


def _p(both: tuple[Predictions, Predictions]) -> float:
    value = difference(*both, 99, seed=0)["auroc_macro"].p
    assert value is not None
    return value


def test_equal_probabilities_share_the_mean_of_their_ranks() -> None:
    """As scipy.stats.rankdata; else ties of one model would stand above or below the other's pictures."""
    column = np.array([0.2, 0.5, 0.2, 0.9])
    assert _ranks(np.stack([column, 1 - column], axis=1)).T.tolist() == [[1.5, 3, 1.5, 4], [3.5, 2, 3.5, 1]]


def test_the_scores_that_rest_on_order_alone_are_tested_alike_on_any_scale() -> None:
    """A rising function of a model's probabilities changes no p of an area; those of decisions are on probabilities."""
    first, second = _scored(0, (1.0, 1.0), 0.0, 1.0)
    bent = replace(second, probabilities=np.stack([q := second.probabilities[..., 0] ** 3, 1 - q], axis=2))
    one, other = difference(first, second, 199, seed=0), difference(first, bent, 199, seed=0)
    for name in ("auroc_macro", "auroc/benign", "auprc_macro", "auprc/normal"):
        assert one[name] == other[name], name
    assert one["accuracy"].value != other["accuracy"].value


def test_p_is_small_and_the_interval_apart_when_there_is_a_difference() -> None:
    good, bad = made(0, patients=80, signal=4.0), made(0, patients=80, signal=0.0)
    found, reverse = difference(good, bad, 499, seed=0), difference(bad, good, 499, seed=0)
    one, other = found["auroc_macro"], reverse["auroc_macro"]
    assert one.p == 1 / 500 and one.low is not None and one.low > 0
    assert one.value is not None and other.value == pytest.approx(-one.value) and other.p == one.p
    assert other.high == pytest.approx(-one.low)
    same = difference(good, good, 99, seed=0)["auroc_macro"]
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_patients_pictures_are_swapped_together() -> None:
    """A lead of 150 pictures in two patients is no evidence: 2 of 4 swaps are as extreme."""
    labels = np.tile([0, 1], 75).astype(np.int64)
    groups = (np.arange(150) >= 75).astype(np.int64)
    first = Predictions(tuple(map(str, range(150))), groups, labels, np.eye(2)[labels][None], NAMES[:2], (0,))
    second = replace(first, probabilities=np.eye(2)[1 - labels][None])
    p = difference(first, second, 400, seed=0)["accuracy"].p
    assert p is not None and 0.4 < p < 0.6


@pytest.mark.parametrize("field", ["keys", "classes", "seeds", "labels", "groups"])
def test_only_the_same_pictures_are_compared(field: str) -> None:
    one = made(0)
    other = {
        "keys": ("x", *one.keys[1:]), "classes": ("a", "b"), "seeds": (7,),
        "labels": 1 - one.labels, "groups": one.groups[::-1].copy(),
    }  # fmt: skip
    with pytest.raises(ValueError, match="differ"):
        difference(one, replace(one, **{field: other[field]}), 10, seed=0)


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    one = made(4)
    assert summarise(one, 100, seed=1) == summarise(one, 100, seed=1)
    assert summarise(one, 100, seed=1)["accuracy"] != summarise(one, 100, seed=2)["accuracy"]
