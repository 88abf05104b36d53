"""Encoded bytes to pixels, and no more rows of a JPEG than are looked at.

A crop ends, on average, an eighth above the bottom of its picture, and what lies below it need not be decoded. OpenCV
has no such call, but a gray baseline JPEG is a plain row of 8 × 8 blocks, each decoded by itself: with a smaller
height in its header the decoder stops early, and the rows it gives are the same to the bit.
"""

from __future__ import annotations

import struct
from typing import Final

import cv2
import numpy as np

from openus.data import Pixels

_FLAGS: Final = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR_RGB}
_PADDING: Final = bytes(16)
_SEGMENT: Final = struct.Struct(">BBH")
"""0xFF, marker, length."""
_FRAME: Final = struct.Struct(">HHB")
"""Of a frame from its height on: height, width, components."""


def decode(content: bytes, channels: int, rows: int | None = None) -> Pixels | None:
    """Encoded bytes as uint8 [H, W] for one channel, [H, W, 3] in RGB order for three; None when they are no picture.

    With `rows` at least that many rows from the top come, where possible no more.
    """
    if rows is not None and (top := _top(content, rows)) is not None:
        picture = _decode(top, channels)
        if picture is not None and len(picture) == rows:
            return picture
    return _decode(content, channels)


def _decode(content: bytes, channels: int) -> Pixels | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), _FLAGS[channels] | cv2.IMREAD_IGNORE_ORIENTATION)  # type: ignore[return-value]
    except cv2.error:
        return None


def _top(content: bytes, rows: int) -> bytes | None:
    """The JPEG that says it has `rows` rows; None where that saves nothing or is not known to work.

    The end marker goes: on its way there the decoder would complain, on stderr, of the data it steps over. Zeros
    stand for what it reads ahead.
    """
    if len(content) < 32 or content[:2] != b"\xff\xd8" or content[-2:] != b"\xff\xd9":
        return None
    at, frame = 2, 0
    # Segments up to the data. Markers of ITU-T T.81, table B.1: FFC0 baseline frame, FFDA start of the data.
    while at + 9 < len(content):
        prefix, marker, length = _SEGMENT.unpack_from(content, at)
        if prefix != 0xFF or marker == 0xDA:
            break
        if marker == 0xC0:
            frame = at
        elif marker == 0xDD or (0xC1 <= marker <= 0xCF and marker != 0xC4):
            return None  # restart markers within the data, or another kind of frame
        at += 2 + length
    height, _, components = _FRAME.unpack_from(content, frame + 5)
    if not frame or components != 1 or not 0 < rows <= height - 8:
        return None
    view = memoryview(content)
    return b"".join((view[: frame + 5], rows.to_bytes(2), view[frame + 7 : -2], _PADDING))
