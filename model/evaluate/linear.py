"""Linear probe: logistic regression on standardised frozen features."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluate.choose import By, Fitted, Floats, Ints, Part, quality
from model.params import LinearParams

Features = NDArray[np.float32]


def fit(
    train: Part[Features], validation: Part[Features], classes: int, params: LinearParams, by: By
) -> Fitted[Features]:
    """Validation chooses the strength of the penalty (the first of equals, so the stronger one where they ascend).

    The classifier is then fitted once more, with that strength, on training and validation pictures together.
    Classes weigh the same (`class_weight="balanced"`); features are standardised by the pictures fitted on.
    """
    values = [
        quality(validation.labels, _fitted(train, classes, c, params.max_iter)[0](validation.x), by) for c in params.c
    ]
    best = int(np.argmax(values))
    both = Part(np.concatenate([train.x, validation.x]), np.concatenate([train.labels, validation.labels]))
    predict, converged = _fitted(both, classes, params.c[best], params.max_iter)
    return Fitted(predict, {"c": params.c[best], "converged": converged}, values[best])


def _fitted(train: Part[Features], classes: int, c: float, max_iter: int) -> Any:
    """(features -> probabilities [N, classes], whether the solver converged)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=max_iter, class_weight="balanced"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(train.x.astype(np.float64), train.labels)
    known: Ints = model[-1].classes_

    def predict(x: Features) -> Floats:
        found = np.zeros((len(x), classes))
        found[:, known] = model.predict_proba(x.astype(np.float64))
        return found

    return predict, not any(issubclass(one.category, ConvergenceWarning) for one in told)
