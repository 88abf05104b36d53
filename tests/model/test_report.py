"""The page at the end, made of cells whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from model import metrics, report
from model.evaluate import encoders, predictions
from model.params import EncoderParams, EvaluateParams
from openus.errors import CorpusError

PARAMS = EvaluateParams(
    models=("good", "bad"),
    protocols=("knn",),
    image_size=32,
    encoders={"good": EncoderParams(folder="run/encoder"), "bad": EncoderParams(architecture="test_vit", channels=1)},
    seeds=(0, 1),
    bootstrap=200,
)


CONFIG = {
    "architecture": "test_vit", "num_classes": 0, "model_args": {"img_size": 32, "in_chans": 1},
    "pretrained_cfg": {"input_size": [1, 32, 32], "mean": [0.2], "std": [0.15], "num_classes": 0},
}  # fmt: skip


def write_encoder(folder: Path, seed: int) -> str:
    """A folder that timm opens; returns the SHA-256 of its weights."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = timm.create_model("test_vit", num_classes=0, in_chans=1, img_size=32)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def cell(folder: Path, share: float, seed: int, proven: bool | None, encoder: dict[str, Any]) -> None:
    """40 pictures of 20 patients, `share` of which are called rightly."""
    rng = np.random.default_rng(seed)
    labels = np.arange(40) % 2
    right = rng.random((2, 40)) < share
    first = np.where(right, labels == 0, labels == 1) * 0.6 + 0.2
    found = metrics.Predictions(
        keys=tuple(f"k{n:02}" for n in range(40)),
        groups=np.arange(40) // 2,
        labels=labels,
        probabilities=np.stack([first, 1 - first], axis=2),
        classes=("benign", "malignant"),
        seeds=(0, 1),
    )
    predictions.write(folder / "predictions.parquet", found, [f"p{n // 2:02}" for n in range(40)], ["fold-1"] * 40)
    value: dict[str, Any] = {
        "corpus": "c" * 64,
        "predictions": sha256((folder / "predictions.parquet").read_bytes()).hexdigest(),
        "params": {"seeds": [0, 1], "bootstrap": 200},
        "data": {
            "pictures": 40,
            "patients": 20,
            "groups": 20,
            "patients_unknown": 0,
            "rule": "official folds",
            "classes": {word: {"pictures": 20, "patients": 20} for word in found.classes},
        },
        "encoder": {**encoder, "proven_absent": proven},
        "metrics": {
            name: {"value": one.value, "low": one.low, "high": one.high}
            for name, one in metrics.summarise(found, 200, 0).items()
        },
        "notes": ["Mind this."],
    }
    (folder / "metrics.json").write_text(json.dumps(value))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # the parameters name the encoder as a pipeline does
    run = tmp_path / "run"
    weights = write_encoder(run / "encoder", seed=0)
    (run / "live/plots/metrics").mkdir(parents=True)
    for name in ("loss", "lr"):
        (run / f"live/plots/metrics/{name}.tsv").write_text(f"step\t{name}\n1\t1.5\n2\t0.5\n")
    (run / "reconstruction.png").write_bytes(cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes())
    card = {
        "corpus": {"digest": "d" * 64, "pictures": 7},
        "sources": {"busi": {}},
        "gate": {"pretrain": 7, "held_out": 40, "held_out_sources": ["bus-bra"]},
        "params": {
            "batch": 64,
            "model": {"architecture": "vit_x", "image_size": 32, "channels": 1, "mask_ratio": 0.75},
            "optimiser": {"base_lr": 1e-3},
        },
        "training": {"steps": 2, "loss": 0.5, "first_loss": 1.5},
        "init": None,
        "weights": {"encoder": weights},
    }
    (run / "encoder/card.json").write_text(json.dumps(card))
    good, bad = (encoders.find(name, PARAMS.encoders, 32).provenance() for name in ("good", "bad"))
    cell(tmp_path / "cells/bus-bra/good/knn", 0.95, 1, True, good)
    cell(tmp_path / "cells/bus-bra/bad/knn", 0.5, 2, None, bad)
    return tmp_path


def test_the_page_says_what_was_found(made: Path) -> None:
    page = report.report(made / "run", made / "cells", PARAMS, made / "out").read_text()
    values = json.loads((made / "out/report.json").read_text())["bus-bra"]
    assert values["good"]["knn"]["auroc_macro"] > 0.85
    assert values["bad"]["knn"]["auroc_macro"] < 0.7
    assert f"| nearest neighbours | good | {values['good']['knn']['auroc_macro']:.3f} [" in page
    assert "loss 1.5000 → 0.5000" in page and "7 pictures against 40 held out (bus-bra)" in page
    assert "40 pictures of 20 patients (benign 20, malignant 20); official folds; 2 seeds." in page
    assert "So few give wide intervals" in page and "- good: Mind this." in page
    assert "- good: bus-bra: proven absent" in page and "- bad: bus-bra: new weights." in page
    for name in ("loss", "scores", "reconstruction"):
        assert f"({name}.png)" in page
        assert cv2.imread(str(made / "out" / f"{name}.png")) is not None


def test_models_are_tested_against_the_first_and_p_is_corrected(made: Path) -> None:
    report.report(made / "run", made / "cells", PARAMS, made / "out")
    rows = report.comparisons(made / "cells/bus-bra", PARAMS)
    assert [(row["other"], row["score"]) for row in rows] == [("bad", "auroc_macro"), ("bad", "f1_macro")]
    assert all(row["value"] > 0.2 and row["low"] > 0 and row["p"] < 0.01 for row in rows)
    low, high = sorted(row["p"] for row in rows)
    assert max(row["p_holm"] for row in rows) == pytest.approx(max(high, 2 * low))


def test_the_same_cells_give_the_same_bytes(made: Path) -> None:
    for name in ("one", "two"):
        report.report(made / "run", made / "cells", PARAMS, made / name)
    for file in (made / "one").iterdir():
        assert file.read_bytes() == (made / "two" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("params", "seeds"), [0, 1, 2], "another seeds"),
        (("params", "bootstrap"), 100, "another bootstrap"),
        (("corpus",), "d" * 64, "different corpora"),
        (("encoder", "weights"), "b" * 64, "another encoder"),
    ],
)
def test_a_cell_of_another_evaluation_is_refused(made: Path, where: tuple[str, ...], value: Any, said: str) -> None:
    file = made / "cells/bus-bra/good/knn/metrics.json"
    content = json.loads(file.read_text())
    inner = content
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    file.write_text(json.dumps(content))
    with pytest.raises(CorpusError, match=said):
        report.report(made / "run", made / "cells", PARAMS, made / "out")


def test_an_encoder_of_another_run_may_be_compared_where_its_files_are_not(made: Path) -> None:
    params = replace(PARAMS, encoders={**PARAMS.encoders, "good": EncoderParams(folder="other-run/encoder")})
    change(made, "good", lambda content: content["encoder"].update(weights="b" * 64))
    assert report.report(made / "run", made / "cells", params, made / "out").exists()
    weights = write_encoder(made / "other-run/encoder", seed=1)
    with pytest.raises(CorpusError, match="is of another encoder than the parameters name: its weights differ"):
        report.report(made / "run", made / "cells", params, made / "out")
    change(made, "good", lambda content: content["encoder"].update(weights=weights))
    assert report.report(made / "run", made / "cells", params, made / "out").exists()


def test_a_row_that_now_names_another_architecture_is_stale(made: Path) -> None:
    for other, key in (({"architecture": "resnet10t"}, "architecture"), ({"mean": (0.5,)}, "mean")):
        row = replace(PARAMS.encoders["bad"], **other)
        params = replace(PARAMS, encoders={**PARAMS.encoders, "bad": row})
        with pytest.raises(CorpusError, match=f"bus-bra/bad/knn is of another encoder .* its .*{key}.* differ"):
            report.report(made / "run", made / "cells", params, made / "out")


def change(made: Path, model: str, edit: Callable[[dict[str, Any]], None]) -> None:
    file = made / f"cells/bus-bra/{model}/knn/metrics.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("told", [True, False])
def test_predictions_of_another_run_beside_the_scores_are_refused(made: Path, told: bool) -> None:
    """As a kill between the two writes leaves them; a cell of before that tells no digest says no more."""
    if told:
        whole = made / "cells/bus-bra/good/knn/predictions.parquet"
        (made / "cells/bus-bra/bad/knn/predictions.parquet").write_bytes(whole.read_bytes())
    else:
        change(made, "bad", lambda content: content.pop("predictions"))
    with pytest.raises(CorpusError, match=r"the cell bus-bra/bad/knn .* not made of the predictions") as caught:
        report.report(made / "run", made / "cells", PARAMS, made / "out")
    assert "Evaluate again" in str(caught.value.hint) and not (made / "out").exists()


def test_a_control_like_another_encoder_than_this_runs_is_refused(made: Path) -> None:
    like = EncoderParams(like="run/encoder")
    params = replace(PARAMS, encoders={**PARAMS.encoders, "bad": like})
    recorded = encoders.find("bad", params.encoders, 32).provenance()
    change(made, "bad", lambda content: content["encoder"].update(recorded))
    assert report.report(made / "run", made / "cells", params, made / "out").exists()
    for key, value in (("architecture", "vit_x"), ("parameters", 7), ("channels", 3), ("mean", [0.3]), ("std", [0.1])):
        other = recorded | {key: value}
        change(made, "bad", lambda content: content["encoder"].update(other))  # noqa: B023 - called at once
        with pytest.raises(CorpusError, match=f"bus-bra/bad/knn is of another encoder .* its {key} differ"):
            report.report(made / "run", made / "cells", params, made / "out")


def test_a_missing_panel_is_named(made: Path) -> None:
    (made / "run/reconstruction.png").unlink()
    with pytest.raises(CorpusError, match=r"run/reconstruction\.png is not there"):
        report.report(made / "run", made / "cells", PARAMS, made / "out")


def test_the_decay_in_force_may_differ_from_the_one_asked_for(made: Path) -> None:
    params = replace(PARAMS, protocols=("finetune",))
    asked = json.loads(json.dumps(asdict(params)))["finetune"]
    for model in ("good", "bad"):
        (made / f"cells/bus-bra/{model}/knn").rename(made / f"cells/bus-bra/{model}/finetune")
        file = made / f"cells/bus-bra/{model}/finetune/metrics.json"
        content = json.loads(file.read_text())
        content["params"]["finetune"] = asked | {"layer_decay": 1.0}
        file.write_text(json.dumps(content))
    assert "| fine-tuned | bad |" in report.report(made / "run", made / "cells", params, made / "out").read_text()
    with pytest.raises(CorpusError, match="another finetune"):
        longer = replace(params, finetune=replace(params.finetune, epochs=99))
        report.report(made / "run", made / "cells", longer, made / "out")


def test_unknown_patients_are_not_called_patients(made: Path) -> None:
    for model in ("good", "bad"):
        file = made / f"cells/bus-bra/{model}/knn/metrics.json"
        content = json.loads(file.read_text())
        content["data"]["patients_unknown"] = 40
        file.write_text(json.dumps(content))
    page = report.report(made / "run", made / "cells", PARAMS, made / "out").read_text()
    assert "40 pictures of 20 groups (the patient of 40 pictures is unknown)" in page
    assert "interval over groups" in page and "scores may be too high" in page


def test_linked_patients_are_resampled_as_groups_and_all_say_so(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes: list[str] = []
    saved = report._figure

    def watched(path: Path, figure: Any) -> None:
        axes.append(figure.axes[0].get_xlabel())
        saved(path, figure)

    monkeypatch.setattr(report, "_figure", watched)
    data: dict[str, Any] = {"groups": 17, "patients": 20, "patients_unknown": 0}
    for model in ("good", "bad"):
        change(made, model, lambda content: content["data"].update(data))
    page = report.report(made / "run", made / "cells", PARAMS, made / "out").read_text()
    assert "40 pictures of 17 groups of 20 patients, some linked by look-alikes (benign 20" in page
    assert "interval over groups" in page and "all predictions of a group swapped" in page
    assert axes == ["step", "AUROC, macro, on bus-bra; 95 % interval over 17 groups"]


def test_the_page_says_that_seeds_are_no_pre_trainings(made: Path) -> None:
    page = report.report(made / "run", made / "cells", PARAMS, made / "out").read_text()
    assert "interval over patients (200 resamples) of the test part, given the trained models" in page
    assert "one pre-training run: seeds redraw" in page and "all predictions of a patient swapped" in page


def test_a_word_with_a_bar_or_a_line_end_breaks_no_table(made: Path) -> None:
    def odd(content: dict[str, Any]) -> None:
        content["data"]["classes"] = {"be|nign": {"pictures": 20}, "mali\ngnant": {"pictures": 20}}

    for model in ("good", "bad"):
        change(made, model, odd)
    page = report.report(made / "run", made / "cells", PARAMS, made / "out").read_text()
    assert "| protocol | model | be\\|nign | mali gnant |\n|---|---|---|---|\n" in page
    assert "(be|nign 20, mali gnant 20)" in page


def test_a_small_p_is_not_zero() -> None:
    assert report._p(0.0005) == "<0.001" and report._p(0.0341) == "0.034" and report._p(None) == "–"


def test_a_missing_cell_is_named(made: Path) -> None:
    (made / "cells/bus-bra/bad/knn/metrics.json").unlink()
    with pytest.raises(CorpusError, match=r"bad/knn/metrics\.json"):
        report.report(made / "run", made / "cells", PARAMS, made / "out")
