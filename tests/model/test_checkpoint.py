"""A run that was stopped or killed goes on as if it had not been, or is told why it cannot."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from conftest import openus, sample_words
from toy import ENVIRONMENT, TOY, Train, command, weights_of

from model import train as module
from model.optimise import optimiser_of
from model.params import OptimiserParams
from model.pretrain import Stopped, pretrain
from model.world import join
from openus.errors import CorpusError

train, one_thread = toy.train, toy.one_thread


def test_a_run_stopped_at_any_step_is_the_run_that_was_not(train: Train) -> None:
    whole = train("whole")
    for step in (1, 2, 5):  # also inside an epoch, and between two lines of the history
        with pytest.raises(Stopped, match=f"step {step} of 6"):
            train("cut", stop_after=step, checkpoint_minutes=60)
    assert weights_of(train("cut")) == weights_of(whole)
    history = [(run / "live/plots/metrics/loss.tsv").read_text() for run in (whole, train("cut"))]
    assert history[0] == history[1]


def test_a_killed_process_loses_nothing(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    """SIGKILL, which nobody can catch, somewhere in the middle; the next process goes on from the last saved step."""
    long = {"epochs": 12.0}
    words = [sys.executable, *command(corpus, gate, tmp_path / "killed", **long)]
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not (tmp_path / "killed/state.pt").exists():
        assert time.monotonic() < until and process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.1)
    process.kill()
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert not (tmp_path / "killed/mae.safetensors").exists()
    assert weights_of(train("killed", **long)) == weights_of(train("whole", **long))


def test_a_state_of_another_kind_of_device_is_gone_on_from(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether AdamW is fused is of the device, and torch would take it from the state."""
    whole = train("whole")
    with pytest.raises(Stopped):
        train("cut", stop_after=2)
    file = whole.parent / "cut/state.pt"
    state = torch.load(file, weights_only=True)
    for group in state["optimiser"]["param_groups"]:
        group["fused"] = True
    torch.save(state, file)
    made: list[torch.optim.Optimizer] = []

    def kept(*given: Any, **named: Any) -> Any:
        made.append(optimiser_of(*given, **named))
        return made[-1]

    monkeypatch.setattr("model.pretrain.optimiser_of", kept)
    assert weights_of(train("cut")) == weights_of(whole)
    assert [group["fused"] for group in made[0].param_groups] == [False, False]


def test_a_damaged_picture_ahead_does_not_lose_the_step_before(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noticed when its own step comes, in this process or in the next."""

    def damaged(*given: Any) -> Any:
        def batches() -> Iterator[Any]:
            whole = iter(loader(*given))
            for _ in range(4):  # two steps
                yield next(whole)
            raise CorpusError("The picture x cannot be read.")

        return batches()

    loader = module._loader
    monkeypatch.setattr(module, "_loader", damaged)
    with pytest.raises(Stopped, match="step 2 of 6"):
        train("run", stop_after=2, checkpoint_minutes=60)
    assert (tmp_path / "run/state.pt").exists()
    with pytest.raises(CorpusError, match="picture x"):
        train("other", checkpoint_minutes=60)


def test_a_run_is_not_mixed_with_another(train: Train) -> None:
    with pytest.raises(Stopped):
        train("run", stop_after=2)
    with pytest.raises(CorpusError, match="other parameters"):
        train("run", seed=5)
    with pytest.raises(CorpusError, match="other parameters"):
        train("run", precision="bf16")
    assert weights_of(train("run", seed=5, replaced=True)) == weights_of(train("fresh", seed=5))


def test_a_run_does_not_go_on_with_other_weights_to_start_from_or_from_a_state_of_another_kind(
    train: Train, tmp_path: Path
) -> None:
    first = {"init": str(train("first")), "optimiser": OptimiserParams(base_lr=1e-3, warmup_epochs=0.25)}
    with pytest.raises(Stopped):
        train("run", stop_after=2, **first)
    for other in (first | {"init": str(train("second", seed=1))}, first | {"init": None}):
        with pytest.raises(CorpusError, match="other parameters"):
            train("run", **other)
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    torch.save(state | {"version": 0}, tmp_path / "run/state.pt")
    with pytest.raises(CorpusError, match="other parameters"):
        train("run", **first)


def test_a_run_does_not_go_on_with_another_corpus(train: Train, sample: Path, tmp_path: Path) -> None:
    """The same pictures in another order of shards are other bytes, which this run's gate has not read."""
    with pytest.raises(Stopped):
        train("run", stop_after=2)
    other, verdict = tmp_path / "other", tmp_path / "verdict.json"
    assert openus("build-shards", *sample_words(sample), "--seed", 1, "--out", other).exit_code == 0
    verdict.write_text(openus("check-leakage", "--pretrain", other, "--held-out", other, "--json").stdout)
    with join("cpu") as world, pytest.raises(CorpusError, match="another corpus"):
        pretrain(other, verdict, TOY, tmp_path / "run", world)


def test_a_damaged_state_is_told_of(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train("run", stop_after=2)
    state = tmp_path / "run/state.pt"
    state.write_bytes(state.read_bytes()[:-500])
    with pytest.raises(CorpusError, match=r"state\.pt is damaged"):
        train("run")


def test_one_flipped_bit_of_a_state_is_noticed(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train("run", stop_after=2)
    state = tmp_path / "run/state.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1  # among the numbers of a tensor, which torch does not check
    state.write_bytes(content)
    with pytest.raises(CorpusError, match=r"state\.pt is damaged"):
        train("run")
    torch.save([1, 2], state)
    with pytest.raises(CorpusError, match=r"state\.pt is damaged"):
        train("run")


def test_a_run_killed_at_its_last_state_has_its_panel(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start has no step left to draw one at."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("model.train._save", killed)
    with pytest.raises(KeyboardInterrupt):
        train("run", checkpoint_minutes=60)
    assert (tmp_path / "run/reconstruction.png").exists()
