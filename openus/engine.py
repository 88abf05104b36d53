"""Where work runs: local processes that may crash or hang without taking the pool along.

An engine is a context manager that gives a `RunTasks`: a function that hands out tasks and gives back their results as
they come. A cluster engine joins here later, with the same face. pebble is used because `ProcessPoolExecutor` dies
with its worker and knows no time limit per task.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from openus.errors import OpenusError

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerCrashed(Exception):
    """The process that ran a task was killed (by a signal, or by a library that ends the process)."""


class TimedOut(Exception):
    """A task ran longer than its time limit and was stopped."""


class RunTasks(Protocol):
    """`fn` over `tasks`; yields (task, result or exception) as they finish, in any order."""

    def __call__(
        self, fn: Callable[[Task], Result], tasks: Iterable[Task], *, timeout_s: float
    ) -> Iterator[tuple[Task, Result | BaseException]]:
        """See `local`."""
        ...


@contextlib.contextmanager
def local(workers: int) -> Iterator[RunTasks]:
    """An engine of `workers` processes on this machine; they start with the first task and end with the block.

    `fn` and the tasks are pickled (spawned processes), so `fn` is a module-level function. No more than a few tasks
    a worker are under way, so a generator of millions is fine. A task whose process dies yields WorkerCrashed, one
    that overruns `timeout_s` yields TimedOut, and one that raises yields what it raised; the others are not touched.

    `run` raises OpenusError where processes do not start or die before they take a task: that is no task's fault.
    """
    from pebble import ProcessPool

    spawn = multiprocessing.get_context("spawn")
    pool: Any = ProcessPool(max_workers=workers, initializer=_quiet, context=spawn)
    finished = False

    def run(
        fn: Callable[[Task], Result], tasks: Iterable[Task], *, timeout_s: float
    ) -> Iterator[tuple[Task, Result | BaseException]]:
        return _run(pool, fn, tasks, timeout_s, window=4 * workers)

    try:
        yield run
        finished = True
    finally:
        if finished:
            pool.close()
        else:
            pool.stop()
        pool.join()


ENGINES: dict[str, Callable[[int], contextlib.AbstractContextManager[RunTasks]]] = {"local": local}
"""Name on the command line -> engine of so many workers."""


def _run(
    pool: Any, fn: Callable[[Task], Result], tasks: Iterable[Task], timeout_s: float, window: int
) -> Iterator[tuple[Task, Result | BaseException]]:
    pending: dict[Any, Task] = {}
    waiting = iter(tasks)
    exhausted = False
    try:
        while pending or not exhausted:
            while not exhausted and len(pending) < window:
                try:
                    task = next(waiting)
                except StopIteration:
                    exhausted = True
                    break
                try:
                    pending[pool.schedule(fn, args=(task,), timeout=timeout_s)] = task
                except RuntimeError as error:  # the pool broke since, or cannot start
                    raise _broken(error) from error
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield pending.pop(future), _outcome(future, timeout_s)
    finally:
        for future in pending:
            future.cancel()


def _outcome(future: Any, timeout_s: float) -> Any:
    """The result of a finished future, or what stands for its failure. Raises OpenusError when the pool is broken."""
    from pebble import ProcessExpired

    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise _broken(error) from error
    if isinstance(error, ProcessExpired):
        return WorkerCrashed(f"the worker process ended with code {error.exitcode}")
    if isinstance(error, TimeoutError):
        return TimedOut(f"it took longer than {timeout_s:g} s")
    return future.result() if error is None else error


def _broken(error: Exception) -> OpenusError:
    return OpenusError(
        f"Worker processes do not start, or die before they take a task ({str(error).rstrip('.')}).",
        "Lines above may say why, else look at the machine's memory; then run it again.",
    )


def _quiet() -> None:
    """A worker leaves Ctrl-C to its parent, and the other cores to the other workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
