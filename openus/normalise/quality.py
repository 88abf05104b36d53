"""Frames that show no picture."""

from __future__ import annotations

import cv2
import numpy as np

from openus.data import Pixels
from openus.normalise.resize import thumbnail

_SIDE = 64
BLANK_RANGE = 8
"""A frame is blank when its block means (64 to 127 blocks on the longest side) span no more levels."""
NEAR = 0.35
"""Share of the rows that the ring-down of an uncoupled probe takes up, at most."""
SILENT_LEVEL = 6
SILENT_SHARE = 0.02
"""Below it, no more blocks than this share exceed SILENT_LEVEL."""
RINGING = 20
"""Within it, the least mean level."""
WAVES = 3.0
"""The rows' means rise and fall, in sum, by this many times their range: parallel lines. Attenuation alone makes 1."""
UNEVEN = 0.7
"""Median of the rows' coefficients of variation, at most: the lines run across the whole probe."""


def quality(pixels: Pixels) -> str | None:
    """None for a usable picture, else the rule that it fails.

    `blank`: one value, or practically so. `no-contact`: a probe in air, parallel lines of ring-down near the probe
    (row 0) and silence below.
    """
    small = thumbnail(pixels, _SIDE)
    if int(small.max()) - int(small.min()) <= BLANK_RANGE:
        return "blank"
    gray = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return "no-contact" if _rings_in_air(np.asarray(gray, dtype=np.uint8)) else None


def _rings_in_air(blocks: Pixels) -> bool:
    rows = int(len(blocks) * NEAR)
    near, deep = blocks[:rows], blocks[rows:]
    if near.size == 0 or np.count_nonzero(deep > SILENT_LEVEL) > SILENT_SHARE * deep.size:
        return False
    levels = near.astype(np.float64)
    means = levels.mean(axis=1)
    lit = means > SILENT_LEVEL
    if levels.mean() < RINGING or not lit.any():
        return False
    waves = float(np.abs(np.diff(means)).sum() / (means.max() - means.min() + 1))
    uneven = float(np.median(levels[lit].std(axis=1) / means[lit]))
    return round(waves, 3) >= WAVES and round(uneven, 3) <= UNEVEN
