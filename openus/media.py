"""What a file is, by its first bytes. The suffix is never believed; it only says what a file pretends to be.

A *format* is what the bytes are (`png`, `dicom`, `mp4` …); a *medium* is the decoder's family that reads it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from openus.errors import UnreadableFile
from openus.storage import sha256_file

FAMILY: dict[str, str] = {
    "png": "image", "jpg": "image", "bmp": "image", "tiff": "image", "webp": "image",
    "dicom": "dicom", "dicomdir": "dicom",
    "nifti": "volume", "mha": "volume", "nrrd": "volume",
    "mp4": "video", "mov": "video", "avi": "video", "mpeg": "video", "webm": "video", "wmv": "video", "gif": "video",
    "hdf5": "array", "mat": "array", "npy": "array",
}  # fmt: skip
"""Format -> family. Files of `array` need an adapter that knows their members."""

SUFFIXES: dict[str, str] = {
    ".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".bmp": "bmp", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp",
    ".dcm": "dicom", ".dicom": "dicom", ".ima": "dicom",
    ".nii": "nifti", ".nii.gz": "nifti", ".mha": "mha", ".mhd": "mha", ".nrrd": "nrrd", ".nhdr": "nrrd",
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".avi": "avi", ".mpeg": "mpeg", ".mpg": "mpeg", ".webm": "webm",
    ".mkv": "webm", ".wmv": "wmv", ".gif": "gif",
    ".h5": "hdf5", ".hdf5": "hdf5", ".mat": "mat", ".npy": "npy",
}  # fmt: skip
"""Suffix -> the format it pretends to be."""

DATA_PART_SUFFIXES = (".raw", ".zraw", ".img", ".raw.gz", ".zraw.gz", ".img.gz")
"""Names of the values that belong to a volume's header."""

HEAD_BYTES = 4096
TEXT_HEADER_BYTES = 1 << 26
"""Longest text header that is read: sequences of a tracked probe carry kilobytes for each frame."""
_LINE_BYTES = 1 << 16


def head(path: Path) -> bytes:
    """The first 4,096 bytes. Raises UnreadableFile."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise UnreadableFile(f"{path.name}: {error.strerror or error}.", "Check the permissions.") from error


def suffix_format(name: str) -> str | None:
    """The format that a file name pretends to be, None if it pretends to nothing.

    >>> suffix_format("scan.NII.GZ"), suffix_format("notes.txt")
    ('nifti', None)
    """
    lower = name.lower()
    if lower.endswith(".nii.gz"):
        return "nifti"
    return SUFFIXES.get("." + lower.rpartition(".")[2]) if "." in lower else None


def sniff(path: Path) -> str | None:
    """The format of a file by its bytes, None when they are no medium's. Raises UnreadableFile."""
    return sniff_bytes(head(path), path.name)


def sniff_bytes(first: bytes, name: str = "") -> str | None:
    """The format of `first`, a file's first bytes (4,096 are enough). `name` only settles MAT 7.3."""
    if first[128:132] == b"DICM":  # before all others: a preamble may be another format's header (TIFF, PS3.10 7.1)
        return "dicomdir" if _MEDIA_DIRECTORY in first else "dicom"
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if first.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if first.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if first.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "tiff"
    if first[:2] == b"BM" and len(first) >= 26 and first[6:10] == b"\0\0\0\0":
        return "bmp"
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "webp"
    if first[:4] == b"RIFF" and first[8:12] == b"AVI ":
        return "avi"
    if first[4:8] == b"ftyp":
        return "mov" if first[8:12] == b"qt  " else "mp4"
    if first[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return "mov"
    if first[:4] in (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3"):
        return "mpeg"
    if first[:4] == b"\x1a\x45\xdf\xa3":
        return "webm"
    if first[:16] == b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c":
        return "wmv"
    if first[:4] == b"NRRD":
        return "nrrd"
    if first.startswith(b"\x89HDF\r\n\x1a\n") or first[512:520] == b"\x89HDF\r\n\x1a\n":
        return "mat" if first.startswith(b"MATLAB") or name.lower().endswith(".mat") else "hdf5"
    if first.startswith(b"MATLAB 5.0 MAT-file"):
        return "mat"
    if first.startswith(b"\x93NUMPY"):
        return "npy"
    if _is_nifti(first):
        return "nifti"
    if _is_metaimage(first):
        return "mha"
    return _dicom(first)


def _is_nifti(first: bytes) -> bool:
    if first[:2] == b"\x1f\x8b":
        import zlib

        try:
            first = zlib.decompressobj(31).decompress(first, 512)
        except zlib.error:
            return False
    return first[344:348] in (b"n+1\0", b"ni1\0") or first[4:12] in (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")


def text_header(path: Path, last: bytes) -> tuple[dict[str, str], int]:
    """The `key = value`, `key: value` and `key:=value` lines of a MetaImage or NRRD header, and its length in bytes.

    It ends behind the line whose key is `last`, or for `last` empty behind the first empty line or with the file.
    Raises ValueError when `last` does not come, OSError.
    """
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_LINE_BYTES), b""):
            if file.tell() > TEXT_HEADER_BYTES:
                break
            if not last and not line.strip():
                return fields, file.tell()
            text = line.decode("utf-8", "replace").strip()
            key, sign, value = text.partition("=" if last else ":")
            if sign and not text.startswith("#"):
                fields[key.strip()] = value.removeprefix("=").strip()
            if last and key.strip() == last.decode():
                return fields, file.tell()
    if last:
        raise ValueError(f"no {last.decode()}")
    return fields, path.stat().st_size


def companions(path: Path) -> list[str]:
    """Names of the files beside `path` that hold its values, where it is only a header (.mhd, .nhdr, .hdr).

    >>> companions(Path(__file__))
    []
    """
    kind = sniff(path)
    try:
        if kind == "mha":
            name = text_header(path, b"ElementDataFile")[0]["ElementDataFile"]
            name = "" if name.upper() == "LOCAL" else name
        elif kind == "nrrd":
            fields = text_header(path, b"")[0]
            name = fields.get("data file") or fields.get("datafile") or ""
        elif kind == "nifti":
            name = image_of_pair(path.name)
        else:
            return []
        name = name.replace("\\", "/")
        target = Path(os.path.normpath(path.parent / name))
        inside = target.is_relative_to(os.path.normpath(path.parent))  # no decoder follows a name out of its folder
        return [name] if name and name != path.name and inside and target.is_file() else []
    except (OSError, ValueError):  # a name may be one that no file can have
        return []


def content_sha256(path: Path) -> str:
    """Hex SHA-256 of a file; of a header and its data file both, joined by a +. Raises UnreadableFile."""
    names = companions(path) if _may_be_header(path) else []
    return "+".join([sha256_file(path), *(sha256_file(path.parent / name) for name in names)])


def size_and_time(path: Path) -> tuple[int, int]:
    """Bytes, and time of change in nanoseconds; of a header and its data file the sums, so that either shows.

    Raises OSError.
    """
    stats = [path.stat()]
    if _may_be_header(path):
        with contextlib.suppress(UnreadableFile):  # reading it will tell
            stats += [(path.parent / name).stat() for name in companions(path)]
    return sum(one.st_size for one in stats), sum(one.st_mtime_ns for one in stats) % (1 << 63)  # clocks may be wild


def _may_be_header(path: Path) -> bool:
    """Whether a look into the file is worth it: by its name it is a volume, or of no medium."""
    return FAMILY.get(suffix_format(path.name) or "", "volume") == "volume"


def image_of_pair(name: str) -> str:
    """The name of the image file of a NIfTI header/image pair; a name that is no header's comes back as it is.

    >>> image_of_pair("case 1.HDR"), image_of_pair("case1.hdr.gz"), image_of_pair("case1.nii")
    ('case 1.img', 'case1.img.gz', 'case1.nii')
    """
    for header, image in ((".hdr", ".img"), (".hdr.gz", ".img.gz")):
        if name.lower().endswith(header):
            return name[: -len(header)] + image
    return name


def _is_metaimage(first: bytes) -> bool:
    lines = first[:512].split(b"\n")
    keys = {line.split(b"=")[0].strip() for line in lines if b"=" in line}
    return b"ObjectType" in keys or (b"NDims" in keys and b"DimSize" in keys)


_MEDIA_DIRECTORY = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"
"""Media Storage SOP Class UID (0002,0002) of a DICOMDIR: Media Storage Directory Storage (PS3.4 B.5, PS3.10 8)."""
_EXPLICIT_VRS = {
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB", b"OF", b"OW",
    b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT",
}  # fmt: skip


def _dicom(first: bytes) -> str | None:
    """`dicom` or None: a data set without preamble must begin with a low group's plausible element."""
    if len(first) < 16 or first[1] != 0 or first[0] not in (0x02, 0x04, 0x08):
        return None
    element = int.from_bytes(first[2:4], "little")
    if first[4:6] in _EXPLICIT_VRS:
        return "dicom"
    length = int.from_bytes(first[4:8], "little")
    return "dicom" if element <= 0x0070 and 0 < length <= 256 and length % 2 == 0 else None
