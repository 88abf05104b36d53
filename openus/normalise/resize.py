"""Colour, size and bytes of the stored picture."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from openus.data import Pixels
from openus.params import NormaliseParams

CHROMA = 48
"""A pixel shows flow when red exceeds green, or blue exceeds red, by more levels: so do the maps of colour and power
Doppler (100 and more). Tints stay below (CCAUI's warm one reaches 24), yellow and green annotations count nothing."""
COLOURED_SHARE = 0.005
"""A picture is coloured from this share of such pixels on; averaging comes first, so that thin strokes hardly count."""
_COLOUR_SIDE = 64


def reduce(pixels: Pixels, longest_side: int) -> Pixels:
    """`pixels` with its longest side at most `longest_side`, by area interpolation; never enlarged.

    The aspect is kept to the nearest pixel and no side falls below 1. Returns contiguous pixels.
    """
    rows, columns = pixels.shape[:2]
    longest = max(rows, columns)
    if longest <= longest_side:
        return np.ascontiguousarray(pixels)
    width, height = (max(1, (side * longest_side + longest // 2) // longest) for side in (columns, rows))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def thumbnail(pixels: Pixels, side: int) -> Pixels:
    """Means over square blocks, so that the longest side is between `side` and twice that; smaller pixels stay.

    A whole factor is what INTER_AREA is fast at. Up to a block of pixels is left out at the right and bottom.
    """
    rows, columns = pixels.shape[:2]
    factor = min(max(rows, columns) // side, rows, columns)
    if factor <= 1:
        return pixels
    height, width = rows // factor, columns // factor
    blocks = pixels[: height * factor, : width * factor]
    return np.asarray(cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def is_coloured(pixels: Pixels) -> bool:
    """Whether RGB pixels hold colour that means something (Doppler), not a tint, a caliper or a letter."""
    red, green, blue = cv2.split(thumbnail(pixels, _COLOUR_SIDE))
    flow = cv2.max(cv2.subtract(red, green), cv2.subtract(blue, red))
    return int(np.count_nonzero(flow > CHROMA)) >= COLOURED_SHARE * flow.size


def settle_colour(pixels: Pixels) -> Pixels:
    """Gray pixels, or the RGB ones where `is_coloured`. Gray is the BT.601 luma of cv2."""
    if pixels.ndim == 2 or is_coloured(pixels):
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def encode(pixels: Pixels, params: NormaliseParams) -> tuple[bytes, Literal["jpg", "png"]]:
    """The picture's file, and its suffix. Gray becomes one channel. The same pixels give the same bytes."""
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if params.format == "png":
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, params.jpeg_quality]
    done, data = cv2.imencode(f".{params.format}", bgr, options)
    if not done:
        raise ValueError(f"cv2 could not encode {pixels.shape} as {params.format}")
    return data.tobytes(), params.format
