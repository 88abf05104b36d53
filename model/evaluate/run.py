"""One encoder, one benchmark, one protocol: from the corpus to predictions.parquet and metrics.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from model import metrics
from model.evaluate import encoders, finetune, knn, linear, predictions, splits
from model.evaluate.choose import Fitted, Floats, Ints, Part
from model.evaluate.encoders import Encoder
from model.evaluate.features import Images, extract
from model.params import EvaluateParams, Protocol
from model.pictures import Shards, read_pictures
from openus.errors import OpenusError, UsageError
from openus.storage import sha256_file, write_text
from openus.terminal import Report

DIGITS = 6


@dataclass(frozen=True)
class Job:
    """What does not change from fold to fold."""

    rows: splits.Rows
    images: Images
    protocol: Protocol
    params: EvaluateParams
    report: Report
    name: str


def evaluate(
    corpus: Path,
    benchmark: str,
    model: str,
    protocol: str,
    params: EvaluateParams,
    out: Path,
    report: Report = lambda what, done, total: None,
) -> dict[str, Any]:
    """Score an encoder on a labelled source of a corpus; writes and returns what was found.

    Each picture is tested once a seed. Of what is not tested, training and validation are drawn anew by patient for
    each seed and fold; all choices are made on validation, and the test part is looked at once, after the last choice.
    Predictions of all folds are pooled before scoring. The same inputs give the same bytes on the same machine.

    Args:
        corpus: folder of a finished build.
        benchmark: a source in it: a held-out one, or `local-NAME`.
        model: key of `params.encoders`.
        protocol: knn, linear or finetune.
        params: section `evaluate` of a parameter file.
        out: folder for predictions.parquet and metrics.json.
        report: told of progress.

    Returns: the content of metrics.json.

    Raises:
        UsageError: the names or parameters fit nothing, or the pictures cannot be split as they must be.
        CorpusError: the corpus or the weights are not whole.
        OpenusError: the encoder was trained on the benchmark.
    """
    if protocol not in get_args(Protocol):
        raise UsageError(f"There is no protocol {protocol!r}.", f"It is one of {', '.join(get_args(Protocol))}.")
    if not params.seeds or len(set(params.seeds)) < len(params.seeds):
        raise UsageError("evaluate.seeds is empty or names one twice.", "E.g. [0, 1, 2].")
    encoder = encoders.find(model, params.encoders, params.image_size)
    absent, notes = _seen(encoder, benchmark)
    pictures = read_pictures(corpus, sources=[benchmark])
    rows = splits.labelled(pictures, params.target)
    plan = splits.plan(rows, params.folds)
    images = Images(Shards(pictures.take(rows.at)), encoder, params.fit, params.workers)
    job = Job(rows, images, protocol, params, report, f"{benchmark} {model} {protocol}")  # type: ignore[arg-type]
    probabilities, choices = _test_all(job, plan)
    found = metrics.Predictions(
        rows.keys, splits.group_numbers(rows), rows.labels, probabilities, rows.classes, params.seeds
    )
    names = [""] * len(rows.keys)
    for fold in plan.folds:
        for i in fold.test:
            names[i] = fold.name
    tested = np.array([bool(name) for name in names])
    found, kept = _only(found, tested), np.flatnonzero(tested)
    result = {
        "benchmark": benchmark,
        "model": model,
        "protocol": protocol,
        "corpus": sha256_file(corpus / "manifest.parquet"),
        "data": _data(rows, plan, kept, params.target),
        "encoder": {**encoder.provenance(), "proven_absent": absent},
        "metrics": {
            name: {key: _rounded(value) for key, value in asdict(one).items()}
            for name, one in metrics.summarise(found, params.bootstrap, seed=0).items()
        },
        "choices": choices,
        "params": _params(params, job.protocol),
        "notes": notes + _notes(rows, plan),
    }
    predictions.write(out / "predictions.parquet", found, [rows.groups[i] for i in kept], [names[i] for i in kept])
    write_text(out / "metrics.json", json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return result


def _test_all(job: Job, plan: splits.Plan) -> tuple[Floats, list[dict[str, Any]]]:
    """Probabilities [S, N, C] (nan for what no fold tests), and what was chosen for each seed and fold."""
    params, rows = job.params, job.rows
    probabilities = np.full((len(params.seeds), len(rows.keys), len(rows.classes)), np.nan)
    choices = []
    features: NDArray[np.float32] | None = None
    for s, seed in enumerate(params.seeds):
        if job.protocol != "finetune" and (features is None or job.images.encoder.seeded):
            features = extract(job.images, np.arange(len(rows.keys)), seed, job.report)
        for fold in plan.folds:
            train, validation = splits.inner(rows, fold, params.validation, seed)
            predict, told = _fit(job, features, train, validation, seed, fold.name)
            probabilities[s, fold.test] = predict(fold.test)
            parts = {"train": len(train), "validation": len(validation), "test": len(fold.test)}
            choices.append({"seed": seed, "fold": fold.name, **told, "pictures": parts})
        job.report(job.name, s + 1, len(params.seeds))
    return probabilities, choices


def _fit(
    job: Job, features: NDArray[np.float32] | None, train: Ints, validation: Ints, seed: int, fold: str
) -> tuple[Callable[[Ints], Floats], dict[str, Any]]:
    """(rows -> probabilities, the choice); sees the rows of training and validation, and no other."""
    labels, classes, params = job.rows.labels, len(job.rows.classes), job.params
    if features is None:
        task = finetune.Task(job.images, classes, params.finetune, params.choose_by, seed, job.report,
                             f"{job.name} seed {seed} {fold}")  # fmt: skip
        tuned = finetune.fit(task, Part(train, labels[train]), Part(validation, labels[validation]))
        return tuned.predict, _told(tuned)
    one, other = Part(features[train], labels[train]), Part(features[validation], labels[validation])
    if job.protocol == "knn":
        fitted = knn.fit(one, other, classes, params.knn, params.choose_by)
    else:
        fitted = linear.fit(one, other, classes, params.linear, params.choose_by)
    return lambda rows: fitted.predict(features[rows]), _told(fitted)


def _told(fitted: Fitted[Any]) -> dict[str, Any]:
    return {"chosen": fitted.chosen, "validation_score": _rounded(fitted.validation)}


def _seen(encoder: Encoder, benchmark: str) -> tuple[bool | None, list[str]]:
    """(whether pre-training is proven not to have seen the benchmark, notes). None: the encoder has no card of ours.

    Raises OpenusError when it was trained on the benchmark.
    """
    card = encoder.card
    if card is None:
        if encoder.seeded:
            return None, []
        return None, ["The encoder has no card: whether it was trained on these pictures is not known here."]
    start = card.get("init") or {}
    if benchmark in card.get("sources", {}) or benchmark in (start.get("sources") or []):
        raise OpenusError(
            f"{encoder.name} was pre-trained on {benchmark}, as its card says; a score on it would prove nothing.",
            "Pre-train with the benchmark held out.",
        )
    gate = card.get("gate", {})
    if start and benchmark not in (start.get("held_out_sources") or []):
        note = "Pre-training started from other weights; that those never saw these pictures is not proven here."
        return False, [note]
    if gate.get("ok") is True and benchmark in gate.get("held_out_sources", []):
        return True, []
    return False, [f"{benchmark} was not held out when the gate was passed: look-alikes may have been trained on."]


def _data(rows: splits.Rows, plan: splits.Plan, kept: Ints, target: str) -> dict[str, Any]:
    """What was tested: pictures, patients, classes, folds."""
    groups = {rows.groups[i] for i in kept}
    return {
        "target": target,
        "pictures": len(kept),
        "patients": len(groups),
        "patients_unknown": sum(rows.patients[i] is None for i in kept),
        "classes": {
            word: {
                "pictures": int((rows.labels[kept] == c).sum()),
                "patients": len({rows.groups[i] for i in kept if rows.labels[i] == c}),
            }
            for c, word in enumerate(rows.classes)
        },
        "rule": plan.rule,
        "folds": {fold.name: {"pictures": len(fold.test), "patients": len({rows.groups[i] for i in fold.test})}
                  for fold in plan.folds},
        "straddling_patients": plan.straddling_patients,
        "straddling_clusters": plan.straddling_clusters,
        "left_out": rows.left_out,
    }  # fmt: skip


def _notes(rows: splits.Rows, plan: splits.Plan) -> list[str]:
    """What a reader of the scores should know of the pictures."""
    found = [f"{count} pictures {why} are left out." for why, count in rows.left_out.items()]
    unknown = sum(patient is None for patient in rows.patients)
    if unknown:
        found.append(
            f"The patient of {unknown} pictures is unknown: look-alikes count as one, else each picture for itself, so "
            "that intervals are too narrow where a patient has several."
        )
    for count, what in ((plan.straddling_patients, "patients"), (plan.straddling_clusters, "sets of near-duplicates")):
        if count:
            found.append(f"{count} {what} stand on both sides of the split ({plan.rule}).")
    mixed = Counter(group for group, _ in {(rows.groups[i], int(c)) for i, c in enumerate(rows.labels)})
    several = sum(count > 1 for count in mixed.values())
    if several:
        found.append(f"{several} patients have pictures of several classes.")
    return found


def _only(found: metrics.Predictions, tested: NDArray[np.bool_]) -> metrics.Predictions:
    """The pictures that were tested, groups numbered anew."""
    keys = tuple(key for key, ok in zip(found.keys, tested, strict=True) if ok)
    groups = np.unique(found.groups[tested], return_inverse=True)[1].astype(np.int64)
    return metrics.Predictions(
        keys, groups, found.labels[tested], found.probabilities[:, tested], found.classes, found.seeds
    )


def _params(params: EvaluateParams, protocol: Protocol) -> dict[str, Any]:
    """The parameters that the scores depend on."""
    names = ("image_size", "fit", "validation", "choose_by", "seeds", "bootstrap", protocol)
    found: dict[str, Any] = json.loads(json.dumps({name: asdict(params)[name] for name in names}))
    return found


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value
