"""From a corpus and an encoder to scores: choices see no test picture, what is tested is counted and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import evaluation
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from evaluation import TINY, Change, params
from sklearn.metrics import roc_auc_score

from model.evaluate import compare, encoders, evaluate, run
from model.evaluate.__main__ import main
from model.evaluate.predictions import read
from model.evaluate.run import units
from model.params import EncoderParams, KnnParams
from model.pictures import read_pictures
from openus.errors import CorpusError, UsageError

folder, changed = evaluation.folder, evaluation.changed


@pytest.mark.parametrize("protocol", ["knn", "linear", "finetune"])
def test_no_choice_depends_on_the_test_part(
    changed: Callable[[str, Change], Path], corpus: Path, folder: Path, tmp_path: Path, protocol: str
) -> None:
    other = read_pictures(corpus, role="pretrain").take([0])
    address = ("shard", "offset", "size", "width", "height", "sha256")

    def listed(row: dict[str, Any]) -> None:
        row["split"] = "val" if row["split"] in ("fold-1", "fold-2") else "train"

    def labels_swapped(row: dict[str, Any]) -> None:
        listed(row)
        if row["split"] == "val":
            row["label"] = {"benign": "malignant", "malignant": "benign"}[row["label"]]

    def other_pixels(row: dict[str, Any]) -> None:
        listed(row)
        if row["split"] == "val":
            row.update({name: getattr(other, name)[0] for name in address})

    chosen = params(folder=str(folder))
    found = [
        evaluate(changed(name, change), "bus-bra", "it", protocol, chosen, tmp_path / f"{name}-out")
        for name, change in (("as-is", listed), ("labels", labels_swapped), ("pixels", other_pixels))
    ]
    as_is, labels, pixels = found
    assert as_is["choices"] == labels["choices"] == pixels["choices"]
    p = [read(tmp_path / f"{name}-out" / "predictions.parquet").probabilities for name in ("as-is", "labels", "pixels")]
    assert np.array_equal(p[0], p[1])  # labels of test pictures reach nothing that predicts
    assert not np.array_equal(p[0], p[2]) and as_is["metrics"] != labels["metrics"]  # yet both were changed


@pytest.mark.parametrize("protocol", ["knn", "linear", "finetune"])
def test_official_folds_are_tested_once_a_seed_and_written_alike_again(
    corpus: Path, folder: Path, tmp_path: Path, protocol: str
) -> None:
    chosen = replace(params(like=str(folder)), finetune=replace(TINY, lr=(1e-3,), epochs=1))
    for name in ("one", "two"):
        result = evaluate(corpus, "bus-bra", "it", protocol, chosen, tmp_path / name)
        torch.manual_seed(0)  # whatever the global generator is
    for file in ("predictions.parquet", "metrics.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    rows = pq.read_table(tmp_path / "one" / "predictions.parquet").to_pylist()
    truth = pq.read_table(corpus / "manifest.parquet").to_pylist()
    truth = {row["key"]: row for row in truth if row["source"] == "bus-bra"}
    assert [(row["seed"], row["key"]) for row in rows] == [(s, key) for s in (0, 1) for key in sorted(truth)]
    assert list(rows[0]) == ["key", "group", "label", "fold", "seed", "p/benign", "p/malignant"]
    for row in rows:
        of = truth[row["key"]]
        assert (row["group"], row["label"], row["fold"]) == (of["patient_id"], of["label"], of["split"])
        assert row["p/benign"] + row["p/malignant"] == pytest.approx(1)
    assert json.loads((tmp_path / "one" / "metrics.json").read_text()) == result
    assert result["predictions"] == sha256((tmp_path / "one" / "predictions.parquet").read_bytes()).hexdigest()
    assert result["data"]["pictures"] == 30 and result["data"]["patients"] == 20
    assert len(result["choices"]) == 10 and result["encoder"]["weights"] == "new"
    first = [row for row in rows if row["seed"] == 0]
    second = [row for row in rows if row["seed"] == 1]
    each = [
        roc_auc_score([r["label"] == "malignant" for r in s], [r["p/malignant"] for r in s]) for s in (first, second)
    ]
    assert result["metrics"]["auroc/malignant"]["value"] == pytest.approx(np.mean(each), abs=1e-6)


def test_new_weights_are_drawn_for_each_seed_and_given_ones_are_the_same(
    corpus: Path, folder: Path, tmp_path: Path
) -> None:
    """With k fixed, neighbours (training and validation together) differ between seeds by the weights alone."""
    for name, same in (("folder", True), ("like", False)):
        chosen = replace(params(**{name: str(folder)}), knn=KnnParams(k=(3,)))
        evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / name)
        first, second = read(tmp_path / name / "predictions.parquet").probabilities
        assert np.allclose(first, second) is same


def test_validation_is_drawn_anew_for_each_seed(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[tuple[int, str], list[int]] = {}
    fit = run._fit

    def watched(job: Any, features: Any, train: Any, validation: Any, seed: int, fold: str) -> Any:
        drawn[seed, fold] = validation.tolist()
        return fit(job, features, train, validation, seed, fold)

    monkeypatch.setattr(run, "_fit", watched)
    evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(folder)), tmp_path / "out")
    assert len(drawn) == 10 and all(drawn[0, f"fold-{k}"] != drawn[1, f"fold-{k}"] for k in range(1, 6))


def test_a_corpus_built_anew_while_it_is_read_has_no_scores(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    here = changed("here", lambda row: None)

    def build_anew(what: str, done: int, total: int | None) -> None:
        manifest = here / "manifest.parquet"
        table = pq.read_table(manifest)
        pq.write_table(table.slice(1), manifest)

    with pytest.raises(CorpusError, match="was changed while it was read"):
        evaluate(here, "bus-bra", "it", "knn", params(folder=str(folder)), tmp_path / "out", build_anew)
    assert not (tmp_path / "out").exists()


def test_what_is_tested_is_counted_and_what_is_not_known_is_noted(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    """Half of the patients unknown; two known ones look alike; a class so rare that some resamples have none."""
    names: dict[str, str] = {}

    def change(row: dict[str, Any]) -> None:
        case = names.setdefault(row["patient_id"], f"{len(names):02}")
        number = int(case)
        row.update(split=None, patient_id=f"bus-bra:{case}" if number < 10 else None, cluster=None, study_id=None)
        row["video_id"] = None if number < 10 else f"bus-bra:clip-{case}"
        row["label"] = "rare" if number in (2, 3, 12, 13) else "usual"
        if number < 2:
            row["cluster"] = "twins"

    chosen = replace(params(folder=str(folder)), folds=2, seeds=(0,), bootstrap=400)
    found = evaluate(changed("half", change), "bus-bra", "it", "knn", chosen, tmp_path / "out")
    data, notes = found["data"], " ".join(found["notes"])
    assert (data["pictures"], data["groups"], data["patients"]) == (30, 19, 20)
    assert data["classes"]["rare"]["patients"] == 4 and data["rule"] == "drawn by group"
    assert f"patient of {data['patients_unknown']} pictures is unknown" in notes and "19 in all" in notes
    assert "scores may be too high" in notes and "1 groups hold several patients" in notes
    fewer = 400 - found["metrics"]["auroc_macro"]["resamples"]
    assert fewer > 0 and f"not drawn in up to {fewer} of 400 resamples" in notes and "auroc_macro" in notes
    assert found["params"]["target"] == "label" and found["params"]["folds"] == 2
    assert units(data) == units({"groups": 19, "patients": 20, "patients_unknown": 0}) == "groups"
    assert units({"groups": 20, "patients": 20, "patients_unknown": 0}) == "patients"


def test_a_class_that_cannot_be_parted_is_left_out_by_name(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    patients: list[str] = []

    def change(row: dict[str, Any]) -> None:
        patients.append(row["patient_id"])
        row.update(split=None, cluster=None, label="rare" if row["patient_id"] == patients[0] else row["label"])

    here = changed("rare", change)
    chosen = replace(params(folder=str(folder)), folds=2, seeds=(0,))
    with pytest.raises(UsageError, match="tests rare") as caught:
        evaluate(here, "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert "evaluate.leave_out" in str(caught.value.hint)
    found = evaluate(here, "bus-bra", "it", "knn", replace(chosen, leave_out=("rare",)), tmp_path / "out")
    count = patients.count(patients[0])
    assert list(found["data"]["classes"]) == ["benign", "malignant"] and found["data"]["pictures"] == 30 - count
    assert f"{count} pictures of the class 'rare' are left out." in found["notes"]
    assert found["params"]["leave_out"] == ["rare"]
    with pytest.raises(UsageError, match="leave_out names 'rar', which no picture has"):
        evaluate(here, "bus-bra", "it", "knn", replace(chosen, leave_out=("rar",)), tmp_path / "out")


def test_label_words_that_may_be_one_or_none_are_noted_and_never_merged(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def change(row: dict[str, Any]) -> None:
        row.update(label=("benign", " Benign", "malignant", "NaN")[len(seen) % 4], split=None, patient_id=None)
        row.update(cluster=None, study_id=None, video_id=None)
        seen.append(row["label"])

    chosen = replace(params(folder=str(folder)), folds=2, seeds=(0,))
    found = evaluate(changed("odd", change), "bus-bra", "it", "knn", chosen, tmp_path / "out")
    notes = [note for note in found["notes"] if note.startswith("The class")]
    assert len(found["data"]["classes"]) == 4 and len(notes) == 2
    assert "' Benign', 'benign' differ in case or spaces" in notes[0] and "'NaN' reads as if nothing" in notes[1]


@pytest.mark.parametrize("given", [{"architecture": "test_vit"}, {"folder": True}, {"like": True}])
def test_a_size_that_patches_do_not_fill_is_refused_before_any_work(
    folder: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    """There is not even a corpus."""
    named = {name: value if name == "architecture" else str(folder) for name, value in given.items()}
    chosen = replace(params(**named), image_size=100)
    with pytest.raises(UsageError, match=r"evaluate\.image_size is 100, no multiple of the 16 pixels") as caught:
        evaluate(tmp_path / "none", "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert "96 or 112" in str(caught.value.hint)
    assert encoders.find("it", {"it": EncoderParams(architecture="test_resnet")}, 100).image_size == 100


def test_an_own_labelled_archive_is_split_by_its_patients(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    def own(row: dict[str, Any]) -> None:
        row.update(source="local-own", role="pretrain", split=None)

    here = changed("own", own)
    chosen = replace(params(folder=str(folder)), folds=3)
    found = evaluate(here, "local-own", "it", "knn", chosen, tmp_path / "out")
    assert found["data"]["rule"] == "drawn by group" and list(found["data"]["folds"]) == [
        f"drawn-{f}" for f in (1, 2, 3)
    ]
    assert found["data"]["pictures"] == 30 and found["data"]["straddling_patients"] == 0
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    folds = {group: {row["fold"] for row in rows if row["group"] == group} for group in {row["group"] for row in rows}}
    assert len(folds) == 20 and all(len(of) == 1 for of in folds.values())


def test_the_view_is_a_target_too_and_what_has_no_word_is_said(corpus: Path, folder: Path, tmp_path: Path) -> None:
    chosen = replace(params(folder=str(folder)), target="view", seeds=(0,))
    found = evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert set(found["data"]["classes"]) <= {"left", "right", "single"} and found["data"]["target"] == "view"
    with pytest.raises(UsageError, match="no label"):
        evaluate(corpus, "local-dicom", "it", "knn", params(folder=str(folder)), tmp_path / "none")


# ---- comparison and command line


def test_two_models_are_compared_on_the_same_pictures_only(corpus: Path, folder: Path, tmp_path: Path) -> None:
    chosen = replace(params(folder=str(folder)), encoders={
        "a": EncoderParams(folder=str(folder)), "b": EncoderParams(like=str(folder))})  # fmt: skip
    scores = {m: evaluate(corpus, "bus-bra", m, "linear", chosen, tmp_path / m)["metrics"] for m in "ab"}
    files = [tmp_path / m / "predictions.parquet" for m in "ab"]
    found = compare(*files, resamples=100)
    expected = scores["a"]["f1_macro"]["value"] - scores["b"]["f1_macro"]["value"]
    assert found["f1_macro"]["value"] == pytest.approx(expected, abs=2e-6)
    assert set(found["f1_macro"]) == {"value", "low", "high", "p", "resamples"}
    evaluate(corpus, "bus-bra", "a", "linear", replace(chosen, seeds=(5,)), tmp_path / "c")
    with pytest.raises(UsageError, match="differ in their seeds"):
        compare(files[0], tmp_path / "c" / "predictions.parquet", resamples=10)
    with pytest.raises(CorpusError, match="holds no predictions"):
        read(corpus / "manifest.parquet")


def test_the_command_prints_scores_and_says_errors_in_one_sentence(corpus: Path, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        f"evaluate: {{image_size: 64, seeds: [0], bootstrap: 20, workers: 1, encoders: {{it: {{folder: {folder}}}}}}}"
    )

    def run(*words: object) -> Any:
        return CliRunner().invoke(main, [str(word) for word in words])

    same = ["--corpus", corpus, "--params", file, "--model", "it", "--out", tmp_path / "out"]
    ran = run(*same, "--benchmark", "bus-bra", "--protocol", "knn")
    assert ran.exit_code == 0 and "auroc_macro" in ran.stdout and "20 patients" in ran.stdout
    assert (tmp_path / "out" / "metrics.json").exists() and (tmp_path / "out" / "predictions.parquet").exists()
    for words, code, said in (
        (["--benchmark", "bus-bra", "--protocol", "svm"], 2, "no protocol 'svm'"),
        (["--benchmark", "bus-brb", "--protocol", "knn"], 2, "no kept picture of bus-brb; sources with a label: "),
        (["--benchmark", "hc18-2", "--protocol", "knn"], 2, "bus-bra"),
        (["--benchmark", "bus-bra", "--protocol", "knn", "--model", "other"], 2, "'other'"),
    ):
        ran = run(*same, *words)
        assert ran.exit_code == code and said in ran.stderr and "Traceback" not in ran.stderr
        assert ran.stderr.count("\n") == 1
