"""The readers of archives: each hands its members to a `Target`, which alone decides what is written."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

from openus.errors import ArchiveError
from openus.fetch.split_zip import end_of_zip, opened
from openus.fetch.target import Target

_CHUNK = 1 << 20


def extract(archive: Path, volumes: Sequence[Path], target: Target) -> None:
    """All members of `archive`, made of `volumes`, into `target`. Raises ArchiveError, OSError."""
    with archive.open("rb") as file:
        first = file.read(512)
    try:
        if first.startswith(b"Rar!\x1a\x07"):
            _rar(archive, target)
        elif first.startswith(b"7z\xbc\xaf\x27\x1c"):
            _seven(archive, target)
        elif len(volumes) > 1 or first.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
            _zip(volumes, target)
        elif opener := next((how for magic, how in _STREAMS if first.startswith(magic)), None):
            with opener(archive) as stream:
                _tar_or_file(stream, target)
        elif _is_tar(first):
            with archive.open("rb") as stream:
                _tar_or_file(stream, target)
        elif archive.name.lower().endswith((".zip", ".change2zip")) and end_of_zip(archive) is not None:
            _zip(volumes, target)
        else:
            raise ArchiveError(
                f"{archive.name} is no archive: it begins with {first[:12]!r}.",
                "A site may have sent an error page in its place: fetch it again.",
                damaged=archive,
            )
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveError(
            f"{archive.name} is damaged: {error}.", "Fetch it again.", damaged=archive
        ) from error  # gzip, bz2
    except MemoryError as error:
        raise ArchiveError(
            f"{archive.name} asks for more memory than there is.", "It is damaged or hostile.", damaged=archive
        ) from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile: an unknown method
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}.", "Unpack it by hand.") from error
    except Exception as error:  # the border: whatever a library throws at hostile bytes
        raise ArchiveError(
            f"{archive.name} is damaged: {error or type(error).__name__}.", "Fetch it again.", damaged=archive
        ) from error


_STREAMS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)


class _Member(tarfile.TarInfo):
    """A member of which a damaged header is an error; `tarfile` takes it for the end of the archive."""

    _EXTENSIONS = (*tarfile.GNU_TYPES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As the parent; a long name or extended header that is no header's size is refused before it is read."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in cls._EXTENSIONS and member.size > LONGEST_HEADER and member.type != tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:  # its name in the parent
        """As the parent; only two empty blocks are the end."""
        try:
            return super().fromtarfile(tarfile)
        except _END:
            raise
        except _HEADER as error:
            raise _READ(f"a header is damaged or missing ({error})") from error


_END: type[Exception] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_HEADER, _READ = tarfile.HeaderError, tarfile.ReadError
LONGEST_HEADER = 1 << 20


def _is_tar(first: bytes) -> bool:
    """Whether 512 bytes are a tar header, with its checksum; the oldest kind has no mark."""
    try:
        return bool(tarfile.TarInfo.frombuf(first[:512], "utf-8", "surrogateescape").name)
    except tarfile.HeaderError:
        return False


def _tar_or_file(stream: IO[bytes], target: Target) -> None:
    """A tar, or the one file that was compressed. A tar is read once: its names are checked as they come."""
    ahead = stream.read(512)
    stream.seek(0)
    if not _is_tar(ahead):
        target.copy(target.check(target.root_name), stream)
        return
    with tarfile.TarFile(fileobj=stream, tarinfo=_Member) as tar:
        for member in tar:
            kind = stat.S_IFREG if member.isreg() else stat.S_IFDIR if member.isdir() else stat.S_IFLNK
            if not (member.issym() or member.islnk() or member.isreg() or member.isdir()):
                kind = stat.S_IFIFO
            path = target.check(member.name, kind)
            if member.isreg():
                target.announce(target.written + member.size, target.files + 1)
                source = tar.extractfile(member)
                assert source is not None
                target.copy(path, source)
    behind = 0
    while data := stream.read(_CHUNK):  # to the checksum behind the end of the tar
        behind += len(data)
        if behind > MOST_BEHIND:
            raise ArchiveError(
                f"{target.archive.name} goes on behind its end.", "It is damaged or hostile.", damaged=target.archive
            )


MOST_BEHIND = 64 << 20
"""Padding behind the end of a tar; tapes have 10 kB."""


def _zip(volumes: Sequence[Path], target: Target) -> None:
    with opened(volumes, target.archive.name) as archive:
        members = archive.infolist()
        if any(member.flag_bits & 1 for member in members):
            raise ArchiveError(
                f"{target.archive.name} is encrypted.", "Unpack it by hand with the password that its publisher gave."
            )
        target.announce(sum(member.file_size for member in members), len(members))
        safe = [(member, target.check(member.filename, member.external_attr >> 16)) for member in members]
        for member, path in safe:
            folder = member.filename.endswith(("/", "\\")) or stat.S_ISDIR(member.external_attr >> 16)
            if not folder:
                with archive.open(member) as source:
                    target.copy(path, source)


def _rar(archive: Path, target: Target) -> None:
    try:
        from unrar.cffi import unrarlib
    except ImportError as error:
        raise ArchiveError(
            f"{archive.name} is a RAR archive, which needs the package unrar2-cffi.",
            f"Install it, or unpack the archive by hand into a folder {target.root_name!r} beside it.",
        ) from error
    encrypted, link = 0x04, 0
    try:
        with unrarlib.RarArchive.open_for_metadata(str(archive)) as rar:
            size = files = 0
            for header in _rar_headers(rar):
                data = header.headerDataEx
                if header.Flags & encrypted:
                    raise ArchiveError(f"{archive.name} is encrypted.", "Unpack it by hand with the password.")
                folder = bool(header.Flags & unrarlib.FLAGS_RHDF_DIRECTORY)
                unix = 3  # HostOS: then FileAttr is a Unix mode
                mode = data.FileAttr & 0xFFFF if data.HostOS == unix else 0
                mode = stat.S_IFLNK if getattr(data, "RedirType", link) != link else mode
                target.check(header.FileNameW, mode or (stat.S_IFDIR if folder else 0))
                size += header.UnpSize + (header.UnpSizeHigh << 32)
                files += not folder
                header.skip()
            target.announce(size, files)
        with unrarlib.RarArchive.open_for_processing(str(archive)) as rar:
            for header in _rar_headers(rar):
                if header.Flags & unrarlib.FLAGS_RHDF_DIRECTORY:
                    header.skip()
                else:
                    _rar_member(header, target)
    except unrarlib.BadRarFile as error:
        raise ArchiveError(f"{archive.name} is damaged: {error}.", "Fetch it again.", damaged=archive) from error


def _rar_headers(rar: Any) -> Iterator[Any]:
    """The headers of the members; a damaged one is an error, which the library's own loop takes for the end."""
    from unrar.cffi import unrarlib

    end = 10  # ERAR_END_ARCHIVE
    code = unrarlib.FLAGS_SUCCESS
    while code == unrarlib.FLAGS_SUCCESS:
        data = unrarlib.RARHeaderDataEx()
        code = unrarlib.RARReadHeaderEx(rar.handle, data)
        if code == unrarlib.FLAGS_SUCCESS:
            yield unrarlib.RarHeader(rar, data)
    if code != end:
        raise unrarlib.BadRarFile(code, f"error {code} of the UnRAR library at a header")


def _rar_member(header: Any, target: Target) -> None:
    """One member. An error within the library's callback cannot pass through it, and is raised behind it."""
    failed: list[BaseException] = []
    pieces = [piece for piece in header.FileNameW.replace("\\", "/").split("/") if piece not in ("", ".")]
    with target.file("/".join(pieces)) as write:

        def take(data: bytes) -> None:
            try:
                if not failed:
                    write(data)
            except BaseException as error:
                failed.append(error)

        header.test(take)
        if failed:
            raise failed[0]


def _seven(archive: Path, target: Target) -> None:
    import py7zr
    from py7zr.io import Py7zIO, WriterFactory

    class Sink(Py7zIO):
        """A member as the library writes it."""

        def __init__(self, path: str) -> None:
            self._context = target.file(path)
            self._write, self._size = self._context.__enter__(), 0

        def write(self, s: bytes | bytearray) -> int:
            self._write(bytes(s))
            self._size += len(s)
            return len(s)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

        def flush(self) -> None:
            """Nothing waits."""

        def size(self) -> int:
            return self._size

        def close(self) -> None:
            self._context.__exit__(None, None, None)

    class Sinks(WriterFactory):
        """Opens a member's file."""

        def create(self, filename: str) -> Sink:
            return Sink(Path(filename).relative_to(target.root.absolute()).as_posix())

    try:
        with archive.open("rb") as file, py7zr.SevenZipFile(file) as seven:
            if seven.needs_password():
                raise ArchiveError(f"{archive.name} is encrypted.", "Unpack it by hand with the password.")
            for member in seven.files:
                kind = stat.S_IFLNK if member.is_symlink or member.is_junction else 0
                kind = stat.S_IFSOCK if member.is_socket else kind
                target.check(member.filename, kind or (stat.S_IFDIR if member.is_directory else 0))
            listed = seven.list()
            target.announce(sum(member.uncompressed for member in listed), len(listed))
            seven.extractall(path=target.root.absolute(), factory=Sinks())
    except py7zr.exceptions.PasswordRequired as error:
        raise ArchiveError(f"{archive.name} is encrypted.", "Unpack it by hand with the password.") from error
    except (py7zr.exceptions.ArchiveError, py7zr.exceptions.DecompressionError, ValueError) as error:
        raise ArchiveError(f"{archive.name} is damaged: {error}.", "Fetch it again.", damaged=archive) from error
