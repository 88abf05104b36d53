"""Pictures of a benchmark as tensors, and the frozen features of an encoder.

Pictures are read and decoded by a few threads (OpenCV works outside of Python's lock), in a fixed order, while the
model computes: no processes to start, which for 10³ pictures would take longer than the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.augment import Fit, fit_square
from model.evaluate.encoders import Encoder
from model.pictures import Shards, decode_picture
from openus.data import Pixels, Progress
from openus.errors import CorpusError, OpenusError

BATCH = 64
"""Pictures that a frozen encoder sees at once."""

Ints = NDArray[np.int64]
Job = Callable[[], Pixels]


@dataclass(frozen=True)
class Images:
    """How the pictures of a benchmark come to an encoder. Rows are numbers of `shards`."""

    shards: Shards
    encoder: Encoder
    how: Fit
    workers: int
    _lock: Lock = field(default_factory=Lock, repr=False)

    def read(self, row: int) -> Pixels:
        """The stored picture, uint8, [H, W] or [H, W, 3]. Raises CorpusError naming it when it cannot be read."""
        with self._lock:
            content = self.shards.read(row)
        if sha256(content).hexdigest() != self.shards.sha256[row]:
            raise self.shards.fault(row, "its bytes are not those that the manifest tells of")
        try:
            return decode_picture(content, 1 if self.encoder.channels == 1 else 3)
        except CorpusError as error:
            raise self.shards.fault(row, "its bytes are no picture") from error

    def square(self, row: int) -> Pixels:
        """The picture at the encoder's size, uint8."""
        return fit_square(self.read(row), self.encoder.image_size, self.how)

    def tensor(self, squares: Sequence[Pixels], device: torch.device) -> Tensor:
        """uint8 pictures as normalised float32 [N, C, S, S]."""
        stacked = np.stack(squares).reshape(len(squares), *squares[0].shape[:2], self.encoder.channels)
        value = torch.from_numpy(stacked).to(device).permute(0, 3, 1, 2).contiguous().float() / 255
        mean, std = (torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (self.encoder.mean, self.encoder.std))
        return (value - mean) / std

    def batches(self, parts: Sequence[Sequence[Job]]) -> Iterator[list[Pixels]]:
        """What the jobs of each part make, in turn; the next part is prepared while the caller works on one."""
        with ThreadPoolExecutor(max(self.workers, 1)) as pool:
            ahead: list[Future[Pixels]] = []
            for part in [*parts, []]:
                ready, ahead = ahead, [pool.submit(job) for job in part]
                if ready:
                    yield [one.result() for one in ready]

    def squares(self, rows: Ints) -> Iterator[list[Pixels]]:
        """The pictures of `rows` at the encoder's size, in batches."""
        jobs = [partial(self.square, int(row)) for row in rows]
        return self.batches([jobs[at : at + BATCH] for at in range(0, len(jobs), BATCH)])


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def exact() -> Iterator[None]:
    """fp32 as written, and of cuDNN the same algorithms each time, on a GPU as well.

    TF32 has a switch for convolutions and one for matrix products, which an environment or an earlier pre-training in
    this process may have set.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def extract(images: Images, rows: Ints, seed: int, report: Progress) -> NDArray[np.float32]:
    """Features [N, D] of the frozen encoder, in eval mode and fp32; new weights are those of `seed`.

    Raises OpenusError when they are no finite numbers.
    """
    where = device()
    model = images.encoder.build(seed).eval().to(where)
    found = []
    with exact():
        for number, squares in enumerate(images.squares(rows)):
            found.append(forward(model, images.tensor(squares, where)).numpy())
            report("features", min((number + 1) * BATCH, len(rows)), len(rows))
    features = np.concatenate(found)
    if not np.isfinite(features).all():
        raise OpenusError(
            f"The features of {images.encoder.name} are no finite numbers.",
            "Its weights are damaged, or its training diverged: take others.",
        )
    return features


@torch.inference_mode()
def forward(model: nn.Module, batch: Tensor) -> Tensor:
    """The model's output on the CPU."""
    output: Tensor = model(batch)
    return output.float().cpu()
