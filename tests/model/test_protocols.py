"""Nearest neighbours and linear probes: validation chooses, and both parts are then used."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.evaluate import knn, linear
from model.evaluate.choose import Part, balanced, quality
from model.params import KnnParams, LinearParams


def clouds(seed: int, count: int = 60, apart: float = 2.0) -> Part[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    return Part((rng.normal(size=(count, 8)) + apart * np.eye(8)[labels]).astype(np.float32), labels)


def test_neighbours_vote_as_the_formula_says() -> None:
    memory, x = clouds(0), clouds(1).x[:5]
    (found,) = knn.votes(memory, x, 3, (7,), 0.07)
    for row, one in enumerate(x):
        cosine = memory.x @ one / np.linalg.norm(memory.x, axis=1) / np.linalg.norm(one)
        near = np.argsort(-cosine)[:7]
        vote = np.array([np.exp(cosine[near][memory.labels[near] == c] / 0.07).sum() for c in range(3)])
        assert np.allclose(found[row], vote / vote.sum(), atol=1e-4)
    every, beyond = knn.votes(memory, x, 3, (60, 999), 0.07)
    assert np.array_equal(every, beyond)


def test_validation_chooses_and_both_parts_are_then_used() -> None:
    train, validation, test = clouds(0), clouds(1), clouds(2)
    fitted = knn.fit(train, validation, 3, KnnParams(k=(1, 30)), "auroc")
    assert fitted.chosen == {"k": 30} and fitted.validation > 0.9
    assert np.allclose(fitted.predict(validation.x[:1]), knn.votes(
        Part(np.concatenate([train.x, validation.x]), np.concatenate([train.labels, validation.labels])),
        validation.x[:1], 3, (30,), 0.07)[0])  # fmt: skip
    strengths = (1e2, 1e-3, 1e-6)
    probe = linear.fit(train, validation, 3, LinearParams(c=strengths), "auroc")
    values = []
    for c in strengths:
        alone = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000, class_weight="balanced"))
        p = alone.fit(train.x, train.labels).predict_proba(validation.x)
        values.append(roc_auc_score(validation.labels, p, multi_class="ovr"))
    assert probe.chosen == {"c": strengths[int(np.argmax(values))], "converged": True}
    assert probe.validation == pytest.approx(max(values), abs=1e-9) and min(values) < max(values)
    found = probe.predict(test.x)
    assert np.allclose(found.sum(axis=1), 1) and roc_auc_score(test.labels, found, multi_class="ovr") > 0.9
    uneven = np.flatnonzero((train.labels < 2) | (np.arange(60) < 12))
    probe = linear.fit(Part(train.x[uneven], train.labels[uneven]), validation, 3, LinearParams(c=(0.1,)), "auroc")
    x, labels = (
        np.concatenate([a[uneven], b]) for a, b in ((train.x, validation.x), (train.labels, validation.labels))
    )
    both = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    assert np.allclose(probe.predict(test.x), both.fit(x, labels).predict_proba(test.x), atol=1e-4)


def test_the_first_of_equals_is_chosen() -> None:
    train, validation = clouds(0, apart=50.0), clouds(1, apart=50.0)
    assert knn.fit(train, validation, 3, KnnParams(k=(5, 1, 9)), "auroc").chosen == {"k": 5}
    assert linear.fit(train, validation, 3, LinearParams(c=(0.1, 1.0)), "f1_macro").chosen["c"] == 0.1


def test_of_equally_near_neighbours_the_earlier_counts() -> None:
    memory = Part(np.ones((4, 3), np.float32), np.array([2, 0, 1, 0]))
    (found,) = knn.votes(memory, memory.x[:1], 3, (1,), 0.07)
    assert found.tolist() == [[0, 0, 1]]


def test_validation_is_scored_by_what_was_asked_for() -> None:
    labels, p = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    both = np.stack([1 - p, p], axis=1)
    assert quality(labels, both, "auroc") == 1
    assert quality(labels, both, "f1_macro") == pytest.approx(f1_score(labels, [0, 0, 0, 0, 1], average="macro"))


def test_a_class_that_training_lacks_has_probability_zero_and_no_convergence_is_told() -> None:
    train, validation = clouds(0), clouds(1)
    two = train.labels != 1
    fitted = linear.fit(Part(train.x[two], train.labels[two]), Part(validation.x[two], validation.labels[two]), 3,
                        LinearParams(c=(1.0,), max_iter=1), "auroc")  # fmt: skip
    found = fitted.predict(validation.x)
    assert (found[:, 1] == 0).all() and (found[:, [0, 2]] > 0).all() and fitted.chosen["converged"] is False


def test_classes_weigh_the_same() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = balanced(labels, 3)
    assert weights[0] * 3 == pytest.approx(weights[1]) and weights[labels].sum() == pytest.approx(4)
    assert weights[2] == 1
