"""Speckle in the shapes of ultrasound fields, with what scanners put around it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def speckle(rows: int, columns: int, seed: int, least: int = 12) -> Pixels:
    """Rayleigh speckle, never darker than `least`, with depth attenuation."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.rayleigh(55, (rows, columns)).astype(np.float32), (3, 3), 0)
    fall = np.linspace(1.4, 0.6, rows, dtype=np.float32)[:, None]
    return np.clip(grain * fall, least, 255).astype(np.uint8)


def sector(rows: int, columns: int, apex: tuple[int, int], radii: tuple[int, int], half_angle: float) -> Mask:
    """A circular sector that opens downwards from `apex` (x, y); an inner radius of 0 is phased, else convex."""
    y, x = np.mgrid[:rows, :columns]
    dx, dy = x - apex[0], y - apex[1]
    radius = np.hypot(dx, dy)
    return (radius >= radii[0]) & (radius <= radii[1]) & (np.abs(np.arctan2(dx, dy)) <= half_angle)


def rectangle(rows: int, columns: int, box: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((rows, columns), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def screen(mask: Mask, seed: int, background: int = 0) -> Pixels:
    """Speckle where `mask` holds, one level elsewhere."""
    return np.where(mask, speckle(*mask.shape, seed), np.uint8(background))


def write(pixels: Pixels, words: str, at: tuple[int, int], level: int = 255) -> None:
    """Burn words in, their lower left corner `at` (x, y)."""
    cv2.putText(pixels, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, level, 1, cv2.LINE_AA)


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of a mask."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, x + w, y + h
