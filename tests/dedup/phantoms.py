"""Speckle phantoms in a convex field, and what people do to pictures before they publish them again."""

from __future__ import annotations

import cv2
import numpy as np

from openus.data import Pixels
from openus.dedup.fingerprint import thumbnail
from openus.dedup.search import Fingerprints


def phantom(seed: int, rows: int = 300, columns: int = 400) -> Pixels:
    """Speckle over a few blobs of differing echo, in the same convex field for every seed."""
    rng = np.random.default_rng(seed)
    tissue = cv2.resize(
        rng.uniform(20, 110, (9, 12)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC
    )
    grain = cv2.GaussianBlur(rng.rayleigh(1.0, (rows, columns)).astype(np.float32), (0, 0), 2.0)
    y, x = np.mgrid[:rows, :columns]
    dx, dy = x - columns / 2, y + rows * 0.25
    inside = (np.hypot(dx, dy) < rows * 1.2) & (np.hypot(dx, dy) > rows * 0.3) & (np.abs(np.arctan2(dx, dy)) < 0.6)
    return np.where(inside, np.clip(tissue * grain, 8, 255), 0).astype(np.uint8)


def crop(pixels: Pixels, top: float, bottom: float, left: float, right: float) -> Pixels:
    rows, columns = pixels.shape[:2]
    return np.ascontiguousarray(
        pixels[int(top * rows) : rows - int(bottom * rows), int(left * columns) : columns - int(right * columns)]
    )


def resize(pixels: Pixels, scale: float) -> Pixels:
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), dtype=np.uint8)


def gamma(pixels: Pixels, value: float) -> Pixels:
    return np.rint(255 * (pixels / 255.0) ** value).astype(np.uint8)


def square(pixels: Pixels) -> Pixels:
    rows, columns = pixels.shape[:2]
    side = max(rows, columns)
    top = (side - rows) // 2
    return np.asarray(
        cv2.copyMakeBorder(pixels, top, side - rows - top, 0, side - columns, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    )


def mirror(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def calipers(pixels: Pixels) -> Pixels:
    marked = pixels.copy()
    rows, columns = pixels.shape[:2]
    for x, y in ((0.4, 0.5), (0.6, 0.55), (0.5, 0.4), (0.5, 0.7)):
        cv2.drawMarker(marked, (int(x * columns), int(y * rows)), 255, cv2.MARKER_CROSS, columns // 25, 1)
    cv2.putText(marked, "LEFT 12.3 mm", (columns // 3, rows * 9 // 10), 0, 0.4, 255, 1)
    return marked


TRANSFORMS = {
    "half": lambda p: resize(p, 0.5),
    "double": lambda p: resize(p, 2.0),
    "jpeg50": lambda p: jpeg(p, 50),
    "darker": lambda p: gamma(p, 1.25),
    "brighter": lambda p: gamma(p, 0.8),
    "crop": lambda p: crop(p, 0.05, 0.10, 0.08, 0.03),
    "mirror": mirror,
    "square": square,
    "calipers": calipers,
    "mirror-crop": lambda p: mirror(crop(p, 0.04, 0.0, 0.06, 0.02)),
    "crop-gamma": lambda p: gamma(crop(p, 0.0, 0.06, 0.0, 0.06), 0.8),
    "small-jpeg": lambda p: jpeg(resize(p, 0.4), 60),
    "square-calipers": lambda p: square(calipers(p)),
}


def prints(pictures: list[Pixels], group: list[int] | None = None, sha: list[str] | None = None) -> Fingerprints:
    """A table of pictures; each in a group of its own and with pixels of its own unless told otherwise."""
    thumbs = [thumbnail(picture) for picture in pictures]
    return Fingerprints(
        np.stack(thumbs),
        sha or [f"{number}-{id(thumbs)}" for number in range(len(thumbs))],
        np.array(group or [-1] * len(thumbs), np.int64),
    )
