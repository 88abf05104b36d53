"""Tissue to scan: maps of echo levels in dB on the beams' grid, one function per part of the body.

Drawn, not measured: they hold what a reader of such pictures looks for (layers, vessels, lesions with the shape and
the shadow or enhancement of their kind), so that classes differ and no two pictures are alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openus.sample.phantom import Floats, Grid, Rng

Mask = NDArray[np.bool_]
Motion = Iterator[tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class Lesion:
    """A mass: centre, half axes and ripples of its outline, in units of the depth shown; `malignant` its kind.

    The two kinds differ as in A. T. Stavros et al., "Solid breast nodules", Radiology 196, 1995: benign wider than
    tall, smooth, thin capsule, enhancement behind; malignant taller than wide, angular margin, shadow behind.
    """

    x: float
    z: float
    a: float
    b: float
    ripples: tuple[tuple[int, float, float], ...]
    malignant: bool


@dataclass(frozen=True, slots=True)
class Head:
    """A fetal skull: centre and half axes in units of the depth shown, `tilt` in radians."""

    x: float
    z: float
    a: float
    b: float
    tilt: float


def texture(rng: Rng, shape: tuple[int, ...], along: int, across: int) -> Floats:
    """A smooth random field (samples, beams) of unit variance, with about `along` x `across` cells."""
    coarse = rng.standard_normal((along, across)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def ridge(distance: NDArray[Any], width: float) -> Floats:
    """1 on a line, falling to 0 with the distance from it."""
    return np.asarray(np.exp(-((distance / width) ** 2)), np.float32)


def ellipse(g: Grid, x: float, z: float, a: float, b: float, tilt: float = 0.0) -> Floats:
    """Radius of each sample in units of an ellipse about (x, z) with half axes a, b: 1 on the ellipse."""
    u = (g.x - x) * math.cos(tilt) + (g.z - z) * math.sin(tilt)
    v = (g.z - z) * math.cos(tilt) - (g.x - x) * math.sin(tilt)
    return np.asarray(np.hypot(u / a, v / b), np.float32)


def behind(mask: Mask) -> Floats:
    """0 to 1: how much of `mask` the beam has passed before the sample; 0 inside it."""
    passed = np.cumsum(mask, axis=0, dtype=np.float32)
    share = cv2.GaussianBlur(passed / max(float(passed.max()), 1), (0, 0), 3)
    return np.asarray(np.where(mask, 0, share), np.float32)


def lesion(rng: Rng, malignant: bool, x: float = 0.0) -> Lesion:
    """A random mass of the given kind near the lateral place `x`."""
    size = rng.uniform(0.1, 0.16)
    harmonics = range(3, 12) if malignant else range(2, 4)
    strength = 0.1 if malignant else 0.035
    ripples = tuple((k, strength * rng.uniform(0.5, 1.2), rng.uniform(0, 2 * math.pi)) for k in harmonics)
    flat = rng.uniform(0.55, 0.75) if not malignant else rng.uniform(1.0, 1.3)
    z = rng.uniform(0.36, 0.5)
    return Lesion(x + rng.uniform(-0.1, 0.1), z, size / math.sqrt(flat), size * math.sqrt(flat), ripples, malignant)


def lesion_radius(g: Grid, mass: Lesion) -> Floats:
    """Radius of each sample in units of the mass's outline: below 1 inside."""
    angle = np.arctan2((g.z - mass.z) / mass.b, (g.x - mass.x) / mass.a)
    outline = 1 + sum(size * np.cos(k * angle + phase) for k, size, phase in mass.ripples)
    return np.asarray(ellipse(g, mass.x, mass.z, mass.a, mass.b) / outline, np.float32)


def breast(g: Grid, rng: Rng, masses: Sequence[Lesion] = ()) -> tuple[Floats, list[Mask]]:
    """Skin, fat lobules, streaky gland and chest wall with masses in it; the map and a mask of each mass."""
    shape = g.x.shape
    fat, chest = rng.uniform(0.14, 0.24), rng.uniform(0.74, 0.88)
    bend = 0.03 * texture(rng, shape, 2, 4)
    level = 4.5 * texture(rng, shape, 40, 5) + 3 * texture(rng, shape, 12, 6) + 2
    level = np.where(g.z + bend < fat, -7 + 2 * texture(rng, shape, 8, 8), level)
    level += 13 * ridge(g.z + bend - fat, 0.012) + 14 * ridge(g.z, 0.02) + 9 * ridge(g.z - 0.06 + bend / 3, 0.008)
    level += 14 * ridge(g.z + bend - chest, 0.012) - 8 * (g.z + bend > chest)
    for _ in range(3):  # ligaments
        slope, place = rng.uniform(-1.2, 1.2), rng.uniform(-0.4, 0.4)
        level += 8 * ridge(g.x - place - slope * (g.z - fat) + bend, 0.01) * (g.z + bend < fat + 0.2)
    masks = []
    for mass in masses:
        radius = lesion_radius(g, mass)
        inside = radius < 1
        if mass.malignant:
            level = np.where(inside, -17 + 4 * texture(rng, shape, 26, 22), level) - 22 * behind(inside)
            level += 6 * ridge(radius - 1.12, 0.1) * (1 + texture(rng, shape, 30, 30)) / 2
        else:
            level = np.where(inside, -16 + texture(rng, shape, 6, 6), level) + 12 * behind(inside)
            level += 9 * ridge(radius - 1.03, 0.05)
        masks.append(inside)
    return np.asarray(level - rng.uniform(8, 14) * g.r**1.5, np.float32), masks


def fetal_head(g: Grid, rng: Rng, head: Head) -> Floats:
    """A skull with midline and choroid plexus, a layer of fluid, the uterine wall."""
    shape = g.x.shape
    radius = ellipse(g, head.x, head.z, head.a, head.b, head.tilt)
    level = 3 * texture(rng, shape, 26, 8) + 2 * texture(rng, shape, 8, 8)
    fluid = ellipse(g, head.x + 0.1, head.z, head.a * 1.35, head.b * 1.18, head.tilt) < 1
    level = np.where(fluid, -26, level)
    level = np.where(radius < 1, -15 + 3 * texture(rng, shape, 12, 12), level)
    side = np.abs(np.sin(np.arctan2(g.z - head.z, g.x - head.x) - head.tilt))  # walls along the beam reflect little
    level += 34 * ridge(radius - 1, 0.035) * (0.25 + 0.75 * side)
    u = (g.x - head.x) * math.cos(head.tilt) + (g.z - head.z) * math.sin(head.tilt)
    v = (g.z - head.z) * math.cos(head.tilt) - (g.x - head.x) * math.sin(head.tilt)
    level += 16 * ridge(v + 0.01 * texture(rng, shape, 3, 3), 0.008) * (np.abs(u) < head.a * 0.75)
    for sign in (-1, 1):
        blob = np.hypot((u - sign * rng.uniform(0.05, 0.12)) / 0.09, (v - sign * 0.09) / 0.045)
        level += 13 * ridge(blob, 0.8) * (radius < 0.9)
    level -= 7 * behind(ridge(radius - 1, 0.05) > 0.5)
    return np.asarray(level - rng.uniform(5, 9) * g.r, np.float32)


def lung(g: Grid, rng: Rng, b_lines: int) -> Floats:
    """Chest wall, two ribs with shadows, the pleura, then A-lines, or `b_lines` bands from it to the bottom."""
    shape = g.x.shape
    pleura = rng.uniform(0.2, 0.28)
    bend = 0.012 * texture(rng, shape, 2, 4)
    depth = g.r + bend
    level: NDArray[Any] = np.where(
        depth < pleura, 4 + 4 * texture(rng, shape, 40, 5), -17 + 2 * texture(rng, shape, 20, 10)
    )
    level += 22 * ridge(depth - pleura, 0.012)
    place = np.broadcast_to(np.linspace(-1, 1, shape[1], dtype=np.float32), shape)
    if b_lines == 0:
        for k in (2, 3, 4):
            level += (20 - 4 * k) * ridge(depth - k * pleura, 0.012)
    for at in np.linspace(-0.45, 0.45, b_lines) if b_lines else ():
        width = rng.uniform(0.05, 0.12)
        level += (
            (14 + 3 * texture(rng, shape, 24, 3))
            * ridge(place - at - rng.uniform(-0.08, 0.08), width)
            * (depth > pleura)
        )
    for at in (-rng.uniform(0.65, 0.95), rng.uniform(0.65, 0.95)):
        rib = np.hypot((place - at) / 0.2, (g.r - pleura * 0.75) / 0.035) < 1
        level = np.where(rib, 8, level) - 6 * behind(rib)
    return np.asarray(level - 5 * g.r, np.float32)


def heart(g: Grid, rng: Rng) -> Floats:
    """Four chambers seen from the apex."""
    shape = g.x.shape
    muscle = ellipse(g, 0.0, 0.52, 0.4, 0.46)
    level = np.where(muscle < 1, 1 + 2.5 * texture(rng, shape, 20, 20), -9 + 4 * texture(rng, shape, 14, 14))
    level += 10 * ridge(muscle - 1, 0.03)
    chambers = ((0.13, 0.48, 0.13, 0.23, -0.16), (-0.16, 0.53, 0.12, 0.17, 0.2), (0.15, 0.81, 0.15, 0.13, 0.0))
    for x, z, a, b, tilt in (*chambers, (-0.17, 0.8, 0.14, 0.13, 0.0)):
        radius = ellipse(g, x, z, a, b, tilt)
        level = np.where(radius < 1, -28, level) + 7 * ridge(radius - 1.05, 0.06)
    for x in (0.14, -0.165):  # leaflets
        level = np.maximum(
            level, 8 - 26 * (1 - ridge(g.z - 0.69 + 0.35 * np.abs(g.x - x), 0.014)) - 60 * (np.abs(g.x - x) > 0.1)
        )
    return np.asarray(level - 6 * g.r + 10 * ridge(g.r, 0.05), np.float32)


def liver(g: Grid, rng: Rng) -> Floats:
    """Even parenchyma with vessels and the diaphragm as a bright arc."""
    shape = g.x.shape
    level = 1.5 * texture(rng, shape, 10, 10) + np.where(g.r < 0.1, 4 * texture(rng, shape, 40, 4), 0)
    for _ in range(4):
        x, z = rng.uniform(-0.3, 0.3), rng.uniform(0.3, 0.7)
        tube = ellipse(g, x, z, rng.uniform(0.06, 0.2), rng.uniform(0.02, 0.035), rng.uniform(-0.8, 0.8))
        level = np.where(tube < 1, -26, level) + 7 * ridge(tube - 1.1, 0.15)
    arc = ellipse(g, 0.1, 0.3, 0.72, 0.58)
    level = np.where(arc > 1, -14 + 2 * texture(rng, shape, 20, 10), level) + 22 * ridge(arc - 1, 0.02)
    return np.asarray(level - 8 * g.r, np.float32)


def neck(g: Grid, rng: Rng) -> Floats:
    """Strap muscles, a lobe of the thyroid with a nodule, the carotid artery beside it."""
    shape = g.x.shape
    side = 1 if rng.random() < 0.5 else -1
    level = -6 + 4 * texture(rng, shape, 40, 5)
    level += 13 * ridge(g.z - 0.02, 0.02) + 10 * ridge(g.z - 0.2 + 0.02 * texture(rng, shape, 2, 3), 0.01)
    lobe = ellipse(g, -0.1 * side, 0.5, 0.36, 0.22, 0.1 * side)
    level = np.where(lobe < 1, 4 + 1.5 * texture(rng, shape, 16, 16), level) + 7 * ridge(lobe - 1, 0.03)
    nodule = ellipse(g, -0.16 * side, 0.5 + rng.uniform(-0.04, 0.04), 0.11, 0.08, rng.uniform(-0.5, 0.5))
    level = np.where(nodule < 1, -7 + 2 * texture(rng, shape, 20, 20), level) + 8 * ridge(nodule - 1.05, 0.08)
    artery = ellipse(g, 0.4 * side, 0.55, 0.11, 0.1)
    level = np.where(artery < 1, -32, level) + 14 * ridge(artery - 1.06, 0.06) + 8 * behind(artery < 1)
    level += 18 * ridge(g.z - 0.86 - 0.1 * g.x**2, 0.02) - 14 * (g.z > 0.88 + 0.1 * g.x**2)
    return np.asarray(level - 7 * g.r, np.float32)


def prostate(g: Grid, rng: Rng, share: float) -> tuple[Floats, Mask]:
    """The gland at one place along its axis (`share`, -1 to 1) below the rectal wall; the map and the gland's mask."""
    shape = g.x.shape
    size = math.sqrt(max(1 - share**2, 0.05))
    level = 1 + 3 * texture(rng, shape, 20, 8) + 14 * ridge(g.r - 0.05, 0.03)
    gland = ellipse(g, 0.0, 0.47, 0.36 * size, 0.26 * size)
    level = np.where(gland < 1, -6 + 1.5 * texture(rng, shape, 14, 14), level) + 9 * ridge(gland - 1, 0.05)
    zone = ellipse(g, 0.0, 0.55, 0.2 * size, 0.13 * size)
    level = np.where(zone < 1, -11, level) + 4 * ridge(zone - 1, 0.1)
    return np.asarray(level - 5 * g.r, np.float32), gland < 1


def sway(g: Grid, phases: Sequence[float], along: float, across: float) -> Motion:
    """Tissue that goes round with the breath: `phases` in radians, one a frame, amplitudes in samples.

    Along the beam as the sine, across it as the cosine, so that it rests only while the phase does. Deeper tissue
    moves more.
    """
    weight = (0.3 + 0.7 * g.r).astype(np.float32)
    for phase in phases:
        yield weight * np.float32(along * math.sin(phase)), weight * np.float32(across * (1 - math.cos(phase)))


def beat(g: Grid, places: Sequence[float], strength: float, rock: float) -> Motion:
    """A heart that contracts about (0, 0.55) while the probe rocks by `rock` beams.

    places: 0 to 1, one a frame. strength: the share of its radius that is lost at 1.
    """
    samples, beams = g.x.shape
    fall = np.exp(-(((g.x / 0.4) ** 2 + ((g.z - 0.55) / 0.5) ** 2) ** 2)).astype(np.float32)
    along = fall * (g.r - np.float32(0.55)) * np.float32(samples * strength)
    across = fall * np.broadcast_to(np.linspace(-0.5, 0.5, beams, dtype=np.float32), g.x.shape)
    across = across * np.float32(beams * strength) + np.float32(rock)
    return ((along * np.float32(at), across * np.float32(at)) for at in places)
