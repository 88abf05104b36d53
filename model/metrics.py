"""Scores of a classifier, their intervals by resampling patients, and paired tests between two models.

A patient is what the caller's `groups` say: where patients are unknown or look alike, whatever belongs together.

Every name says its averaging: `f1_macro` is the plain mean over classes, `f1_weighted` the mean weighted by the
classes' pictures, `f1/malignant` that of one class against the rest. With two classes `f1/malignant`, `auprc/malignant`
are what a paper with malignant as positive calls F1 and AUPRC; no class is positive by itself.

All rest on one function: `scores` takes a weight per picture, for many weightings at once. Ones give the estimate,
the counts of a draw of patients give a resample, zeros and ones over two models' predictions give a permutation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

CHUNK = 250
"""Resamples that are held in memory at once."""
LEVEL = 0.95


@dataclass(frozen=True)
class Predictions:
    """What a model says of N pictures of C classes, once per each of S seeds, each picture tested once a seed.

    keys [N], groups [N] (patient, as 0 … G-1), labels [N] (as 0 … C-1), probabilities [S, N, C].
    """

    keys: tuple[str, ...]
    groups: Ints
    labels: Ints
    probabilities: Floats
    classes: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score: mean over seeds, 95 % interval over patients, deviation over seeds; None where undefined."""

    value: float | None
    low: float | None
    high: float | None
    sd_seeds: float | None
    """Sample deviation (n - 1) of the seeds' values; None for one seed."""
    resamples: int
    """Those in which the score is defined; the interval rests on them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second model: mean over seeds, 95 % interval over patients, two-sided p; None where undefined."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    resamples: int


def scores(
    labels: Ints,
    probabilities: Floats,
    classes: Sequence[str],
    weights: Floats | None = None,
    ranking: Floats | None = None,
) -> dict[str, Floats]:
    """All scores, for each of B weightings of the pictures.

    The decision is the class of the largest probability (the first of equals). Averages run over the classes that
    `labels` has. A weighting that leaves none of a class's pictures (or nothing else, for the two areas) leaves that
    class's scores and the macro averages undefined: nan. A class that is never predicted has precision 0.

    Formulas as in scikit-learn: F1 = 2 TP / (2 TP + FP + FN); AUROC is the Mann-Whitney statistic, ties half; AUPRC is
    average precision, Σ (R_n - R_{n-1}) P_n over distinct thresholds, without interpolation.

    Args:
        labels: [N], 0 … C-1.
        probabilities: [N, C].
        classes: the C names.
        weights: [B, N], not negative; None: one weighting with ones.
        ranking: [N, C], what the two areas order the pictures of a class by; None: the probabilities.

    Returns: name -> [B], within 0–1 or nan.
    """
    w = np.ones((1, len(labels))) if weights is None else weights
    count = len(classes)
    predicted = probabilities.argmax(axis=1)
    confusion = (w @ np.eye(count * count)[labels * count + predicted]).reshape(-1, count, count)
    found = _by_class(confusion)
    order_by = probabilities if ranking is None else ranking
    areas = [_areas(labels == c, order_by[:, c], w) for c in range(count)]
    found["auroc"] = np.stack([one[0] for one in areas], axis=1)
    found["auprc"] = np.stack([one[1] for one in areas], axis=1)

    present = np.bincount(labels, minlength=count) > 0
    support = confusion.sum(axis=2)
    total = support.sum(axis=1)
    result = {"accuracy": np.trace(confusion, axis1=1, axis2=2) / total}
    result["balanced_accuracy"] = found["recall"][:, present].mean(axis=1)
    for name, values in found.items():
        result[f"{name}_macro"] = values[:, present].mean(axis=1)
        if name not in ("auroc", "auprc"):
            result[f"{name}_weighted"] = (np.nan_to_num(values) * support).sum(axis=1) / total
    for name, values in found.items():
        result |= {f"{name}/{word}": values[:, c] for c, word in enumerate(classes)}
    return result


def _by_class(confusion: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 [B, C] from confusion matrices [B, true, predicted]."""
    support, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    there = np.where(support > 0, 1.0, np.nan)
    return {
        "precision": there * hits / np.where(predicted > 0, predicted, 1),
        "recall": there * hits / np.where(support > 0, support, 1),
        "f1": there * 2 * hits / np.where(support + predicted > 0, support + predicted, 1),
    }


def _areas(positive: NDArray[np.bool_], score: Floats, w: Floats) -> tuple[Floats, Floats]:
    """(AUROC, average precision), [B] each, of one class against the rest."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) != 0]))
    w = w[:, order]
    tp = np.add.reduceat(w * positive[order], starts, axis=1)
    every = np.add.reduceat(w, starts, axis=1)
    fp = every - tp
    above = np.cumsum(tp, axis=1)
    positives, negatives = tp.sum(axis=1), fp.sum(axis=1)
    both = np.where((positives > 0) & (negatives > 0), 1.0, np.nan)
    roc = (fp * (above - tp / 2)).sum(axis=1) / np.where(both > 0, positives * negatives, 1)
    seen = np.cumsum(every, axis=1)
    precision = above / np.where(seen > 0, seen, 1)
    pr = (tp * precision).sum(axis=1) / np.where(both > 0, positives, 1)
    return both * roc, both * pr


def by_seed(predictions: Predictions) -> list[dict[str, float]]:
    """The scores of each seed, in the seeds' order; nan where undefined."""
    found = [scores(predictions.labels, one, predictions.classes) for one in predictions.probabilities]
    return [{name: float(value[0]) for name, value in one.items()} for one in found]


def summarise(predictions: Predictions, resamples: int, seed: int) -> dict[str, Estimate]:
    """Every score with its interval.

    Percentile bootstrap over patients: as many patients as there are, drawn with replacement, each with all pictures;
    a draw takes the same patients in all seeds, and its value is the mean over them, as the estimate is. Resamples in
    which a score is undefined (a rare class was not drawn) are left out of that score's interval, and counted.
    """
    values = by_seed(predictions)
    draws = _mean_over_seeds(predictions, _draws(predictions.groups, resamples, seed))
    found = {}
    for name in values[0]:
        each = np.array([one[name] for one in values])
        low, high, defined = _interval(draws[name])
        sd = _number(float(each.std(ddof=1))) if len(each) > 1 else None
        found[name] = Estimate(_number(float(each.mean())), low, high, sd, defined)
    return found


def difference(first: Predictions, second: Predictions, resamples: int, seed: int) -> dict[str, Difference]:
    """Every score of `first` minus that of `second` on the same pictures, with interval and p.

    Interval: percentile bootstrap, both models on the same drawn patients. p: permutation test of no difference; a
    patient's predictions are swapped between the models or not, all pictures and seeds of a patient together;
    two-sided, p = (1 + swaps at least as far from 0) / (1 + swaps) (Phipson & Smyth 2010). No correction for many
    tests: see `holm`.

    For AUROC and AUPRC ranks are swapped, each model's own for a seed and class: both scores rest on order alone, and
    to swap probabilities of models that are calibrated unlike would mix their scales, which costs order in every swap
    and so power (in a simulation with one model shifted by 2 logits: type I error 0.00 to 0.007 at a level of 0.05,
    power 0.40 where ranks have 0.83).

    Raises ValueError when the two do not speak of the same pictures, patients, labels, classes and seeds.
    """
    for name in ("keys", "classes", "seeds"):
        if getattr(first, name) != getattr(second, name):
            raise ValueError(f"the two predictions differ in their {name}")
    if not (np.array_equal(first.labels, second.labels) and np.array_equal(first.groups, second.groups)):
        raise ValueError("the two predictions differ in their labels or patients")
    observed = _minus(by_seed(first), by_seed(second))
    drawn = _draws(first.groups, resamples, seed)
    one, other = _mean_over_seeds(first, drawn), _mean_over_seeds(second, drawn)
    swapped = _swapped(first, second, resamples, seed)
    found = {}
    for name, value in observed.items():
        low, high, defined = _interval(one[name] - other[name])
        far = np.count_nonzero(np.abs(swapped[name]) >= abs(value) - 1e-12)
        p = None if np.isnan(value) else float((1 + far) / (1 + resamples))
        found[name] = Difference(_number(value), low, high, p, defined)
    return found


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for their number, in the given order (Holm 1979, step-down)."""
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[at]))
        adjusted[at] = largest
    return adjusted


def _minus(first: list[dict[str, float]], second: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([a[name] - b[name] for a, b in zip(first, second, strict=True)])) for name in first[0]}


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, stream], dtype=np.uint64)))


def _draws(groups: Ints, resamples: int, seed: int) -> Ints:
    """[B, G]: how often each patient is in each resample."""
    count = int(groups.max()) + 1
    return _generator(seed, 0).multinomial(count, np.full(count, 1 / count), size=resamples)


def _mean_over_seeds(predictions: Predictions, drawn: Ints) -> dict[str, Floats]:
    """name -> [B]: the mean over seeds of each resample's score."""
    parts = []
    for chunk in _chunks(drawn):
        w = chunk[:, predictions.groups].astype(np.float64)
        parts.append(
            _mean([scores(predictions.labels, one, predictions.classes, w) for one in predictions.probabilities])
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _swapped(first: Predictions, second: Predictions, swaps: int, seed: int) -> dict[str, Floats]:
    """name -> [B]: the difference after each random swap of patients between the models; the areas by ranks."""
    swap = _generator(seed, 1).random((swaps, int(first.groups.max()) + 1)) < 0.5
    labels = np.concatenate([first.labels, first.labels])
    pairs = list(zip(first.probabilities, second.probabilities, strict=True))
    pools = [(np.concatenate(pair), np.concatenate([_ranks(one) for one in pair])) for pair in pairs]
    parts = []
    for chunk in _chunks(swap):
        out = chunk[:, first.groups].astype(np.float64)
        stays, goes = np.concatenate([1 - out, out], axis=1), np.concatenate([out, 1 - out], axis=1)
        one, other = (_mean([scores(labels, p, first.classes, w, ranks) for p, ranks in pools]) for w in (stays, goes))
        parts.append({name: one[name] - other[name] for name in one})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _ranks(probabilities: Floats) -> Floats:
    """Rank of each picture within its class's column [N, C], from 1; equal ones share the mean of theirs."""
    columns = []
    for column in probabilities.T:
        _, at, counts = np.unique(column, return_inverse=True, return_counts=True)
        columns.append((np.cumsum(counts) - (counts - 1) / 2)[at])
    return np.stack(columns, axis=1)


def _chunks(rows: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    return [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]


def _mean(found: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}


def _interval(values: Floats) -> tuple[float | None, float | None, int]:
    """(2.5 %, 97.5 %, how many) of the values that are defined."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None, 0
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high), len(defined)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
