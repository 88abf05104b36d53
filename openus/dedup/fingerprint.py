"""A picture's fingerprint: SHA-256 of its pixels, 64-bit pHash, thumbnail of its content."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from openus.data import Pixels

THUMB_SIDE = 64
"""Rows and columns of a thumbnail: 4,096 bytes a frame."""

_WORK_SIDE = 128
"""The picture is reduced by the largest whole factor that leaves its longest side this long; box, thumbnail and hash
are made from that. Whole factors because OpenCV averages whole blocks several times faster."""
_DARK = 5
"""Gray level up to which a pixel counts as border. Low on purpose: a threshold that scales with the picture moves
the box when gamma changes; 5 stands above the ringing of JPEG at quality 50."""
_LIT_SHARE = 0.05
"""Share of lit pixels from which a row or column belongs to the content."""


def pixel_sha256(pixels: Pixels) -> str:
    """Hex SHA-256 over the pixels with their shape: equal exactly when two pictures are equal pixel by pixel.

    The bytes hashed are the ASCII line `"<rows> <columns> <channels>\\n"` followed by the samples row by row, channels
    interleaved (RGB). A gray picture has one channel.
    """
    rows, columns = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    digest = hashlib.sha256(f"{rows} {columns} {channels}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def thumbnail(pixels: Pixels) -> NDArray[np.uint8]:
    """The gray thumbnail, uint8 (64, 64), of a picture, gray or RGB, of any size.

    It shows the picture's content box (`content_box`) squeezed to a square, so that resizing, padding to a square and
    black borders leave it nearly unchanged.
    """
    gray = _reduced_gray(pixels)
    top, bottom, left, right = content_box(gray)
    return _resize(gray[top:bottom, left:right], THUMB_SIDE, THUMB_SIDE)


def content_box(gray: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Where a gray picture's content lies: (top, bottom, left, right), half-open; dark borders are outside.

    A row or column belongs to the content when at least a twentieth of it is brighter than black. A picture with next
    to no content is returned whole.
    """
    lit = cv2.threshold(gray, _DARK, 1, cv2.THRESH_BINARY)[1]
    height, width = gray.shape
    rows = np.flatnonzero(cv2.reduce(lit, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S) / width >= _LIT_SHARE)
    columns = np.flatnonzero(cv2.reduce(lit, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S) / height >= _LIT_SHARE)
    if len(rows) < 2 or len(columns) < 2:
        return 0, height, 0, width
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def phash(thumb: NDArray[np.uint8]) -> int:
    """64-bit perceptual hash of a thumbnail: which of its 8 x 8 lowest cosine frequencies at 32 x 32 exceed the median.

    Bit 63 is the constant term. Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010, section 3.2.1, with INTER_AREA in place of its 7 x 7 mean filter.
    """
    small = _resize(thumb, 32, 32).astype(np.float32)
    low = np.round(cv2.dct(small)[:8, :8], 2).ravel()
    ordered = np.sort(low)  # np.median costs ten times as much
    bits = np.packbits(low > (ordered[31] + ordered[32]) / 2)
    return int.from_bytes(bits.tobytes(), "big")


def _reduced_gray(pixels: Pixels) -> NDArray[np.uint8]:
    """Gray, longest side 128 to 255 where the picture has as much; colour is converted last, then nearly free."""
    rows, columns = pixels.shape[:2]
    factor = max(rows, columns) // _WORK_SIDE
    if factor > 1 and min(rows, columns) >= factor:
        rows, columns = rows // factor, columns // factor
        pixels = _resize(pixels[: rows * factor, : columns * factor], rows, columns)
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _resize(picture: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """By area, the one interpolation of OpenCV that gave equal bytes over threads and CPU features."""
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
