"""Batches for pre-training: augmented pictures and mask noise, in an order that depends on the seed alone.

    pictures.py   what a corpus holds, and random access to it
    jpeg.py       bytes to pixels
    order.py      which picture when
    augment.py    what is seen of it
    here          the dataset and its loader

There is no shuffle buffer and no state: the picture at (epoch, position) is a pure function of the seed, so any
number of workers or processes, and a run that starts in the middle, see the same.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import re
import signal
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from model.augment import WORDS, SampleRandom, draw_views, fit_square, mask_noise, mask_words, show, uniform
from model.order import Index, Steps, epoch_order, quotas
from model.params import AugmentParams
from model.pictures import Pictures, Shards, Statistics, decode_picture, read_pictures, statistics
from openus.data import Pixels
from openus.errors import OpenusError

__all__ = ["Index", "Loader", "Pictures", "PretrainDataset", "Shards", "Statistics", "Steps", "decode_picture",
           "epoch_order", "fit_square", "loader", "quotas", "read_pictures", "statistics"]  # fmt: skip

Batch = tuple[Tensor, Tensor]
"""Pictures uint8 [N, C, S, S] and mask noise float32 [N, L]."""

PREFETCH: Final = 4
"""Batches that a worker is ahead."""
SLOTS: Final = PREFETCH + 1
"""Places for batches that a worker has: those ahead, and the one being used."""


class PretrainDataset(Dataset[Batch]):
    """Augmented pictures with mask noise: `dataset[row, epoch, position]` is (uint8 [C, S, S], float32 [L]).

    `patches` is L. Everything random comes from (seed, epoch, position). May be pickled, and used after a fork.
    Raises CorpusError for a picture that does not decode or has another size, naming it; `openus verify` finds more.
    """

    def __init__(
        self, pictures: Pictures, augment: AugmentParams, *, size: int, channels: int, patches: int, seed: int
    ) -> None:
        self.shards = Shards(pictures)
        self.augment, self.size, self.channels, self.patches = augment, size, channels, patches
        self._views, self._masks = SampleRandom(seed, "view", WORDS), SampleRandom(seed, "mask", mask_words(patches))

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: Index) -> Batch:
        images, noise = self.batch([index])
        return images[0], noise[0]

    def batch(self, indices: list[Index]) -> Batch:
        """The samples of `indices` as one batch."""
        images, noise = self.room(len(indices))
        self.fill(indices, images.numpy(), noise.numpy())
        return self.as_seen(images), noise

    def room(self, *shape: int) -> Batch:
        """Memory for samples: pictures [*shape, S, S] or [*shape, S, S, 3], noise [*shape, L]."""
        pixels = (self.size, self.size) if self.channels == 1 else (self.size, self.size, self.channels)
        return torch.empty((*shape, *pixels), dtype=torch.uint8), torch.empty((*shape, self.patches))

    def fill(self, indices: list[Index], images: Pixels, noise: NDArray[np.float32]) -> None:
        """Write the samples of `indices` into memory of `room(len(indices))`."""
        rows, epochs, positions = np.array(indices, np.int64).T
        noise[:] = mask_noise(self._masks.batch(epochs, positions), self.patches)
        random = uniform(self._views.batch(epochs, positions))
        views = draw_views(self.shards.width[rows], self.shards.height[rows], self.augment, random)
        # One loop for each kind of work: mixed, they drive each other out of the processor's caches (3 % of a sample).
        pictures = self.shards.pictures(rows, self.channels, [view.rows for view in views])
        for view, out in zip(views, images, strict=True):
            show(next(pictures), view, self.augment, out)

    def as_seen(self, images: Tensor) -> Tensor:
        """Filled memory [N, S, S] or [N, S, S, 3] as [N, C, S, S]."""
        return images[:, None] if self.channels == 1 else images.permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Place:
    """Where a worker has put a batch of `count` samples."""

    worker: int
    slot: int
    count: int


@dataclass(frozen=True)
class Failure:
    """An error on its way from a worker: torch would raise it anew, with its whole traceback for a message."""

    error: OpenusError


class _Shared(Dataset[Any]):
    """A dataset whose batches are written into memory that all processes share.

    Torch makes new shared memory for each batch, and mapping it in costs as much as resizing the pictures. Here each
    worker writes into `SLOTS` places in turn. It is given a batch to load only when the one `PREFETCH` before has
    reached the consumer, so nothing is overwritten before the next batch is asked for.
    """

    def __init__(self, dataset: PretrainDataset, workers: int, count: int) -> None:
        self.dataset = dataset
        self.images, self.noise = dataset.room(workers, SLOTS, count)
        try:
            for memory in (self.images, self.noise):
                memory.share_memory_()  # type: ignore[no-untyped-call]  # torch has no types here
        except RuntimeError as error:
            needed = (self.images.nbytes + self.noise.nbytes) >> 20
            raise OpenusError(
                f"Loading with {workers} workers takes {needed} MiB of shared memory (/dev/shm): {error}.",
                "Give more (docker run --shm-size), or take fewer workers or a smaller micro_batch.",
            ) from error
        self._slot = 0

    def __getitems__(self, indices: list[Index]) -> Place | Failure:
        """Torch's fetcher asks for whole batches by this name."""
        info = get_worker_info()
        assert info is not None, "only workers share"
        self._slot = (self._slot + 1) % SLOTS
        images, noise = (memory[info.id, self._slot, : len(indices)].numpy() for memory in (self.images, self.noise))
        try:
            self.dataset.fill(indices, images, noise)
        except OpenusError as error:
            return Failure(error)
        return Place(info.id, self._slot, len(indices))

    def at(self, place: Place) -> Batch:
        """The batch at a place, where it lies."""
        images, noise = (memory[place.worker, place.slot, : place.count] for memory in (self.images, self.noise))
        return self.dataset.as_seen(images), noise


class Loader(DataLoader[Any]):
    """Micro-batches in the order of `steps`, loaded by `workers` processes, or by this one for 0.

    A batch is valid until the next is asked for: then its memory may be written again.

    Workers come from a fork server (Linux and macOS): a plain fork hangs once OpenCV has used its threads, and
    copies locks and a CUDA context. Torch's own random state is not touched.
    """

    def __init__(self, dataset: PretrainDataset, steps: Steps, *, workers: int, pin_memory: bool) -> None:
        self._shared = _Shared(dataset, workers, steps.micro_batch) if workers else None
        self._samples, self._pin = dataset, pin_memory
        self._pass: Callable[[], Generator[Batch] | None] = lambda: None
        many: dict[str, Any] = {}
        if workers:
            many = {"prefetch_factor": PREFETCH, "multiprocessing_context": _context()}
        super().__init__(
            self._shared or dataset,
            batch_sampler=steps,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_settle_worker,
            generator=torch.Generator(),
            **many,
        )

    def check_worker_number_rationality(self) -> None:
        """Torch warns here of more workers than cores. That is the caller's choice, and changes no byte."""

    def __iter__(self) -> Any:
        """Batches; raises a worker's CorpusError as it was, and OpenusError when a worker dies.

        A pass with workers ends the one before, whose memory it takes.
        """
        if self._shared:
            if (before := self._pass()) is not None:
                before.close()
            batches = self._from_workers(self._shared)
            self._pass = weakref.ref(batches)
        else:
            batches = self._from_here()
        return ((images.pin_memory(), noise.pin_memory()) for images, noise in batches) if self._pin else batches

    def _from_here(self) -> Generator[Batch]:
        return (self._samples.batch(indices) for indices in self.batch_sampler)  # type: ignore[union-attr]

    def _from_workers(self, shared: _Shared) -> Generator[Batch]:
        with _unsignalled():
            batches: Any = super().__iter__()
        # Ended here in any case, and at exit too: multiprocessing would ask the workers once, by a SIGTERM that they
        # outlive, and wait for them for ever.
        end = partial(_end, batches)
        atexit.register(end)
        try:
            for found in batches:
                if isinstance(found, Failure):
                    raise found.error
                yield shared.at(found)
        except RuntimeError as error:
            if not re.search(r"exited unexpectedly|is killed by signal", str(error)):
                raise  # an error of ours in a worker, which torch raises anew
            raise OpenusError(
                "A process that loads pictures died.", "Often it is memory: take fewer workers."
            ) from error
        finally:
            end()
            atexit.unregister(end)


def loader(dataset: PretrainDataset, steps: Steps, *, workers: int, pin_memory: bool = False) -> Loader:
    """Batches (uint8 [N, C, S, S], float32 [N, L]) in the order of `steps`, one a micro-batch of this process.

    The same bytes for any number of workers. A batch is valid until the next is asked for: clone what is to be kept.
    `pin_memory`: new page-locked memory for each batch, which a GPU copies from while it computes. Iterating raises
    CorpusError for a picture that does not decode, and OpenusError when shared memory is too small.
    """
    return Loader(dataset, steps, workers=workers, pin_memory=pin_memory)


def _context() -> Any:
    """How workers are started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imported once, not by each worker
    return context


def _as_it_is(batch: Any) -> Any:
    return batch


_ASKED = (signal.SIGTERM, signal.SIGUSR1)
"""Signals by which a scheduler asks a whole job to stop, its loaders too: they have to go on until the step is done."""


@contextlib.contextmanager
def _unsignalled() -> Iterator[None]:
    """Processes that are started in this block (workers, fork server, resource tracker) do not see `_ASKED`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)  # it has let SIGTERM through again
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle_worker(_: int) -> None:
    """A worker ends with its parent, however that ends; being asked to stop is the parent's business.

    A scheduler and torchrun may each ask it by a SIGTERM. OpenCV works on one thread.
    """
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Torch looks at the process that forked this one: the fork server, which itself ends only after its workers.
    threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()
    for number in (signal.SIGINT, *_ASKED):
        signal.signal(number, signal.SIG_IGN)


def _end(batches: Any) -> None:
    """Ends the workers of a pass. Torch asks a stuck one by SIGTERM, which it ignores; it must not write any more."""
    batches._shutdown_workers()
    for worker in batches._workers:
        if worker.is_alive():
            worker.kill()
            worker.join()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
