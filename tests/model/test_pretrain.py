"""Training: refuses what cannot go well, learns, and does what is asked of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from conftest import openus
from toy import ENVIRONMENT, TOY, Train, command, weights_of

from model import train as module
from model import weights
from model.optimise import learning_rate
from model.params import AugmentParams, BalanceParams, OptimiserParams
from model.pretrain import pretrain
from model.run import prepare
from model.world import join
from openus.errors import CorpusError, OpenusError, UsageError

train, one_thread = toy.train, toy.one_thread


# --- what it refuses


def test_the_command_refuses_in_one_sentence(corpus: Path, tmp_path: Path) -> None:
    """A corpus with a planted leak, its gate run for real: training names the gate and does not start."""
    file = tmp_path / "leaky.yaml"
    file.write_text("leakage: {drop: false}\n")
    raw = corpus.parent / "leaky-raw"
    leaky = tmp_path / "leaky"
    from openus import sample

    sample.write(raw, 0)
    built = openus("build-shards", "--root", raw, *sample_archive(raw), "--params", file, "--out", leaky)
    assert built.exit_code == 0, built.stderr
    ran = openus("check-leakage", "--pretrain", leaky, "--held-out", leaky, "--json")
    assert ran.exit_code == 1
    verdict = tmp_path / "verdict.json"
    verdict.write_text(ran.stdout)
    words = [sys.executable, *command(leaky, verdict, tmp_path / "run")]
    process = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith("openus: The leakage gate has not passed") and process.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def sample_archive(raw: Path) -> list[str]:
    """The own archive that holds copies of held-out pictures."""
    return ["--local", f"ward={raw / '_local/ward'}"]


def test_a_step_that_cannot_be_dealt_is_refused(train: Train) -> None:
    with pytest.raises(UsageError, match="multiple"):
        train("run", batch=6, micro_batch=4)


def test_a_source_that_would_never_be_shown_is_told_of(train: Train) -> None:
    with pytest.raises(UsageError, match="local-ward would never be shown"):
        train("run", epoch_pictures=8, balance=BalanceParams(power=1.0))


def test_a_loss_that_is_no_number_stops(train: Train) -> None:
    with pytest.raises(CorpusError, match="loss is"):
        train("run", optimiser=OptimiserParams(base_lr=1e30, warmup_epochs=0))


def test_too_little_memory_is_told(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(module, "_step", full)
    with pytest.raises(OpenusError, match="memory does not hold") as error:
        train("run")
    assert "micro_batch" in error.value.hint


@pytest.mark.parametrize(("stop_after", "said"), [(1, "weights are no numbers"), (None, "loss is")])
def test_weights_that_are_no_numbers_are_never_kept(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int | None, said: str
) -> None:
    """The loss of a step is that before its update."""
    step = module._step

    def diverging(run: Any, trained: torch.nn.Module, *rest: Any) -> Any:
        done = step(run, trained, *rest)
        next(trained.parameters()).data.fill_(torch.inf)
        return done

    monkeypatch.setattr(module, "_step", diverging)
    with pytest.raises(CorpusError, match=said):
        train("run", stop_after=stop_after)
    assert not (tmp_path / "run/state.pt").exists() and not (tmp_path / "run/encoder").exists()


def test_the_last_steps_weights_are_looked_at_too(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = module._step, []

    def diverging(run: Any, trained: torch.nn.Module, *rest: Any) -> Any:
        done = step(run, trained, *rest)
        steps.append(done)
        if len(steps) == 6:
            next(trained.parameters()).data.fill_(torch.inf)
        return done

    monkeypatch.setattr(module, "_step", diverging)
    with pytest.raises(CorpusError, match="weights are no numbers"):
        train("run", checkpoint_minutes=60)
    assert not (tmp_path / "run/state.pt").exists() and not (tmp_path / "run/encoder").exists()


@pytest.mark.parametrize(
    ("optimiser", "said"),
    [
        (OptimiserParams(warmup_epochs=1.0), "all of it would be warm-up"),
        (OptimiserParams(warmup_epochs=0, base_lr=1e-3, min_lr=1e-4), "above the peak of 3.125e-05"),
    ],
)
def test_a_rate_that_only_rises_is_refused(train: Train, optimiser: OptimiserParams, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        train("run", optimiser=optimiser)


def test_a_corpus_that_is_changed_under_a_run_leaves_no_card(
    corpus: Path, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(corpus, tmp_path / "other")
    shard = next((tmp_path / "other/shards").glob("pretrain-*.tar"))

    def change(*_: object) -> None:
        content = bytearray(shard.read_bytes())
        content[3000] ^= 1
        shard.write_bytes(content)

    monkeypatch.setattr("model.train.draw", change)  # in the last step
    with join("cpu") as world, pytest.raises(CorpusError, match="changed while it was trained on"):
        pretrain(tmp_path / "other", gate, replace(TOY, reconstruct_epochs=9.0), tmp_path / "run", world)
    assert not (tmp_path / "run/encoder").exists()


# --- how it trains


def test_training_learns(train: Train) -> None:
    card = json.loads((train("run", epochs=10.0) / "encoder/card.json").read_text())
    assert card["training"]["loss"] < 0.9 * card["training"]["first_loss"]


def test_workers_change_nothing(train: Train) -> None:
    assert weights_of(train("none")) == weights_of(train("one", workers=1)) == weights_of(train("four", workers=4))


def test_the_seed_changes_everything(train: Train) -> None:
    assert weights_of(train("zero")) != weights_of(train("one", seed=1))


def test_three_channels_train_too(train: Train) -> None:
    model = replace(TOY.model, channels=3)
    card = json.loads((train("run", model=model) / "encoder/card.json").read_text())
    assert len(card["statistics"]["mean"]) == 3
    card = json.loads((train("other", model=model, normalisation="imagenet") / "encoder/card.json").read_text())
    assert card["statistics"]["mean"] == list(weights.IMAGENET_MEAN)
    with pytest.raises(UsageError, match="three channels"):
        train("gray", normalisation="imagenet")


def test_augmentation_reaches_the_weights(train: Train) -> None:
    assert weights_of(train("one")) != weights_of(train("two", augment=AugmentParams(flip_horizontal=0.0)))


@pytest.mark.parametrize(
    "changed",
    [
        {"balance": BalanceParams(power=0.25)},
        {"balance": BalanceParams(by="anatomy", power=0.5)},
        {"optimiser": replace(TOY.optimiser, clip_norm=0.01)},
        {"epoch_pictures": 24, "epochs": 2.0, "optimiser": replace(TOY.optimiser, warmup_epochs=0.5)},
    ],
    ids=["power", "by", "clip_norm", "epoch_pictures"],
)
def test_what_is_asked_for_reaches_the_weights(train: Train, changed: dict[str, Any]) -> None:
    """Six steps of the same rates each."""
    assert weights_of(train("one")) != weights_of(train("two", **changed))


def test_masks_and_crops_belong_to_the_seed(corpus: Path, gate: Path, tmp_path: Path) -> None:
    """Whatever pictures come: the noise of a place in the row, which the seed alone decides."""
    found = []
    for seed in (0, 1):
        with join("cpu") as world:
            run = prepare(corpus, gate, replace(TOY, seed=seed), tmp_path / "run", world)
            found.append(next(iter(module._loader(run, 0, world, 4)))[1].clone())
    assert not torch.equal(*found)


@pytest.mark.parametrize("micro_batch", [2, 8])
def test_micro_batches_are_a_matter_of_memory_alone(train: Train, micro_batch: int) -> None:
    """A loss is the mean over the step, and so is the gradient; only the order of sums differs."""
    one, two = (json.loads((train(f"{size}", micro_batch=size) / "encoder/card.json").read_text()) for size in
                (4, micro_batch))  # fmt: skip
    for name in ("loss", "first_loss"):
        assert one["training"][name] == pytest.approx(two["training"][name], rel=2e-3)


def test_the_next_batch_is_fetched_ahead_and_the_waiting_counts() -> None:
    fetched: list[int] = []

    def batches() -> Iterator[Any]:
        for number in range(3):
            time.sleep(0.01)
            fetched.append(number)
            yield number

    feed = module.Feed(batches())
    assert feed.take() == 0 and fetched == [0]
    feed.prepare()
    assert fetched == [0, 1]
    assert feed.take() == 1 and feed.take() == 2
    feed.prepare()
    with pytest.raises(StopIteration):
        feed.take()
    assert feed.waited >= 0.03


def test_the_history_tells_the_rate_of_each_line(train: Train) -> None:
    lines = (train("run") / "live/plots/metrics/lr.tsv").read_text().splitlines()
    told = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert [int(one["step"]) for one in told] == [2, 4, 6]
    for one in told:
        rate = learning_rate(int(one["step"]) - 1, 6, 6, TOY.batch, TOY.optimiser)
        assert float(one["lr"]) == pytest.approx(rate)
