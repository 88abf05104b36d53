"""k nearest neighbours on frozen features (Wu et al. 2018; as in DINO's evaluation, Caron et al. 2021).

Cosine similarity s; the k nearest training pictures vote for their class with exp(s / temperature). No class is
weighted: what is frequent is near more often, and that is part of the measurement.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from model.evaluate.choose import By, Fitted, Floats, Part, quality
from model.params import KnnParams

Features = NDArray[np.float32]


def fit(train: Part[Features], validation: Part[Features], classes: int, params: KnnParams, by: By) -> Fitted[Features]:
    """Validation chooses k (the first of equals); then training and validation pictures together are the neighbours."""
    found = votes(train, validation.x, classes, params.k, params.temperature)
    values = [quality(validation.labels, one, by) for one in found]
    best = int(np.argmax(values))
    both = Part(np.concatenate([train.x, validation.x]), np.concatenate([train.labels, validation.labels]))
    predict = partial(_predict, both, classes, params.k[best], params.temperature)
    return Fitted(predict, {"k": params.k[best]}, values[best])


def votes(memory: Part[Features], x: Features, classes: int, ks: tuple[int, ...], temperature: float) -> list[Floats]:
    """Probabilities [N, C] for each k; a k beyond the memory takes all of it. Equally near: the earlier row."""
    similarity = _unit(x) @ _unit(memory.x).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : max(ks)]
    near = np.take_along_axis(similarity, order, axis=1)
    weight = np.exp((near - near[:, :1]) / temperature)
    ballots = weight[:, :, None] * np.eye(classes)[memory.labels[order]]
    sums = np.cumsum(ballots, axis=1)
    counted = [sums[:, min(k, sums.shape[1]) - 1] for k in ks]
    return [one / one.sum(axis=1, keepdims=True) for one in counted]


def _predict(memory: Part[Features], classes: int, k: int, temperature: float, x: Features) -> Floats:
    return votes(memory, x, classes, (k,), temperature)[0]


def _unit(x: Features) -> Floats:
    """Rows of length 1, in double precision; a row of zeros stays."""
    wide = x.astype(np.float64)
    unit: Floats = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return unit
