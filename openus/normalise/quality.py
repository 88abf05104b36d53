"""Frames that show no picture."""

from __future__ import annotations

import cv2
import numpy as np

from openus.data import Pixels
from openus.normalise.resize import thumbnail

_SIDE = 32
BLANK_RANGE = 8
"""A frame is blank when its block means (32 to 63 blocks on the longest side) span no more levels."""
NEAR = 0.35
"""Share of the rows that the ring-down of an uncoupled probe takes up, at most."""
SILENT_LEVEL = 6
SILENT_SHARE = 0.02
"""Below it, no more blocks than this share exceed SILENT_LEVEL."""
RINGING = 20
LAYERED = 0.6
"""Within it, the mean level is at least RINGING, and this share of the variance lies between rows: parallel lines."""


def quality(pixels: Pixels) -> str | None:
    """None for a usable picture, else the rule that it fails.

    `blank`: one value, or practically so. `no-contact`: a probe in air, parallel lines of ring-down near the probe
    (row 0) and silence below.
    """
    small = thumbnail(pixels, _SIDE)
    if int(np.ptp(small)) <= BLANK_RANGE:
        return "blank"
    gray = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return "no-contact" if _rings_in_air(np.asarray(gray, dtype=np.uint8)) else None


def _rings_in_air(blocks: Pixels) -> bool:
    near, deep = np.split(blocks, [int(len(blocks) * NEAR)])
    if near.size == 0 or np.count_nonzero(deep > SILENT_LEVEL) > SILENT_SHARE * deep.size:
        return False
    levels = near.astype(np.int64)
    between = float(levels.mean(axis=1).var())
    return bool(levels.mean() >= RINGING and round(between, 6) >= round(LAYERED * float(levels.var()), 6))
