"""What the three protocols have in common: what they hand back, and how validation chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.metrics import scores

X = TypeVar("X")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
By = Literal["auroc", "f1_macro"]


@dataclass(frozen=True)
class Part(Generic[X]):
    """Training or validation: what is known of the pictures (features, or where they lie), and their labels [N]."""

    x: X
    labels: Ints


@dataclass(frozen=True)
class Fitted(Generic[X]):
    """A classifier whose every choice is made. The test part comes in here, once, and without its labels."""

    predict: Callable[[X], Floats]
    """Probabilities [N, C] of what it is given."""
    chosen: dict[str, Any]
    """What validation chose."""
    validation: float
    """The score that it was chosen by."""


def quality(labels: Ints, probabilities: Floats, by: By) -> float:
    """The score that validation maximises: macro average over the classes that it has."""
    classes = [str(c) for c in range(probabilities.shape[1])]
    return float(scores(labels, probabilities, classes)["auroc_macro" if by == "auroc" else by][0])


def balanced(labels: Ints, classes: int) -> Floats:
    """A weight per class, so that all weigh the same: N / (classes present × its pictures); 1 for an absent one."""
    counts = np.bincount(labels, minlength=classes)
    weights: Floats = np.where(counts > 0, len(labels) / ((counts > 0).sum() * np.maximum(counts, 1)), 1.0)
    return weights
