"""A task that dies, hangs or raises costs itself and nobody else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openus import engine
from openus.errors import OpenusError


def _work(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 5:
        time.sleep(60)
    if task == 7:
        raise ValueError("seven")
    return task * task


def _echo(task: int) -> int:
    return task


def test_crash_timeout_and_error_cost_their_own_task() -> None:
    with engine.local(2) as run:
        results = dict(run(_work, range(12), timeout_s=4))
    assert isinstance(results.pop(3), engine.WorkerCrashed)
    assert isinstance(results.pop(5), engine.TimedOut)
    assert isinstance(results.pop(7), ValueError)
    assert results == {task: task * task for task in range(12) if task not in (3, 5, 7)}


def test_tasks_are_drawn_as_needed() -> None:
    drawn = []

    def tasks() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    with engine.local(1) as run:
        running = run(_echo, tasks(), timeout_s=30)
        next(running)
        assert len(drawn) <= 8
        running.close()
        assert dict(run(_echo, range(3), timeout_s=30)) == {0: 0, 1: 1, 2: 2}  # the engine goes on after a break


def test_an_error_outside_stops_the_processes() -> None:
    with pytest.raises(KeyError), engine.local(1) as run:
        running = run(_work, [1, 5], timeout_s=60)
        next(running)  # task 5 sleeps for a minute: leaving must not wait for it
        raise KeyError


def test_no_tasks_no_processes() -> None:
    with engine.local(2) as run:
        assert list(run(_echo, [], timeout_s=1)) == []


@pytest.mark.parametrize("tasks", [1, 40])
def test_workers_that_cannot_start_are_no_tasks_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['cv2'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(OpenusError, match="do not start"), engine.local(2) as run:
        list(run(_echo, range(tasks), timeout_s=30))
