"""Volumes and sequences: NIfTI, MetaImage, NRRD, streamed slice by slice.

Axes: the first axis of the file is the picture's columns, the second its rows, all further ones (depth, time, list)
are slices in the file's order. So a sequence's frames come upright as SimpleITK's array [k] shows them, and as
nibabel's data[:, :, k].T; the first row stored is row 0. Only Plus toolkit's UltrasoundImageOrientation turns pictures:
into MF, columns towards the marked side of the probe and rows away from it, which Plus itself takes as standard.
NIfTI affines turn nothing: ultrasound sets fill them with anything. A source that knows better says so in `Reading`:
other axes (the whole volume is then held in memory), or which slices are wanted (the others are passed over).

A first pass surveys the values, in bounded memory: label maps (2 to 8 values), radio-frequency data (oscillating
around zero) and the one range that becomes 0 to 255 are facts of the whole file. It stops early for 8-bit values.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from openus.data import Frame, Pixels, Reading
from openus.decode import volume_header
from openus.decode.pixels import (
    LABEL_COLOURS,
    SMALLEST,
    LostError,
    collapse,
    finite_range,
    over_black,
    to_uint8,
    value_range,
)
from openus.decode.volume_header import Volume
from openus.errors import DecodeError, NotUltrasound, UnsupportedMedium
from openus.params import DecodeParams

EQUAL_PLANES = 0.9
"""Share of the pixels that three slices have equal, where any is not 0, when they are planes of one picture."""
CHANNELS = 4
"""Values a pixel, at most; more are frames."""
MOST_BYTES = 1 << 31
"""Of a volume that is held in memory, to be sliced along another axis than its slowest."""
_CHUNK, _SOURCE = 1 << 20, 1 << 16
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


def frames(path: Path, kind: str, params: DecodeParams, reading: Reading) -> Iterator[Frame]:
    """The slices or frames of a volume, indexed; index None for a single one.

    Raises NotUltrasound for label maps, radio-frequency data and tracker sequences, UnsupportedMedium for rare
    encodings, DecodeError for broken, oversized or cut files (after the slices before the cut).
    """
    volume = volume_header.read(path, kind)
    seen = _along(path, volume, reading.axes)
    _check_bounds(path, seen, params)
    low, high = _examined(path, volume)
    pictures = _count(seen)
    wanted = range(pictures) if reading.frames is None else sorted(set(reading.frames))
    count = 0
    try:
        for index, values in _pictures(volume, reading.axes, wanted):
            pixels = _turned(_colour(to_uint8(values, low, high)), volume.orientation)
            yield Frame(pixels, None if pictures == 1 else index, _spacing(seen))
            count += len(wanted) if index is None else 1
        if reading.frames is not None and count < len(wanted):
            raise LostError(f"the file has {pictures}")
    except LostError as error:
        raise DecodeError(
            f"{path.name}: {count} of {len(wanted)} declared slices came: {error}.", "Fetch or copy it again."
        ) from error


def _along(path: Path, volume: Volume, axes: tuple[int, int, int]) -> Volume:
    """What the volume is when `axes` of the file are columns, rows and slices. Other axes need all values at once."""
    if axes == (0, 1, 2):
        return volume
    if volume.channels > CHANNELS:
        raise UnsupportedMedium(f"{path.name}: {volume.channels} values a pixel, along another axis.")
    if volume.size_bytes > MOST_BYTES:
        raise DecodeError(f"{path.name}: {volume.size_bytes:,} bytes are too many to slice along another axis.")
    sizes = (volume.columns, volume.rows, volume.slices)
    steps = (*volume.spacing_mm, volume.slice_mm)
    columns, rows, slices = (sizes[axis] for axis in axes)
    spacing = (steps[axes[0]], steps[axes[1]])
    return replace(volume, columns=columns, rows=rows, slices=slices, spacing_mm=spacing)


def _count(volume: Volume) -> int:
    return volume.slices * (volume.channels if volume.channels > CHANNELS else 1)


def _check_bounds(path: Path, volume: Volume, params: DecodeParams) -> None:
    size = f"{volume.columns} x {volume.rows} x {volume.slices}"
    if min(volume.rows, volume.columns) < SMALLEST:
        raise NotUltrasound(f"{path.name} holds no pictures: {size}, as tracker sequences do.")
    if volume.rows * volume.columns > params.max_pixels or _count(volume) > params.max_frames:
        raise DecodeError(
            f"{path.name} claims {size} pixels.",
            f"decode.max_pixels is {params.max_pixels:,}, decode.max_frames {params.max_frames:,}.",
        )
    if volume.channels == 2 or (
        volume.channels > CHANNELS and volume.channels * volume.rows * volume.columns > params.max_pixels
    ):
        raise UnsupportedMedium(f"{path.name}: {volume.channels} values a pixel.")
    if volume.image_type.upper().startswith("RF"):
        raise NotUltrasound(f"{path.name} holds radio-frequency data ({volume.image_type}), not pictures.")
    stored = volume.data.stat().st_size
    if volume.coding == "raw" and stored < volume.offset + volume.rows * volume.columns * volume.dtype.itemsize:
        raise DecodeError(f"{path.name}: its values are missing ({stored:,} bytes for {size}).", "Fetch it again.")


@dataclass
class Survey:
    """What a pass over the values found."""

    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0
    count: int = 0
    distinct: set[float] = field(default_factory=set)

    def add(self, values: NDArray[Any]) -> None:
        """Take in one slice."""
        low, high = finite_range(values)
        self.low, self.high = min(self.low, low), max(self.high, high)
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        self.total += float(finite.sum(dtype=np.float64))
        self.count += finite.size
        if len(self.distinct) <= LABEL_COLOURS:
            self.distinct.update(np.unique(finite)[: LABEL_COLOURS + 1].tolist())

    @property
    def is_label(self) -> bool:
        """2 to 8 values, all whole numbers: a segmentation."""
        return 2 <= len(self.distinct) <= LABEL_COLOURS and all(value == int(value) for value in self.distinct)

    @property
    def is_radio_frequency(self) -> bool:
        """Values of both signs, about as far either way, with a mean near zero: an oscillation, not an envelope."""
        if not self.low < 0 < self.high or self.count == 0:
            return False
        reach = min(-self.low, self.high)
        return reach >= 0.5 * max(-self.low, self.high) and abs(self.total / self.count) <= 0.05 * reach


def _examined(path: Path, volume: Volume) -> tuple[float, float]:
    """The values that become 0 and 255. Raises NotUltrasound for what the survey shows to be no picture."""
    survey = Survey()
    as_it_is = volume.dtype == np.uint8 and (volume.slope, volume.intercept) == (1.0, 0.0)
    try:
        for values in _slices(volume):
            survey.add(values)
            if as_it_is and len(survey.distinct) > LABEL_COLOURS:
                return 0.0, 255.0
    except LostError as error:
        if survey.count == 0:
            raise DecodeError(f"{path.name}: no whole slice came: {error}.", "Fetch or copy it again.") from error
    if survey.is_label:
        raise NotUltrasound(f"{path.name} is a label map: it holds only the values {sorted(survey.distinct)}.")
    if survey.is_radio_frequency:
        raise NotUltrasound(f"{path.name} holds radio-frequency data: its values oscillate around zero.")
    return value_range(survey.low, survey.high, integer=volume.dtype.kind in "iu" and volume.slope == int(volume.slope))


def _pictures(
    volume: Volume, axes: tuple[int, int, int], wanted: Sequence[int]
) -> Iterator[tuple[int | None, NDArray[Any]]]:
    """(index, values (rows, columns[, channels])) of each wanted picture, in the order of the file.

    Three slices that are practically equal are the red, green and blue planes of one picture (PSFHS, FH-PS-AOP), whose
    index is None;
    more than four channels are frames (NRRD sequences whose list axis runs fastest).
    """
    if axes != (0, 1, 2):
        whole = np.stack(list(_slices(volume)))
        turned = whole.transpose(*(2 - axis for axis in axes[::-1]), *range(3, whole.ndim))
        yield from ((index, turned[index]) for index in wanted if index < len(turned))
    elif volume.slices == 3 and volume.channels == 1:
        held: list[NDArray[Any]] = []
        try:
            held.extend(_slices(volume))
        except LostError:
            yield from ((index, held[index]) for index in wanted if index < len(held))
            raise
        planes = np.stack(held, axis=-1)
        if _one_picture(planes):
            yield None, planes
        else:
            yield from ((index, held[index]) for index in wanted if index < len(held))
    elif volume.channels > CHANNELS:
        frames = (frame for values in _slices(volume) for frame in np.moveaxis(values, -1, 0))
        yield from ((index, frame) for index, frame in enumerate(frames) if index in wanted)
    else:
        yield from zip(wanted, _slices(volume, wanted), strict=False)


def _one_picture(planes: NDArray[Any]) -> bool:
    inside = planes.any(axis=-1)
    equal = (planes == planes[..., :1]).all(axis=-1)
    return bool(inside.any() and equal[inside].mean() >= EQUAL_PLANES)


def _slices(volume: Volume, wanted: Sequence[int] | None = None) -> Iterator[NDArray[Any]]:
    """Values (rows, columns[, channels]) of each (wanted) slice, rescaled. Raises LostError where they end early."""
    size = volume.rows * volume.columns * volume.channels * volume.dtype.itemsize
    shape = (volume.rows, volume.columns) + ((volume.channels,) if volume.channels > 1 else ())
    at = 0
    with volume.data.open("rb") as file, _stream(file, volume) as stream:
        for index in range(volume.slices) if wanted is None else wanted:
            if index >= volume.slices:
                return
            _pass_over(stream, volume, (index - at) * size)
            values: NDArray[Any] = np.frombuffer(_exactly(stream, size), volume.dtype).reshape(shape)
            at = index + 1
            if volume.dtype.byteorder == ">":
                values = values.astype(volume.dtype.newbyteorder("="))
            rescaled = (volume.slope, volume.intercept) != (1.0, 0.0)
            yield values * volume.slope + volume.intercept if rescaled else values


def _pass_over(stream: IO[bytes] | io.RawIOBase, volume: Volume, size: int) -> None:
    """Go on by `size` bytes; what is compressed must be inflated all the same."""
    if size and volume.coding == "raw":
        stream.seek(size, io.SEEK_CUR)
        return
    while size:
        size -= len(_exactly(stream, min(size, _CHUNK)))


def _exactly(stream: IO[bytes] | io.RawIOBase, size: int) -> bytes:
    try:
        data = stream.read(size)
    except (EOFError, OSError, zlib.error) as error:
        raise LostError(f"the compressed values are damaged ({error})") from error
    if data is None or len(data) < size:
        raise LostError("the file ends within its values")
    return data


def _stream(file: IO[bytes], volume: Volume) -> IO[bytes] | io.BufferedReader:
    """The values as a file, inflated as they are read."""
    if volume.coding == "gzipped":
        inflated = io.BufferedReader(Inflated(file), _CHUNK)
        _exactly(inflated, volume.offset)
        return inflated
    file.seek(volume.offset)
    return file if volume.coding == "raw" else io.BufferedReader(Inflated(file), _CHUNK)


class Inflated(io.RawIOBase):
    """zlib or gzip data (members one after another too) as a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._inflate, self._source = file, zlib.decompressobj(_ZLIB_OR_GZIP), b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As files do."""
        while True:
            if self._inflate.eof:
                self._source = self._inflate.unused_data
                if not self._source.startswith(b"\x1f\x8b"):
                    return 0
                self._inflate = zlib.decompressobj(_ZLIB_OR_GZIP)
            self._source = self._source or self._file.read(_SOURCE)
            if not self._source:
                return 0
            data = self._inflate.decompress(self._source, len(buffer))
            self._source = self._inflate.unconsumed_tail
            if data:
                buffer[: len(data)] = data
                return len(data)


def _colour(pixels: Pixels) -> Pixels:
    """Gray or RGB; a fourth channel is alpha, composited onto black."""
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = over_black(pixels[..., :3], pixels[..., 3])
    return collapse(pixels)


def _turned(pixels: Pixels, orientation: str) -> Pixels:
    """`pixels` in MF orientation, from a Plus toolkit code.

    The first letter is where columns run, the second where rows run: M marked side, U unmarked side, F far from the
    probe, N near it; F or N first means that columns run in depth. A third letter is the slices' business.
    """
    code = orientation.upper()[:2]
    if len(code) < 2 or not (set(code) & set("MU") and set(code) & set("FN")):
        return pixels
    if code[0] in "FN":
        pixels, code = np.swapaxes(pixels, 0, 1), code[::-1]
    rows = slice(None, None, -1) if code[1] == "N" else slice(None)
    columns = slice(None, None, -1) if code[0] == "U" else slice(None)
    return np.ascontiguousarray(pixels[rows, columns])


def _spacing(volume: Volume) -> tuple[float | None, float | None]:
    swapped = volume.orientation.upper()[:1] in ("F", "N")
    return volume.spacing_mm[::-1] if swapped else volume.spacing_mm
