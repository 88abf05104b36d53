"""Fine-tuning: validation chooses rate and epoch, and what is drawn belongs to epoch and seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import evaluation
import numpy as np
import pytest
import torch
from evaluation import TINY, images, params
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from model import world
from model.evaluate import encoders, evaluate, finetune
from model.evaluate.choose import Part
from model.params import EncoderParams, FinetuneParams

folder = evaluation.folder


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_learns(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, precision: Literal["fp32", "bf16"]
) -> None:
    """Pictures whose class is plain to see are told apart, and not at a rate of nothing.

    CPUs have bf16, if slowly: what is trained in it predicts in fp32.
    """
    computed: list[tuple[bool, torch.dtype]] = []

    def watched(module: Any, _: Any, output: Any) -> None:
        computed.append((module.training, output.dtype))

    monkeypatch.setattr(world, "has_bf16", lambda device: True)
    build = encoders.Encoder.build

    def built(*given: Any) -> Any:
        model = build(*given)
        model.get_classifier().register_forward_hook(watched)
        return model

    monkeypatch.setattr(encoders.Encoder, "build", built)
    encoder = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    source = images(corpus, encoder)
    bright = np.array([source.square(row).mean() for row in range(30)])
    rows = np.argsort(bright)[np.r_[0:10, 20:30]]
    labels = np.r_[np.zeros(10, dtype=np.int64), np.ones(10, dtype=np.int64)]
    odd = np.arange(20) % 2 == 1
    tuned = FinetuneParams(lr=(2e-3, 1e-9), epochs=8, warmup_epochs=1.0, batch=5, layer_decay=0.9, precision=precision)
    told: list[tuple[str, int, int]] = []
    task = finetune.Task(source, 2, tuned, "auroc", 0, lambda *words: told.append(words), "fold")
    fitted = finetune.fit(task, Part(rows[odd], labels[odd]), Part(rows[~odd], labels[~odd]))
    assert fitted.chosen["lr"] == 2e-3 and fitted.validation > 0.85
    assert [done for _, done, _ in told] == list(range(1, 17))
    again = roc_auc_score(labels[~odd], fitted.predict(rows[~odd])[:, 1])
    assert again == pytest.approx(fitted.validation)
    assert set(computed) == {
        (True, torch.bfloat16 if precision == "bf16" else torch.float32),
        (False, torch.float32),
    }


@pytest.mark.parametrize("has", [False, True])
def test_the_precision_of_training_is_told(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    for place in ("model.world", "model.evaluate.run"):
        monkeypatch.setattr(f"{place}.has_bf16", lambda device: has)
    quick = replace(TINY, lr=(1e-3,), epochs=1, precision="bf16")
    chosen = replace(params(folder=str(folder)), seeds=(0,), finetune=quick)
    notes = evaluate(corpus, "bus-bra", "it", "finetune", chosen, tmp_path / "out")["notes"]
    assert any("Fine-tuned in bf16" in note for note in notes) is has
    assert any("fine-tuned in fp32" in note for note in notes) is not has
    assert not any("bf16" in note for note in evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / "k")["notes"])


@pytest.mark.parametrize(("said", "rate", "epoch"), [([0.2, 0.9, 0.1, 0.3], 0, 2), ([0.2, 0.1, 0.8, 0.3], 1, 1)])
def test_the_weights_that_validation_liked_best_are_kept(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, said: list[float], rate: int, epoch: int
) -> None:
    source = images(corpus, encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64))
    seen: list[NDArray[np.float64]] = []

    def scripted(labels: Any, probabilities: NDArray[np.float64], by: Any) -> float:
        seen.append(probabilities)
        return said[len(seen) - 1]

    monkeypatch.setattr(finetune, "quality", scripted)
    task = finetune.Task(source, 2, replace(TINY, epochs=2), "auroc", 0, lambda *_: None, "fold")
    validation = Part(np.arange(20, 30), np.arange(10) % 2)
    fitted = finetune.fit(task, Part(np.arange(20), np.arange(20) % 2), validation)
    assert fitted.chosen == {"lr": TINY.lr[rate], "epoch": epoch} and fitted.validation == max(said)
    found = fitted.predict(validation.x)
    assert [np.allclose(found, one, atol=1e-9) for one in seen] == [value == max(said) for value in said]


@pytest.mark.parametrize(
    ("losses", "rate", "epoch"),
    [([3.0, 1.0, 2.0, 2.0], 0, 2), ([2.0, 2.0, 2.0, 2.0], 0, 1), ([2.0, 2.0, 1.0, 1.0], 1, 1)],
)
def test_of_equal_scores_the_smaller_loss_counts_and_then_the_earlier(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, losses: list[float], rate: int, epoch: int
) -> None:
    told = iter(losses)
    monkeypatch.setattr(finetune, "quality", lambda *_: 0.5)
    monkeypatch.setattr(finetune, "_loss", lambda *_: next(told))
    task = task_of(corpus, folder)
    fitted = finetune.fit(task, Part(np.arange(8), np.arange(8) % 2), Part(np.arange(20, 24), np.arange(4) % 2))
    assert fitted.chosen == {"lr": TINY.lr[rate], "epoch": epoch}


def task_of(corpus: Path, folder: Path, seed: int = 0) -> finetune.Task:
    source = images(corpus, encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64))
    return finetune.Task(source, 2, TINY, "auroc", seed, lambda *_: None, "fold")


def test_a_rate_that_diverges_ends_and_what_it_reached_before_stays(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, calls = finetune._predict, []

    def diverging(*given: Any) -> NDArray[np.float64]:
        calls.append(given)
        return predict(*given) * (np.nan if len(calls) == 2 else 1)

    monkeypatch.setattr(finetune, "_predict", diverging)
    monkeypatch.setattr(finetune, "quality", lambda labels, found, by: 1.0 if len(calls) < 3 else 0.0)
    task = replace(task_of(corpus, folder), params=replace(TINY, lr=(1e-3, 5e-3), epochs=3))
    fitted = finetune.fit(task, Part(np.arange(8), np.arange(8) % 2), Part(np.arange(20, 24), np.arange(4) % 2))
    assert fitted.chosen == {"lr": 1e-3, "epoch": 1} and len(calls) == 2 + 3


def test_order_and_crops_are_drawn_for_each_epoch_and_seed_and_nothing_else_is(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, list[int], NDArray[np.uint8]]] = []
    seeds: list[int] = []
    jobs = finetune._jobs

    def watched(task: finetune.Task, train: Part[Any], parts: list[Any], epoch: int) -> Any:
        same = jobs(task, train, [np.array([3])], epoch)[0][0]()  # of one place, whatever the order
        made.append((task.seed, np.concatenate(parts).tolist(), same))
        seeds.append(torch.initial_seed())  # of what drop path draws
        return jobs(task, train, parts, epoch)

    monkeypatch.setattr(finetune, "_jobs", watched)
    state = torch.get_rng_state()
    for seed in (0, 1):
        task = replace(task_of(corpus, folder, seed), params=replace(TINY, lr=(1e-3, 5e-3)))
        finetune.fit(task, Part(np.arange(12), np.arange(12) % 2), Part(np.arange(20, 24), np.arange(4) % 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert seeds == [*seeds[:2], *seeds[:2], *seeds[4:6], *seeds[4:6]] and len(set(seeds)) == 4
    assert len(made) == 8 and all(sorted(order) == list(range(12)) for _, order, _ in made)
    for seed in (made[:4], made[4:]):  # two epochs at each of two rates
        assert seed[0][1] == seed[2][1] != seed[1][1] == seed[3][1]
        assert np.array_equal(seed[0][2], seed[2][2]) and not np.array_equal(seed[0][2], seed[1][2])
    assert not np.array_equal(made[0][2], made[4][2])


def test_the_loss_of_validation_weighs_classes_alike() -> None:
    p = np.array([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75], [0.25, 0.75]])
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert finetune._loss(p, np.array([0, 1, 1, 1]), 2) == pytest.approx(expected)


def test_layers_near_the_input_learn_slower_and_vectors_do_not_decay(folder: Path) -> None:
    model = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64).build(0, classes=2)
    optimiser = finetune._optimiser(model, 1.0, FinetuneParams(), 0.5)
    finetune._set_rate(optimiser, 1.0)
    by_tensor = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    of = {name: by_tensor[id(p)] for name, p in model.named_parameters()}
    assert len(of) == len(by_tensor)
    assert of["head.weight"]["lr"] == 1.0
    assert (
        of["patch_embed.proj.weight"]["lr"] < of["blocks.0.mlp.fc1.weight"]["lr"] < of["blocks.5.mlp.fc1.weight"]["lr"]
    )
    assert of["head.weight"]["weight_decay"] == 0.05
    assert of["norm.weight"]["weight_decay"] == of["pos_embed"]["weight_decay"] == of["head.bias"]["weight_decay"] == 0


def test_new_weights_are_trained_at_one_rate_and_the_decay_in_force_is_recorded(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control whose first layers are held at random would be weaker than it is."""
    seen: list[torch.optim.AdamW] = []

    def watched(*given: Any) -> torch.optim.AdamW:
        seen.append(make(*given))
        return seen[-1]

    make = finetune._optimiser
    monkeypatch.setattr(finetune, "_optimiser", watched)
    for name, decay in (("folder", 0.5), ("like", 1.0)):
        seen.clear()
        tuned = replace(TINY, lr=(1e-3,), epochs=1, layer_decay=0.5)
        chosen = replace(params(**{name: str(folder)}), seeds=(0,), finetune=tuned)
        found = evaluate(corpus, "bus-bra", "it", "finetune", chosen, tmp_path / name)
        assert found["params"]["finetune"]["layer_decay"] == decay
        scales = {group["lr_scale"] for optimiser in seen for group in optimiser.param_groups}
        assert len(seen) == 5 and (scales == {1.0} if decay == 1 else min(scales) < 0.02)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    one = FinetuneParams(epochs=10, warmup_epochs=2.0)
    rates = [finetune._schedule(epoch / 10, one) for epoch in range(100)]
    assert rates[10] == 0.5 and rates[20] == 1.0 == max(rates) and rates[-1] < 0.01
    assert rates[:20] == sorted(rates[:20]) and rates[20:] == sorted(rates[20:], reverse=True)
