"""Where the members of an archive go: names that stay in their folder and meet no other, no more bytes than allowed."""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from openus.data import Advance, silent
from openus.errors import ArchiveError
from openus.storage import KEEP_FREE, printable

_CHUNK = 1 << 20
_MiB = 1 << 20
_LOOK_EVERY = 64 * _MiB
DEEPEST, LONGEST = 64, 4096
"""Folders in a member's name, and its characters."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may come to."""

    max_ratio: float = 250.0
    """Unpacked to packed bytes. A gray TIFF folder packs 20 : 1 at best, blank masks 200 : 1, a bomb 1000 : 1."""
    small: int = 256 * _MiB
    """Bytes up to which no ratio counts: a folder of blank masks is no attack."""
    max_bytes: int = 1 << 42
    max_files: int = 5_000_000
    keep_free: int = KEEP_FREE
    """Of the disk, when all is unpacked."""
    max_depth: int = 4
    """Of archives within archives."""


@dataclass
class Target:
    """Where members go: checks their names, counts their bytes, writes them below `root`."""

    archive: Path
    root: Path
    root_name: str
    """Of the folder that all ends up in; also the name of a single compressed file."""
    limits: Limits
    packed: int
    """Bytes of the archive, all volumes together."""
    progress: Advance = silent
    """Called with the bytes that were written; may raise to stop."""
    files: int = 0
    written: int = 0
    _members: int = 0
    _looked: int = 0
    """Bytes written when the disk was last looked at."""
    _names: dict[str, str] = field(default_factory=dict)
    """Name as the least able file system compares it -> name as it stands; folders that a name implies too."""

    @property
    def allowance(self) -> int:
        """Bytes that may come in all."""
        return min(self.limits.max_bytes, max(self.limits.small, int(self.packed * self.limits.max_ratio)))

    def announce(self, size_bytes: int, files: int) -> None:
        """What the archive itself says it holds. Raises ArchiveError when that is too much for limits or disk."""
        self._check_amount(size_bytes, files)
        free = shutil.disk_usage(self.root).free
        if size_bytes - self.written + self.limits.keep_free > free:
            raise ArchiveError(
                f"{self.archive.name} unpacks to {size_bytes:,} bytes and {free:,} are free.",
                "Free some room, or choose another folder.",
            )

    def _check_amount(self, size_bytes: int, files: int) -> None:
        if size_bytes > self.allowance:
            raise ArchiveError(
                f"{self.archive.name} ({self.packed:,} bytes) unpacks to more than {self.allowance:,} bytes.",
                "It is a decompression bomb, or damaged. If you trust it, unpack it by hand.",
            )
        if files > self.limits.max_files:
            raise ArchiveError(f"{self.archive.name} holds more than {self.limits.max_files:,} files.")

    def check(self, name: str, mode: int = 0) -> str:
        """The safe relative path of a member, remembered; `mode` is its Unix mode where the archive has one."""
        self._members += 1
        self._check_amount(self.written, self._members)
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "a device or pipe"
            raise self._unsafe(name, f"is {what}")
        plain = name.replace("\\", "/")
        if plain.startswith("/") or re.match(r"[A-Za-z]:", plain):
            raise self._unsafe(name, "is an absolute path")
        pieces = [piece for piece in plain.split("/") if piece not in ("", ".")]
        if ".." in pieces or "\0" in plain or not pieces:
            raise self._unsafe(name, "leaves its folder")
        if len(pieces) > DEEPEST or len(plain) > LONGEST:
            raise self._unsafe(name, "is too long or too deep")
        folder = kind == stat.S_IFDIR or plain.endswith("/")
        for depth in range(1, len(pieces) + 1):
            self._remember("/".join(pieces[:depth]), folder or depth < len(pieces), name)
        return "/".join(pieces)

    def _remember(self, path: str, folder: bool, name: str) -> None:
        same = unicodedata.normalize("NFC", path).casefold()
        known = self._names.get(same)
        if known is None:
            self._names[same] = path + "/" * folder
        elif known != path + "/" or not folder:
            if known.rstrip("/") == path and not folder and not known.endswith("/"):
                raise self._unsafe(name, "is in it twice")
            raise self._unsafe(name, f"would lie where {known!r} lies on some file systems")

    def _unsafe(self, name: str, why: str) -> ArchiveError:
        shown = printable(name)[:200]
        return ArchiveError(f"{self.archive.name}: its member {shown!r} {why}.", "It is not unpacked.")

    @contextlib.contextmanager
    def file(self, path: str) -> Iterator[Callable[[bytes], None]]:
        """A function that takes the bytes of the checked member `path`, piece by piece."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        self.files += 1
        with place.open("xb") as file:

            def write(data: bytes) -> None:
                self.written += len(data)
                self._check_amount(self.written, self.files)
                if self.written - self._looked > _LOOK_EVERY or not self._looked:
                    self._looked = self.written
                    self.announce(self.written, self.files)
                file.write(data)
                self.progress(len(data))

            yield write

    def copy(self, path: str, source: IO[bytes]) -> None:
        """All of `source` into the checked member `path`."""
        with self.file(path) as write:
            while data := source.read(_CHUNK):
                write(data)
