"""HDF5 files whose adapter names the data set of pictures; read frame by frame, however large it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from openus.data import Frame
from openus.decode.pixels import SMALLEST, collapse, finite_range, to_uint8, value_range
from openus.errors import DecodeError, NotUltrasound
from openus.params import DecodeParams

_GRAY, _RGB = 3, 4
"""Dimensions of a data set of gray and of RGB pictures."""


def frames(path: Path, params: DecodeParams, name: str, wanted: Sequence[int] | None) -> Iterator[Frame]:
    """The pictures `wanted` (None: all) of the data set `name`, (frames, rows, columns[, 3]), in that order.

    `index` is the picture's place in the data set. uint8 comes as it is; other numbers are mapped by the range of the
    whole data set.

    Raises DecodeError for a data set that is missing, of another shape, too large, or damaged; NotUltrasound for one
    that holds no numbers.
    """
    with h5py.File(path) as file:
        data = file.get(name)
        if not isinstance(data, h5py.Dataset):
            raise DecodeError(f"{path.name} has no data set {name!r}.", "Is it the file that the source publishes?")
        if data.file.filename != file.filename or data.external:
            raise DecodeError(f"{path.name}: {name!r} lies in another file.", "Look where it comes from.")
        if data.is_virtual:
            raise DecodeError(
                f"{path.name}: {name!r} is a virtual data set, whose pictures may lie in other files.",
                "Write its values into a plain one.",
            )
        if data.ndim not in (_GRAY, _RGB) or (data.ndim == _RGB and data.shape[-1] != 3):
            raise DecodeError(f"{path.name}: {name!r} has the shape {data.shape}, not that of pictures.")
        if data.dtype.kind not in "uif":
            raise NotUltrasound(f"{path.name}: {name!r} holds {data.dtype}, no numbers.")
        if min(data.shape[1:3]) < SMALLEST:
            raise NotUltrasound(f"{path.name}: {name!r} holds no pictures: {data.shape[1]} x {data.shape[2]}.")
        if data.shape[1] * data.shape[2] > params.max_pixels:
            raise DecodeError(f"{path.name}: a picture of {name!r} claims {data.shape[1]} x {data.shape[2]} pixels.")
        if len(data if wanted is None else wanted) > params.max_frames:
            raise DecodeError(f"{path.name}: {len(data):,} pictures, decode.max_frames is {params.max_frames:,}.")
        low, high = _range(data)
        for index in range(len(data)) if wanted is None else wanted:
            if not 0 <= index < len(data):
                raise DecodeError(f"{path.name}: {name!r} has {len(data)} pictures and none at {index}.")
            yield Frame(collapse(to_uint8(np.asarray(data[index]), low, high)), index)


def _range(data: h5py.Dataset) -> tuple[float, float]:
    """The values that become 0 and 255; only data that are not uint8 are looked through for them."""
    if data.dtype == np.uint8:
        return 0.0, 255.0
    ranges = [finite_range(np.asarray(data[index])) for index in range(len(data))]
    lows, highs = zip(*ranges, strict=True) if ranges else ((0.0,), (0.0,))
    return value_range(min(lows), max(highs), integer=data.dtype.kind in "iu")
