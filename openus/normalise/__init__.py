"""The ordered steps from a decoded frame to the stored picture, each recorded in the frame.

    fit    once per file: where the ultrasound field lies          sector.py, overlay.py
    apply  per frame: crop → gray or RGB → resize → quality        resize.py, quality.py
    encode the stored bytes                                        resize.py

`fit` looks at the first frames of a file, so that all frames of a clip get one crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openus.data import Crop, Frame, Pixels
from openus.normalise.overlay import has_text
from openus.normalise.quality import quality
from openus.normalise.resize import encode, reduce, settle_colour
from openus.normalise.sector import find_field
from openus.params import NormaliseParams

__all__ = ["Geometry", "apply", "encode", "fit", "quality"]

FIT_FRAMES = 8
"""No more frames than this are looked at."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What holds for every frame of a file."""

    crop: Crop
    sector_kind: str | None
    """`convex`, `phased`, `linear`, `trapezoid`, or None where undecided."""
    has_text: bool | None
    """Whether text or calipers are burned into the frames."""


def fit(frames: Sequence[Pixels], params: NormaliseParams) -> Geometry:
    """The geometry of a file, from its first frames (one for a still, up to eight of a clip, all of one size).

    Raises ValueError for no frames.
    """
    if not frames:
        raise ValueError("normalise.fit needs at least one frame")
    rows, columns = frames[0].shape[:2]
    looked_at = [frame for frame in frames[:FIT_FRAMES] if frame.shape[:2] == (rows, columns)]
    found = find_field(looked_at)
    crop = found.crop if params.sector_crop else Crop(0, 0, columns, rows)
    return Geometry(crop, found.kind, has_text(looked_at[-1], found.crop))


def apply(frame: Frame, geometry: Geometry, params: NormaliseParams) -> Frame:
    """The frame cut to the geometry's crop, gray unless it is truly coloured, and reduced to `longest_side`.

    Fills `crop`, `sector_kind`, `has_text` and `quality`; `spacing_mm` stays that of the decoded picture (the
    stored picture's is `spacing_mm * crop / stored size`). A crop that reaches beyond the frame is clipped to it.
    """
    rows, columns = frame.pixels.shape[:2]
    crop = _clip(geometry.crop, rows, columns)
    cut = frame.pixels[crop.y : crop.y + crop.h, crop.x : crop.x + crop.w]
    pixels = reduce(settle_colour(cut), params.longest_side)
    return Frame(
        pixels,
        frame.index,
        frame.spacing_mm,
        frame.header,
        crop=crop,
        sector_kind=geometry.sector_kind,
        has_text=geometry.has_text,
        quality=quality(pixels),
    )


def _clip(crop: Crop, rows: int, columns: int) -> Crop:
    """`crop` within a frame of this size; the whole frame when nothing of it is inside (a clip that changed size)."""
    width = min(crop.w, columns - crop.x)
    height = min(crop.h, rows - crop.y)
    return Crop(crop.x, crop.y, width, height) if width > 0 and height > 0 else Crop(0, 0, columns, rows)
