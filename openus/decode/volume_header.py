"""Headers of NIfTI, MetaImage and NRRD files: where the values lie and what they mean.

All three are a description of one array whose first axis runs fastest: columns, rows, then slices or frames.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from openus.errors import DecodeError, NotUltrasound, UnreadableFile, UnsupportedMedium
from openus.media import TEXT_HEADER_BYTES, image_of_pair, text_header

_METAIMAGE_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_NRRD_TYPES = {
    "i1": ("signed char", "int8", "int8_t"), "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "uint64", "uint64_t"), "f4": ("float",), "f8": ("double",),
}  # fmt: skip
_NRRD_DOMAINS = ("domain", "space", "time", "list", "none", "???", "")
_NIFTI_COLOURS = {128: 3, 2304: 4}
"""NIfTI data types RGB24 and RGBA32 -> channels."""
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
"""NIfTI xyzt_units -> millimetres."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One array: `slices` pictures of `rows` x `columns` with `channels` values a pixel."""

    data: Path
    offset: int
    """Bytes before the values, in the inflated stream where the file is gzipped whole."""
    coding: str
    """raw; zlib or gzip for compressed values behind a plain header; gzipped for a file compressed whole."""
    dtype: np.dtype[Any]
    columns: int
    rows: int
    slices: int
    channels: int = 1
    slope: float = 1.0
    intercept: float = 0.0
    spacing_mm: tuple[float | None, float | None] = (None, None)
    slice_mm: float | None = None
    """From slice to slice; None where there is one slice, or nothing credible is said."""
    orientation: str = ""
    """Plus toolkit's UltrasoundImageOrientation: MF, UF, MN …"""
    image_type: str = ""
    """Plus toolkit's UltrasoundImageType: BRIGHTNESS, RF_REAL …"""

    @property
    def size_bytes(self) -> int:
        """Bytes of all values, inflated."""
        return self.columns * self.rows * self.slices * self.channels * self.dtype.itemsize


def read(path: Path, kind: str) -> Volume:
    """The header of a file of format `kind` (nifti, mha, nrrd).

    Raises DecodeError for a damaged or impossible header, UnreadableFile for a data file that is missing, NotUltrasound
    for sequences without pictures, UnsupportedMedium for rare encodings.
    """
    try:
        volume = {"nifti": _nifti, "mha": _metaimage, "nrrd": _nrrd}[kind](path)
    except (ValueError, KeyError, IndexError, EOFError, OSError) as error:
        raise DecodeError(f"{path.name}: its {kind} header is damaged ({error}).", "Fetch it again.") from error
    if min(volume.columns, volume.rows, volume.slices, volume.channels) < 1:
        raise DecodeError(f"{path.name} holds no picture: {volume.columns} x {volume.rows} x {volume.slices}.")
    if not volume.data.is_file():
        raise UnreadableFile(
            f"{path.name}: its data file {volume.data.name} is not beside it.", "Put the two files into one folder."
        )
    if volume.offset < 0:  # -1 in MetaImage and NRRD: the values end the file
        volume = replace(volume, offset=max(0, volume.data.stat().st_size - volume.size_bytes))
    if volume.offset > TEXT_HEADER_BYTES:
        raise DecodeError(f"{path.name}: its values would begin at byte {volume.offset:,}.", "Fetch it again.")
    return volume


def _nifti(path: Path) -> Volume:
    import nibabel

    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as stream:
        head = stream.read(540)
    kind: Any = nibabel.Nifti2Header if head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Header
    header: Any = kind(head[: kind.template_dtype.itemsize], check=False)
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7:
        raise ValueError(f"{ndim} dimensions")
    shape = [int(n) for n in header["dim"][1 : ndim + 1]] + [1, 1]
    dtype, channels = header.get_data_dtype(), 1
    if int(header["datatype"]) in _NIFTI_COLOURS:
        dtype, channels = np.dtype(np.uint8), _NIFTI_COLOURS[int(header["datatype"])]
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0 or not np.isfinite(intercept):
        slope, intercept = 1.0, 0.0
    single = bytes(header["magic"]).startswith(b"n+")
    data = path if single else path.with_name(image_of_pair(path.name))
    unit = int(header["xyzt_units"]) & 7
    scale = _MILLIMETRES.get(unit, 1.0)
    across, down = (abs(float(z)) * scale for z in header["pixdim"][1:3])
    return Volume(
        data=data,
        offset=max(int(header["vox_offset"]), kind.single_vox_offset if single else 0),
        coding="gzipped" if zipped else "raw",
        dtype=dtype,
        columns=shape[0],
        rows=shape[1],
        slices=_product(shape[2:]),
        channels=channels,
        slope=slope,
        intercept=intercept,
        spacing_mm=_spacing(across, down, unit in _MILLIMETRES),
        slice_mm=_spacing(abs(float(header["pixdim"][3])) * scale, 1, unit in _MILLIMETRES)[0] if ndim > 2 else None,
    )


def _metaimage(path: Path) -> Volume:
    fields, length = text_header(path, b"ElementDataFile")
    shape = [int(n) for n in fields["DimSize"].split()] + [1, 1]
    if 0 in shape[:2] or fields.get("ElementType") in ("MET_OTHER", "MET_NONE"):
        raise NotUltrasound(f"{path.name} holds tracker data, no pictures (DimSize {fields['DimSize'].strip()}).")
    name = fields["ElementDataFile"]
    if not _is_true(fields.get("BinaryData", "True")) or name.split(" ")[0] == "LIST" or "%" in name:
        raise UnsupportedMedium(f"{path.name}: a MetaImage whose values are text or lie in many files.")
    local = name.upper() == "LOCAL"
    skip = int(fields.get("HeaderSize", "0"))
    sizes = [float(s) for s in (fields.get("ElementSpacing") or fields.get("ElementSize") or "1 1").split()]
    big = _is_true(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "")))
    return Volume(
        data=path if local else _beside(path, name),
        offset=length if local else skip,
        coding="zlib" if _is_true(fields.get("CompressedData", "")) else "raw",
        dtype=np.dtype((">" if big else "<") + _METAIMAGE_TYPES[fields["ElementType"]]),
        columns=shape[0],
        rows=shape[1],
        slices=_product(shape[2:]),
        channels=int(fields.get("ElementNumberOfChannels", "1")),
        spacing_mm=_spacing(sizes[0], sizes[1], stated=False),
        slice_mm=_spacing(sizes[2], 1, stated=False)[0] if len(sizes) > 2 else None,
        orientation=fields.get("UltrasoundImageOrientation", ""),
        image_type=fields.get("UltrasoundImageType", ""),
    )


def _is_true(word: str) -> bool:
    """Whether a MetaImage flag is set: MetaIO looks at the first letter alone."""
    return word[:1] in ("T", "t", "1")


def _nrrd(path: Path) -> Volume:
    fields, length = text_header(path, b"")
    sizes = [int(n) for n in fields["sizes"].split()]
    kinds = fields.get("kinds", "").split() or ["domain"] * len(sizes)
    coding = {"raw": "raw", "gz": "gzip", "gzip": "gzip"}.get(fields["encoding"].lower())
    name = fields.get("data file") or fields.get("datafile")
    if coding is None or (name and (name.startswith("LIST") or "%" in name)):
        raise UnsupportedMedium(f"{path.name}: an NRRD in {fields['encoding']} encoding or in many files.")
    if int(fields.get("line skip", "0")) or "block" in fields["type"]:
        raise UnsupportedMedium(f"{path.name}: an NRRD with skipped lines or blocks.")
    code = next((code for code, names in _NRRD_TYPES.items() if fields["type"].lower() in names), None)
    if code is None:
        raise ValueError(f"type {fields['type']!r}")
    interleaved = len(sizes) > 2 and (kinds[0].lower() not in _NRRD_DOMAINS or kinds[0].lower() == "list")
    shape = (sizes[1:] if interleaved else sizes) + [1, 1]
    return Volume(
        data=_beside(path, name) if name else path,
        offset=int(fields.get("byte skip", "0")) if name else length,
        coding=coding,
        dtype=np.dtype((">" if fields.get("endian", "").lower() == "big" else "<") + code),
        columns=shape[0],
        rows=shape[1],
        slices=_product(shape[2:]),
        channels=sizes[0] if interleaved else 1,
        spacing_mm=_nrrd_spacing(fields),
        orientation=fields.get("ultrasound image orientation", ""),
        image_type=fields.get("ultrasound image type", ""),
    )


def _nrrd_spacing(fields: dict[str, str]) -> tuple[float | None, float | None]:
    vectors = re.findall(r"\(([^)]*)\)", fields.get("space directions", ""))
    if len(vectors) >= 2:
        across, down = (float(np.linalg.norm([float(n) for n in v.split(",")])) for v in vectors[:2])
        return _spacing(across, down, stated=False)
    sizes = [float(s) for s in fields.get("spacings", "").split() if s.lower() != "nan"]
    return _spacing(sizes[0], sizes[1], stated=False) if len(sizes) >= 2 else (None, None)


def _beside(path: Path, name: str) -> Path:
    """The data file that a header names. One outside the header's folder is not followed."""
    target = Path(name.replace("\\", "/"))
    if target.is_absolute() or ".." in target.parts:
        raise ValueError(f"its data file {name!r} lies outside its folder")
    return path.parent / target


def _spacing(across: float, down: float, stated: bool) -> tuple[float | None, float | None]:
    """Millimetres; 1 x 1 without a unit is what writers put where they know nothing."""
    if not (0 < across < np.inf and 0 < down < np.inf) or (not stated and across == down == 1):
        return None, None
    return round(across, 9), round(down, 9)


def _product(numbers: list[int]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result
