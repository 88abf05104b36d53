"""predictions.parquet: one row per tested picture and seed, from which every score can be computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.metrics import Predictions, difference
from openus import manifest
from openus.errors import CorpusError, UsageError

PREFIX = "p/"
"""Before a class, the column of its probability."""


def write(path: Path, found: Predictions, groups: Sequence[str], folds: Sequence[str]) -> None:
    """Write what was predicted, atomically; `groups` and `folds` [N] are names.

    Columns: key, group (`splits.Rows.groups`), label, fold, seed, p/<class> …; by seed, then key.
    """
    import pyarrow as pa

    count = len(found.seeds)
    columns: dict[str, Any] = {
        "key": pa.array(list(found.keys) * count, pa.string()),
        "group": pa.array(list(groups) * count, pa.string()),
        "label": pa.array([found.classes[c] for c in found.labels] * count, pa.string()),
        "fold": pa.array(list(folds) * count, pa.string()),
        "seed": pa.array(np.repeat(np.array(found.seeds, dtype=np.int64), len(found.keys)), pa.int64()),
    }
    for c, word in enumerate(found.classes):
        columns[PREFIX + word] = pa.array(found.probabilities[:, :, c].reshape(-1), pa.float64())
    manifest.write(pa.table(columns), path)


def read(path: Path) -> Predictions:
    """Predictions as `write` left them. Raises CorpusError when the file is missing or another."""
    table = manifest.read(path)
    classes = tuple(name.removeprefix(PREFIX) for name in table.column_names if name.startswith(PREFIX))
    if not classes or not {"key", "group", "label", "seed"} <= set(table.column_names):
        raise CorpusError(f"{path} holds no predictions.", "Name a predictions.parquet of model.evaluate.")
    seeds = tuple(dict.fromkeys(table["seed"].to_pylist()))
    count = table.num_rows // len(seeds)
    keys, groups, labels = (table[name].to_pylist()[:count] for name in ("key", "group", "label"))
    number = {word: c for c, word in enumerate(classes)}
    each = [table[PREFIX + word].to_numpy().reshape(len(seeds), count) for word in classes]
    return Predictions(
        keys=tuple(keys),
        groups=np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64),
        labels=np.array([number[word] for word in labels], dtype=np.int64),
        probabilities=np.stack(each, axis=2),
        classes=classes,
        seeds=seeds,
    )


def compare(first: Path, second: Path, resamples: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Every score of the first predictions minus the second's: value, low, high, p, resamples (`metrics.difference`).

    Raises UsageError when the two were not made on the same pictures, classes and seeds.
    """
    try:
        found = difference(read(first), read(second), resamples, seed)
    except ValueError as error:
        raise UsageError(
            f"{first} and {second} cannot be compared: {error}.", "Evaluate both on one corpus with one parameter file."
        ) from error
    return {name: asdict(one) for name, one in found.items()}
