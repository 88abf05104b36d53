"""Training: refuses what leaks, is the same whatever happens on the way, and leaves what others can open."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from conftest import REPOSITORY, openus, sample_words

from model import checkpoint, weights
from model import train as module
from model.card import licence_of, overruled, proven, seen
from model.mae import MaskedAutoencoder
from model.optimise import learning_rate, optimiser_of
from model.params import AugmentParams, BalanceParams, ModelParams, OptimiserParams, PretrainParams
from model.pretrain import Stopped, export, main, pretrain
from model.reconstruct import panel
from model.run import prepare
from model.world import join, told_to_stop
from openus.errors import CorpusError, OpenusError, UsageError
from openus.leakage import admit
from openus.storage import exclusive

Train = Callable[..., Path]

TOY = PretrainParams(
    model=ModelParams("vit_test_patch16", image_size=32, decoder_depth=1, decoder_width=32, decoder_heads=2),
    balance=BalanceParams(power=0.5),
    optimiser=OptimiserParams(base_lr=1e-2, warmup_epochs=0.25, clip_norm=5.0),
    epochs=1.0,
    epoch_pictures=48,
    batch=8,
    micro_batch=4,
    precision="fp32",
    workers=0,
    checkpoint_minutes=0,
    reconstructions=2,
)
"""Six steps of two micro-batches."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Torch as a worker has it: sums do not depend on the machine's cores, and tests side by side do not wait."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def train(corpus: Path, gate: Path, tmp_path: Path) -> Callable[..., Path]:
    """Train in this process; returns the folder of the run. Keywords change the toy's parameters."""

    def run(name: str, *, stop_after: int | None = None, replaced: bool = False, **changed: Any) -> Path:
        with join("cpu") as world:
            params = replace(TOY, **changed)
            pretrain(corpus, gate, params, tmp_path / name, world, stop_after=stop_after, replace=replaced)
        return tmp_path / name

    return run


def weights_of(run: Path) -> bytes:
    return (run / "mae.safetensors").read_bytes()


# --- the same whatever happens on the way


def test_a_run_stopped_at_any_step_is_the_run_that_was_not(train: Train) -> None:
    whole = train("whole")
    for step in (1, 2, 5):  # also inside an epoch, and between two lines of the history
        with pytest.raises(Stopped, match=f"step {step} of 6"):
            train("cut", stop_after=step, checkpoint_minutes=60)
    assert weights_of(train("cut")) == weights_of(whole)
    history = [(run / "live/plots/metrics/loss.tsv").read_text() for run in (whole, train("cut"))]
    assert history[0] == history[1]


def test_workers_change_nothing(train: Train) -> None:
    assert weights_of(train("none")) == weights_of(train("one", workers=1)) == weights_of(train("four", workers=4))


def test_the_seed_changes_everything(train: Train) -> None:
    assert weights_of(train("zero")) != weights_of(train("one", seed=1))


def command(corpus: Path, gate: Path, folder: Path, **changed: Any) -> list[str]:
    """The words of `python -m model.pretrain` for the toy."""
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump({"pretrain": json.loads(json.dumps(asdict(replace(TOY, **changed))))}))
    words = ["--corpus", corpus, "--gate", gate, "--params", file, "--out", folder, "--device", "cpu"]
    return ["-m", "model.pretrain", *map(str, words)]


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


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


def test_processes_that_find_different_states_refuse(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    """As on two machines whose folder is not shared: the state lies where the first process is."""
    (tmp_path / "1").mkdir()
    with pytest.raises(Stopped):
        train("0/run", stop_after=2)
    words = command(corpus, gate, tmp_path / "run")
    words[words.index("--out") + 1] = "run"
    shell = 'cd "$0/$RANK" && exec "$1" "${@:2}"'
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python",
         "bash", "-c", shell, str(tmp_path), sys.executable, *words],
        check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "The processes find different states in run" in done.stderr
    assert not (tmp_path / "0/run/encoder").exists()


def test_two_processes_compute_what_one_does(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    """Two micro-batches a step, by one process after the other or by two at once: the same bits."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run(
        torchrun + command(corpus, gate, tmp_path / "two", workers=1),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert weights_of(tmp_path / "two") == weights_of(train("one"))


STOPS = """
import sys, time
from pathlib import Path
from model import checkpoint, pretrain
from model.params import pretrain_params
from model.world import join

save = checkpoint.save_state
checkpoint.save_state = lambda *given: (time.sleep(2), save(*given))
corpus, gate, params, out = map(Path, sys.argv[1:])
with join("cpu") as world:
    try:
        pretrain.pretrain(corpus, gate, pretrain_params(params), out, world, stop_after=1)
    except pretrain.Stopped:
        sys.stdout.write(f"process {world.rank}: {(out / 'state.pt').exists()}\\n")  # in one go: both write at once
"""


def test_no_process_ends_before_the_state_is_saved(corpus: Path, gate: Path, tmp_path: Path) -> None:
    """torchrun kills the others half a minute after the first has ended, and a large state takes longer."""
    command(corpus, gate, tmp_path / "run")  # for its file of parameters
    (tmp_path / "stops.py").write_text(STOPS)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
             tmp_path / "stops.py", corpus, gate, tmp_path / "run.yaml", tmp_path / "run"]  # fmt: skip
    ran = subprocess.run(
        list(map(str, words)), env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )
    assert sorted(ran.stdout.splitlines()) == ["process 0: True", "process 1: True"], ran.stderr


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


def test_a_folder_is_trained_in_by_one_process(train: Train, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.state.pt.1.part").touch()  # the other's, which is about to rename it
    with exclusive(tmp_path / "run"), pytest.raises(UsageError, match="Another process writes in"):
        train("run")
    assert (tmp_path / "run/.state.pt.1.part").exists()
    train("run")
    assert not (tmp_path / "run/.state.pt.1.part").exists()


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


def test_a_signal_stops_after_the_step_and_the_state_is_saved(corpus: Path, gate: Path, tmp_path: Path) -> None:
    words = [sys.executable, *command(corpus, gate, tmp_path / "run", epochs=500.0, checkpoint_minutes=60)]
    with subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step "):
                break
        process.send_signal(signal.SIGTERM)
        told = ""
        for line in process.stderr:
            told += line
            if "the state is saved" in line:
                process.send_signal(signal.SIGTERM)  # told again while it ends
    assert process.returncode == 130
    assert "the state is saved" in told and "Traceback" not in told
    assert (tmp_path / "run/state.pt").exists()


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGUSR1,), (signal.SIGTERM, signal.SIGTERM)])
def test_a_signal_to_the_whole_job_is_survived_by_the_loaders(
    corpus: Path, gate: Path, tmp_path: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    """As SLURM sends it, to every process, and torchrun again. A step of many micro-batches is done, then saved."""
    changed = {"epochs": 500.0, "batch": 96, "micro_batch": 2, "workers": 2, "checkpoint_minutes": 60}
    words = [sys.executable, *command(corpus, gate, tmp_path / "run", **changed)]
    with subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step "):
                break
        for number in numbers:
            os.killpg(process.pid, number)
            time.sleep(0.3)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "the state is saved" in rest and "Traceback" not in rest
    assert (tmp_path / "run/state.pt").exists()


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


# --- what it refuses


def verdict_of(gate: Path, folder: Path, **changed: Any) -> Path:
    file = folder / "changed.json"
    file.write_text(json.dumps(json.loads(gate.read_text()) | changed))
    return file


def test_the_gate_lets_through_what_it_read(corpus: Path, gate: Path) -> None:
    verdict = admit(corpus, gate)
    assert set(verdict.held_out_sources) == {"bus-bra"} and verdict.pretrain > 100 and verdict.held_out == 30


def test_a_shut_gate_stops_training_before_it_starts(corpus: Path, gate: Path, tmp_path: Path) -> None:
    leaks = [{"rule": "near", "pretrain_key": "a", "held_out_key": "b", "detail": ""}] * 10
    with pytest.raises(CorpusError, match=r"leakage gate has not passed: 10 findings \(10 near\)"):
        admit(corpus, verdict_of(gate, tmp_path, ok=False, leaks=leaks))


def test_a_corpus_that_the_gate_did_not_read_is_refused(corpus: Path, gate: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "shards").mkdir(parents=True)
    for file in [corpus / "manifest.parquet", *(corpus / "shards").iterdir()]:
        (other / file.relative_to(corpus)).write_bytes(file.read_bytes())
    assert admit(other, gate).digest == admit(corpus, gate).digest
    shard = next((other / "shards").glob("pretrain-*.tar"))
    content = bytearray(shard.read_bytes())
    content[3000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorpusError, match="another corpus"):
        admit(other, gate)


def test_a_gate_that_looked_less_closely_is_refused(corpus: Path, gate: Path, tmp_path: Path) -> None:
    """What a weaker search lets through is not let through, e.g. near copies where equal pixels were looked for."""
    params = json.loads(gate.read_text())["params"]
    for changed in ({"near": False}, {"verdict": 0.95}, {"candidate": 0.9}, {"neighbours": 1}):
        with pytest.raises(CorpusError, match="less closely"):
            admit(corpus, verdict_of(gate, tmp_path, params=params | changed))
    admit(corpus, verdict_of(gate, tmp_path, params=params | {"verdict": 0.7}))


def test_a_gate_that_left_out_what_the_corpus_holds_out_is_refused(corpus: Path, tmp_path: Path) -> None:
    """Compared with a picture of noise, every corpus is clean."""
    cv2.imwrite(str(tmp_path / "noise.png"), np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8))
    ran = openus("check-leakage", "--pretrain", corpus, "--held-out", tmp_path, "--json")
    assert ran.exit_code == 0
    (tmp_path / "verdict.json").write_text(ran.stdout)
    with pytest.raises(CorpusError, match="holds out bus-bra, but"):
        admit(corpus, tmp_path / "verdict.json")


def test_a_gate_that_compared_with_other_pictures_of_a_held_out_source_is_refused(
    corpus: Path, gate: Path, tmp_path: Path
) -> None:
    compared = json.loads(gate.read_text())["compared"]
    compared["held_out"]["sources"]["bus-bra"] = "0" * 64
    with pytest.raises(CorpusError, match="holds out bus-bra, but"):
        admit(corpus, verdict_of(gate, tmp_path, compared=compared))


def test_a_verdict_that_lists_leaks_has_not_passed_whatever_it_says(corpus: Path, gate: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"1 findings \(1 near\)"):
        admit(corpus, verdict_of(gate, tmp_path, leaks=[{"rule": "near"}]))


def test_a_gate_that_compared_with_nothing_proves_nothing(corpus: Path, gate: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no held-out picture"):
        admit(corpus, verdict_of(gate, tmp_path, held_out=0))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ok": true}', "\x00", '{"ok": "false", "leaks": null}'])
def test_no_verdict_is_told_of(corpus: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "verdict.json"
    file.write_text(content)
    with pytest.raises(UsageError, match="no verdict"):
        admit(corpus, file)
    with pytest.raises(UsageError, match="left no verdict"):
        admit(corpus, tmp_path / "absent.json")


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


def test_an_interrupt_once_more_ends_a_step_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.world.AGAIN_S", 0.05)
    with told_to_stop() as told:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # torchrun's, of the same Ctrl-C
        assert told()
        time.sleep(0.06)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


# --- what it leaves


def test_the_encoder_opens_in_timm_with_the_same_features(train: Train) -> None:
    import timm

    run = train("run")
    model = MaskedAutoencoder(TOY.model)
    model.load_state_dict(weights.read_state(run / "mae.safetensors"))
    encoder = timm.create_model(f"local-dir:{run / 'encoder'}", pretrained=True).eval()
    images = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(encoder(images), model.eval().features(images), atol=1e-5)
    card = json.loads((run / "encoder/card.json").read_text())
    assert encoder.pretrained_cfg["mean"] == card["statistics"]["mean"]
    three = timm.create_model(f"local-dir:{run / 'encoder'}", pretrained=True, in_chans=3, num_classes=5)
    assert three(torch.randn(1, 3, 32, 32)).shape == (1, 5)


@pytest.mark.parametrize("steps", [2, 5])  # at a line of the history, and between two
def test_an_encoder_is_taken_out_of_a_run_that_goes_on(
    train: Train, corpus: Path, gate: Path, tmp_path: Path, steps: int
) -> None:
    with pytest.raises(Stopped):
        train("run", stop_after=steps, checkpoint_minutes=60)
    run = tmp_path / "run"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    export(corpus, gate, TOY, run, tmp_path / "early")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    card = json.loads((tmp_path / "early/encoder/card.json").read_text())
    assert card["training"]["steps"] == steps and card["training"]["pictures_seen"] == steps * TOY.batch
    assert 0 < card["training"]["loss"] < 10
    assert f"{steps} of 6 steps" in (tmp_path / "early/encoder/README.md").read_text()
    assert (tmp_path / "early/reconstruction.png").exists()
    state = torch.load(run / "state.pt", weights_only=True)["model"]
    early = weights.read_state(tmp_path / "early/mae.safetensors")
    assert all(torch.equal(early[name], state[name]) for name in state)
    train("run")
    export(corpus, gate, TOY, run, tmp_path / "late")
    assert weights_of(tmp_path / "late") == weights_of(run) == weights_of(train("whole"))
    whole = {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    del whole[Path("state.pt")]
    late = tmp_path / "late"
    assert {path.relative_to(late): path.read_bytes() for path in late.rglob("*") if path.is_file()} == whole
    second = train("second", init=str(tmp_path / "early"), optimiser=OptimiserParams(base_lr=1e-3, warmup_epochs=0.25))
    started = json.loads((second / "encoder/card.json").read_text())["init"]
    assert started["sources"] == seen(card) and started["missing"] == []


def test_what_cannot_be_taken_out_is_told(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no state of a run"):
        export(corpus, gate, TOY, tmp_path / "nothing", tmp_path / "early")
    with pytest.raises(Stopped):
        train("run", stop_after=1)
    with pytest.raises(UsageError, match="not come far enough"):
        export(corpus, gate, TOY, tmp_path / "run", tmp_path / "early")
    run = train("run")
    with pytest.raises(CorpusError, match="other parameters"):
        export(corpus, gate, replace(TOY, seed=5), run, tmp_path / "early")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as error:
        export(corpus, gate, TOY, run, tmp_path / "file")
    assert error.value.hint == "Name another --export."
    assert not (tmp_path / "nothing").exists() and not (tmp_path / "early").exists()


def test_taking_out_writes_over_nothing_that_is_needed(
    train: Train, corpus: Path, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = train("run"), train("other", seed=1)
    shutil.copytree(run, tmp_path / "first")
    (tmp_path / "first/state.pt").unlink()
    later = {"init": str(tmp_path / "first"), "optimiser": OptimiserParams(base_lr=1e-3, warmup_epochs=0.25)}
    train("later", **later)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for folder in (run, tmp_path / "new/../run", run / "encoder", run / "new", other):
        with pytest.raises(UsageError, match="is of a run"):
            export(corpus, gate, TOY, run, folder)
    with pytest.raises(UsageError, match="the weights that this run started from"):
        export(corpus, gate, replace(TOY, **later), tmp_path / "later", tmp_path / "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process"):
        export(corpus, gate, TOY, run, tmp_path / "new")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_command_takes_an_encoder_out(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    run, params = train("run"), tmp_path / "params.yaml"
    params.write_text(json.dumps({"pretrain": asdict(TOY)}))
    arguments = ["--corpus", corpus, "--gate", gate, "--params", params, "--out", run, "--export", tmp_path / "early"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0 and result.output == f"encoder  {tmp_path / 'early/encoder'}\n"
    assert (tmp_path / "early/encoder/model.safetensors").exists()


def test_the_card_says_what_went_in(train: Train, corpus: Path, gate: Path) -> None:
    run = train("run")
    card = json.loads((run / "encoder/card.json").read_text())
    assert card["corpus"]["digest"] == json.loads(gate.read_text())["compared"]["pretrain"]["digest"]
    assert card["gate"]["ok"] and list(card["gate"]["held_out_sources"]) == ["bus-bra"]
    assert sum(one["pictures"] for one in card["sources"].values()) == card["corpus"]["pictures"]
    assert card["sources"]["blues"]["commercial_use"] is False and "bus-bra" not in card["sources"]
    assert card["params"]["model"]["architecture"] == "vit_test_patch16"
    assert str(corpus) not in json.dumps(card)
    page = (run / "encoder/README.md").read_text()
    assert "| blues |" in page and "forbid commercial use" in page
    picture = cv2.imread(str(run / "reconstruction.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (2 * 36, 3 * 36) and picture.std() > 10


def test_training_learns(train: Train) -> None:
    card = json.loads((train("run", epochs=10.0) / "encoder/card.json").read_text())
    assert card["training"]["loss"] < 0.9 * card["training"]["first_loss"]


@pytest.mark.parametrize("kind", ["folder", "file", "pth"])
def test_it_goes_on_from_weights(train: Train, tmp_path: Path, kind: str) -> None:
    """Continued on new data: the first loss is where the old run was, not where a new one begins."""
    first = train("first", epochs=10.0)
    seen = json.loads((first / "encoder/card.json").read_text())["statistics"]
    told = {"init_mean": tuple(seen["mean"]), "init_std": tuple(seen["std"])} if kind == "pth" else {}
    init = {"folder": first, "file": first / "mae.safetensors", "pth": tmp_path / "x.pth"}[kind]
    if kind == "pth":
        torch.save({"model": weights.read_state(first / "mae.safetensors")}, init)
    run = train("second", init=str(init), seed=3, optimiser=OptimiserParams(base_lr=1e-6, warmup_epochs=0), **told)
    before, after = (json.loads((one / "encoder/card.json").read_text()) for one in (first, run))
    assert after["training"]["loss"] < before["training"]["first_loss"] * 0.95
    assert after["init"]["sources"] == (None if kind == "pth" else before["sources"])
    assert str(tmp_path) not in "".join(
        file.read_text() for file in (run / "encoder").glob("*[dn]")
    )  # card, page, config
    assert "Training started from" in (run / "encoder/README.md").read_text()
    assert list(proven(before)) == ["bus-bra"] and proven(after) == ({} if kind == "pth" else proven(before))
    assert after["init"]["missing"] == [] and len(after["init"]["sha256"]) == 64


def test_weights_that_do_not_say_how_they_saw_pictures_are_refused(train: Train, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = replace(TOY.model, channels=3)
    state = MaskedAutoencoder(model).state_dict()
    save_file(dict(state), tmp_path / "vit.safetensors")
    with pytest.raises(UsageError, match="does not say how its pictures were normalised"):
        train("run", init=str(tmp_path / "vit.safetensors"))
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}')
    card = json.loads((train("run", init=str(tmp_path / "vit.safetensors")) / "encoder/card.json").read_text())
    assert card["init"]["sources"] is None


def test_a_run_does_not_start_from_itself(train: Train) -> None:
    run = train("run")
    with pytest.raises(UsageError, match="what this run itself writes"):
        train("run", init=str(run), replaced=True)


def test_weights_other_than_their_card_tells_of_are_refused(train: Train) -> None:
    first = train("first")
    file = first / "mae.safetensors"
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorpusError, match=r"card\.json tells of other weights"):
        train("second", init=str(first))
    with pytest.raises(UsageError, match="the state of a run"):
        train("second", init=str(first / "state.pt"))


def test_what_a_person_overruled_stands_in_the_card(corpus: Path, gate: Path, tmp_path: Path) -> None:
    assert admit(corpus, gate).overruled == 0
    verdict = verdict_of(gate, tmp_path, overruled=[{"rule": "near"}] * 3)
    with join("cpu") as world:
        folder = pretrain(corpus, verdict, TOY, tmp_path / "run", world)
    assert json.loads((folder / "card.json").read_text())["gate"]["overruled"] == 3
    assert "3 look-alikes were judged different by a person" in (folder / "README.md").read_text()
    for init in (tmp_path / "run", folder / "model.safetensors"):  # a run that goes on from it tells of them as well
        with join("cpu") as world:
            on = pretrain(corpus, gate, replace(TOY, init=str(init)), tmp_path / f"on from {init.name}", world)
        assert overruled(json.loads((on / "card.json").read_text())) == 3
        assert "3 look-alikes were judged different by a person" in (on / "README.md").read_text()


def test_terms_of_the_weights_it_started_from_count() -> None:
    free = {"pictures": 1, "licences": ["CC0-1.0"], "commercial_use": True, "redistribution": True, "derivatives": True}
    closed = free | {"licences": ["CC-BY-NC-4.0"], "commercial_use": False}
    card = {"sources": {"a": free}, "init": None}
    assert licence_of(seen(card)) == (
        "made from pictures: all allow commercial use, passing on and derived works (see card.json)"
    )
    shut = {"b": closed, "c": free | {"redistribution": None, "derivatives": False}}
    assert licence_of(shut) == (
        "made from pictures: the terms of some forbid commercial use and derived works; "
        "what the terms of some say of passing on is unknown (see card.json)"
    )
    assert "forbid" in licence_of(seen(card | {"init": {"name": "x", "sources": {"b": closed}}}))
    assert "unknown" in licence_of(seen(card | {"init": {"name": "x.pth", "sources": None}}))
    before = closed | {"pictures": 9}
    both = seen(card | {"init": {"name": "x", "sources": {"a": before}}})  # another hospital's archive of that name
    assert both == {"a": before | {"licences": ["CC-BY-NC-4.0", "CC0-1.0"]}} and "forbid" in licence_of(both)


def test_three_channels_train_too(train: Train) -> None:
    model = replace(TOY.model, channels=3)
    card = json.loads((train("run", model=model) / "encoder/card.json").read_text())
    assert len(card["statistics"]["mean"]) == 3
    card = json.loads((train("other", model=model, normalisation="imagenet") / "encoder/card.json").read_text())
    assert card["statistics"]["mean"] == list(weights.IMAGENET_MEAN)
    with pytest.raises(UsageError, match="three channels"):
        train("gray", normalisation="imagenet")


def test_the_panel_shows_seen_patches_as_they_are() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(TOY.model)
    pictures = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    noise = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    shown = panel(model, pictures, noise, torch.full((1, 1, 1, 1), 0.4), torch.full((1, 1, 1, 1), 0.2))
    assert shown.shape == (2 * 36, 3 * 36) and shown.dtype == np.uint8
    assert np.array_equal(shown[:32, :32], pictures[0, 0].numpy())
    assert np.array_equal(shown[:16, 72:88], pictures[0, 0, :16, :16].numpy())  # the one that was kept
    assert np.array_equal(shown[36 + 16 : 36 + 32, 88:104], pictures[1, 0, 16:, 16:].numpy())
    assert not np.array_equal(shown[16:32, 72:88], pictures[0, 0, 16:, :16].numpy())


# --- the optimiser


def test_the_rate_rises_and_falls() -> None:
    params = OptimiserParams(base_lr=1.0, min_lr=0.01, warmup_epochs=2)
    rates = [learning_rate(step, 100, 10, 256, params) for step in range(100)]
    assert rates[0] == 0.05 and rates[19] == rates[20] == 1.0
    assert all(a > b for a, b in pairwise(rates[20:]))
    assert rates[60] == pytest.approx(0.505) and rates[99] < 0.012
    assert learning_rate(50, 100, 10, 512, params) > learning_rate(50, 100, 10, 256, params)


def test_decay_is_of_matrices_alone() -> None:
    model = MaskedAutoencoder(TOY.model)
    decayed, plain = (group["params"] for group in optimiser_of(model, OptimiserParams()).param_groups)
    assert all(value.ndim >= 2 for value in decayed) and model.cls_token not in set(decayed)
    trainable = [value for value in model.parameters() if value.requires_grad]
    assert len(decayed) + len(plain) == len(trainable)


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


def test_the_history_tells_the_rate_of_each_line(train: Train) -> None:
    lines = (train("run") / "live/plots/metrics/lr.tsv").read_text().splitlines()
    told = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert [int(one["step"]) for one in told] == [2, 4, 6]
    for one in told:
        rate = learning_rate(int(one["step"]) - 1, 6, 6, TOY.batch, TOY.optimiser)
        assert float(one["lr"]) == pytest.approx(rate)


def test_no_card_of_before_stands_beside_weights_that_were_not_all_written(train: Train) -> None:
    run = train("run")
    with pytest.raises(KeyError):
        checkpoint.export(run, MaskedAutoencoder(TOY.model), TOY.model, {})
    assert not (run / "encoder/card.json").exists()
