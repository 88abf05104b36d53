"""Where work runs: local processes that may crash or hang without taking the pool along.

One function hands out work and gives back futures' results as they come; a cluster engine joins here later. pebble
is used because `ProcessPoolExecutor` dies with its worker and knows no time limit per task.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerCrashed(Exception):
    """The process that ran a task was killed (by a signal, or by a library that ends the process)."""


class TimedOut(Exception):
    """A task ran longer than its time limit and was stopped."""


def run(
    fn: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_s: Callable[[Task], float] | float,
) -> Iterator[tuple[Task, Result | BaseException]]:
    """`fn` over `tasks` in `workers` processes; yields (task, result or exception) as they finish, in any order.

    `fn` and the tasks are pickled (spawned processes), so `fn` is a module-level function. No more than a few tasks
    a worker are under way, so a generator of millions is fine. A task whose process dies yields WorkerCrashed, one
    that overruns yields TimedOut; the others are not touched. Leaving the iterator early stops the processes.
    """
    from pebble import ProcessExpired, ProcessPool

    limit = timeout_s if callable(timeout_s) else (lambda _: timeout_s)
    spawn = multiprocessing.get_context("spawn")
    pool: Any = ProcessPool(max_workers=workers, initializer=_quiet, context=spawn)
    pending: dict[Any, Task] = {}
    source = iter(tasks)
    exhausted = False
    try:
        while pending or not exhausted:
            while not exhausted and len(pending) < 4 * workers:
                try:
                    task = next(source)
                except StopIteration:
                    exhausted = True
                    break
                pending[pool.schedule(fn, args=(task,), timeout=limit(task))] = task
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                task = pending.pop(future)
                error = future.exception()
                if isinstance(error, ProcessExpired):
                    yield task, WorkerCrashed(f"the worker process ended with code {error.exitcode}")
                elif isinstance(error, TimeoutError):
                    yield task, TimedOut(f"it took longer than {limit(task):g} s")
                else:
                    yield task, error if error is not None else future.result()
    finally:
        if pending or not exhausted:
            pool.stop()
        else:
            pool.close()
        pool.join()


def _quiet() -> None:
    """A worker leaves Ctrl-C to its parent, and cv2's threads to the other workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
