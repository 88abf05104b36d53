"""A zip in one file or several: what its end says of the others, and its members where they truly lie.

Pieces of one zip, `.zip.001` and so on, need only be joined; the volumes of a split one, `.z01` … `.zip`, have offsets
of their own.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from openus.errors import ArchiveError
from openus.storage import Spliced


@contextlib.contextmanager
def opened(volumes: Sequence[Path], name: str) -> Iterator[zipfile.ZipFile]:
    """The zip that lies in `volumes`, in order; `name` is what errors call it.

    Raises ArchiveError where volumes are missing or the way it is split is not read, zipfile.BadZipFile, OSError.
    """
    with contextlib.ExitStack() as stack:
        pieces = [(stack.enter_context(path.open("rb")), 0, path.stat().st_size) for path in volumes]
        joined = io.BufferedReader(Spliced(pieces))  # `zipfile` wants all of what it asks for, where there is that much
        archive = stack.enter_context(_directory(joined, name))
        _place(archive, volumes, name)
        yield archive


def _directory(joined: IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(joined)
    except zipfile.BadZipFile as error:
        if "multiple disks" not in str(error):
            raise
        raise ArchiveError(
            f"{name} is split and has a zip64 directory, which is not read.", "Unpack it with 7-Zip."
        ) from error


def _place(archive: zipfile.ZipFile, volumes: Sequence[Path], name: str) -> None:
    """Set the members' offsets in the joined volumes of a split zip, which the directory counts per volume.

    `zipfile` takes all members to lie on the volume of the directory, and adds what lies before that volume to each
    offset; APPNOTE.TXT 4.4.11 to 4.4.16 say on which volume each begins.
    """
    if volumes[0].name.lower().endswith(".001"):  # one zip, cut into pieces
        return
    end = end_of_zip(volumes[-1])
    if len(volumes) == 1 and (end is None or end.this_disk in (0, _IN_ZIP64)):
        return
    if end is None:
        raise ArchiveError(f"{name} is not the last part of a split zip.", "Fetch all its parts.")
    if end.this_disk + 1 != len(volumes):
        raise ArchiveError(
            f"{name} is split into {end.this_disk + 1} parts and {len(volumes)} are here.",
            "Fetch the others, or put them, into the same folder.",
        )
    starts = [0]
    for volume in volumes[:-1]:
        starts.append(starts[-1] + volume.stat().st_size)
    shift = archive.start_dir - end.directory_offset
    for member in archive.infolist():
        member.header_offset += starts[member.volume] - shift
        if hasattr(member, "_end_offset"):  # a guard against overlaps, computed of the offsets that were wrong
            member._end_offset = None


_IN_ZIP64 = 0xFFFF
"""What stands in the end record where the true number is in zip64's."""


@dataclass(frozen=True, slots=True)
class EndOfZip:
    """What the end of central directory record (APPNOTE.TXT 4.3.16) says of the volumes."""

    this_disk: int
    directory_offset: int


def is_single_zip(path: Path) -> bool:
    """Whether a zip says that it has no other volumes."""
    end = end_of_zip(path)
    return end is not None and end.this_disk == 0


def end_of_zip(path: Path) -> EndOfZip | None:
    """The last end record of a file, None where it has none, or not all of it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (22 + 65_535)))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return None
    this_disk, _, _, _, _, offset = struct.unpack_from("<4H2L", tail, at + 4)
    return EndOfZip(this_disk, offset)
