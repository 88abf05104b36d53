"""A task that dies, hangs or raises costs itself and nobody else."""

from __future__ import annotations

import os
import signal
import time

import pytest

from openus import engine


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
    results = dict(engine.run(_work, range(12), workers=2, timeout_s=lambda task: 2.0 if task == 5 else 30.0))
    assert isinstance(results.pop(3), engine.WorkerCrashed)
    assert isinstance(results.pop(5), engine.TimedOut)
    assert isinstance(results.pop(7), ValueError)
    assert results == {task: task * task for task in range(12) if task not in (3, 5, 7)}


def test_tasks_are_drawn_as_needed() -> None:
    drawn = []

    def tasks():
        for number in range(1000):
            drawn.append(number)
            yield number

    running = engine.run(_echo, tasks(), workers=1, timeout_s=30)
    next(running)
    assert len(drawn) <= 8
    running.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_no_tasks_no_processes(workers: int) -> None:
    assert list(engine.run(_echo, [], workers=workers, timeout_s=1)) == []
