"""How well one thumbnail lies on another: find shift and scale per axis, then compare the local structure.

Plain correlation of two ultrasound pictures says little: the outline of a sector, the black corners and the fading
with depth make any two of one probe alike. So pictures are compared by their *local structure*: gray values less
their neighbourhood's mean, divided by its spread. That also takes out gain and gamma. What is left is speckle and
tissue texture, which is the same twice only when the picture is.

All functions work on stacks of pictures at once, (n, side, side).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

IDENTITY = (1.0, 0.0, 1.0, 0.0)
"""Scale and shift of rows, scale and shift of columns; shifts in fractions of the side, about the centre."""

_NOISE = 3.0
"""Gray levels added to the local spread, so that noise in flat black is not blown up into structure."""
DARK = 6.0
"""Neighbourhoods with a mean gray level up to this hold no echo to compare."""
_CLIP = 1.0
"""Structure beyond plus or minus this is cut off: a caliper or letter must not outweigh the tissue."""
_ROUNDS = ((16, 0, 0.45), (16, 3, 0.6), (32, 2, 0.55))
"""Side, steps, and the correlation of local structures that a pair needs after them to go on. Of 1,647 transformed
copies that end as one picture 99.8 % have at least 0.53, 0.74 and 0.69; of other candidates hardly one in twenty."""
_PRIOR = 25.0
"""Structure (summed squares) that every picture is taken to have in vain. Real ones have 500 to 1,900, a phantom's few
wires in black 200."""
_SCALE = (0.6, 1.67)
_SHIFT = 0.25


def reduce(thumbs: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Thumbnails (n, s, s) reduced to (n, side, side) by averaging whole blocks; `side` divides s."""
    block = thumbs.shape[1] // side
    rows = sum((thumbs[:, start::block] for start in range(1, block)), thumbs[:, ::block].astype(np.uint16))
    sums = sum((rows[:, :, start::block] for start in range(1, block)), rows[:, :, ::block])
    return ((sums + np.uint16(block * block // 2)) // np.uint16(block * block)).astype(np.uint8)


def local_structure(pictures: NDArray[np.generic], window: int) -> tuple[Floats, Floats]:
    """(picture - local mean) / (local spread + noise) over `window` x `window` pixels, clipped; and the local mean."""
    x = pictures.astype(np.float32)
    mean = _box(x, window)
    variance = np.maximum(_box(x * x, window) - mean * mean, 0)
    structure = (x - mean) / np.sqrt(variance + np.float32(_NOISE**2))
    return np.clip(structure, -_CLIP, _CLIP), mean


@dataclass(frozen=True, slots=True)
class Levels:
    """Thumbnails with their local structure at the low resolutions, worked out once for all pairs they are in.

    thumbs: uint8 (n, 64, 64), may be memory-mapped · at16, at32: local structure as float16, 2.5 KB a row.
    """

    thumbs: NDArray[np.uint8]
    at16: NDArray[np.float16]
    at32: NDArray[np.float16]

    def pick(self, rows: NDArray[np.int64], side: int) -> Floats:
        """Local structure (k, side, side) of some rows."""
        if side == 64:
            return _structure(self.thumbs[rows], 64)
        return (self.at16 if side == 16 else self.at32)[rows].astype(np.float32)


def levels(thumbs: NDArray[np.uint8]) -> Levels:
    """The levels of a table of thumbnails."""
    at16 = np.empty((len(thumbs), 16, 16), np.float16)
    at32 = np.empty((len(thumbs), 32, 32), np.float16)
    for start in range(0, len(thumbs), 1024):
        some = thumbs[start : start + 1024]
        at16[start : start + 1024], at32[start : start + 1024] = _structure(some, 16), _structure(some, 32)
    return Levels(thumbs, at16, at32)


@dataclass(frozen=True, slots=True)
class Pairs:
    """k pairs to be compared: rows of `fixed` and of `moving`, and where to start from.

    mirrored: (k,), the moving picture is turned left to right first · start: (k, 4) as `IDENTITY`.
    """

    fixed: NDArray[np.int64]
    moving: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    start: Floats

    def __len__(self) -> int:
        return len(self.fixed)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Pairs:
        """The pairs at `index`."""
        return Pairs(self.fixed[index], self.moving[index], self.mirrored[index], self.start[index])


def compare(fixed: Levels, moving: Levels, pairs: Pairs) -> Floats:
    """Agreement (k,), -1 to 1, of pictures of `moving` laid on pictures of `fixed`.

    Pairs that do not come near each other at low resolution are given up early, with -1.
    """
    scores = np.full(len(pairs), -1, dtype=np.float32)
    live, params = np.arange(len(pairs)), pairs.start
    for side, steps, least in _ROUNDS:
        some = pairs.take(live)
        a, b = fixed.pick(some.fixed, side), _turned(moving.pick(some.moving, side), some.mirrored)
        params = register(a, b, params, steps)
        warped, inside = warp(b, params)
        passed = _correlation(a, warped, inside) >= least
        live, params = live[passed], params[passed]
    if len(live):
        some = pairs.take(live)
        for side, steps in ((32, 4), (64, 3)):
            a, b = fixed.pick(some.fixed, side), _turned(moving.pick(some.moving, side), some.mirrored)
            params = register(a, b, params, steps)
        scores[live] = agreement(fixed.thumbs[some.fixed], _turned(moving.thumbs[some.moving], some.mirrored), params)
    return scores


def _turned(pictures: NDArray[Any], mirrored: NDArray[np.bool_]) -> NDArray[Any]:
    """The stack with some of its pictures turned left to right."""
    return np.where(mirrored[:, None, None], pictures[:, :, ::-1], pictures)


def register(fixed: Floats, moving: Floats, params: Floats, steps: int) -> Floats:
    """Scale and shift per axis that lay `moving` on `fixed`: Gauss-Newton on clipped differences.

    fixed, moving: local structures (n, side, side). params: start, (n, 4) as `IDENTITY`. Returns the refined (n, 4).
    Source: B. D. Lucas, T. Kanade, "An Iterative Image Registration Technique", IJCAI 1981, with four parameters.
    """
    n, side, _ = fixed.shape
    if not n:
        return params
    grid = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)
    low = np.array([_SCALE[0], -_SHIFT] * 2, dtype=np.float32)
    high = np.array([_SCALE[1], _SHIFT] * 2, dtype=np.float32)
    ridge = np.eye(4, dtype=np.float32)
    for _ in range(steps):
        warped, inside = warp(moving, params)
        difference = np.clip(fixed - warped, -1, 1) * inside
        down = np.zeros_like(warped)
        right = np.zeros_like(warped)
        down[:, 1:-1] = (warped[:, 2:] - warped[:, :-2]) * (side / 2) / params[:, 0, None, None]
        right[:, :, 1:-1] = (warped[:, :, 2:] - warped[:, :, :-2]) * (side / 2) / params[:, 2, None, None]
        jacobian = np.stack([down * grid[:, None], down, right * grid, right], axis=1) * inside[:, None]
        jacobian = jacobian.reshape(n, 4, side * side)
        hessian = jacobian @ jacobian.transpose(0, 2, 1)
        hessian += ridge * (np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.float32(1e-4) + np.float32(1e-6))
        step = np.linalg.solve(hessian, jacobian @ difference.reshape(n, side * side, 1))[..., 0]
        params = np.clip(params + np.clip(step, -0.06, 0.06), low, high)
    return params


def warp(moving: NDArray[np.float32], params: Floats) -> tuple[Floats, Floats]:
    """`moving` resampled by `params` (bilinear), and 1 where all of a pixel's sources lie inside, else 0."""
    side = moving.shape[-1]
    rows = _sampling(params[:, 0], params[:, 1], side)
    columns = _sampling(params[:, 2], params[:, 3], side)
    inside = (rows.sum(axis=2)[:, :, None] * columns.sum(axis=2)[:, None, :]) > 0.99
    warped = np.asarray(rows @ moving @ columns.transpose(0, 2, 1), dtype=np.float32)
    return warped, inside.astype(np.float32)


def agreement(fixed: NDArray[np.uint8], moving: NDArray[np.uint8], params: Floats) -> Floats:
    """Correlation (n,), -1 to 1, of the local structures of `fixed` and of `moving` laid on it by `params`.

    Only where both pictures have an echo and the moved one has a pixel. Shrunk towards 0 where there is little
    structure to compare: a few bright spots on black agree by chance.
    """
    warped, inside = warp(moving.astype(np.float32), params)
    a, mean_a = local_structure(fixed, 9)
    b, mean_b = local_structure(warped, 9)
    weight = _eroded((inside > 0) & (mean_a > DARK) & (mean_b > DARK))
    return _correlation(a, b, weight, prior=_PRIOR)


def _structure(thumbs: NDArray[np.uint8], side: int) -> Floats:
    """Local structure of thumbnails (n, 64, 64) at a lower resolution (n, side, side)."""
    return local_structure(reduce(thumbs, side), 7 if side < 64 else 9)[0]


def _sampling(scale: Floats, shift: Floats, side: int) -> Floats:
    """(n, side, side) matrices that resample a line: output i reads `scale * (i - centre) + centre + shift * side`."""
    index = np.arange(side, dtype=np.float32)
    centre = (side - 1) / 2
    position = scale[:, None] * (index - centre) + centre + shift[:, None] * side
    weight = np.maximum(1 - np.abs(position[:, :, None] - index), 0)
    return np.asarray(weight, dtype=np.float32)


def _correlation(a: Floats, b: Floats, weight: Floats, prior: float = 1e-3) -> Floats:
    total = weight.sum(axis=(1, 2)) + np.float32(1e-6)
    a = a - ((weight * a).sum(axis=(1, 2)) / total)[:, None, None]
    b = b - ((weight * b).sum(axis=(1, 2)) / total)[:, None, None]
    product = (weight * a * b).sum(axis=(1, 2))
    power = (weight * a * a).sum(axis=(1, 2)) * (weight * b * b).sum(axis=(1, 2))
    return np.asarray(product / (np.sqrt(power) + np.float32(prior)), dtype=np.float32)


def _eroded(valid: NDArray[np.bool_]) -> Floats:
    kernel = np.ones((3, 3), np.uint8)
    stack = [cv2.erode(v.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) for v in valid]
    return np.stack(stack).astype(np.float32) if stack else np.zeros(valid.shape, np.float32)


def _box(x: Floats, window: int) -> Floats:
    """Mean over `window` x `window` pixels (odd), mirrored at the borders."""
    means = np.empty_like(x)
    for mean, picture in zip(means, x, strict=True):
        cv2.blur(picture, (window, window), dst=mean, borderType=cv2.BORDER_REFLECT_101)
    return means
