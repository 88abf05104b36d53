"""Archives of strangers, unpacked so that nothing leaves its folder, grows without bound, or stays half-written.

unpack        one archive into one new folder, whole or not at all
unpack_all    every archive below a folder, nested ones too, each into a folder of its own name beside it

Read are zip (also zip64, and split into `.z01` … or `.001` …), tar (plain, gz, bz2, xz), 7z, rar, and a single file
under gz, bz2 or xz. What an archive is, its bytes say.

Refused before or while a byte is written, with a sentence that names the archive and the member: absolute paths, drives
and `..`; links and devices; two members of one name, or of names that only differ in case or Unicode form (they would
overwrite each other on other file systems); encryption; more than `Limits` allow, counted as the bytes come and not as
the archive says; a disk that is too small. An archive goes into a hidden neighbour and is renamed when it is whole: a
killed process leaves nothing but that neighbour, and the next run sweeps it away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from openus.errors import ArchiveError
from openus.fetch.formats import extract
from openus.fetch.target import Limits, Target
from openus.media import suffix_format
from openus.storage import sweep, walk

SUFFIXES = (
    ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip.001", ".zip", ".change2zip", ".7z", ".rar",
    ".gz", ".bz2", ".xz",
)  # fmt: skip
"""Names of archives, longest first; `.change2zip` is what CardiacUDC and EchoCP call the last part of a split zip. A
zip is not an archive by its bytes alone: workbooks and documents are zips too."""

_LATER_VOLUME = re.compile(r"\.part0*(?:[2-9]|[1-9]\d+)\.rar$", re.IGNORECASE)

DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of one archive."""

    folder: Path
    files: int
    size_bytes: int


def unpack(archive: Path, folder: Path, limits: Limits = DEFAULT) -> Unpacked:
    """Unpack `archive` into `folder`, which must not exist yet.

    Raises ArchiveError, and then leaves nothing behind, when the archive is damaged, encrypted, unsafe or larger than
    `limits`, when a part of a split zip is missing, and when the disk is full.
    """
    if folder.exists():
        raise ArchiveError(f"{folder} is there already.", "Remove it, or take it as it is.")
    aside = folder.parent / f".{folder.name}.unpacking.part"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(aside)
    try:
        aside.mkdir(parents=True)
        volumes = parts(archive)
        target = Target(archive, aside, folder.name, limits, sum(part.stat().st_size for part in volumes))
        extract(archive, volumes, target)
        if not target.files:
            raise ArchiveError(f"{archive.name} holds no file.", "Fetch it again.")
        os.sync()  # one call for many thousands of files
        aside.rename(folder)
        return Unpacked(folder, target.files, target.written)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise ArchiveError(
            f"{archive.name} could not be unpacked: {error.strerror or error}.",
            "Free some room and run it again." if full else f"Look at {folder.parent} and at the names in the archive.",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def unpack_all(folder: Path, *, keep: bool = True, limits: Limits = DEFAULT) -> list[Unpacked]:
    """Unpack every archive below `folder`, and those within, each into a folder of its name beside it.

    A folder of that name counts as unpacked: `unpack` leaves no half ones. With `keep` false an archive goes as soon as
    its folder is whole. Raises what `unpack` raises, and ArchiveError for archives nested deeper than allowed.
    """
    done: list[Unpacked] = []
    depth = 0
    for parent in {(folder / path).parent for path in walk(folder)[0]}:
        sweep(parent)
    seen: set[Path] = set()
    while fresh := [path for path in archives(folder) if path not in seen]:
        if depth > limits.max_depth:
            raise ArchiveError(f"{fresh[0].name} lies in more than {limits.max_depth} archives.", "Unpack it by hand.")
        for path in fresh:
            seen.add(path)
            into = path.with_name(stem(path.name))
            if not into.exists():
                done.append(unpack(path, into, limits))
            if not keep:
                for part in parts(path):
                    part.unlink()
        depth += 1
    return done


def archives(folder: Path) -> list[Path]:
    """The archives below `folder` by their names, sorted; of a split zip the part that is opened."""
    found = []
    for path in walk(folder)[0]:
        name = path.rpartition("/")[2].lower()
        if (
            name.endswith(SUFFIXES)
            and suffix_format(name) is None
            and not (name.startswith(".") or _LATER_VOLUME.search(name))
        ):
            found.append(folder / path)
    return found


def stem(name: str) -> str:
    """The name of the folder that an archive is unpacked into.

    >>> stem("BUSBRA.zip"), stem("a.tar.gz"), stem("cardiacUDC_dataset.change2zip")
    ('BUSBRA', 'a', 'cardiacUDC_dataset')
    """
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or f"{name} unpacked"


def parts(archive: Path) -> list[Path]:
    """The files of which `archive` is made, in order: itself, and the other volumes of a split zip or RAR."""
    name = archive.name
    if name.lower().endswith(".001"):
        volume = re.escape(name[:-3]) + r"(\d{3})"
    elif found := re.search(r"\.part\d+\.rar$", name, re.IGNORECASE):
        volume = re.escape(name[: found.start()]) + r"\.part(\d+)\.rar"
    else:
        volume = re.escape(name.rpartition(".")[0]) + r"\.z(\d{2,})"
    pattern = re.compile(volume, re.IGNORECASE)
    numbered = {path: found for path in archive.parent.iterdir() if (found := pattern.fullmatch(path.name))}
    ordered = sorted(numbered, key=lambda path: int(numbered[path][1]))
    return ordered if archive in numbered else [*ordered, archive]
