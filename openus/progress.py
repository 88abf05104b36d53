"""The progress of long work on standard error, which leaves standard output to what was asked for."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openus.data import Progress


@contextlib.contextmanager
def progress(every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """A way to report long work: a bar on a terminal, elsewhere a line at the end of each part and every ten seconds.

    All on standard error, so that `--json` stays alone on standard output.
    """
    if sys.stderr.isatty():
        with _bar() as report:
            yield report
        return
    last = clock()

    def line(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if done == total or clock() - last >= every_s:
            last = clock()
            of = "" if total is None else f" of {total}"
            sys.stderr.write(f"openus: {what}: {done}{of}\n")
            sys.stderr.flush()

    yield line


@contextlib.contextmanager
def transfers(every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """A way to report downloads, (name, bytes here, bytes of the whole or None): bars on a terminal, elsewhere lines.

    All on standard error. The first bar is of all files together.
    """
    guard = threading.Lock()
    if sys.stderr.isatty():
        with _transfer_bars() as report:

            def guarded(name: str, here: int, whole: int | None) -> None:
                with guard:
                    report(name, here, whole)

            yield guarded
        return
    last: dict[str, float] = {}

    def line(name: str, here: int, whole: int | None) -> None:
        with guard:
            due = clock() - last.setdefault(name, clock()) >= every_s
            if due or here == whole:
                last[name] = clock()
                of = "" if whole is None else f" of {whole:,}"
                sys.stderr.write(f"openus: {name}: {here:,}{of} bytes\n")
                sys.stderr.flush()

    yield line


@contextlib.contextmanager
def _transfer_bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )  # fmt: skip

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}
    sizes: dict[str, tuple[int, int | None]] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:
        everything = bar.add_task("all", total=None)

        def report(name: str, here: int, whole: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=whole)
            bar.update(tasks[name], completed=here, total=whole, visible=here != whole)
            if "/" in name:  # a file that comes; else it is what is done with them
                sizes[name] = (here, whole)
            wholes = [whole for _, whole in sizes.values()]
            total = None if None in wholes else sum(whole or 0 for whole in wholes)
            bar.update(everything, completed=sum(here for here, _ in sizes.values()), total=total)

        yield report


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report
