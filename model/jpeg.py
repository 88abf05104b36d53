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
"""Bytes after a picture's own that `decode_top` needs."""
_ZEROS: Final = bytes(SLACK)


def decode(content: bytes, channels: int) -> Pixels | None:
    """Encoded bytes as uint8 [H, W] for one channel, [H, W, 3] in RGB order for three; None when they are none."""
    return _decode(np.frombuffer(content, np.uint8), channels)


def decode_top(buffer: bytearray, size: int, channels: int, height: int, rows: int) -> Pixels | None:
    """As `decode` of the first `size` bytes of a buffer, or only the first `rows` rows of it.

    Those come of a gray baseline JPEG of `height` rows that is whole; every other file comes as it is, so its size
    can be checked. The buffer has `SLACK` bytes more, and is written to.
    """
    encoded = np.frombuffer(buffer, np.uint8)
    frame = _GRAY_FRAME + height.to_bytes(2) if 0 < rows <= height - 8 and height < 1 << 16 else b""
    at = (
        buffer.find(frame, 2, _HEADER) if frame and buffer.startswith(_START) and buffer.endswith(_END, 0, size) else -1
    )
    if at < 0 or buffer.find(_RESTARTS, 2, _HEADER) >= 0:
        return _decode(encoded[:size], channels)
    at += len(_GRAY_FRAME)
    buffer[at : at + 2] = rows.to_bytes(2)
    # The end marker goes: on its way there the decoder would complain, on stderr, of the data it steps over. Zeros
    # stand for what it reads ahead.
    buffer[size - 2 : size + SLACK - 2] = _ZEROS
    picture = _decode(encoded[: size + SLACK - 2], channels)
    if picture is None or len(picture) != rows:  # that was no frame, but looked like one
        buffer[at : at + 2], buffer[size - 2 : size] = height.to_bytes(2), _END
        return _decode(encoded[:size], channels)
    return picture


def _decode(encoded: Pixels, channels: int) -> Pixels | None:
    try:
        return cv2.imdecode(encoded, _FLAGS[channels])  # type: ignore[return-value]
    except cv2.error:
        return None
