"""Files, once: sorted listing, hashing, pieces read as one, atomic writing, one holder of a folder.

Whole files are written here: aside, fsync, rename. What grows piece by piece (staging, downloads, what archives hold)
has its own way of never being half-written, where it is.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import hashlib
import io
import itertools
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from openus.data import Advance, silent
from openus.errors import CorpusError, UnreadableFile

KEEP_FREE = 256 << 20
"""Bytes of a disk that downloads and archives leave free."""


def walk(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Every regular file below `root`, as sorted relative paths with `/`, and the folders that could not be listed.

    Returns (paths, [(folder, reason)…]). Links to folders are not followed (they may lead in circles) but named; links
    to files count as the files they lead to. Pipes, sockets and devices are no files. Sorting is by code point, so it
    is the same everywhere.
    """
    paths: list[str] = []
    unlisted: list[tuple[str, str]] = []

    def failed(error: OSError) -> None:
        folder = Path(error.filename).relative_to(root).as_posix() if error.filename else "."
        unlisted.append((folder, error.strerror or str(error)))

    for folder, folders, names in os.walk(root, onerror=failed):
        base = Path(folder).relative_to(root)
        for name in folders:
            if (Path(folder) / name).is_symlink():
                unlisted.append(((base / name).as_posix(), "it is a link, and links to folders are not followed"))
        paths += [(base / name).as_posix() for name in names if _counts(Path(folder) / name)]
    return sorted(paths), sorted(unlisted)


def _counts(path: Path) -> bool:
    """True for a regular file, and for what cannot be looked at: the reader finds out and says why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def is_hidden(path: str) -> bool:
    """Whether a component of the relative path begins with a dot or is the folder that macOS adds to archives.

    >>> is_hidden("__MACOSX/a/._1.png"), is_hidden("a/1.png")
    (True, False)
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def printable(name: str) -> str:
    """A file name that Parquet and JSON can hold: bytes that are no UTF-8 become `\\xNN`.

    >>> printable("caf\\udce9.png")
    'caf\\\\xe9.png'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, at most 1 MiB at a time. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def sha256_file(path: Path, progress: Advance = silent) -> str:
    """Hex SHA-256 of a file's bytes; `progress` is called with the bytes of each piece. Raises UnreadableFile."""
    sha256 = hashlib.sha256()
    try:
        for piece in pieces(path):
            sha256.update(piece)
            progress(len(piece))
        return sha256.hexdigest()
    except OSError as error:
        raise UnreadableFile(f"{path.name}: {error.strerror or error}.", "Check the permissions.") from error


class Spliced(io.RawIOBase):
    """Pieces of files, (file, first byte, length) each, one after another as one file to be read and sought.

    The files are left open when it is closed. `seek` raises OSError below 0; what lies behind the end reads as nothing.
    """

    def __init__(self, pieces: Sequence[tuple[BinaryIO, int, int]]) -> None:
        self._pieces, self._at = pieces, 0
        self._ends = list(itertools.accumulate(length for _, _, length in pieces))

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """As files do."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files do."""
        size = self._ends[-1] if self._ends else 0
        at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence] + offset
        if at < 0:
            raise OSError("negative position")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        """As files do: at most to the end of the piece at hand."""
        number = bisect.bisect_right(self._ends, self._at)
        if number == len(self._ends):
            return 0
        file, start, length = self._pieces[number]
        left = self._ends[number] - self._at
        file.seek(start + length - left)
        data = file.read(min(len(buffer), left))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under `path` whole, or not at all.

    The bytes go to a hidden neighbour, are fsynced, and renamed over `path` when the block ends without an error.
    """
    aside = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise CorpusError(
            f"{path} could not be written: {error.strerror or error}.", "Free some room or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # it was never there, or has a name that none can have
            aside.unlink()


def write_text(path: Path, text: str) -> None:
    """`text` as UTF-8 under `path`, atomically."""
    with atomic(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """`folder`, to one holder at a time, among processes and within one. It ends with its holder, however that ends.

    NFS locks only what is open for writing (flock(2)), which no folder can be: there a hidden file beside the folder is
    locked in its place.

    Raises BlockingIOError where another holds it, CorpusError where its disk cannot lock, OSError where it cannot be
    opened.
    """
    import fcntl  # Windows has none

    with contextlib.ExitStack() as stack:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, handle)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                whole = folder.resolve()
                mark = whole.parent / f".{whole.name}.lock"
                handle = os.open(mark, os.O_RDWR | os.O_CREAT, 0o666)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not (mark.exists() and os.path.samestat(mark.stat(), os.fstat(handle))):
                    raise BlockingIOError(errno.EWOULDBLOCK, "its last holder ends just now") from None
                stack.callback(mark.unlink)  # while it is still locked
        except BlockingIOError:
            raise
        except OSError as error:
            raise CorpusError(
                f"{folder} can't be locked: {error.strerror or error}.", "Choose another disk."
            ) from error
        yield


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what a killed process left aside in `folder`, where its name fits the glob `name`."""
    for left in folder.glob(f".{name}.part"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
