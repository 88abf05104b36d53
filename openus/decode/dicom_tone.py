"""From stored DICOM samples to 8-bit gray or RGB: colour spaces, palettes, and the gray scale.

Gray scale (PS3.3 C.11): stored values, sign and bits corrected → Rescale Slope and Intercept → for more than 8 bits
stored the first window (Window Center and Width) where there is one, else the range of Bits Stored, or, where these are
all bits of the word, what the values of all frames reach (`pixels.value_range`) → 0 to 255 → inverted for MONOCHROME1.
Pictures of 8 bits are taken in their whole range: what a window would clip is picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from openus.data import Pixels
from openus.decode.dicom_frames import Layout
from openus.decode.pixels import collapse, to_uint8

Tone = Callable[[NDArray[Any], str], Pixels]
"""(stored samples, photometric interpretation) -> gray or RGB, uint8."""

_FULL = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
_PARTIAL = np.array([[1.1644, 0, 1.5960], [1.1644, -0.3917, -0.8130], [1.1644, 2.0173, 0]])


def has_open_range(dataset: Dataset, form: Layout) -> bool:
    """Whether only the values themselves tell how far gray reaches: no window, and Bits Stored are all of a deep word.

    Writers leave Bits Stored at 16 over pictures of 8 or 12 bits, which would be black.
    """
    gray = form.photometric in ("MONOCHROME1", "MONOCHROME2")
    return gray and form.stored == form.allocated > 8 and _window(dataset) is None


def tone(dataset: Dataset, form: Layout, reach: tuple[float, float] | None = None) -> Tone:
    """How the frames of a data set become 8-bit pictures; `reach`: the stored values that become 0 and 255.

    Raises ValueError for a palette that does not fit.
    """
    if form.photometric == "PALETTE COLOR":
        table = _palette(dataset, form)
        return lambda values, _: collapse(table[values])
    if form.samples == 3:
        high = float((1 << form.stored) - 1)
        return lambda values, photometric: collapse(_rgb(to_uint8(values, 0.0, high), photometric))
    low, high = reach or _gray_range(dataset, form)
    falling = (_first(dataset, "RescaleSlope") or 1.0) < 0
    inverted = (form.photometric == "MONOCHROME1") != falling

    def gray(values: NDArray[Any], _: str) -> Pixels:
        pixels = to_uint8(values, low, high)
        return ~pixels if inverted else pixels

    return gray


def _rgb(values: Pixels, photometric: str) -> Pixels:
    """Colour samples as RGB; YBR by the inverse equations of PS3.3 C.7.6.3.1.2, rounded."""
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        matrix, black = _FULL, 0
    elif photometric.startswith("YBR_PARTIAL"):
        matrix, black = _PARTIAL, 16
    else:
        return values
    offset = -matrix @ np.array([black, 128, 128])
    return np.asarray(cv2.transform(values, np.column_stack([matrix, offset])), np.uint8)


def _palette(dataset: Dataset, form: Layout) -> Pixels:
    """The colour of every possible index, (indices[, 3]), uint8 (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6)."""
    first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
    indices = np.arange(1 << form.allocated)
    if "RedPaletteColorLookupTableData" in dataset:
        channels = [_table(dataset, colour) for colour in ("Red", "Green", "Blue")]
        table = np.stack([values[np.clip(indices - first, 0, len(values) - 1)] for values in channels], axis=-1)
    else:  # segmented tables
        from pydicom.pixels.processing import apply_color_lut

        table = apply_color_lut(indices.astype(f"u{form.allocated // 8}").reshape(1, -1), dataset)[0, :, :3]
    if table.max() > 255:
        table = table >> 8
    rows: Pixels = collapse(table.astype(np.uint8)[None])[0]
    return np.ascontiguousarray(rows)


def _table(dataset: Dataset, colour: str) -> NDArray[Any]:
    """One channel's table; unlike pydicom 3.0 with the byte order of its data set."""
    data = dataset.get(f"{colour}PaletteColorLookupTableData")
    entries = int(dataset.get(f"{colour}PaletteColorLookupTableDescriptor")[0]) or 1 << 16
    little = dataset.original_encoding[1] is not False
    if len(data) >= 2 * entries:
        return np.frombuffer(data, "<u2" if little else ">u2")[:entries].astype(np.uint16)
    values = np.frombuffer(data, np.uint8)
    return values if little else values.reshape(-1, 2)[:, ::-1].ravel()


def _gray_range(dataset: Dataset, form: Layout) -> tuple[float, float]:
    """Stored values that become 0 and 255. A window is turned back through the rescale into stored values."""
    low = -float(1 << (form.stored - 1)) if form.signed else 0.0
    high = low + float((1 << form.stored) - 1)
    window = _window(dataset)
    if form.stored <= 8 or window is None:
        return low, high
    centre, width = window
    slope = _first(dataset, "RescaleSlope") or 1.0
    intercept = _first(dataset, "RescaleIntercept") or 0.0
    ends = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2  # PS3.3 C.11.2.1.2.1
    low, high = sorted((end - intercept) / slope for end in ends)
    return low, high


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Centre and width of the first window, where there is a usable one."""
    centre, width = _first(dataset, "WindowCenter"), _first(dataset, "WindowWidth")
    return None if centre is None or width is None or width <= 1 else (centre, width)


def _first(dataset: Dataset, keyword: str) -> float | None:
    """An element's (first) number; None where it is absent or no number."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, (list, tuple)) or (hasattr(value, "__iter__") and not isinstance(value, str)):
            value = next(iter(value), None)
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
