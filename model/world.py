"""The processes of one training run, as `torchrun` starts them; one process is a world of one."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from model.params import Precision
from openus.errors import CorpusError, OpenusError, UsageError

T = TypeVar("T")
PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: one of them reads a whole corpus before the first step."""


def has_bf16(device: torch.device) -> bool:
    """Whether the device gains by bf16: GPUs from Ampere on; before, it is emulated, and CPUs are slower by it."""
    return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """What a forward pass of that precision runs in: bf16 autocast where the device has it, else nothing."""
    if precision == "bf16" and has_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


@dataclass(frozen=True, slots=True)
class World:
    """Who this process is among how many, and what it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True for the one process that writes files and tells of progress."""
        return self.rank == 0

    def first(self, work: Callable[[], T]) -> T:
        """What `work` gives, done by the leading process alone and told to all. An error there is raised everywhere."""
        if self.size == 1:
            return work()
        told: list[object] = [None, None]
        if self.leads:
            try:
                told[0] = work()
            except OpenusError as error:
                told[1] = error
            except Exception as error:  # else the others wait for ever
                told[1] = CorpusError(f"{type(error).__name__}: {error}.")
        dist.broadcast_object_list(told, src=0)
        if isinstance(told[1], OpenusError):
            raise told[1]
        return told[0]  # type: ignore[return-value]  # as the leading process said

    def mean(self, *values: float) -> list[float]:
        """The mean of each over all processes, which wait for each other."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [value / self.size for value in tensor.tolist()]

    def any(self, flag: bool) -> bool:
        """True on all processes when it is on one."""
        [share] = self.mean(float(flag))
        return share > 0

    def meet(self) -> None:
        """Wait for all processes."""
        self.mean(0.0)


@contextlib.contextmanager
def join(device: str | None = None) -> Iterator[World]:
    """This process's place among those of `torchrun` (environment RANK, WORLD_SIZE, LOCAL_RANK).

    Args:
        device: cpu or cuda; None: cuda where there is one. NCCL speaks between GPUs, gloo between CPUs.

    Raises UsageError where there is no GPU for this process.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
    if place.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError("There is no GPU that torch can use here.", "Leave --device out, or name cpu.")
        if (place.index or 0) >= (there := torch.cuda.device_count()):
            raise UsageError(f"GPUs here: {there}, and there are more processes.", f"torchrun --nproc-per-node {there}")
        torch.cuda.set_device(place)
    if size == 1:
        yield World(0, 1, place)
        return
    gpu = place if place.type == "cuda" else None  # named, it connects at once, not after the corpus was read
    dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE, device_id=gpu)
    yield World(rank, size, place)
    # Not when this process fails: NCCL would wait here for the others, and those wait for this one's next sum. Gone, it
    # is noticed by torchrun, which ends them.
    dist.destroy_process_group()


AGAIN_S = 2.0
"""Terminal and torchrun may each pass on one Ctrl-C; a person who presses twice takes longer."""
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@contextlib.contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """A question whether SIGTERM, SIGINT or SIGUSR1 has come (SLURM sends the first, or the last when asked to).

    SIGINT once more, `AGAIN_S` later, is KeyboardInterrupt: the step that was to be ended first may hang.
    """
    came: list[float] = []

    def note(number: int, _: object) -> None:
        now = time.monotonic()
        if number == signal.SIGINT and came and now - came[0] > AGAIN_S:
            raise KeyboardInterrupt
        came.append(now)

    before = {number: signal.signal(number, note) for number in _STOPS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_stops() -> None:
    """For a process that is ending: a scheduler and torchrun may each tell it, and its exit code is to be its own."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
