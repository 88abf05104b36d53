"""Where the ultrasound field lies in a picture.

A side of the picture is cut only on evidence of a field edge: beyond it lies flat background (and thin or small
marks: text, ticks, bars, logos), and the edge itself is straight, or sharp and unbroken as an arc or a tip is. Tissue
that fades into black has no such edge, so its side stays whole. All work is on a copy of about 200 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openus.data import Crop, Pixels
from openus.normalise.shape import kind_of

WORK_SIDE = 200
"""Longest side of the reduced copy, pixels."""
MIN_SIDE = 64
"""Pictures with a smaller side stay whole: nothing can be told of them."""
MIN_KEPT = 0.25
"""A crop that keeps a smaller share of the picture is no crop."""
STEPS = (1, 3, 6)
"""How far from the background a level must be to belong to the field. Scanners paint an empty field one level above
the background, so 1 finds the true edge of a lossless picture; 3 and 6 stand above the noise of JPEG and H.264."""
DARK = 24
FLAT = 3
"""A band at the border is flat when its levels span no more; a band no lighter than DARK, when it is exactly so."""
STEP = 10
"""Levels between a light band and what follows it, over more than half its length."""
RING_SHARE = 0.10
"""Share of the border ring that must show one level before it counts as background."""
MARK = 9
"""Width in the reduced copy (4.5 % of the side) up to which something apart from the field is a mark."""
PART_SHARE = 0.05
BAR_SHARE = 0.15
"""What is apart from the largest part counts from this share of its area on; upright rectangles (gray and colour bars)
from the larger one."""
RECTANGULAR = 0.9
"""Share of its bounding box that an upright rectangle fills."""
STRAIGHT, STRAIGHT_FAINT = 0.5, 0.8
"""Share of a side's length that lies on one upright line: the edge of a linear field."""
ATTACHED = 0.15
"""Share of it that may lie outside that line: marks that touch the field."""
LONG = 0.05
SOLID, SOLID_FAINT, SOLID_HOLLOW = 0.92, 0.95, 0.4
"""The outermost tenth of an arc or a tip is at least LONG of the side's length and fills SOLID of its convex hull.
The hollow at the top of a convex field 86 degrees wide leaves 0.44 of it."""
OUTSIDE = 0.4
CONTRAST, CONTRAST_LINE, CONTRAST_FAINT = 0.7, 0.4, 0.9
"""Echo two pixels outside an edge is at most OUTSIDE of that right inside it, and this at least CONTRAST of what is
further in (less on a straight line, more where it is faint). What fades into black has no such place."""
FAINT = 3
"""An edge no brighter over the background, in levels, is believed at the second value of the shares above."""
AROUND = 3
PROFILE = np.array([-3, -2, 1, 2, 4, 5, 6, 7, 8, 9])
"""Pixels across an edge that are compared: two outside, two right inside, six further in."""
TOP = 1
BEYOND = 0.15
"""Share of the lowest step's mask that may lie beyond an edge found at a higher step."""
MARGIN = 2
"""Pixels of the reduced copy that are left around the field."""

_SPECK = np.ones((3, 3), np.uint8)
_BROAD = np.ones((MARK, MARK), np.uint8)

Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom; the last two exclusive."""


@dataclass(frozen=True, slots=True)
class Field:
    """An upright rectangle that holds the whole field, and the field's shape."""

    crop: Crop
    kind: str | None


def find_field(frames: Sequence[Pixels]) -> Field:
    """The field common to the frames (gray or RGB, all of one size); the whole frame where unsure."""
    rows, columns = frames[0].shape[:2]
    whole = Crop(0, 0, columns, rows)
    if min(rows, columns) < MIN_SIDE:
        return Field(whole, None)
    levels = _reduced(frames)
    bounds = _peel(levels)
    inner = levels[bounds[1] : bounds[3], bounds[0] : bounds[2]]
    if min(inner.shape) < 2 * MARK:
        return Field(whole, None)
    box, field = _search(inner)
    kind = kind_of(field) if field is not None else None
    left, top, right, bottom = _enlarged(
        (box[0] + bounds[0], box[1] + bounds[1], box[2] + bounds[0], box[3] + bounds[1]), levels.shape, rows, columns
    )
    if (right - left) * (bottom - top) < MIN_KEPT * rows * columns:
        return Field(whole, kind)
    return Field(Crop(left, top, right - left, bottom - top), kind)


def _reduced(frames: Sequence[Pixels]) -> Pixels:
    """The lightest levels that the frames show, without thin bright strokes, reduced to WORK_SIDE by area."""
    rows, columns = frames[0].shape[:2]
    longest = max(rows, columns)
    scale = max(1, -(-longest // WORK_SIDE))
    size = (max(1, columns // scale), max(1, rows // scale))
    stroke = np.ones((3, 3) if longest < 400 else (5, 5), np.uint8)
    lightest: Any = None
    for frame in frames:
        gray = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(cv2.morphologyEx(gray, cv2.MORPH_OPEN, stroke), size, interpolation=cv2.INTER_AREA)
        lightest = small if lightest is None else cv2.max(lightest, small)
    return np.asarray(lightest, dtype=np.uint8)


def _peel(levels: Pixels) -> Box:
    """What is left when flat bands that end in a full-width step (letterbox, title bar, panel) are taken off, in turn.

    Black that a picture fades into ends in no such step, so it stays: only `_search` can tell what it is.
    """
    rows, columns = levels.shape
    box = [0, 0, columns, rows]
    before: list[int] = []
    while before != box:
        before = list(box)
        for side in range(4):
            part = _towards_left(levels[box[1] : box[3], box[0] : box[2]], side)
            box[side] += _band(part) if side < 2 else -_band(part)
    return box[0], box[1], box[2], box[3]


def _band(levels: Pixels) -> int:
    """Columns of the flat band at the left of `levels`, 0 if there is none or no step ends it."""
    columns = levels.shape[1]
    lowest, highest = levels.min(axis=0).astype(int), levels.max(axis=0).astype(int)
    tolerance = FLAT if lowest[0] > DARK else 0
    width = 0
    while width < columns and highest[width] - lowest[0] <= tolerance and lowest[width] >= highest[0] - tolerance:
        width += 1
    if width == 0 or width + 2 >= columns:
        return 0
    after = levels[:, width + 1].astype(int)
    if tolerance:
        return width if np.count_nonzero(np.abs(after - lowest[0]) >= STEP) * 2 > after.size else 0
    return width if width >= 3 and highest[0] != lowest[width + 1] == highest[width + 1] else 0


def _distance(levels: Pixels) -> Pixels | None:
    """Levels between each pixel and the background, None where no level prevails on the border ring.

    The background is the level most seen on the ring, three pixels wide; where that is a light panel, other panels of
    the ring are background too.
    """
    ring = np.concatenate([part.ravel() for part in (levels[:3], levels[-3:], levels[3:-3, :3], levels[3:-3, -3:])])
    counts = np.bincount(ring, minlength=256)
    prevailing = int(counts.argmax())
    least = RING_SHARE * ring.size
    if counts[prevailing] < least:
        return None
    panels = np.flatnonzero(counts[DARK + 1 :] >= least) + DARK + 1 if prevailing > DARK else np.array([prevailing])
    away = np.abs(np.arange(256)[:, None] - panels[None, :]).min(axis=1).astype(np.uint8)
    return np.asarray(cv2.LUT(levels, away), dtype=np.uint8)


def _search(levels: Pixels) -> tuple[Box, Mask | None]:
    """The box to keep, and the mask of the field at the step that shows it best (None without a background).

    The masks of higher steps lie within those of lower ones, so the first edge found on a side is the outermost.
    """
    rows, columns = levels.shape
    whole = (0, 0, columns, rows)
    distance = _distance(levels)
    if distance is None:
        return whole, None
    found: list[int | None] = [None] * 4
    best: tuple[int, Mask | None] = (-1, None)
    lowest: Mask | None = None
    for step in STEPS:
        mask = _field_mask(distance, step)
        if mask is None:
            break
        lowest = mask if lowest is None else lowest
        ends = _ends(mask, distance, [side for side in range(4) if found[side] is None])
        found = [ends.get(side, end) for side, end in enumerate(found)]
        found = [end if _little_beyond(lowest, side, end) else None for side, end in enumerate(found)]
        sharp = 4 - found.count(None)
        if sharp > best[0]:
            best = (sharp, mask)
        if None not in found:
            break
    left, top, right, bottom = (whole[side] if end is None else end for side, end in enumerate(found))
    return (left, top, right, bottom), best[1]


def _little_beyond(lowest: Mask, side: int, end: int | None) -> bool:
    """Whether the mask of the lowest step reaches beyond `end` with noise only, not with a dark part of the field."""
    if end is None:
        return True
    strip = (lowest[:, :end], lowest[:end], lowest[:, end:], lowest[end:])[side]
    return int(np.count_nonzero(strip)) <= BEYOND * int(np.count_nonzero(lowest))


def _field_mask(distance: Pixels, step: int) -> Mask | None:
    """Where the field is: the broad connected parts at least `step` off the background, marks left out."""
    _, raw = cv2.threshold(distance, step - 1, 255, cv2.THRESH_BINARY)
    closed = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, _SPECK)
    opened = cv2.dilate(cv2.erode(closed, _BROAD, borderType=cv2.BORDER_CONSTANT, borderValue=0), _BROAD)
    parts = cv2.connectedComponents(opened, connectivity=4)[0] - 1
    if parts == 0:
        return None
    core = opened if parts == 1 else _main_parts(np.asarray(opened, dtype=np.uint8))
    return np.asarray(cv2.bitwise_or(core, cv2.bitwise_and(cv2.dilate(core, _BROAD), raw)), dtype=np.uint8)


def _main_parts(opened: Mask) -> Mask:
    """The largest of several connected parts and those that are not small beside it."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)  # slow: hence not for one part
    areas = stats[1:, cv2.CC_STAT_AREA]
    rectangle = stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT]
    share = np.where(areas >= RECTANGULAR * rectangle, BAR_SHARE, PART_SHARE)
    counts = np.concatenate([[False], areas >= share * areas.max()])
    return np.asarray(np.where(counts, 255, 0).astype(np.uint8)[labels], dtype=np.uint8)


def _ends(mask: Mask, distance: Pixels, sides: Sequence[int]) -> dict[int, int]:
    """Where the field ends on those of the `sides` (left, top, right, bottom) that show an edge of the field."""
    x, y, w, h = cv2.boundingRect(mask)
    cut = mask[y : y + h, x : x + w]
    solid = cut > 0
    inside = _hull(solid)
    framed = cv2.copyMakeBorder(distance, AROUND, AROUND, AROUND, AROUND, cv2.BORDER_CONSTANT, value=0)
    echo = np.asarray(framed[y : y + h + 2 * AROUND, x : x + w + 2 * AROUND], dtype=np.uint8)
    ends = {}
    for side in sides:
        turned = [_towards_left(array, side) for array in (solid, inside, echo)]
        offset = _edge(turned[0], turned[1], turned[2], hollow=side == TOP)
        if offset is not None:
            ends[side] = (x, y, x + w, y + h)[side] + (offset if side < 2 else -offset)
    return ends


def _hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The inside of a mask's convex hull, less the outermost pixel, where speckle makes any edge ragged."""
    held = np.flatnonzero(mask.any(axis=1))
    first = mask[held].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[held, ::-1].argmax(axis=1)
    points = np.stack([np.concatenate([first, last]), np.concatenate([held, held])], axis=1).astype(np.int32)
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 255)
    inner = cv2.erode(hull, _SPECK, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner) > 0


def _towards_left(array: NDArray[Any], side: int) -> NDArray[Any]:
    """The array turned so that `side` (left, top, right, bottom) becomes its left side."""
    turned = array if side % 2 == 0 else array.T
    return turned if side < 2 else turned[:, ::-1]


def _edge(mask: NDArray[np.bool_], hull: NDArray[np.bool_], echo: Pixels, hollow: bool) -> int | None:
    """How far from the left side of the cut-out mask the field's edge lies; None where there is no edge.

    An edge is straight (marks may be attached to it outside: then it lies further in), or it is an arc or a tip,
    unbroken but `hollow` at the top of a convex field. Either way nothing is right outside it and full echo right
    inside. A field painted just above the background must have a more perfect edge to be believed. `echo` has AROUND
    more pixels on every side.
    """
    rows, columns = mask.shape
    first = mask.argmax(axis=1)
    first[~mask[np.arange(rows), first]] = columns
    line = int(np.bincount(first[first < columns]).argmax())
    straight = np.flatnonzero(np.abs(first - line) <= 1)
    beyond = int(np.count_nonzero(first < line - 1))
    if line * 10 <= columns and beyond <= ATTACHED * rows:
        sudden, faint = _contrast(first, straight, echo, CONTRAST_LINE)
        if sudden and straight.size >= (STRAIGHT_FAINT if faint else STRAIGHT) * rows:
            return max(0, line - 1)
    depth = min(max(4, columns // 10), columns)
    hits = np.flatnonzero(first < depth)
    if hits.size < max(3, LONG * rows):
        return None
    sudden, faint = _contrast(first, hits, echo, CONTRAST)
    inside = hull[:, :depth]
    filled = np.count_nonzero(mask[:, :depth] & inside)
    solid = SOLID_HOLLOW if hollow else SOLID_FAINT if faint else SOLID
    return 0 if sudden and filled >= solid * np.count_nonzero(inside) else None


def _contrast(first: NDArray[np.intp], lines: NDArray[np.intp], echo: Pixels, least: float) -> tuple[bool, bool]:
    """Whether echo begins suddenly at the `first` pixels of these lines, and whether it is faint there."""
    if lines.size == 0:
        return False, True
    columns = np.minimum(first[lines, None] + AROUND + PROFILE, echo.shape[1] - 1)
    sums = echo[lines[:, None] + AROUND, columns].sum(axis=0).tolist()
    outside, near, far = (sum(part) / len(part) / lines.size for part in (sums[:2], sums[2:4], sums[4:]))
    faint = near < FAINT
    return outside <= OUTSIDE * near and near >= (CONTRAST_FAINT if faint else least) * far, faint


def _enlarged(box: Box, shape: tuple[int, ...], rows: int, columns: int) -> Box:
    """`box` of the reduced copy as pixels of the picture, with the margin, inside the picture."""
    small_rows, small_columns = shape
    left, top, right, bottom = box
    return (
        max(0, left - MARGIN) * columns // small_columns,
        max(0, top - MARGIN) * rows // small_rows,
        -(-min(small_columns, right + MARGIN) * columns // small_columns),
        -(-min(small_rows, bottom + MARGIN) * rows // small_rows),
    )
