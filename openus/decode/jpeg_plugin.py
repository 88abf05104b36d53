"""A pydicom decoder plugin for JPEG by OpenCV's libjpeg-turbo: baseline, extended (8 bit) and lossless (8 bit).

pydicom itself offers Pillow (slower, no lossless), pylibjpeg-libjpeg (GPL) and GDCM for these. The interface is
pydicom's: https://pydicom.github.io/pydicom/stable/guides/decoding/decoder_plugins.html
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from pydicom import uid

from openus.data import Pixels

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

LABEL = "openus"
DECODER_DEPENDENCIES = dict.fromkeys(
    (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1),
    ("opencv-python-headless>=4.14",),
)
LOSSLESS = 0xC3
"""Start-of-frame marker of lossless JPEG (ITU-T T.81, table B.1)."""
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG or JPEG-LS stream says of itself up to its start of frame."""

    process: int
    """Second byte of the start-of-frame marker: 0xC0 baseline, 0xC1 extended, 0xC3 lossless, 0xF7 JPEG-LS."""
    precision: int
    rows: int
    columns: int
    component_ids: bytes
    jfif: bool
    adobe_transform: int | None
    """0: the colours are RGB, 1: YCbCr, None: no Adobe marker."""

    @property
    def libjpeg_converts(self) -> bool:
        """Whether libjpeg takes the three components for YCbCr and turns them into RGB (its jdapimin.c)."""
        if len(self.component_ids) != 3 or self.process == LOSSLESS:
            return False
        if self.jfif:
            return True
        if self.adobe_transform is not None:
            return self.adobe_transform == 1
        return self.component_ids != b"RGB"


def read_header(src: bytes) -> JpegHeader:
    """The header of a stream. Raises ValueError when it has none."""
    if src[:2] != b"\xff\xd8":
        raise ValueError("no JPEG stream")
    at, jfif, adobe = 2, False, None
    while at + 4 <= len(src):
        if src[at] != 0xFF:
            raise ValueError("a JPEG header that is damaged")
        marker = src[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _NO_LENGTH:
            at += 2
            continue
        body = src[at + 4 : at + 2 + int.from_bytes(src[at + 2 : at + 4], "big")]
        if marker == 0xE0 and body.startswith(b"JFIF\0"):
            jfif = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif marker in (0xC0, 0xC1, 0xC2, LOSSLESS, 0xF7) and len(body) >= 6:
            rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            return JpegHeader(marker, body[0], rows, columns, body[6 : 6 + 3 * body[5] : 3], jfif, adobe)
        at += 4 + len(body)
    raise ValueError("a JPEG stream without start of frame")


def is_available(syntax: str) -> bool:
    """Whether this plugin decodes the transfer syntax."""
    return syntax in DECODER_DEPENDENCIES


def install() -> None:
    """Add the plugin to pydicom's decoders, once."""
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in DECODER_DEPENDENCIES:
        decoder = get_decoder(syntax)
        if LABEL not in decoder.available_plugins:
            decoder.add_plugin(LABEL, (__name__, "decode"))


def decode(src: bytes, runner: DecodeRunner) -> bytes:
    """The samples of one JPEG frame, 8 bit, gray or colour by pixel; YCbCr that libjpeg turned into RGB is told so.

    Raises ValueError for a damaged frame or one of another size than the data set's, NotImplementedError for what
    OpenCV cannot read: pydicom then tries its other plugins.
    """
    header = read_header(src)
    if (header.rows, header.columns) != (runner.rows, runner.columns):
        raise ValueError(f"a frame of {header.columns} x {header.rows} in {runner.columns} x {runner.rows}")
    if header.precision > 8:
        raise NotImplementedError(f"{header.precision}-bit JPEG")
    runner.set_option("bits_allocated", 8)
    if runner.samples_per_pixel == 1:
        return _by_opencv(src, cv2.IMREAD_GRAYSCALE).tobytes()
    runner.set_option("planar_configuration", 0)
    if header.process == LOSSLESS:
        return _lossless_colour(src)
    untold = not header.jfif and header.adobe_transform is None
    if runner.photometric_interpretation == "RGB" and header.libjpeg_converts and untold:
        return _unconverted(src)  # RGB samples that no marker tells from YCbCr (PS3.5 8.2.1)
    runner.set_option("photometric_interpretation", "RGB")
    return _by_opencv(src, cv2.IMREAD_COLOR_RGB).tobytes()


def _by_opencv(src: bytes, flags: int) -> Pixels:
    image = cv2.imdecode(np.frombuffer(src, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.dtype != np.uint8:
        raise ValueError("the frame is cut or damaged")
    return np.asarray(image, np.uint8)


def _unconverted(src: bytes) -> bytes:
    """Three components as they are stored: Pillow's draft mode keeps libjpeg from converting them."""
    from PIL import Image

    with Image.open(io.BytesIO(src), formats=("JPEG",)) as image:
        image.draft("YCbCr", image.size)
        return image.tobytes()


def _lossless_colour(src: bytes) -> bytes:
    """Three lossless components as they are stored; libjpeg converts no colours of lossless streams."""
    from PIL import Image

    with Image.open(io.BytesIO(src), formats=("JPEG",)) as image:
        return image.tobytes()
