"""Encoded bytes to pixels, and no more rows of a JPEG than are looked at.

A crop ends, on average, a tenth or more above the bottom of its picture, and what lies below need not be decoded.
OpenCV has no such call, but a gray baseline JPEG is a plain row of 8 × 8 blocks, each decoded by itself: with a smaller
height in its header the decoder stops early, and the rows it gives are the same to the bit.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from openus.data import Pixels

_FLAGS: Final = {
    1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
    3: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION,
}
_GRAY_FRAME: Final = b"\xff\xc0\x00\x0b\x08"
"""Start of a baseline frame of one component (ITU-T T.81, B.2.2): marker, length, bits. Height and width follow."""
_RESTARTS: Final = b"\xff\xdd\x00\x04"
"""Start of a segment that defines a restart interval (B.2.4.4)."""
_HEADER: Final = 1024
"""Bytes from the start in which both are looked for: more than OpenCV's and libjpeg's encoders write."""
_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
SLACK: Final = 16
"""Bytes behind a file that `cut` may write to."""
_ZEROS: Final = bytes(SLACK)


def decode(content: bytes | memoryview, channels: int) -> Pixels | None:
    """Encoded bytes as uint8 [H, W] for one channel, [H, W, 3] in RGB order for three; None when they are none."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), _FLAGS[channels])  # type: ignore[return-value]
    except cv2.error:
        return None


def cut(buffer: bytearray, start: int, end: int, height: int, rows: int) -> int:
    """Make a gray baseline JPEG in `buffer[start:end]`, of `height` rows and whole, one of its first `rows` rows.

    Returns where its bytes end then: `SLACK - 2` bytes behind `end`, up to which the buffer is written to. Every other
    file, and one that would hardly be shorter, is left as it is: `end`. A file that only looks like such a frame
    hardly ever decodes to `rows` rows afterwards.
    """
    if not (0 < rows <= height - 8 and height < 1 << 16):
        return end
    header = start + 2, min(start + _HEADER, end)
    at = buffer.find(_GRAY_FRAME + height.to_bytes(2), *header)
    if (
        at < 0
        or buffer.find(_RESTARTS, *header) >= 0
        or not (buffer.startswith(_START, start) and buffer.endswith(_END, start, end))
    ):
        return end
    at += len(_GRAY_FRAME)
    buffer[at : at + 2] = rows.to_bytes(2)
    # The end marker goes: on its way there the decoder would complain, on stderr, of the data it steps over. Zeros
    # stand for what it reads ahead.
    buffer[end - 2 : end + SLACK - 2] = _ZEROS
    return end + SLACK - 2
