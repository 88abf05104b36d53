"""Which picture is shown when: pure functions of the seed.

Permutations are the order of raw words of Philox4x64-10 under a key made of (seed, what is permuted); see
model/augment.py for why that never changes. Training is one endless row of pictures, epoch after epoch, cut into
steps, and each step into micro-batches that are dealt to the processes:

    step s            positions [s · batch, (s + 1) · batch) of the row
    micro-batch m     the m-th equal part of a step; process r of w computes m = r, w + r, 2 w + r …

So what a step holds, and how it is cut, is the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from itertools import repeat

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray
from torch.utils.data import Sampler

from model.augment import philox_key
from openus.errors import UsageError

Index = tuple[int, int, int]
"""(row, epoch, position in the epoch) of a sample."""
Numbers = NDArray[np.int64]


def permutation(length: int, *words: object) -> Numbers:
    """A random order of 0 … length-1 that belongs to `words`, e.g. (seed, epoch)."""
    return np.argsort(Philox(key=philox_key(*words)).random_raw(length), kind="stable")


def quotas(groups: Mapping[str, Numbers], power: float, size: int) -> dict[str, int]:
    """Pictures of each group in an epoch of `size`: in proportion to (its number) ** power, largest remainders.

    They sum to `size`. Equal remainders go by name. A group whose share is below about a half a picture gets none;
    with `size` at least the number of all pictures each has one or more.
    """
    weights = {name: float(len(groups[name])) ** power for name in sorted(groups) if len(groups[name])}
    total = sum(weights.values())
    # Rounded: the last bits of a power may differ between machines, and must not decide.
    shares = {name: round(size * weight / total, 9) for name, weight in weights.items()}
    whole = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (round(whole[name] - shares[name], 9), name))
    for name in by_remainder[: size - sum(whole.values())]:
        whole[name] += 1
    return whole


def epoch_order(groups: Mapping[str, Numbers], power: float, size: int, seed: int, epoch: int) -> Numbers:
    """Row numbers (size,) int64 of an epoch, in order. `groups` maps a name to its row numbers.

    Each group runs through its pictures in a new random order each time round, and an epoch goes on where the last
    one stopped: over any number of epochs two pictures of a group are shown equally often, or one of them once more.
    With power 1 and `size` the number of all pictures, an epoch shows each exactly once.
    """
    parts = [
        _stream(groups[name], epoch * quota, quota, seed, name) for name, quota in quotas(groups, power, size).items()
    ]
    rows = np.concatenate(parts)
    return rows[permutation(size, "epoch", seed, epoch)]


def _stream(rows: Numbers, start: int, count: int, seed: int, name: str) -> Numbers:
    """`count` items from `start` on of the endless row of reshuffled cycles through `rows`."""
    first, last = start // len(rows), (start + count - 1) // len(rows)
    cycles = [rows[permutation(len(rows), "cycle", seed, name, cycle)] for cycle in range(first, last + 1)]
    skipped = start - first * len(rows)
    return np.concatenate([np.empty(0, np.int64), *cycles])[skipped : skipped + count]


@dataclass(frozen=True, eq=False)
class Steps(Sampler[list[Index]]):
    """The micro-batches of one process from step `start` up to, not including, step `total`, as a batch sampler.

    Yields lists of `micro_batch` indices (row, epoch, position). Starting late costs nothing. Raises UsageError when
    batch is no multiple of micro_batch · world.
    """

    groups: Mapping[str, Numbers]
    """Row numbers by group, see `epoch_order`."""
    _: KW_ONLY
    power: float
    size: int
    """Pictures an epoch."""
    seed: int
    batch: int
    """Pictures a step, over all processes."""
    micro_batch: int
    start: int
    total: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch % (self.micro_batch * self.world):
            raise UsageError(
                f"A step of {self.batch} pictures cannot be dealt in micro-batches of {self.micro_batch} "
                f"to {self.world} processes.",
                f"Let batch be a multiple of {self.micro_batch * self.world}.",
            )

    def __len__(self) -> int:
        return max(0, self.total - self.start) * (self.batch // (self.micro_batch * self.world))

    def __iter__(self) -> Iterator[list[Index]]:
        current, rows = -1, np.empty(0, np.int64)
        for step in range(self.start, self.total):
            for micro in range(self.rank, self.batch // self.micro_batch, self.world):
                place = step * self.batch + micro * self.micro_batch
                end = place + self.micro_batch
                indices: list[Index] = []
                while place < end:  # once, or more often where epochs end within
                    epoch, first = divmod(place, self.size)
                    if epoch != current:
                        current, rows = epoch, epoch_order(self.groups, self.power, self.size, self.seed, epoch)
                    last = min(self.size, first + end - place)
                    indices += zip(rows[first:last].tolist(), repeat(epoch), range(first, last))
                    place += last - first
                yield indices
