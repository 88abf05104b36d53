"""Archives as publishers and attackers make them, from names and bytes."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

Files = Mapping[str, bytes]
WHEN = (2020, 1, 1, 0, 0, 0)


def zipped(files: Files, modes: Mapping[str, int] | None = None) -> bytes:
    """A zip; `modes` are Unix modes of single members."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x", WHEN)
            info.filename = name  # the constructor would mend backslashes and NULs
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return data.getvalue()


def tarred(files: Files, mode: str = "w", kinds: Mapping[str, bytes] | None = None) -> bytes:
    """A tar; `mode` as `tarfile` has it, `kinds` types of single members (`tarfile.SYMTYPE` …)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type = (kinds or {}).get(name, tarfile.REGTYPE)
            if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content.decode()
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def sevened(files: Files, password: str | None = None) -> bytes:
    """A 7z."""
    import py7zr

    data = io.BytesIO()
    with py7zr.SevenZipFile(data, "w", password=password) as archive:
        archive.set_encoded_header_mode(password is not None)
        for name, content in files.items():
            archive.writestr(content, name)
    return data.getvalue()


def renamed_in_seven(data: bytes, old: str, new: str) -> bytes:
    """A 7z with a plain header in which a name is another, equally long, with the checksums that belong to it."""
    return _summed(data.replace(old.encode("utf-16-le"), new.encode("utf-16-le")))


def mutated_seven(data: bytes, changes: Sequence[tuple[int, int]]) -> bytes:
    """A 7z with a plain header in which bytes (place modulo its length, value) are others, with right checksums."""
    offset, size = struct.unpack_from("<2Q", data, 12)
    mutated = bytearray(data)
    for place, value in changes:
        mutated[32 + offset + place % size] = value
    return _summed(bytes(mutated))


def _summed(data: bytes) -> bytes:
    offset, size = struct.unpack_from("<2Q", data, 12)
    header = data[32 + offset : 32 + offset + size]
    start = data[12:28] + struct.pack("<L", zlib.crc32(header))
    return data[:8] + struct.pack("<L", zlib.crc32(start)) + start + data[32:]


def rarred(files: Files, links: Mapping[str, str] | None = None) -> bytes:
    """A RAR 5 archive of stored members. https://www.rarlab.com/technote.htm"""
    out = b"Rar!\x1a\x07\x01\0" + _block(1, 0, _number(0))
    for name, content in files.items():
        head = _number(4) + _number(len(content)) + _number(0o100644) + struct.pack("<L", zlib.crc32(content))
        encoded = name.encode()
        extra = b""
        if name in (links or {}):
            target = (links or {})[name].encode()
            record = _number(5) + _number(1) + _number(0) + _number(len(target)) + target  # a Unix symbolic link
            extra = _number(len(record)) + record
        head += _number(0) + _number(1) + _number(len(encoded)) + encoded
        flags = 2 | bool(extra)
        sizes = (_number(len(extra)) if extra else b"") + _number(len(content))
        out += _block(2, flags, sizes + head + extra) + content
    return out + _block(5, 0, _number(0))


def _block(kind: int, flags: int, rest: bytes) -> bytes:
    body = _number(kind) + _number(flags) + rest
    sized = _number(len(body)) + body
    return struct.pack("<L", zlib.crc32(sized)) + sized


def _number(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def split(folder: Path, name: str, files: Files, volumes: int = 3) -> Path:
    """A zip split as Info-ZIP does it: `x.z01`, `x.z02` … and `name`, the last part, whose path is returned.

    Members may lie across volumes; the directory counts offsets from the beginning of each member's volume, the first
    of which begins with the mark of a split archive (APPNOTE.TXT 8.5.3 to 8.5.4).
    """
    whole = b"PK\x07\x08" + zipped(files)
    end = whole.rfind(b"PK\x05\x06")
    directory = whole.find(b"PK\x01\x02")
    size = -(-directory // (volumes - 1)) if volumes > 1 else len(whole)
    starts = [k * size for k in range(volumes - 1)] + [directory] if volumes > 1 else [0]
    data, at = bytearray(whole), directory
    while data[at : at + 4] == b"PK\x01\x02":
        offset = struct.unpack_from("<L", data, at + 42)[0] + 4
        volume = max(k for k, start in enumerate(starts[: max(1, volumes - 1)]) if start <= offset)
        struct.pack_into("<H", data, at + 34, volume)
        struct.pack_into("<L", data, at + 42, offset - starts[volume])
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    count = struct.unpack_from("<H", data, end + 10)[0]
    struct.pack_into("<4H", data, end + 4, volumes - 1, volumes - 1, count, count)
    struct.pack_into("<L", data, end + 16, directory - starts[-1])
    folder.mkdir(parents=True, exist_ok=True)
    stem = name.rpartition(".")[0]
    for k, (start, stop) in enumerate(zip(starts, [*starts[1:], len(data)], strict=True)):
        part = name if k == volumes - 1 else f"{stem}.z{k + 1:02d}"
        (folder / part).write_bytes(data[start:stop])
    return folder / name


def packed(name: str, files: Files) -> bytes:
    """`files` packed as `name` says."""
    lower = name.lower()
    if lower.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")):
        kind = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz", "tar": "w"}[lower.rpartition(".")[2]]
        return tarred(files, kind)
    return {"zip": zipped, "7z": sevened, "rar": rarred}[lower.rpartition(".")[2]](files)


def pack(path: Path, files: Files) -> Path:
    """`files` packed into `path`; a split zip for `.change2zip`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.lower().endswith(".change2zip"):
        return split(path.parent, path.name, files)
    path.write_bytes(packed(path.name, files))
    return path
