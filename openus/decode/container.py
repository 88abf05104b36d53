"""Whether a clip's container was cut: what its own structure claims beyond the file's end.

Counts in headers lie harmlessly (MPEG headers by a frame or two, QuickTime edit lists by many), sizes do not: a box,
chunk, segment or packet that runs past the last byte was written whole once.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER_SEARCH = 1 << 16


def missing_bytes(path: Path, kind: str) -> int:
    """How many bytes the container `kind` claims beyond the end of the file; 0 when it is whole or does not say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if kind in ("mp4", "mov"):
            end = _boxes_end(file, size)
        elif kind == "avi":
            end = _riff_end(file, size)
        elif kind == "mpeg":
            end = _program_stream_end(file, size)
        elif kind == "webm":
            end = _segment_end(file)
        elif kind == "wmv":
            end = _asf_end(file)
        else:
            end = _gif_end(file, size)
    return max(0, end - size)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """End of the last top-level box (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            wide = file.read(8)
            length = int.from_bytes(wide, "big") if len(wide) == 8 else 0
        if length < 8 or not name.isalnum():
            return at  # 0 means: to the end of the file; anything else is no box
        at += length
    return at


def _riff_end(file: BinaryIO, size: int) -> int:
    """End of the last `movi` list, where an AVI's pictures lie; the index behind it may be missing.

    Writers that never finished leave 0 or all ones as lengths.
    """
    at, end = 0, 0
    while at + 12 <= size:
        file.seek(at)
        name, length, kind = struct.unpack("<4sL4s", file.read(12))
        if name == b"RIFF":
            at += 12
            continue
        if length == 0xFFFFFFFF or not name.isascii():
            return end
        if name == b"LIST" and kind == b"movi" and length > 4:
            end = at + 8 + length
        at += 8 + length + length % 2
    return end


def _program_stream_end(file: BinaryIO, size: int) -> int:
    """End of the last packet of an MPEG program stream (ISO/IEC 13818-1, 2.5.3); 0 for a bare video stream."""
    at = 0
    while at + 6 <= size:
        file.seek(at)
        start = file.read(14)
        if start[:3] != b"\0\0\1" or start[3] < 0xB9:
            return at if at else 0
        if start[3] == 0xB9:
            return at + 4
        if start[3] == 0xBA:
            at += 14 + (start[13] & 7 if len(start) == 14 else 0) if start[4] & 0xC0 == 0x40 else 12
        else:
            at += 6 + int.from_bytes(start[4:6], "big")
    return at


def _segment_end(file: BinaryIO) -> int:
    """End of a Matroska segment (RFC 8794, RFC 9559); 0 when its size is unknown, as in live recordings."""
    file.seek(4)
    header = _ebml_size(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = (first[0] & ((1 << (8 - width)) - 1)) << (8 * (width - 1)) | int.from_bytes(rest, "big")
    return None if value == (1 << (7 * width)) - 1 else value


def _asf_end(file: BinaryIO) -> int:
    """File size as the File Properties Object of an ASF file states it (ASF specification 3.2)."""
    properties = file.read(_ASF_HEADER_SEARCH).partition(_ASF_FILE_PROPERTIES)[2]
    return int.from_bytes(properties[24:32], "little")


def _gif_end(file: BinaryIO, size: int) -> int:
    """A GIF ends with its trailer 0x3B (GIF89a, 27), whatever zeros follow; without it one byte at least is missing."""
    file.seek(max(0, size - 4096))
    return size if file.read().rstrip(b"\0").endswith(b";") else size + 1
