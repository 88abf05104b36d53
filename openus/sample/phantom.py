"""The physics of a synthetic B-mode picture: scattering tissue, speckle, log compression, the scanned field.

A picture is made where a scanner makes it, on a grid of beams, and then scan-converted. Tissue is a map of echo levels
in dB; every sample scatters with a random complex amplitude, the point spread function adds neighbours up, and the
envelope of a homogeneous region follows a Rayleigh distribution: fully developed speckle.

Sources: C. B. Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Sonics Ultrason. 25, 1978; R. F. Wagner
et al., "Statistics of speckle in ultrasound B-scans", IEEE Trans. Sonics Ultrason. 30, 1983.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from openus.data import Pixels

Floats = NDArray[np.float32]
Rng = np.random.Generator

DYNAMIC_RANGE_DB = 60.0
TISSUE_GRAY = 0.45
"""Where 0 dB, the mean echo of plain tissue, lies in the gray scale."""
NOISE_DB = -42.0
"""Electronic noise, so that a fluid is not perfectly black."""
PSF = (0.8, 2.0)
"""Standard deviation of the point spread function, (along, across) the beam, in samples."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is scanned and how it is shown.

    rows, columns: the picture, pixels. half_angle: of the field, radians (0: a linear probe). radius: of the probe's
    surface as a fraction of the depth shown (0: phased). margin: black border, pixels.
    """

    kind: Literal["linear", "convex", "phased"]
    rows: int
    columns: int
    half_angle: float = 0.0
    radius: float = 0.0
    margin: int = 0

    @property
    def depth(self) -> float:
        """Pixels from the probe to the deepest echo."""
        return float(self.rows - 1 - 2 * self.margin)

    @property
    def beams(self) -> tuple[int, int]:
        """(samples of a beam, beams) of the grid on which echoes are made."""
        if self.kind == "linear":
            return self.rows - 2 * self.margin, self.columns - 2 * self.margin
        return int(self.depth), 160


class Grid(NamedTuple):
    """Where the samples of the beams lie, in units of the depth shown, each (samples, beams) float32.

    x: from the middle line, positive to the right. z: depth in the picture. r: along the beam from the probe, 0 to 1.
    """

    x: Floats
    z: Floats
    r: Floats


def rng_of(seed: int, name: str) -> Rng:
    """The random numbers of one picture: they depend on the seed and its name, not on what was drawn before."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16]))


def linear(rows: int, columns: int, margin: int = 0) -> Probe:
    """A linear probe: the whole rectangle within the margin."""
    return Probe("linear", rows, columns, margin=margin)


def convex(rows: int, columns: int, margin: int = 4) -> Probe:
    """A curved probe of 60 degrees."""
    return Probe("convex", rows, columns, math.radians(30), 0.35, margin)


def phased(rows: int, columns: int, margin: int = 4) -> Probe:
    """A phased probe of 80 degrees, whose field begins in a point."""
    return Probe("phased", rows, columns, math.radians(40), 0.02, margin)


def grid(probe: Probe) -> Grid:
    """The samples of a probe's beams."""
    samples, beams = probe.beams
    r = np.repeat(np.linspace(0, 1, samples, dtype=np.float32)[:, None], beams, axis=1)
    across = np.repeat(np.linspace(-1, 1, beams, dtype=np.float32)[None], samples, axis=0)
    if probe.kind == "linear":
        return Grid(across * np.float32((beams - 1) / 2 / probe.depth), r, r)
    lift = probe.radius * math.cos(probe.half_angle)
    reach = probe.radius + r * np.float32(1 + lift - probe.radius)
    angle = across * np.float32(probe.half_angle)
    return Grid(reach * np.sin(angle), reach * np.cos(angle) - np.float32(lift), r)


def to_pixels(probe: Probe, x: float, z: float) -> tuple[float, float]:
    """(column, row) in the picture of a point of the `Grid`."""
    return (probe.columns - 1) / 2 + x * probe.depth, probe.margin + z * probe.depth


def still(probe: Probe, level: Floats, rng: Rng) -> Pixels:
    """The picture (rows, columns), uint8, of tissue whose echo level in dB on the beams' grid is `level`."""
    return next(clip(probe, level, rng, [(np.zeros_like(level), np.zeros_like(level))]))


def clip(probe: Probe, level: Floats, rng: Rng, motion: Iterable[tuple[Floats, Floats]]) -> Iterator[Pixels]:
    """Pictures of moving tissue: `motion` gives each frame's displacement (along, across the beam) in samples."""
    echoes = blurred(scatterers(level, rng))
    rows, columns = np.indices(level.shape, dtype=np.float32)
    shown = scan_conversion(probe)
    for along, across in motion:
        moved = cv2.remap(echoes, columns + across, rows + along, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        yield shown(compressed(np.asarray(moved, np.float32), rng))


def sweep(probe: Probe, levels: Iterable[Floats], rng: Rng, persistence: float) -> Iterator[Pixels]:
    """Pictures of neighbouring planes: the scatterers of each resemble those of the one before by `persistence`."""
    unit: Floats | None = None
    shown = scan_conversion(probe)
    for level in levels:
        fresh = scatterers(np.zeros_like(level), rng)
        unit = (
            fresh
            if unit is None
            else np.float32(persistence) * unit + np.float32(math.sqrt(1 - persistence**2)) * fresh
        )
        amplitude = np.asarray(np.power(10, level / 20), np.float32)
        yield shown(compressed(blurred(unit * amplitude[..., None]), rng))


def scatterers(level: Floats, rng: Rng) -> Floats:
    """Complex random amplitudes, (samples, beams, 2) as real and imaginary part, of mean power `level` in dB."""
    amplitude = np.power(10, level / 20) / math.sqrt(2)
    return np.asarray(rng.standard_normal((*level.shape, 2), np.float32) * amplitude[..., None], np.float32)


def blurred(scattered: Floats) -> Floats:
    """What the point spread function makes of scatterers; the mean power stays."""
    along, across = (cv2.getGaussianKernel(13, sigma, cv2.CV_32F) for sigma in PSF)
    power = float((along**2).sum() * (across**2).sum())
    return np.asarray(cv2.sepFilter2D(scattered, cv2.CV_32F, across, along) / math.sqrt(power), np.float32)


def compressed(echoes: Floats, rng: Rng) -> Pixels:
    """Envelope of complex echoes with electronic noise, log-compressed to 8 bits."""
    noisy = echoes + rng.standard_normal(echoes.shape, np.float32) * np.float32(10 ** (NOISE_DB / 20))
    power = noisy[..., 0] ** 2 + noisy[..., 1] ** 2
    gray = 10 * np.log10(np.maximum(power, np.float32(1e-12))) / DYNAMIC_RANGE_DB + TISSUE_GRAY
    return np.asarray(np.clip(np.rint(gray * 255), 0, 255), np.uint8)


def scan_conversion(probe: Probe) -> Callable[[Pixels], Pixels]:
    """What turns the samples of a probe's beams into its picture (rows, columns); black outside the field."""
    if probe.kind == "linear":
        return lambda beams: np.asarray(np.pad(beams, probe.margin), np.uint8)
    samples, beams = probe.beams
    x, z = np.meshgrid(
        (np.arange(probe.columns) - (probe.columns - 1) / 2) / probe.depth,
        (np.arange(probe.rows) - probe.margin) / probe.depth,
    )
    lift = probe.radius * math.cos(probe.half_angle)
    row = (np.hypot(x, z + lift) - probe.radius) / (1 + lift - probe.radius) * (samples - 1)
    column = (np.arctan2(x, z + lift) / probe.half_angle + 1) / 2 * (beams - 1)
    at = (column.astype(np.float32), row.astype(np.float32))
    return lambda echoes: np.asarray(cv2.remap(echoes, *at, cv2.INTER_LINEAR), np.uint8)
