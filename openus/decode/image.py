"""Picture files: PNG, JPEG, BMP, WebP, TIFF.

OpenCV decodes what it decodes whole (it gives nothing for a cut PNG or JPEG); Pillow reads the header first, so that
an impossible size costs nothing, and the pages of TIFF and animated WebP.
"""

from __future__ import annotations

import contextlib
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import cv2.utils.logging as logs
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from openus import relations
from openus.data import Frame, Header, Pixels
from openus.decode.pixels import collapse, finite_range, is_label, over_black, to_uint8, value_range
from openus.errors import DecodeError, NotUltrasound
from openus.params import DecodeParams

_PILLOW = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "tiff": "TIFF", "webp": "WEBP"}
_ORIENTED = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
"""A PNG may say how it is turned only in a chunk that begins with one of these. Pillow decodes the whole picture to
look for late ones."""
_FLIPS = {2: 1, 3: -1, 4: 0}
"""EXIF orientation -> cv2.flip code."""
_TURNS = {6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}


def frames(path: Path, kind: str, params: DecodeParams) -> Iterator[Frame]:
    """The picture of a file, or the pages of a TIFF or animated WebP, indexed.

    Raises DecodeError for broken or oversized files, NotUltrasound for label maps (`pixels.is_label`).
    """
    with _opened(path, kind) as image:
        _check_size(path, image, params)
        pages = int(getattr(image, "n_frames", 1)) if kind in ("tiff", "webp") else 1
        if pages > params.max_frames:
            raise DecodeError(f"{path.name}: {pages} pages.", f"decode.max_frames is {params.max_frames}.")
        if pages == 1 and kind != "tiff":
            yield Frame(_no_label(path, _by_opencv(path, image)), header=Header(carries=_mark(image)))
            return
        low, high = _page_range(path, image, pages, params)
        for page in range(pages):
            pixels = collapse(to_uint8(_by_pillow(path, image, page, pages), low, high))
            yield Frame(_no_label(path, pixels), index=page if pages > 1 else None)


@contextlib.contextmanager
def _opened(path: Path, kind: str) -> Iterator[Image.Image]:
    """The file opened by Pillow: header only. Raises DecodeError.

    Opened as a file, not by its path: Pillow 13 maps named uncompressed TIFF into memory and garbles turned ones.
    """
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sizes, which are checked next
                image = Image.open(file, formats=[_PILLOW[kind]])
        except Image.DecompressionBombError as error:
            reason = str(error).partition(",")[0]
            raise DecodeError(
                f"{path.name} claims an impossible size: {reason}.", "Look where it comes from."
            ) from error
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError) as error:
            raise DecodeError(f"{path.name}: its header is damaged.", "Fetch or copy it again.") from error
        with image:
            yield image


def _check_size(path: Path, image: Image.Image, params: DecodeParams) -> None:
    width, height = image.size
    if not 0 < width * height <= params.max_pixels:
        raise DecodeError(
            f"{path.name} claims {width} x {height} pixels.", f"decode.max_pixels is {params.max_pixels:,}."
        )


def _mark(image: Image.Image) -> str | None:
    """The benchmark whose mark a PNG bears in its text before the pixels."""
    return relations.marked({str(key): text for key, text in image.info.items() if isinstance(text, str)})


def _no_label(path: Path, pixels: Pixels) -> Pixels:
    if is_label(pixels):
        raise NotUltrasound(f"{path.name} is a label map: practically all of its pixels have one of a few values.")
    return pixels


def _by_opencv(path: Path, image: Image.Image) -> Pixels:
    """One still as gray or RGB: alpha composited onto black, 16 bit by `value_range`, EXIF orientation applied."""
    data = path.read_bytes()
    is_png = image.format == "PNG"
    logs.setLogLevel(logs.LOG_LEVEL_SILENT)  # what is wrong is raised, not printed
    whole = not is_png or _png_is_whole(data)
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if raw is None:
        raise DecodeError(f"{path.name} is cut or damaged.", "Fetch or copy it again.")
    values: NDArray[Any] = raw
    if values.ndim == 3 and values.shape[2] == 4:
        values = over_black(values[..., :3], values[..., 3])
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype != np.uint8:
        values = to_uint8(values, *value_range(*finite_range(values), integer=values.dtype.kind in "iub"))
    pixels = collapse(values)
    if pixels.ndim == 3:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    if is_png and not any(word in data for word in _ORIENTED):
        return pixels
    return _oriented(pixels, int(image.getexif().get(ExifTags.Base.Orientation, 1)))


def _png_is_whole(data: bytes) -> bool:
    """Whether all chunks of a PNG up to its end are there and agree with their checksums (ISO/IEC 15948, 5.3).

    libpng shows a picture whose data are damaged where it can, with a word on standard error.
    """
    at, view = 8, memoryview(data)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def _oriented(pixels: Pixels, orientation: int) -> Pixels:
    """`pixels` as EXIF orientation (tag 0x0112, 1 to 8) says that they are to be shown."""
    if orientation in _FLIPS:
        return np.asarray(cv2.flip(pixels, _FLIPS[orientation]), np.uint8)
    if orientation in _TURNS:
        return np.asarray(cv2.rotate(pixels, _TURNS[orientation]), np.uint8)
    if orientation in (5, 7):
        turned = cv2.transpose(pixels)
        return np.asarray(turned if orientation == 5 else cv2.flip(turned, -1), np.uint8)
    return pixels


def _page_range(path: Path, image: Image.Image, pages: int, params: DecodeParams) -> tuple[float, float]:
    """The one range of values of a file whose pages are deeper than 8 bit: a first pass over them."""
    if image.mode[0] not in "IF":
        for page in range(pages):
            image.seek(page)
            _check_size(path, image, params)
            if image.mode[0] in "IF":
                break
        else:
            return 0.0, 255.0
    lows, highs, integer = [], [], True
    for page in range(pages):
        values = _by_pillow(path, image, page, pages)
        low, high = finite_range(values)
        lows.append(low)
        highs.append(high)
        integer = integer and values.dtype.kind in "iub"
    return value_range(min(lows), max(highs), integer=integer)


def _by_pillow(path: Path, image: Image.Image, page: int, pages: int) -> NDArray[Any]:
    """Page `page` as (rows, columns[, 3]) in the depth that it has; alpha composited, turned as its tag says."""
    try:
        image.seek(page)
        image.load()  # turns a TIFF as its tag says
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DecodeError(f"{path.name}: page {page} of {pages} is cut or damaged ({error}).") from error
    if image.mode == "1":
        return np.asarray(image, np.uint8) * np.uint8(255)
    if image.mode[0] in "IF" or image.mode == "L":
        return np.asarray(image)
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return over_black(rgba[..., :3], rgba[..., 3])
    return np.asarray(image.convert("RGB"))
