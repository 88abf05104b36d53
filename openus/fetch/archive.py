"""Archives of strangers, unpacked so that nothing leaves its folder, grows without bound, or stays half-written.

unpack        one archive into one new folder, whole or not at all
unpack_all    every archive below a folder, nested ones too, each into a folder named after it, beside it

Read are zip (also zip64, and split into `.z01` … or `.001` …), tar (plain, gz, bz2, xz), 7z, rar, and a single file
under gz, bz2 or xz. What an archive is, its bytes say.

Refused before or while a byte is written, with a sentence that names the archive and the member: absolute paths, drives
and `..`; links and devices; two members of one name, or of names that only differ in case or Unicode form (they would
overwrite each other on other file systems); encryption; more than `Limits` allow, counted as the bytes come and not as
the archive says; a disk that is too small. An archive goes into a hidden neighbour and is renamed when it is whole: a
killed process leaves nothing but that neighbour, and the next run sweeps it away. Two runs in one folder exclude each
other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from openus.data import Advance, silent
from openus.errors import ArchiveError
from openus.fetch.formats import extract
from openus.fetch.split_zip import is_single_zip
from openus.fetch.target import Limits, Target
from openus.media import DATA_PART_SUFFIXES, suffix_format
from openus.storage import exclusive, sweep, walk

SUFFIXES = (
    ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip.001", ".zip", ".change2zip", ".7z", ".rar",
    ".gz", ".bz2", ".xz",
)  # fmt: skip
"""Names of archives, longest first; `.change2zip` is what CardiacUDC and EchoCP call the last part of a split zip. A
zip is not an archive by its bytes alone: workbooks and documents are zips too."""

_LATER_VOLUME = re.compile(r"\.part0*(?:[2-9]|[1-9]\d+)\.rar$", re.IGNORECASE)

UNPACKED = ".unpacked"
"""Behind an archive's whole name: no two archives, and no folder of the publisher's, meet in it."""

DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of one archive."""

    folder: Path
    files: int
    size_bytes: int


def unpack(archive: Path, folder: Path, limits: Limits = DEFAULT, *, progress: Advance = silent) -> Unpacked:
    """Unpack `archive` into `folder`, which must not exist yet. `progress` is called with the bytes written.

    Raises ArchiveError, and then leaves nothing behind, when the archive is damaged, encrypted, unsafe or larger than
    `limits`, when a part of a split zip is missing, when the disk is full, and when another process unpacks here;
    CorpusError when the disk cannot lock a folder.
    """
    with _alone(folder.parent):
        return _unpack(archive, folder, limits, progress)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The only process that unpacks into `folder`, which then holds nothing that a killed one left aside."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder))
        except BlockingIOError as error:
            raise ArchiveError(f"Another process unpacks into {folder}.", "Wait for it.") from error
        yield


def _unpack(archive: Path, folder: Path, limits: Limits, progress: Advance) -> Unpacked:
    if folder.exists():
        raise ArchiveError(f"{folder} is there already.", "Remove it, or take it as it is.")
    aside = folder.parent / f".{folder.name}.unpacking.part"
    try:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(aside)
        aside.mkdir(parents=True)
        volumes = parts(archive)
        packed = sum(part.stat().st_size for part in volumes)
        target = Target(archive, aside, stem(archive.name), limits, packed, progress)
        extract(archive, volumes, target)
        if not target.files:
            raise ArchiveError(f"{archive.name} holds no file.", "Fetch it again.", damaged=archive)
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


def unpack_all(
    folder: Path, *, keep: bool = True, limits: Limits = DEFAULT, progress: Advance = silent
) -> list[Unpacked]:
    """Unpack every archive below `folder`, and those within, each into `<its name>.unpacked/` beside it.

    A folder of that name counts as unpacked: `unpack` leaves no half ones. With `keep` false an archive goes as soon as
    its folder is whole. `limits` hold for each archive, and for all that comes out of those at the top together.

    Raises what `unpack` raises, and ArchiveError for archives nested deeper than allowed.
    """
    done: list[Unpacked] = []

    def deep(path: Path) -> int:
        return path.relative_to(folder).as_posix().count(f"{UNPACKED}/")

    with _alone(folder):
        for parent in {(folder / path).parent for path in walk(folder)[0]}:
            sweep(parent)
        seen: set[Path] = set()
        room = -1.0
        while fresh := [path for path in archives(folder) if path not in seen]:
            depth = min(map(deep, fresh))
            fresh = [path for path in fresh if deep(path) == depth]  # all parts of a split one, before it is joined
            if depth > limits.max_depth:
                raise ArchiveError(f"{fresh[0].name} lies in more than {limits.max_depth} archives.", "Do it by hand.")
            if room < 0:
                packed = sum(part.stat().st_size for path in fresh for part in parts(path))
                room = max(limits.small, packed * limits.max_ratio)
            for path in fresh:
                seen.add(path)
                into = path.with_name(f"{path.name}{UNPACKED}")
                if not into.exists():
                    done.append(_unpack(path, into, limits, progress))
                if sum(one.size_bytes for one in done) > room:
                    raise ArchiveError(f"{path.name}, with all before it, comes to more than {room:,.0f} bytes.")
                if not keep:
                    for part in sorted(parts(path), key=path.__eq__):  # the one that names it last
                        part.unlink()
    return done


def archives(folder: Path) -> list[Path]:
    """The archives below `folder` by their names, sorted; of a split zip the part that is opened."""
    found = []
    for path in walk(folder)[0]:
        name = path.rpartition("/")[2].lower()
        if (
            name.endswith(SUFFIXES)
            and suffix_format(name) is None
            and not name.endswith(DATA_PART_SUFFIXES)
            and not (name.startswith(".") or _LATER_VOLUME.search(name))
        ):
            found.append(folder / path)
    return found


def openers(name: str) -> list[str]:
    """What the file may be called that is opened to unpack the volume `name`; nothing for other names.

    >>> openers("x.z01"), openers("x.zip.002"), openers("x.part03.rar"), openers("x.zip")
    (['x.zip', 'x.change2zip', 'x.ZIP'], ['x.zip.001'], ['x.part01.rar'], [])
    """
    if found := re.search(r"(?i)\.z\d\d+$", name):
        return [name[: found.start()] + end for end in (".zip", ".change2zip", ".ZIP")]
    found = re.search(r"\.(\d{3})$", name) or re.search(r"(?i)\.part(\d+)\.rar$", name)
    first = found and name[: found.start(1)] + "1".zfill(len(found[1])) + name[found.end(1) :]
    return [first] if first and first != name else []


def opener(name: str, names: Collection[str]) -> str:
    """Which of the files `names` is opened to unpack `name`: itself, unless that is a volume of another.

    >>> opener("a/x.z01", ["a/x.z01", "a/x.zip"]), opener("t.csv", ["t.csv"])
    ('a/x.zip', 't.csv')
    """
    return next((first for first in openers(name) if first in names), name)


def volumes(names: Collection[str]) -> set[str]:
    """Which of the files `names` are volumes of split archives. All but the first may begin with anything.

    >>> sorted(volumes(["a.z01", "a.zip", "b.zip"]))
    ['a.z01', 'a.zip']
    """
    found = {name: opener(name, names) for name in names}
    return {one for pair in found.items() if pair[0] != pair[1] for one in pair}


def kind(name: str) -> str | None:
    """The kind of archive that a file calls itself, None for no archive.

    >>> kind("a.tar.gz"), kind("x.RAR"), kind("v.nii.gz"), kind("a.csv")
    ('tar.gz', 'rar', None, None)
    """
    lower = name.lower()
    if suffix_format(lower) is not None:
        return None
    return next((suffix[1:] for suffix in SUFFIXES if lower.endswith(suffix)), None)


def stem(name: str) -> str:
    """The name of an archive without its suffix: that of a single compressed file's content.

    >>> stem("table.csv.gz"), stem("a.tar.gz"), stem("cardiacUDC_dataset.change2zip")
    ('table.csv', 'a', 'cardiacUDC_dataset')
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
    elif name.lower().endswith((".zip", ".change2zip")) and not is_single_zip(archive):
        volume = re.escape(name.rpartition(".")[0]) + r"\.z(\d{2,})"
    else:
        return [archive]
    pattern = re.compile(volume, re.IGNORECASE)
    beside = [*archive.parent.iterdir()]
    if archive.parent.name.endswith(UNPACKED):  # a site may wrap each part in an archive of its own
        beside += [path for path in archive.parent.parent.glob(f"*{UNPACKED}/*") if path not in beside]
    numbered = {path: found for path in beside if (found := pattern.fullmatch(path.name))}
    ordered = sorted(numbered, key=lambda path: int(numbered[path][1]))
    return ordered if archive in numbered else [*ordered, archive]
