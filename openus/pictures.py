"""From a file to its normalised pictures, in one way for building and for the gate: decode, settle the crop, apply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openus import decode, media, normalise
from openus.data import AS_IT_LIES, Frame, Reading
from openus.errors import FileError
from openus.params import DecodeParams, NormaliseParams


def pictures(
    path: Path,
    limits: DecodeParams,
    settings: NormaliseParams,
    reading: Reading = AS_IT_LIES,
) -> Iterator[tuple[Frame, Frame]]:
    """(decoded, normalised) frames of a file in order; no more than `normalise.FIT_FRAMES` are held at once.

    The crop is settled on the first frames, and again where the frame size changes (multi-page TIFF). Stacks are not
    cropped: their field grows from slice to slice, so the first ones cannot tell what the later ones need. Volumes
    that are clips (`reading.clip`) are.

    Raises what `decode.frames` raises; the frames before an error come first.
    """
    if media.FAMILY.get(media.sniff(path) or "") == "volume" and not reading.clip:
        settings = replace(settings, sector_crop=False)
    geometry: normalise.Geometry | None = None
    size: tuple[int, ...] = ()
    for ahead in _batched(decode.frames(path, limits, reading)):
        for number, frame in enumerate(ahead):
            if geometry is None or frame.pixels.shape[:2] != size:
                size = frame.pixels.shape[:2]
                alike = [f.pixels for f in ahead[number:] if f.pixels.shape[:2] == size]
                geometry = normalise.fit(alike, settings)
            yield frame, normalise.apply(frame, geometry, settings)


def _batched(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    """The first few frames together, the others one by one. What came before an error comes before it here too."""
    first: list[Frame] = []
    try:
        for frame in frames:
            first.append(frame)
            if len(first) == normalise.FIT_FRAMES:
                break
    except FileError:
        if first:
            yield first
        raise
    if first:
        yield first
    for frame in frames:
        yield [frame]
