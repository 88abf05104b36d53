"""Coarse descriptors of thumbnails: 64 small integers that survive JPEG, gamma and a few per cent of displacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openus.dedup import align

LENGTH = 64
"""8 x 8 cells."""
NORM = 500
"""Length of a descriptor as a vector. Products stay below 2^24, so float32 sums of them are exact."""
_FLAT = 1.0
"""Root of summed squares of cell values below which a thumbnail has no structure to compare."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, as `align` parameters, perhaps of its mirror image."""

    params: tuple[float, float, float, float]
    mirrored: bool


def windows() -> tuple[Window, ...]:
    """The windows of a picture under which it is looked for; the first is the whole picture.

    Each side of the picture may have lost a tenth: four windows per axis (whole, a tenth less above, below, at both
    sides) come close enough to any such crop for the descriptor. One side may have lost three tenths: a screen of which
    one copy was cut at its text and the other not. All of them also mirrored left to right.
    """
    cuts = ((0.0, 0.0), (0.07, 0.0), (0.0, 0.07), (0.1, 0.1))
    whole = cuts[0]
    tenths = [(rows, columns) for rows in cuts for columns in cuts]
    thirds = [(cut, whole) for cut in ((0.3, 0.0), (0.0, 0.3))]
    every = tenths + thirds + [(columns, rows) for rows, columns in thirds]
    return tuple(
        Window((*_span(*rows), *_span(*columns)), mirrored) for mirrored in (False, True) for rows, columns in every
    )


def _span(low: float, high: float) -> tuple[float, float]:
    """Scale and shift of an axis that has lost these shares at its two ends."""
    return 1 - low - high, (low - high) / 2


def describe(thumbs: NDArray[np.uint8], every: Sequence[Window]) -> NDArray[np.float32]:
    """Descriptors (windows, n, 64) of n thumbnails: whole numbers in float32, length about 500; 0 for flat ones."""
    upright = align.reduce(thumbs, 32).astype(np.float32)
    mirror = upright[:, :, ::-1]
    return np.stack([_describe(mirror if window.mirrored else upright, window) for window in every])


def _describe(small: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    n = len(small)
    params = np.array([window.params], dtype=np.float32)
    cells, _ = align.local_structure(align.warp(small, params)[0], 13)
    cells = cells.reshape(n, 8, 4, 8, 4).mean(axis=4).mean(axis=2).reshape(n, LENGTH)
    cells -= cells.mean(axis=1, keepdims=True)
    length = np.sqrt((cells * cells).sum(axis=1, keepdims=True))
    scaled = cells * (NORM / np.maximum(length, np.float32(1e-6)))
    return np.where(length >= _FLAT, np.rint(scaled.round(3)), 0).astype(np.float32)


def product_of(similarity: float) -> float:
    """The dot product that two descriptors of this cosine have."""
    return similarity * NORM * NORM
