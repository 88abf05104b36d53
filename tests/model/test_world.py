"""The processes of a run: together they compute what one does, and they stop when they are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy
from toy import ENVIRONMENT, Train, command, weights_of

from model.pretrain import Stopped
from model.world import told_to_stop
from openus.errors import UsageError
from openus.storage import exclusive

train, one_thread = toy.train, toy.one_thread


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


def test_a_folder_is_trained_in_by_one_process(train: Train, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.state.pt.1.part").touch()  # the other's, which is about to rename it
    with exclusive(tmp_path / "run"), pytest.raises(UsageError, match="Another process writes in"):
        train("run")
    assert (tmp_path / "run/.state.pt.1.part").exists()
    train("run")
    assert not (tmp_path / "run/.state.pt.1.part").exists()


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
