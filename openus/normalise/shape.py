"""What kind of field a mask shows, by the transducer that makes it.

linear: an upright rectangle · trapezoid: slanted sides, a straight line at the probe (a linear array that steers
outwards, virtual convex) · convex: slanted sides, an arc at the probe · phased: slanted sides that meet at the probe.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL = 0.96
"""A field that fills its bounding box so far is a rectangle."""
SLANT = 0.15
"""Least slope of a slanted side, columns per row (8.5° off the vertical)."""
ON_LINE = 0.8
"""Share of a side's rows that must lie within 1.5 pixels of its line."""
POINTED = 0.12
"""A sector whose top is narrower than this share of its width is phased."""
ARC = 0.02
"""Depth of the probe's arc over its chord, least. A convex array of half angle a has tan(a / 2) / 2, cut ones less."""
_LEAST_ROWS = 8


def kind_of(mask: NDArray[np.uint8]) -> str | None:
    """`convex`, `phased`, `linear`, `trapezoid`, or None where undecided.

    `mask` (rows, columns) is the whole picture, non-zero in the field; a field that fills the picture is undecided,
    for any field may have been cut to a rectangle.
    """
    inside = mask > 0
    held = np.flatnonzero(inside.any(axis=1))
    if held.size < 2 * _LEAST_ROWS:
        return None
    columns = mask.shape[1]
    first = inside[held].argmax(axis=1)
    last = columns - 1 - inside[held, ::-1].argmax(axis=1)
    left, right = int(first.min()), int(last.max())
    if int((last - first + 1).sum()) >= FULL * held.size * (right - left + 1):
        return "linear" if left > 0 and right < columns - 1 else None
    lines = [line for line in (_side(first, held), _side(columns - 1 - last, held)) if line is not None]
    if len(lines) < 2:
        return None
    top = int(held[0])
    width = right - left + 1
    starts, ends = (slope * top + start for slope, start in lines)
    top_width = columns - 1 - starts - ends
    if top_width < POINTED * width:
        return "phased"
    return _by_top(inside, top, starts + top_width / 2, top_width)


def _side(first: NDArray[np.intp], held: NDArray[np.intp]) -> tuple[float, float] | None:
    """Slope and start of the line that the field's left side follows down to its leftmost point, None for no line."""
    end = int(first.argmin())
    if end < _LEAST_ROWS:
        return None
    part = slice(end // 8, end - end // 8)
    x, y = first[part].astype(float), held[part].astype(float)
    slope, start = np.polyfit(y, x, 1)
    if -slope < SLANT or np.mean(np.abs(x - slope * y - start) <= 1.5) < ON_LINE:
        return None
    return float(slope), float(start)


def _by_top(inside: NDArray[np.bool_], top: int, centre: float, top_width: float) -> str | None:
    """Convex by the arc of the probe, trapezoid by its straight line; None where the picture's border cuts it off."""
    reach = top_width / 10
    middle = inside[:, max(0, int(centre - reach)) : int(centre + reach) + 1]
    if middle.shape[1] == 0:
        return None
    notch = float(np.median(middle.argmax(axis=0))) - top
    if notch >= max(2.0, ARC * top_width):
        return "convex"
    return None if top == 0 else "trapezoid"
