"""The samples of DICOM pixel data, frame by frame, never more than one frame in memory.

Pixel Data (7FE0,0010) is read from an open file: `native` data in slices, `encapsulated` data by its fragments. Each
frame comes as the samples are stored, with the photometric interpretation that they then have.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from openus.decode.jpeg_plugin import LABEL, read_header
from openus.decode.pixels import LostError
from openus.errors import UnsupportedMedium

RLE = "1.2.840.10008.1.2.5"
J2K_START = b"\xff\x4f\xff\x51"
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the value of Pixel Data lies and how it is laid."""

    vr: str
    length: int | None
    """Bytes; None when encapsulated (undefined length)."""
    big_endian: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The image pixel description of a data set (PS3.3 C.7.6.3), as integers and words."""

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    signed: bool

    @property
    def subsampled(self) -> bool:
        """Native YBR_FULL_422 and YBR_PARTIAL_422 hold Y Y Cb Cr for two pixels."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") and self.samples == 3

    @property
    def frame_bytes(self) -> int:
        """Bytes of one native frame."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * (self.allocated // 8)


def layout(dataset: Dataset) -> Layout:
    """The layout of a data set. Raises ValueError for attributes that are absent or impossible."""

    def number(keyword: str, default: int | None = None) -> int:
        try:
            value = dataset.get(keyword)
            return int(default if value is None else value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:  # whose words quote the header
            raise ValueError(f"no {keyword}") from error

    found = Layout(
        rows=number("Rows"),
        columns=number("Columns"),
        samples=number("SamplesPerPixel", 1),
        photometric=str(dataset.get("PhotometricInterpretation") or "").strip().upper(),
        planar=number("PlanarConfiguration", 0),
        allocated=number("BitsAllocated", 8),
        stored=number("BitsStored", number("BitsAllocated", 8)),
        signed=number("PixelRepresentation", 0) == 1,
    )
    if found.rows < 1 or found.columns < 1:
        raise ValueError(f"a picture of {found.columns} x {found.rows}")
    if found.samples not in (1, 3) or found.allocated not in (8, 16, 32) or not 0 < found.stored <= found.allocated:
        raise ValueError(f"{found.samples} samples of {found.stored} bits in {found.allocated}")
    return found


def pixel_element(file: BinaryIO, *, implicit: bool, big_endian: bool) -> PixelElement | None:
    """The element at the file's position, None when it is not Pixel Data; the file is left at its value."""
    order = ">" if big_endian else "<"
    head = file.read(8)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != (0x7FE0, 0x0010):
        return None
    vr = "OW" if implicit else head[4:6].decode("ascii", "replace")
    if implicit:
        length = struct.unpack(f"{order}L", head[4:])[0]
    else:
        wide = file.read(4) if head[4:6] in _LONG_VRS else b""
        length = struct.unpack(f"{order}L", wide)[0] if len(wide) == 4 else struct.unpack(f"{order}H", head[6:])[0]
    return PixelElement(vr, None if length == 0xFFFFFFFF else length, big_endian)


def native(file: BinaryIO, element: PixelElement, form: Layout) -> Iterator[NDArray[Any]]:
    """Frames of native pixel data, (rows, columns[, 3]), in the type that they are stored in, native byte order.

    Raises LostError when the file ends before the element does.
    """
    source = file
    if element.big_endian and element.vr == "OW" and form.allocated == 8:  # bytes lie swapped in words, PS3.5 8.1.2
        words = np.frombuffer(file.read((element.length or 0) & ~1), np.uint16)
        source = io.BytesIO(words.byteswap().tobytes())
    left = element.length or 0
    while left >= form.frame_bytes:
        data = source.read(form.frame_bytes)
        if len(data) < form.frame_bytes:
            raise LostError("the file ends within its pixel data")
        left -= form.frame_bytes
        yield _arranged(data, form, element.big_endian)
    if left > 1 and not source.read(1):  # 1 is the padding to an even length
        raise LostError("the file ends within its pixel data")


def _arranged(data: bytes, form: Layout, big_endian: bool) -> NDArray[Any]:
    kind = np.dtype(f"{'>' if big_endian else '<'}{'i' if form.signed else 'u'}{form.allocated // 8}")
    flat: NDArray[Any] = np.frombuffer(data, kind)
    if big_endian and form.allocated > 8:
        flat = flat.astype(kind.newbyteorder("="))
    shaped: NDArray[Any]
    if form.samples == 1:
        shaped = flat.reshape(form.rows, form.columns)
    elif form.subsampled:
        shaped = _full_chroma(flat, form)
    elif form.planar == 1:
        shaped = flat.reshape(3, form.rows, form.columns).transpose(1, 2, 0)
    else:
        shaped = flat.reshape(form.rows, form.columns, 3)
    return _used_bits(np.ascontiguousarray(shaped), form)


def _full_chroma(flat: NDArray[Any], form: Layout) -> NDArray[Any]:
    """Y Y Cb Cr … as one Y Cb Cr a pixel: both pixels of a pair share their colour (PS3.3 C.7.6.3.1.2)."""
    pairs = flat.reshape(-1, 4)
    full = np.empty((len(pairs), 2, 3), flat.dtype)
    full[..., 0] = pairs[:, :2]
    full[..., 1:] = pairs[:, None, 2:]
    return full.reshape(form.rows, form.columns, 3)


def _used_bits(values: NDArray[Any], form: Layout) -> NDArray[Any]:
    """`values` with the bits above Bits Stored, which mean nothing (PS3.5 8.1.1), cleared or sign-extended."""
    unused = values.dtype.itemsize * 8 - form.stored
    if unused <= 0:
        return values
    return (values << unused) >> unused


def encapsulated(
    file: BinaryIO, syntax: str, form: Layout, declared: int, offsets: frozenset[int] = frozenset()
) -> Iterator[tuple[NDArray[Any], str]]:
    """Frames of encapsulated pixel data with the photometric interpretation that each came out in.

    Raises LostError when the file ends within a fragment or a frame does not decode.
    """
    decoder = get_decoder(UID(syntax))
    for number, data in enumerate(_frame_streams(file, syntax, declared, offsets)):
        try:
            yield _decoded(decoder, _plugin(decoder, data, form), data, form)
        except (RuntimeError, ValueError, AttributeError, IndexError, TypeError, NotImplementedError, OSError) as error:
            raise LostError(f"frame {number} does not decode ({str(error).splitlines()[-1].strip()})") from error


def _decoded(decoder: Any, plugin: str, data: bytes, form: Layout) -> tuple[NDArray[Any], str]:
    values, found = decoder.as_array(
        encapsulate([data], has_bot=False),
        index=0,
        raw=True,
        decoding_plugin=plugin,
        number_of_frames=1,
        rows=form.rows,
        columns=form.columns,
        samples_per_pixel=form.samples,
        bits_allocated=form.allocated,
        bits_stored=form.stored,
        photometric_interpretation=form.photometric,
        pixel_representation=int(form.signed),
        planar_configuration=form.planar,
        pixel_keyword="PixelData",
    )
    return values, str(found["photometric_interpretation"])


def _plugin(decoder: Any, data: bytes, form: Layout) -> str:
    """Which of pydicom's plugins decodes a stream: ours where it can, empty for whichever is installed.

    Raises ValueError when a JPEG family stream is of another size than the data set, before it is decoded, and
    UnsupportedMedium where no plugin reads it.
    """
    ours = LABEL in decoder.available_plugins
    if data[:4] == J2K_START:
        right, bottom, left, top = struct.unpack(">4L", data[8:24])
        size = (bottom - top, right - left)
    elif data[:2] == b"\xff\xd8":
        header = read_header(data)
        size = (header.rows, header.columns)
        if ours and header.precision > 8:
            if not set(decoder.available_plugins) & {"gdcm", "pylibjpeg"}:
                raise UnsupportedMedium(
                    f"JPEG of {header.precision} bits in DICOM is read only with GDCM.", "Install python-gdcm."
                )
            ours = False
    else:
        return ""
    if size != (form.rows, form.columns):
        raise ValueError(f"a frame of {size[1]} x {size[0]} in {form.columns} x {form.rows}")
    return LABEL if ours else ""


def _frame_streams(file: BinaryIO, syntax: str, declared: int, offsets: frozenset[int]) -> Iterator[bytes]:
    """The compressed stream of each frame: its fragments joined.

    A frame of the JPEG families begins where a fragment begins with a start marker, which cannot stand within one;
    an RLE frame is one fragment, unless an offset table or a single declared frame says otherwise (PS3.5 A.4).
    """
    fragments = fragments_of(file)
    table = next(fragments, (0, b""))[1]
    starts = offsets or frozenset(struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4]))
    first: int | None = None
    held: list[bytes] = []
    for at, data in fragments:
        first = at if first is None else first
        if syntax == RLE:
            begins = at - first in starts if starts else declared != 1
        else:
            begins = data[:2] == b"\xff\xd8" or data[:4] == J2K_START
        if begins and held:
            yield b"".join(held)
            held = []
        held.append(data)
    if held:
        yield b"".join(held)


def fragments_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(position of its item tag, value) of each item of encapsulated pixel data, the offset table first (PS3.5 A.4).

    Raises LostError when the file ends within an item.
    """
    for at, start, length in fragment_spans(file):
        file.seek(start)
        data = file.read(length)
        if len(data) < length:
            raise LostError("the file ends within its pixel data")
        yield at, data
        file.seek(start + length)


def fragment_spans(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """(position of its item tag, of its value, length) of each item; the file stands behind the tag at each."""
    while True:
        at = file.tell()
        head = file.read(8)
        if len(head) < 8:
            if head:
                raise LostError("the file ends within its pixel data")
            return
        group, element, length = struct.unpack("<HHL", head)
        if (group, element) == (0xFFFE, 0xE0DD):
            return
        if (group, element) != (0xFFFE, 0xE000) or length == 0xFFFFFFFF:
            raise LostError("its pixel data hold no further item where one should be")
        yield at, at + 8, length
        file.seek(at + 8 + length)
