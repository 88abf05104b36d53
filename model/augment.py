"""From a decoded picture to the square that the network sees: few passes over uint8 pixels, nothing in float.

Randomness is a function of what it is for and of nothing else. Every sample has its own blocks of the counter-based
generator Philox4x64-10 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405): the key comes from the seed and
from what is drawn, the counter from epoch and position. Only the generator's raw words are used, whose stream NumPy
promises to keep (NEP 19), so neither workers, nor processes, nor a later NumPy change what is drawn. A draw always has
the same place among the words, whatever else is in use: the same seed crops alike with flips and without, and for any
number of patches.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from model.params import AugmentParams
from openus.data import Pixels

Fit = Literal["pad", "squash", "crop"]
Numbers = NDArray[np.int64]

TRIES = 10
"""Crops drawn before the centre is taken, as torchvision's RandomResizedCrop does."""
WORDS = 5 + 2 * TRIES
"""Uniform numbers a picture takes: turn, two flips, the crop's place (2), its area and ratio (2 a try)."""

_BLOCK = 4
"""Words that Philox4x64 makes at a time."""
_INTERPOLATION = {
    "area": cv2.INTER_LINEAR,  # when enlarging; shrinking is treated apart
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
}


def philox_key(*words: object) -> NDArray[np.uint64]:
    """The key of a Philox generator for what `words` name: BLAKE2b-128 of their texts. Returns (2,) uint64."""
    digest = hashlib.blake2b("\0".join(map(str, words)).encode(), digest_size=16).digest()
    return np.frombuffer(digest, "<u8")


class SampleRandom:
    """Random words of samples, `count` for each, by (seed, purpose, epoch, position).

    One generator is kept and set anew: that takes 3 µs, a new one 12, one through SeedSequence 18. Samples that follow
    on each other lie side by side in its stream, and come in one go.
    """

    def __init__(self, seed: int, purpose: str, count: int) -> None:
        self._generator = Philox(key=philox_key("sample", seed, purpose))
        self._state: Any = self._generator.state  # of a new generator: nothing is buffered
        self._count, self._blocks = count, -(-count // _BLOCK)

    def words(self, epoch: int, position: int) -> NDArray[np.uint64]:
        """The words (count,) uint64 of one sample."""
        return self._run(epoch, position, 1).reshape(-1)

    def batch(self, epochs: Numbers, positions: Numbers) -> NDArray[np.uint64]:
        """The words (N, count) uint64 of N samples."""
        goes_on = (np.diff(positions) == 1) & (np.diff(epochs) == 0)
        cuts = [0, *(np.flatnonzero(~goes_on) + 1).tolist(), len(positions)]
        runs = [self._run(int(epochs[a]), int(positions[a]), b - a) for a, b in pairwise(cuts)]
        return runs[0] if len(runs) == 1 else np.concatenate(runs)

    def _run(self, epoch: int, position: int, samples: int) -> NDArray[np.uint64]:
        """Of the samples from `position` on. The counter's lowest word counts blocks, the highest one is the epoch."""
        self._state["state"]["counter"][:] = (position * self._blocks, 0, 0, epoch)
        self._generator.state = self._state
        words = np.asarray(self._generator.random_raw(samples * self._blocks * _BLOCK), np.uint64)
        return words.reshape(samples, -1)[:, : self._count]


def uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Random words of any shape as numbers in [0, 1), multiples of 2⁻⁵³."""
    return np.asarray((words >> np.uint64(11)) * 2.0**-53, np.float64)


def mask_words(patches: int) -> int:
    """Random words that `mask_noise` takes for a sample."""
    return -(-patches // 2)


def mask_noise(words: NDArray[np.uint64], patches: int) -> NDArray[np.float32]:
    """Random words [..., mask_words(L)] as mask noise [..., L], float32 in [0, 1), multiples of 2⁻²⁴.

    The last bits are the patch's number: no two patches of a picture are equal, so every sort, on any device, hides
    the same ones.
    """
    halves = words.astype("<u8", copy=False).view("<u4")[..., :patches]
    bits = (patches - 1).bit_length()
    noise = (halves >> (8 + bits) << bits | np.arange(patches, dtype=np.uint32)).astype(np.float32)
    noise *= 2.0**-24
    return noise


class View(NamedTuple):
    """What a sample shows of its picture: a turn about the centre, then a box, then flips."""

    degrees: float | None
    """None: pictures are not turned, nor made square for it."""
    x: int
    y: int
    w: int
    h: int
    flip: int | None
    """As cv2.flip has it: 1 left to right, 0 top to bottom, -1 both; None: as it is."""

    @property
    def rows(self) -> int | None:
        """Rows of the picture that are looked at; None: all, as it is turned."""
        return self.y + self.h if self.degrees is None else None


_FLIPS = np.array([None, 1, 0, -1], object)


def draw_views(width: Numbers, height: Numbers, params: AugmentParams, random: NDArray[np.float64]) -> list[View]:
    """What to show of N pictures of `width` (N,) × `height` (N,) pixels, from uniform numbers (N, WORDS).

    The box is drawn as torchvision's RandomResizedCrop draws it: area uniform, log of the ratio uniform, up to ten
    tries, then the largest centred box whose ratio is allowed. With `squash` it is drawn on a square, and carried over
    to the picture unless that is turned, for which it is made square first.
    """
    turn, flip_x, flip_y, at_x, at_y = random[:, :5].T
    low, high = params.rotate_degrees
    side = np.maximum(width, height)
    across, down = (side, side) if params.squash else (width, height)
    w, h = _boxes(across, down, params, random[:, 5:])
    x, y = (at_x * (across - w + 1)).astype(np.int64), (at_y * (down - h + 1)).astype(np.int64)
    for at in np.flatnonzero(w == 0):
        w[at], h[at] = _centre(int(across[at]), int(down[at]), params)
        x[at], y[at] = (across[at] - w[at]) // 2, (down[at] - h[at]) // 2
    turned = (low, high) != (0.0, 0.0)
    if params.squash and not turned:
        x, w = _carried(x, w, width, side)
        y, h = _carried(y, h, height, side)
    degrees = (low + turn * (high - low)).tolist() if turned else [None] * len(turn)
    flips = _FLIPS[1 * (flip_x < params.flip_horizontal) + 2 * (flip_y < params.flip_vertical)]
    return list(map(View, degrees, *(column.tolist() for column in (x, y, w, h, flips))))


def _boxes(
    width: Numbers, height: Numbers, params: AugmentParams, tries: NDArray[np.float64]
) -> tuple[Numbers, Numbers]:
    """Width and height (N,) of the first drawn boxes that fit, 0 where none does."""
    (small, large), (narrow, wide) = params.crop_area, np.log(params.crop_ratio)
    area = (width * height)[:, None] * (small + tries[:, ::2] * (large - small))
    ratio = np.exp(narrow + tries[:, 1::2] * (wide - narrow))
    w, h = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (w > 0) & (w <= width[:, None]) & (h > 0) & (h <= height[:, None])
    first = np.arange(len(fits)), fits.argmax(axis=1)
    return (w[first] * fits[first]).astype(np.int64), (h[first] * fits[first]).astype(np.int64)


def _centre(width: int, height: int, params: AugmentParams) -> tuple[int, int]:
    """Size of the largest box whose ratio is allowed."""
    narrow, wide = params.crop_ratio
    if width < height * narrow:
        return width, max(1, round(width / narrow))
    if width > height * wide:
        return max(1, round(height * wide)), height
    return width, height


def _carried(start: Numbers, length: Numbers, extent: Numbers, side: Numbers) -> tuple[Numbers, Numbers]:
    """Intervals of squares' sides on the sides of the pictures that were stretched to them."""
    first = np.rint(start * extent / side).astype(np.int64)
    last = np.rint((start + length) * extent / side).astype(np.int64)
    return np.minimum(first, extent - 1), np.maximum(1, last - first)


def show(picture: Pixels, view: View, params: AugmentParams, out: Pixels) -> None:
    """Write what `view` shows of a picture [H, W] or [H, W, 3] into `out` [S, S] or [S, S, 3], both uint8.

    The picture may lack the rows below `view.rows`.
    """
    degrees, x, y, w, h, flip = view
    if degrees is not None:
        picture = _turned(picture, degrees, params)
    resize(picture[y : y + h, x : x + w], params.interpolation, out)
    if flip is not None:
        cv2.flip(out, flip, out)  # the same as before the crop, and less


def _turned(picture: Pixels, degrees: float, params: AugmentParams) -> Pixels:
    """The picture, stretched to a square first if asked, turned about its centre; corners black, size kept."""
    height, width = picture.shape[:2]
    if params.squash:
        side = max(width, height)
        square = np.empty((side, side, *picture.shape[2:]), np.uint8)
        resize(picture, params.interpolation, square)
        picture, width, height = square, side, side
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(picture, turn, (width, height), flags=_INTERPOLATION[params.interpolation])  # type: ignore[return-value]


def resize(picture: Pixels, how: str, out: Pixels) -> None:
    """Resize a picture into `out`. `area`: mean of what a pixel covers when shrinking, bilinear when enlarging."""
    size = out.shape[1], out.shape[0]
    flag = _INTERPOLATION[how]
    if how == "area" and picture.shape[1] >= size[0] and picture.shape[0] >= size[1]:
        flag = cv2.INTER_AREA
    cv2.resize(picture, size, dst=out, interpolation=flag)


def augmented(picture: Pixels, params: AugmentParams, size: int, words: NDArray[np.uint64]) -> Pixels:
    """A picture as a training sample shows it: uint8 [size, size] or [size, size, 3], from `WORDS` random words."""
    out = np.empty((size, size, *picture.shape[2:]), np.uint8)
    height, width = np.array(picture.shape[:2])[:, None]
    [view] = draw_views(width, height, params, uniform(words)[None])
    show(picture, view, params, out)
    return out


def fit_square(picture: Pixels, size: int, how: Fit) -> Pixels:
    """A picture [H, W] or [H, W, 3] as a square for evaluation: uint8 [size, size] or [size, size, 3].

    pad: the longer side becomes `size`, black bars on both sides of the shorter. squash: both sides become `size`.
    crop: the largest centred square. Shrunk by area, enlarged bilinearly.
    """
    height, width = picture.shape[:2]
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top : top + side, left : left + side]
        height = width = side
    longest = max(height, width)
    h, w = (size, size) if how != "pad" else (max(1, round(size * n / longest)) for n in (height, width))
    out = np.zeros((size, size, *picture.shape[2:]), np.uint8)
    top, left = (size - h) // 2, (size - w) // 2
    inner = np.empty((h, w, *picture.shape[2:]), np.uint8)
    resize(np.ascontiguousarray(picture), "area", inner)
    out[top : top + h, left : left + w] = inner
    return out
