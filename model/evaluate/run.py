"""One encoder, one benchmark, one protocol: from the corpus to predictions.parquet and metrics.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from model import metrics
from model.card import overruled
from model.evaluate import encoders, finetune, knn, linear, predictions, splits
from model.evaluate.choose import Fitted, Floats, Ints, Part
from model.evaluate.encoders import Encoder
from model.evaluate.features import Images, device, extract
from model.params import EvaluateParams, Protocol
from model.pictures import Pictures, Shards, read_pictures
from model.world import has_bf16
from openus import manifest
from openus.data import Progress, silent
from openus.errors import CorpusError, OpenusError, UsageError
from openus.shards.read import pictures_digest
from openus.storage import sha256_file, write_text

DIGITS = 6
NOT_KNOWN = frozenset(("", "-", "?", "missing", "n/a", "na", "nan", "nil", "none", "null", "undefined", "unknown"))
"""Label words, case-folded, that tables have where nothing is known."""
OTHERS = (
    "held against other pictures called {} than these by the gate, or its card does not say which: that these "
    "were not trained on is not proven."
)


@dataclass(frozen=True)
class Job:
    """What does not change from fold to fold."""

    rows: splits.Rows
    images: Images
    protocol: Protocol
    params: EvaluateParams
    report: Progress
    name: str


def evaluate(
    corpus: Path,
    benchmark: str,
    model: str,
    protocol: str,
    params: EvaluateParams,
    out: Path,
    report: Progress = silent,
) -> dict[str, Any]:
    """Score an encoder on a labelled source of a corpus; writes and returns what was found.

    Each picture is tested once a seed. Of what is not tested, training and validation are drawn anew by group (patient,
    or what belongs together: see `splits`) for each seed and fold; all choices are made on validation, and the test
    part is looked at once, after the last choice. Predictions of all folds are pooled before scoring. The same inputs
    give the same bytes on the same machine; fine-tuning on a GPU does not, whose attention sums in changing order.

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
    table = corpus / "manifest.parquet"
    digest = sha256_file(table) if table.is_file() else ""
    pictures = _pictures(corpus, benchmark, params.target)  # tells where there is none
    absent, notes = _seen(encoder, benchmark, pictures)
    rows = splits.labelled(pictures, params.target, params.leave_out)
    plan = splits.plan(rows, params.folds)
    images = Images(Shards(pictures.take(rows.at)), encoder, params.fit, params.workers)
    job = Job(rows, images, protocol, params, report, f"{benchmark} {model} {protocol}")  # type: ignore[arg-type]
    probabilities, choices = _test_all(job, plan)
    if sha256_file(table) != digest:
        raise CorpusError(f"{corpus} was changed while it was read: the scores are of no corpus.", "Evaluate again.")
    fold_of = {row: fold.name for fold in plan.folds for row in fold.test.tolist()}
    kept = np.array(sorted(fold_of), np.int64)
    groups = [rows.groups[i] for i in kept]
    keys = tuple(rows.keys[i] for i in kept)
    found = metrics.Predictions(
        keys, splits.group_numbers(groups), rows.labels[kept], probabilities[:, kept], rows.classes, params.seeds
    )
    summary = metrics.summarise(found, params.bootstrap, seed=0)
    predictions.write(out / "predictions.parquet", found, groups, [fold_of[i] for i in kept.tolist()])
    result = {
        "benchmark": benchmark,
        "model": model,
        "protocol": protocol,
        "corpus": digest,
        "predictions": sha256_file(out / "predictions.parquet"),
        "data": _data(rows, plan, kept, params.target),
        "encoder": {**encoder.provenance(), "proven_absent": absent},
        "metrics": {
            name: {key: _rounded(value) for key, value in asdict(one).items()} for name, one in summary.items()
        },
        "choices": choices,
        "params": _params(params, job.protocol, images),
        "notes": notes + _precision(job) + _notes(rows, plan) + _undefined(summary, params.bootstrap),
    }
    write_text(out / "metrics.json", json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return result


def units(data: Mapping[str, Any]) -> str:
    """What intervals and tests resample, of `data` in metrics.json: patients, or groups where some patients are unknown
    or linked by look-alikes. There are `data["groups"]` of them."""
    alike = data["groups"] == data["patients"] and not data["patients_unknown"]
    return "patients" if alike else "groups"


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


def _pictures(corpus: Path, benchmark: str, target: str) -> Pictures:
    """All kept pictures of the benchmark, labelled or not. Raises UsageError when the corpus has none."""
    table = manifest.read(corpus / "manifest.parquet", ["status", "source", target])
    columns = (table[name].to_pylist() for name in ("status", "source", target))
    kept = [(source, word) for status, source, word in zip(*columns, strict=True) if status == "kept"]
    if benchmark not in {source for source, _ in kept}:
        having = sorted({source for source, word in kept if word})
        raise UsageError(
            f"The corpus has no kept picture of {benchmark}; sources with a {target}: {', '.join(having) or 'none'}.",
            "Build the corpus with the benchmark's folder, or name a source that is held out.",
        )
    return read_pictures(corpus, sources=[benchmark])


def _seen(encoder: Encoder, benchmark: str, pictures: Pictures) -> tuple[bool | None, list[str]]:
    """(whether pre-training is proven not to have seen these pictures, notes). None: the encoder has no card of ours.

    A card proves by the digest of the pictures that the gate compared; a name alone (cards of before) proves nothing.
    `pictures` are all kept ones of the benchmark.

    Raises OpenusError when it was trained on the benchmark.
    """
    card = encoder.card or {}
    start = card.get("init") or {}
    if any(benchmark in (told or {}) for told in (encoder.sources, card.get("sources"), start.get("sources"))):
        raise OpenusError(
            f"{encoder.name} was pre-trained on {benchmark}, as it says itself; a score on it would prove nothing.",
            "Pre-train with the benchmark held out.",
        )
    if not card:
        if encoder.seeded:
            return None, []
        return None, ["The encoder has no card: whether it was trained on these pictures is not known here."]
    here = pictures_digest(zip(pictures.key.tolist(), (str(one) for one in pictures.sha256), strict=True))
    doubt = _doubt(card, benchmark, here)
    notes = [doubt] if doubt else []
    if count := overruled(card):
        notes.append(f"The gate found {count} look-alikes that a person judged to be different pictures.")
    return doubt is None, notes


def _doubt(card: Mapping[str, Any], benchmark: str, digest: str) -> str | None:
    """Why a card does not prove that pre-training never saw the pictures of `digest`; None when it does."""
    if start := card.get("init"):
        before = start.get("held_out_sources") or {}
        if benchmark not in before:
            return "Pre-training started from other weights; that those never saw these pictures is not proven here."
        if not _proves(before, benchmark, digest):
            return f"The weights that pre-training started from were {OTHERS.format(benchmark)}"
    gate = card.get("gate", {})
    if gate.get("ok") is not True or benchmark not in gate.get("held_out_sources", {}):
        return f"{benchmark} was not held out when the gate was passed: look-alikes may have been trained on."
    if not _proves(gate["held_out_sources"], benchmark, digest):
        return f"The encoder was {OTHERS.format(benchmark)}"
    return None


def _proves(held_out: Any, benchmark: str, digest: str) -> bool:
    return isinstance(held_out, Mapping) and held_out.get(benchmark) == digest


def _data(rows: splits.Rows, plan: splits.Plan, kept: Ints, target: str) -> dict[str, Any]:
    """What was tested: pictures, patients, classes, folds."""
    return {
        "target": target,
        "pictures": len(kept),
        "groups": len({rows.groups[i] for i in kept}),
        "patients": _patients(rows, kept),
        "patients_unknown": sum(rows.patients[i] is None for i in kept),
        "classes": {
            word: {
                "pictures": int((rows.labels[kept] == c).sum()),
                "patients": _patients(rows, kept[rows.labels[kept] == c]),
            }
            for c, word in enumerate(rows.classes)
        },
        "rule": plan.rule,
        "folds": {fold.name: {"pictures": len(fold.test), "patients": _patients(rows, fold.test)}
                  for fold in plan.folds},
        "straddling_patients": plan.straddling_patients,
        "straddling_clusters": plan.straddling_clusters,
        "left_out": rows.left_out,
    }  # fmt: skip


def _patients(rows: splits.Rows, at: Ints) -> int:
    """Patients as far as they are known: a group that holds none that is known counts as one."""
    known = {rows.patients[i] for i in at if rows.patients[i]}
    grouped = {rows.groups[i] for i in at if rows.patients[i]}
    return len(known) + len({rows.groups[i] for i in at} - grouped)


def _precision(job: Job) -> list[str]:
    """What fine-tuning computed in, where that is not the default."""
    if job.protocol != "finetune" or job.params.finetune.precision == "fp32":
        return []
    if has_bf16(device()):
        return ["Fine-tuned in bf16; predictions are fp32."]
    return ["bf16 was asked for and this machine gains nothing by it: fine-tuned in fp32."]


def _notes(rows: splits.Rows, plan: splits.Plan) -> list[str]:
    """What a reader of the scores should know of the pictures."""
    found = [f"{count} pictures {why} are left out." for why, count in rows.left_out.items()]
    unknown = sum(patient is None for patient in rows.patients)
    if unknown:
        found.append(
            f"The patient of {unknown} pictures is unknown: what shares an examination, a clip or look-alikes is one "
            f"group, {len(set(rows.groups))} in all. Where a patient has several, scores may be too high and "
            "intervals too narrow."
        )
    of = Counter(group for group, patient in set(zip(rows.groups, rows.patients, strict=True)) if patient)
    joined = sum(count > 1 for count in of.values())
    if joined:
        found.append(f"{joined} groups hold several patients, whom look-alikes link; they are drawn as one.")
    for count, what in ((plan.straddling_patients, "patients"), (plan.straddling_clusters, "sets of near-duplicates")):
        if count:
            found.append(f"{count} {what} stand on both sides of the split ({plan.rule}).")
    mixed = Counter(group for group, _ in {(rows.groups[i], int(c)) for i, c in enumerate(rows.labels)})
    several = sum(count > 1 for count in mixed.values())
    if several:
        found.append(f"{several} groups have pictures of several classes.")
    return found + _odd_words(rows.classes)


def _odd_words(classes: Sequence[str]) -> list[str]:
    """Classes that may be one written in two ways, or none at all: that is for a person to know, nothing is merged."""
    spellings: dict[str, list[str]] = {}
    for word in classes:
        spellings.setdefault(" ".join(word.split()).casefold(), []).append(word)
    found = [
        f"The classes {', '.join(map(repr, words))} differ in case or spaces alone; each is tested as its own."
        for words in spellings.values()
        if len(words) > 1
    ]
    for word in (word for plain, words in spellings.items() if plain in NOT_KNOWN for word in words):
        found.append(f"The class {word!r} reads as if nothing were known; it is tested as a class like any other.")
    return found


def _undefined(summary: Mapping[str, metrics.Estimate], resamples: int) -> list[str]:
    """Which intervals rest on fewer resamples than were asked for."""
    fewer = {
        name: one.resamples for name, one in summary.items() if one.value is not None and one.resamples < resamples
    }
    if not fewer:
        return []
    return [
        f"A class was not drawn in up to {resamples - min(fewer.values())} of {resamples} resamples, which are left "
        f"out of the intervals of {', '.join(sorted(fewer))}."
    ]


def _params(params: EvaluateParams, protocol: Protocol, images: Images) -> dict[str, Any]:
    """The parameters that the scores depend on, as they were in force."""
    names = (*"target leave_out image_size fit folds validation choose_by seeds bootstrap".split(), protocol)
    found: dict[str, Any] = json.loads(json.dumps({name: asdict(params)[name] for name in names}))
    if protocol == "finetune":
        found["finetune"]["layer_decay"] = finetune.layer_decay(images, params.finetune)
    return found


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value
