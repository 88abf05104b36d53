"""What is burned into the picture: text. Found, never painted over.

Letters are bright strokes much lighter than what lies around them, a few to a few dozen pixels high, and they stand
in rows. Echoes may be as bright and as thin, but seldom stand in a row of equal heights.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from openus.data import Crop, Pixels
from openus.normalise.resize import thumbnail

WORK_SIDE = 400
"""Larger pictures are looked at as block means of 400 to 799 pixels."""
STROKE = (80, 50)
"""Levels by which a stroke outshines its surroundings; the second value holds for block means, which pale strokes."""
BRIGHT = (150, 120)
"""Least level of a stroke, likewise."""
LETTER_ROWS = ((7, 40), (5, 40))
LETTER_COLUMNS = (2, 40)
MOST_LETTERS = 400
"""No more candidates are compared (pairwise), from the left."""
_BLOCK = np.ones((7, 7), np.uint8)


def has_text(pixels: Pixels, field: Crop) -> bool | None:
    """Whether three letters in a row are burned into what the crop shows; None for pictures too small to tell."""
    if min(field.w, field.h) < 64:
        return None
    cut = pixels[field.y : field.y + field.h, field.x : field.x + field.w]
    seen = thumbnail(cut, WORK_SIDE)
    reduced = int(seen.shape != cut.shape)
    gray = seen if seen.ndim == 2 else cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    rises = cv2.morphologyEx(gray, cv2.MORPH_TOPHAT, _BLOCK)
    _, outshining = cv2.threshold(rises, STROKE[reduced] - 1, 255, cv2.THRESH_BINARY)
    _, bright = cv2.threshold(gray, BRIGHT[reduced] - 1, 255, cv2.THRESH_BINARY)
    outlines, _ = cv2.findContours(cv2.bitwise_and(outshining, bright), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = np.array([cv2.boundingRect(outline) for outline in outlines], dtype=np.int64).reshape(-1, 4)
    return _three_in_a_row(_letters(boxes, LETTER_ROWS[reduced])[:MOST_LETTERS])


def _letters(boxes: NDArray[np.int64], rows: tuple[int, int]) -> NDArray[np.int64]:
    """The boxes (x, y, width, height) of a letter's size, left to right."""
    w, h = boxes[:, 2], boxes[:, 3]
    sized = (h >= rows[0]) & (h <= rows[1]) & (w >= LETTER_COLUMNS[0]) & (w <= LETTER_COLUMNS[1])
    found = boxes[sized & (w <= 1.6 * h)]
    return np.asarray(found[np.lexsort((found[:, 1], found[:, 0]))], dtype=np.int64)


def _three_in_a_row(letters: NDArray[np.int64]) -> bool:
    """Whether any letter stands between two others, at one height and with letters' gaps."""
    x, y, w, h = letters.T
    gap = x[None, :] - (x + w)[:, None]
    level = np.abs((y + h)[None, :] - (y + h)[:, None]) <= 1
    alike = np.abs(h[None, :] - h[:, None]) <= np.maximum(1, h[:, None] // 6)
    follows = (gap >= 0) & (gap <= h[:, None]) & level & alike
    return bool((follows.any(axis=0) & follows.any(axis=1)).any())
