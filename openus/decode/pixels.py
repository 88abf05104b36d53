"""What every decoder says of pixels in the same words: what gray is, how deep values become 8 bit, what a label is.

Gray is defined once. A picture is gray when its red, green and blue channels are equal, and then it is any one of
them. A coloured picture stays coloured; nothing here weighs channels.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openus.data import Pixels

SMALLEST = 8
"""Rows or columns of an array; fewer are no picture: tracker sequences hold 1 x 1."""
LABEL_COLOURS = 8
"""A still of two to so many colours is a label map. True pictures at hand: 136 gray levels and more."""
LABEL_BETWEEN = 0.01
"""A still with a smaller share of pixels between its two ends is a label map that JPEG or resizing has blurred."""
LABEL_END = 1 / 8
"""How much of the range from darkest to brightest either end takes."""


class LostError(Exception):
    """The values of a file end, or go bad, before they should."""


def collapse(pixels: Pixels) -> Pixels:
    """`pixels` (rows, columns[, 3]) as (rows, columns) when its three channels are equal, else as it is."""
    if pixels.ndim == 2:
        return pixels
    thin = pixels[::16, ::16]
    gray = None if _common_channel(thin) is None else _common_channel(pixels)
    return pixels if gray is None else gray


def _common_channel(pixels: Pixels) -> Pixels | None:
    first, second, third = cv2.split(pixels)
    return np.asarray(first, np.uint8) if np.array_equal(first, second) and np.array_equal(first, third) else None


def over_black(rgb: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours (rows, columns[, 3]) composited onto black by `alpha` of the same unsigned type, same type back.

    Transparent parts of a published picture hide strokes and texts (BrEaST); dropping alpha would show them.
    """
    full = int(np.iinfo(rgb.dtype).max)
    if alpha.min() == full:
        return rgb
    weight = alpha.astype(np.uint32)
    if rgb.ndim == 3:
        weight = weight[..., None]
    return ((rgb.astype(np.uint32) * weight + full // 2) // full).astype(rgb.dtype)


def value_range(low: float, high: float, *, integer: bool) -> tuple[float, float]:
    """The values of a file that become 0 and 255, from its least and greatest value. One range per file.

    Integers: up to 255 as they are; up to 65,535 by the smallest of 10, 12, 14, 16 bits that holds the greatest, so
    that a 12-bit picture is not black and files of one device share a scale. Floats: 0 to 1 when within it, 0 to 255
    when within that. Anything else, negative values above all: least to greatest.
    """
    if low < 0 or not np.isfinite([low, high]).all():
        return low, high
    if not integer and high <= 1:
        return 0.0, 1.0
    if high <= 255:
        return 0.0, 255.0
    if integer:
        for bits in (10, 12, 14, 16):
            if high < 1 << bits:
                return 0.0, float((1 << bits) - 1)
    return low, high


def to_uint8(values: NDArray[Any], low: float, high: float) -> Pixels:
    """`values` mapped linearly so that `low` is 0 and `high` 255, rounded, clipped; not-a-number becomes 0."""
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    scaled = (np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low) - low) * (255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def finite_range(values: NDArray[Any]) -> tuple[float, float]:
    """Least and greatest finite value; (0, 0) when there is none."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def is_label(pixels: Pixels) -> bool:
    """Whether a still is a label map (mask, outline, annotation) rather than an ultrasound picture.

    True when it has 2 to 8 colours, or when fewer than 1 % of its pixels lie between the two ends of its range (the
    darkest and the brightest eighth): JPEG and resizing blur the borders of a mask but leave its plateaus. A picture
    of one colour is blank, not a label.
    """
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    some_levels = np.count_nonzero(np.bincount(gray[::8, ::8].ravel()))  # mostly enough to tell that there are more
    if some_levels <= LABEL_COLOURS and 2 <= _colours(pixels) <= LABEL_COLOURS:
        return True
    low, high, _, _ = cv2.minMaxLoc(gray)
    margin = (high - low) * LABEL_END
    between = cv2.inRange(gray, np.floor(low + margin) + 1, np.ceil(high - margin) - 1)
    return high - low > 1 and cv2.countNonZero(between) < LABEL_BETWEEN * gray.size


def _colours(pixels: Pixels) -> int:
    packed = pixels if pixels.ndim == 2 else pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(packed))
