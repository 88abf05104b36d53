"""From a decoded picture to the square that the network sees: few passes over uint8 pixels, nothing in float.

Randomness is a function of what it is for and of nothing else. Every sample has its own block of the counter-based
generator Philox4x64-10 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405): the key comes from the seed,
the counter holds epoch and position. Only the generator's raw words are used, whose stream NumPy promises to keep
(NEP 19), so neither workers, nor processes, nor a later NumPy change what is drawn. A draw always has the same place
among the words, whatever else is in use: the same seed crops alike with flips and without.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from model.params import AugmentParams
from openus.data import Pixels

Fit = Literal["pad", "squash", "crop"]

TRIES = 10
"""Crops drawn before the centre is taken, as torchvision's RandomResizedCrop does."""
WORDS = 5 + 2 * TRIES
"""Uniform numbers a picture takes: turn, two flips, the crop's place (2), its area and ratio (2 a try)."""

_MASK = 2**64 - 1
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
    """Random words of a sample, by (seed, epoch, position).

    One generator is kept and set anew for each sample: that takes 4 µs, a new one 12, one through SeedSequence 18.
    """

    def __init__(self, seed: int) -> None:
        self._generator = Philox(key=philox_key("sample", seed))
        self._state: Any = self._generator.state  # of a new generator: nothing is buffered

    def words(self, epoch: int, position: int, count: int) -> NDArray[np.uint64]:
        """`count` random words (count,) uint64. The two upper words of the counter are the sample's name."""
        self._state["state"]["counter"][:] = (0, 0, position & _MASK, epoch & _MASK)
        self._generator.state = self._state
        return self._generator.random_raw(count)


def uniform(words: NDArray[np.uint64]) -> list[Any]:
    """Random words of any shape as (nested lists of) numbers in [0, 1), multiples of 2⁻⁵³."""
    numbers: list[Any] = ((words >> np.uint64(11)) * 2.0**-53).tolist()
    return numbers


def mask_noise(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Random words [..., L] as mask noise [..., L], float32 in [0, 1), multiples of 2⁻²⁴.

    The last bits are the patch's number: no two patches of a picture are equal, so every sort, on any device, hides
    the same ones.
    """
    count = words.shape[-1]
    bits = np.uint64(count.bit_length())
    random = words >> np.uint64(40) + bits
    return ((random << bits | np.arange(count, dtype=np.uint64)) * 2.0**-24).astype(np.float32)


class View(NamedTuple):
    """What a sample shows of its picture: a turn about the centre, then a box, then flips."""

    degrees: float
    x: int
    y: int
    w: int
    h: int
    flip_horizontal: bool
    flip_vertical: bool

    @property
    def rows(self) -> int | None:
        """Rows of the picture that are looked at; None: all, as it is turned."""
        return None if self.degrees else self.y + self.h


def draw_view(width: int, height: int, params: AugmentParams, random: list[float]) -> View:
    """What to show of a picture of `width` × `height` pixels, from `WORDS` uniform numbers.

    The box is drawn as torchvision's RandomResizedCrop draws it: area uniform, log of the ratio uniform, up to ten
    tries, then the largest centred box whose ratio is allowed. With `squash` it is drawn on a square and carried over.
    """
    turn, flip_x, flip_y, at_x, at_y, *tries = random
    low, high = params.rotate_degrees
    side = max(width, height)
    across, down = (side, side) if params.squash else (width, height)
    w, h = _box(across, down, params, tries)
    if w * h:
        x, y = int(at_x * (across - w + 1)), int(at_y * (down - h + 1))
    else:
        w, h = _centre(across, down, params)
        x, y = (across - w) // 2, (down - h) // 2
    if params.squash and (low, high) == (0.0, 0.0):
        x, w = _carried(x, w, width, side)
        y, h = _carried(y, h, height, side)
    flips = flip_x < params.flip_horizontal, flip_y < params.flip_vertical
    return View(low + turn * (high - low), x, y, w, h, *flips)


def _box(width: int, height: int, params: AugmentParams, tries: list[float]) -> tuple[int, int]:
    """Size of the first drawn box that fits, else (0, 0)."""
    (small, large), (narrow, wide) = params.crop_area, params.crop_ratio
    narrow, wide = math.log(narrow), math.log(wide)
    for number in range(0, 2 * TRIES, 2):
        area = width * height * (small + tries[number] * (large - small))
        ratio = math.exp(narrow + tries[number + 1] * (wide - narrow))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return w, h
    return 0, 0


def _centre(width: int, height: int, params: AugmentParams) -> tuple[int, int]:
    """Size of the largest box whose ratio is allowed."""
    narrow, wide = params.crop_ratio
    if width < height * narrow:
        return width, max(1, round(width / narrow))
    if width > height * wide:
        return max(1, round(height * wide)), height
    return width, height


def _carried(start: int, length: int, extent: int, side: int) -> tuple[int, int]:
    """An interval of a square's side on the side of the picture that was stretched to it."""
    first = round(start * extent / side)
    return min(first, extent - 1), max(1, round((start + length) * extent / side) - first)


_FLIPS = {(True, False): 1, (False, True): 0, (True, True): -1}


def show(picture: Pixels, view: View, params: AugmentParams, out: Pixels) -> None:
    """Write what `view` shows of a picture [H, W] or [H, W, 3] into `out` [S, S] or [S, S, 3], both uint8.

    The picture may lack the rows below `view.rows`.
    """
    if params.rotate_degrees != (0.0, 0.0):
        picture = _turned(picture, view.degrees, params)
    resize(picture[view.y : view.y + view.h, view.x : view.x + view.w], params.interpolation, out)
    if view.flip_horizontal or view.flip_vertical:
        cv2.flip(out, _FLIPS[view.flip_horizontal, view.flip_vertical], out)  # the same as before the crop, and less


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
    view = draw_view(picture.shape[1], picture.shape[0], params, uniform(words[:WORDS]))
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
