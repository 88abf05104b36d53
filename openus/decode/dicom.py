"""DICOM: still and multi-frame ultrasound objects, native or encapsulated, streamed frame by frame.

The object must say that it is ultrasound: Modality (0008,0060), or, where that is absent, its SOP class.
"""

from __future__ import annotations

import io
import itertools
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from openus.data import Frame, Header, Pixels
from openus.decode import jpeg_plugin
from openus.decode.dicom_frames import (
    J2K_START,
    Layout,
    PixelElement,
    encapsulated,
    fragment_spans,
    layout,
    native,
    pixel_element,
)
from openus.decode.dicom_tone import Tone, has_open_range, tone
from openus.decode.pixels import LostError, finite_range, value_range
from openus.errors import DecodeError, NotUltrasound, UnsupportedMedium
from openus.params import DecodeParams
from openus.storage import Spliced

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it would log values of the header

MODALITIES = ("US", "IVUS")
_OTHER_MODALITIES = frozenset(
    "CR CT DX ECG ES IO KO MG MR NM OCT OP OT PR PT PX REG RF RTIMAGE SC SEG SM SR XA XC".split()
)
"""Of PS3.3 C.7.3.1.1.1 those that an error may quote; anything else may be a name."""
SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image Storage (retired)
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image Storage (retired)
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.6.2",  # Enhanced US Volume Storage
)
DEFLATED = "1.2.840.10008.1.2.1.99"
_VIDEO_PREFIX = "1.2.840.10008.1.2.4.10"
"""MPEG-2, MPEG-4 AVC and HEVC transfer syntaxes: .100 to .108 and their fragmentable twins (PS3.5 10)."""
_TWO_D, _TISSUE, _CENTIMETRES = 1, 1, 3
"""Region Spatial Format (0018,6012), Region Data Type (0018,6014), Physical Units (0018,6024) (PS3.3 C.8.5.5.1)."""
_PHOTOMETRIC = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
    3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT"),
}
"""Samples a pixel -> Photometric Interpretation (0028,0004) (PS3.3 C.7.6.3.1.2)."""
_STREAM_SYNTAX = {0xC3: "1.2.840.10008.1.2.4.70", 0xF7: "1.2.840.10008.1.2.4.80"}


def frames(path: Path, params: DecodeParams) -> Iterator[Frame]:
    """The frames of an ultrasound object with its spacing and its header; index None for a single frame.

    Raises NotUltrasound for other modalities and objects without picture, UnsupportedMedium for a transfer syntax or a
    photometric interpretation that nothing here reads, DecodeError for broken, oversized or cut pixel data (after the
    frames before the cut).
    """
    found = _frames(path, params)
    while True:
        # pydicom looks at a value when it is asked for, and quotes in its warnings what may be the patient's name.
        with warnings.catch_warnings(action="ignore"), disable_value_validation():
            frame = next(found, None)
        if frame is None:
            return
        yield frame


def _frames(path: Path, params: DecodeParams) -> Iterator[Frame]:
    with path.open("rb") as raw:
        file = _inflated(path, raw, params)
        dataset = _header_of(path, file)
        _check_ultrasound(path, dataset)
        element = _element_of(path, dataset, file)
        try:
            form = layout(dataset)
        except ValueError as error:
            raise DecodeError(f"{path.name}: its header cannot be: {error}.") from error
        declared = _declared(dataset)
        _check_bounds(path, form, declared, params)
        spacing, header = pixel_spacing(dataset, form), header_of(dataset)
        single = declared == 1
        count = 0
        try:
            for pixels in _pictures(path, file, dataset, element, form, params):
                if count >= params.max_frames:
                    raise LostError(f"decode.max_frames is {params.max_frames}")
                yield Frame(pixels, None if single and count == 0 else count, spacing, header)
                count += 1
        except LostError as error:
            raise DecodeError(_tail(path, count, declared, str(error)), "Fetch or copy it again.") from error
        if count < declared:
            raise DecodeError(_tail(path, count, declared, "the pixel data end there"), "Fetch or copy it again.")


def _tail(path: Path, count: int, declared: int, reason: str) -> str:
    return f"{path.name}: {count} of {declared} declared frames came: {reason}."


def _header_of(path: Path, file: BinaryIO) -> FileDataset:
    """All elements before the pixel data; the file is left at the next element."""
    try:
        return dcmread(file, stop_before_pixels=True, force=True)
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise DecodeError(
            f"{path.name}: its DICOM header is damaged ({type(error).__name__}).", "Fetch or copy it again."
        ) from error


def _inflated(path: Path, raw: BinaryIO, params: DecodeParams) -> BinaryIO:
    """The file itself; of the deflated syntax (PS3.5 A.5) its inflated data set, bounded in size, without file meta."""
    head = raw.read(2048)
    raw.seek(0)
    if head[128:132] != b"DICM" or DEFLATED.encode() not in head or head[132:138] != b"\x02\0\0\0UL":
        return raw
    raw.seek(144 + int.from_bytes(head[140:144], "little"))
    bound = 8 * params.max_pixels
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(raw.read(), bound)
    except zlib.error as error:
        raise DecodeError(f"{path.name}: its deflated data set is damaged ({error}).") from error
    if inflate.unconsumed_tail:
        raise DecodeError(
            f"{path.name} inflates to more than {bound:,} bytes.", "Raise decode.max_pixels if it is true."
        )
    return io.BytesIO(data)


def _check_ultrasound(path: Path, dataset: Dataset) -> None:
    """Raise NotUltrasound, quoting only what is a code: a misfilled header may name the patient here."""
    modality = str(dataset.get("Modality") or "").strip().upper()
    sop_class = str(dataset.get("SOPClassUID") or "")
    if modality and modality not in MODALITIES:
        code = f" {modality}," if modality in _OTHER_MODALITIES else ""
        raise NotUltrasound(f"{path.name}: its modality is{code} not US.")
    if not modality and sop_class not in SOP_CLASSES:
        name = UID(sop_class).name if UID(sop_class).is_valid else "no valid SOP class"
        raise NotUltrasound(f"{path.name} states no modality and is no ultrasound object ({name}).")


def _element_of(path: Path, dataset: FileDataset, file: BinaryIO) -> PixelElement:
    """The Pixel Data element. Raises NotUltrasound where an object never had any, DecodeError where it is lost."""
    implicit, little = dataset.original_encoding
    element = pixel_element(file, implicit=bool(implicit), big_endian=little is False)
    if element is not None:
        return element
    if "Rows" not in dataset:
        raise NotUltrasound(f"{path.name} holds no picture (no pixel data, no rows or columns).")
    raise DecodeError(f"{path.name}: its pixel data are missing.", "It is probably cut: fetch or copy it again.")


def _declared(dataset: Dataset) -> int:
    """Number of Frames (0028,0008); 1 where it is absent or no number."""
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def _check_bounds(path: Path, form: Layout, declared: int, params: DecodeParams) -> None:
    if form.rows * form.columns > params.max_pixels:
        raise DecodeError(
            f"{path.name} claims {form.columns} x {form.rows} pixels.", f"decode.max_pixels is {params.max_pixels:,}."
        )
    if declared > params.max_frames:
        raise DecodeError(f"{path.name} claims {declared:,} frames.", f"decode.max_frames is {params.max_frames:,}.")


def _pictures(
    path: Path, file: BinaryIO, dataset: FileDataset, element: PixelElement, form: Layout, params: DecodeParams
) -> Iterator[Pixels]:
    """8-bit gray or RGB pictures of the pixel data."""
    syntax = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", "") or "")
    if syntax.startswith(_VIDEO_PREFIX):
        yield from _clip(path, file, params)
        return
    _check_meaning(path, form)
    packed = element.length is None or _is_compressed(syntax)
    if packed:
        jpeg_plugin.install()
        syntax = syntax if _is_compressed(syntax) else _guess(path, file)
    start = file.tell()

    def stored() -> Iterator[tuple[NDArray[Any], str]]:
        file.seek(start)
        if packed:
            return encapsulated(file, syntax, form, _declared(dataset), _extended_offsets(dataset))
        return ((values, form.photometric) for values in native(file, element, form))

    try:
        reach = _reach(stored(), params) if has_open_range(dataset, form) else None
        shown = _tone(path, dataset, form, reach)
        for values, photometric in stored():
            yield shown(values, photometric)
    except NotImplementedError as error:
        raise UnsupportedMedium(f"{path.name}: {error}.") from error


def _reach(stored: Iterator[tuple[NDArray[Any], str]], params: DecodeParams) -> tuple[float, float]:
    """The values that become 0 and 255, from those of all frames that are there."""
    low, high = math.inf, -math.inf
    with suppress(LostError):
        for values, _ in itertools.islice(stored, params.max_frames):
            least, greatest = finite_range(values)
            low, high = min(low, least), max(high, greatest)
    return value_range(low, high, integer=True)


def _tone(path: Path, dataset: Dataset, form: Layout, reach: tuple[float, float] | None) -> Tone:
    try:
        return tone(dataset, form, reach)
    except (ValueError, KeyError, AttributeError, IndexError) as error:
        raise DecodeError(f"{path.name}: its palette is damaged ({type(error).__name__}).") from error


def _check_meaning(path: Path, form: Layout) -> None:
    """Raise UnsupportedMedium where nobody can know what the samples mean: a guess may be a wrong picture."""
    if form.photometric not in _PHOTOMETRIC[form.samples]:
        raise UnsupportedMedium(
            f"{path.name}: its Photometric Interpretation is none of {', '.join(_PHOTOMETRIC[form.samples])}, "
            f"which fit Samples per Pixel ({form.samples}).",
            "Correct its header.",
        )
    if form.photometric == "PALETTE COLOR" and (form.signed or form.allocated > 16):
        raise UnsupportedMedium(f"{path.name}: the indices into its palette are signed, or of more than 16 bits.")


def _is_compressed(syntax: str) -> bool:
    try:
        return UID(syntax).is_encapsulated
    except ValueError:  # no transfer syntax that the standard knows
        return False


def _guess(path: Path, file: BinaryIO) -> str:
    """The transfer syntax of encapsulated pixel data that names none, by the first stream's own header."""
    at = file.tell()
    spans = list(itertools.islice(fragment_spans(file), 2))
    if len(spans) == 2:
        file.seek(spans[1][1])
        start = file.read(min(spans[1][2], 1 << 16))
        file.seek(at)
        if start[:4] == J2K_START:
            return "1.2.840.10008.1.2.4.91"
        try:
            return _STREAM_SYNTAX.get(jpeg_plugin.read_header(start).process, "1.2.840.10008.1.2.4.50")
        except ValueError:
            pass
    raise UnsupportedMedium(f"{path.name}: compressed pixel data of an unnamed transfer syntax.")


def _extended_offsets(dataset: Dataset) -> frozenset[int]:
    """Extended Offset Table (7FE0,0001), 64-bit offsets of the frames from the first fragment; empty without."""
    table = dataset.get("ExtendedOffsetTable")
    return frozenset(struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8])) if table else frozenset()


def _clip(path: Path, file: BinaryIO, params: DecodeParams) -> Iterator[Pixels]:
    """Pictures of a video transfer syntax: its fragments, spliced, are one stream for FFmpeg."""
    from openus.decode import video

    pieces = [(file, start, length) for _, start, length in fragment_spans(file)]
    try:
        yield from video.pictures_of(path, Spliced(pieces[1:]), params)
    except video.FAULTS as error:
        raise LostError(str(error)) from error


def header_of(dataset: Dataset) -> Header:
    """Who and what the object says it shows, stripped, None where the element is absent."""

    def text(keyword: str) -> str | None:
        if keyword not in dataset:
            return None
        value: Any = dataset.get(keyword)
        return "" if value is None else str(value).strip(" \0")

    return Header(text("PatientID"), text("IssuerOfPatientID"), text("StudyInstanceUID"), text("BodyPartExamined"))


def pixel_spacing(dataset: Dataset, form: Layout) -> tuple[float | None, float | None]:
    """(x, y) millimetres a pixel, (None, None) where the object does not say.

    First the largest two-dimensional region, tissue before others, of Sequence of Ultrasound Regions (0018,6011)
    (PS3.3 C.8.5.5) whose Physical Delta X and Y are centimetres; a region that reaches beyond the picture belongs to
    a picture that was resized since, and is no use. Else Pixel Spacing (0028,0030), else Imager Pixel Spacing
    (0018,1164), both row distance first.
    """
    for across, down in (
        _region_spacing(dataset, form),
        _pair(dataset, "PixelSpacing"),
        _pair(dataset, "ImagerPixelSpacing"),
    ):
        if across is not None:
            return across, down
    return None, None


def _region_spacing(dataset: Dataset, form: Layout) -> tuple[float | None, float | None]:
    best: tuple[tuple[bool, int], tuple[float, float]] | None = None
    for region in dataset.get("SequenceOfUltrasoundRegions") or ():
        try:
            if (int(region.RegionSpatialFormat), int(region.PhysicalUnitsXDirection)) != (_TWO_D, _CENTIMETRES):
                continue
            if int(region.PhysicalUnitsYDirection) != _CENTIMETRES:
                continue
            left, top = int(region.RegionLocationMinX0), int(region.RegionLocationMinY0)
            right, bottom = int(region.RegionLocationMaxX1), int(region.RegionLocationMaxY1)
            spacing = abs(float(region.PhysicalDeltaX)) * 10, abs(float(region.PhysicalDeltaY)) * 10
        except (AttributeError, TypeError, ValueError):
            continue
        if right > form.columns or bottom > form.rows or not all(0 < value < math.inf for value in spacing):
            continue
        rank = region.get("RegionDataType") == _TISSUE, (right - left) * (bottom - top)
        if best is None or rank > best[0]:
            best = rank, spacing
    return best[1] if best else (None, None)


def _pair(dataset: Dataset, keyword: str) -> tuple[float | None, float | None]:
    """(x, y) of an element that holds row distance\\column distance, (None, None) when it does not."""
    try:
        down, across = (float(value) for value in dataset.get(keyword) or ())
    except (TypeError, ValueError):
        return None, None
    return (across, down) if 0 < across < math.inf and 0 < down < math.inf else (None, None)
