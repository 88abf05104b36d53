"""`fetch.lock.json`: what came from where, byte for byte, under which terms; and the check of a folder against it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openus.data import Advance, silent
from openus.errors import FetchError, UnreadableFile
from openus.fetch.archive import UNPACKED, opener, openers
from openus.fetch.target import DEEPEST, LONGEST
from openus.sources import LOCK_NAME
from openus.storage import is_hidden, printable, sha256_file, walk, write_text

FORMAT = 1
PINNED = "nothing: pinned here"


@dataclass(frozen=True, slots=True)
class LockEntry:
    """One file as it was received."""

    name: str
    url: str | None
    """Where from, without what signs; None for a file that a person brought."""
    size_bytes: int
    sha256: str
    verified: str
    """What it was compared with: `sha256`, `md5`, `git`, `size`, or `PINNED` where nobody published anything and this
    download is the first to say."""
    received: str
    """When, UTC, ISO 8601."""
    md5: str | None = None
    """Where its site tells one: by it a change there is seen."""
    contents: Mapping[str, tuple[int, str]] | None = None
    """Of an archive: path -> (bytes, SHA-256) of what came out of it, archives apart. None for another file, and until
    it was unpacked. Once known it does not change: the same must come again."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What is known of a source's folder."""

    slug: str
    kind: str
    ids: Mapping[str, str]
    """Of the card: the record and its version."""
    licence: str | None
    accepted: str | None = None
    """When a person accepted terms that are not open; None where that was not asked."""
    files: Mapping[str, LockEntry] = field(default_factory=dict)
    whole: bool = False
    """Whether `files` are all that belong to the source, received, unpacked and looked at."""

    def due(self) -> dict[str, tuple[int, str]]:
        """Path -> (bytes, SHA-256) of all that has to lie in the folder: archives need not, what came out of them must.

        Sorted by path.
        """
        due: dict[str, tuple[int, str]] = {}
        for one in self.files.values():
            if one.contents is not None:
                due |= {f"{one.name}{UNPACKED}/{path}": what for path, what in one.contents.items()}
            elif self.files[opener(one.name, self.files)].contents is None:
                due[one.name] = (one.size_bytes, one.sha256)
        return dict(sorted(due.items()))


def now() -> str:
    """This second, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(folder: Path) -> Lock | None:
    """The lock of a source's folder, None without one. Raises FetchError where it is no lock of this kind."""
    path = folder / LOCK_NAME
    try:
        if not path.exists():
            return None
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise ValueError("another format")
        files = [_entry(one) for one in told.pop("files")]
        lock = Lock(**told, files={one.name: one for one in files})
        texts = [*lock.ids, *lock.ids.values(), lock.licence or "", lock.accepted or ""]
        if not all(re.fullmatch(r"[\w-]+", text) for text in (lock.slug, lock.kind)):
            raise ValueError("its slug or kind is none")
        if lock.whole and not lock.due():
            raise ValueError("it is whole and holds nothing")
        if type(lock.whole) is not bool or not all(isinstance(text, str) for text in texts):
            raise ValueError("a value in it is of another kind")
        return lock
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
        MemoryError,
    ) as error:
        raise FetchError(f"{path} is no lock file of openus ({error}).", "Move it away to fetch anew.") from error


def _entry(told: dict[str, Any]) -> LockEntry:
    """A line of a lock that may come from somebody else: it is believed no more than a site."""
    contents = told.pop("contents")
    if contents is not None:
        contents = {path: (size, sha256) for path, (size, sha256) in contents.items()}
    one = LockEntry(**told, contents=contents)
    for size, sha256 in [(one.size_bytes, one.sha256), *(contents or {}).values()]:
        if type(size) is not int or not 0 <= size < 1 << 63 or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError("a size or checksum in it is none")
    ours = one.name == LOCK_NAME or is_hidden(one.name) or f"{UNPACKED}/" in f"{one.name}/"
    if ours or not all(map(_stays_inside, [one.name, *(contents or ())])):
        raise ValueError("a name in it leaves its folder")
    if not re.fullmatch(r"[\dT:+.Z-]+", one.received) or not re.fullmatch(r"[\w: ]+", one.verified):
        raise ValueError("a value in it is of another kind")
    if not all(isinstance(text, str) and text.isprintable() for text in (one.url or "", one.md5 or "")):
        raise ValueError("a value in it is of another kind")
    return one


def _stays_inside(name: object) -> bool:
    if not isinstance(name, str) or "\0" in name:
        return False
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or len(parts) > DEEPEST or len(name) > LONGEST:
        return False
    return all(len(os.fsencode(part)) < 256 for part in parts)


def write(folder: Path, lock: Lock) -> None:
    """Put `lock` into its folder, whole or not at all."""
    for left in folder.glob(f".{LOCK_NAME}.*.part"):
        left.unlink(missing_ok=True)  # of a run that was killed as it wrote
    told = asdict(lock) | {"files": [asdict(one) for _, one in sorted(lock.files.items())], "format": FORMAT}
    text = json.dumps(told, indent=1, sort_keys=True)
    write_text(folder / LOCK_NAME, re.sub(r"\[\s+(\d+),\s+(\"[0-9a-f]{64}\")\s+\]", r"[\1, \2]", text) + "\n")


def contents(unpacked: Path, progress: Advance = silent) -> dict[str, tuple[int, str]]:
    """Path -> (bytes, SHA-256) of what came out of an archive; `progress` is called with the bytes of each.

    Left out are hidden files, and archives within, whose own contents count. Raises UnreadableFile, and FetchError for
    a folder that cannot be listed.
    """
    paths, unlisted = _paths(unpacked)
    if unlisted:
        raise FetchError(f"{unpacked / unlisted[0][0]} was not looked into: {unlisted[0][1]}.", "Mend that first.")
    found = {}
    for path in paths:
        if not is_kept(unpacked / path):
            found[path] = ((unpacked / path).stat().st_size, sha256_file(unpacked / path, progress))
    return found


def is_kept(path: Path) -> bool:
    """Whether a file within an archive is one itself, or the volume of one, and was unpacked."""
    for name in [path.name, *openers(path.name)]:
        if path.with_name(f"{name}{UNPACKED}").is_dir():
            return True
        wrapper = path.parent.name.replace(path.name, name)  # a site may wrap each part in an archive of its own
        if wrapper.endswith(UNPACKED) and (path.parent.with_name(wrapper) / f"{name}{UNPACKED}").is_dir():
            return True
    return False


def top(path: str) -> str:
    """The file of a source that `path` came out of, itself where it came out of none.

    >>> top("a/b.zip.unpacked/c/d.zip.unpacked/e.png"), top("t.csv")
    ('a/b.zip', 't.csv')
    """
    return path.partition(f"{UNPACKED}/")[0]


def _paths(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    listed, unlisted = walk(folder)
    shown = [path for path in listed if path != LOCK_NAME and not is_hidden(path)]
    return shown, [(path, why) for path, why in unlisted if not is_hidden(path)]


def differences(folder: Path, lock: Lock) -> list[str]:
    """What about the folder is not as its lock says, one sentence each; nothing where all is as it came."""
    if not lock.whole:
        return ["it was not received and unpacked to the end"]
    due, (paths, unlisted) = lock.due(), _paths(folder)
    told = [f"{path} {what}" for path, what in lost(folder, lock, quick=False, archives=True).items()]
    told += [
        f"{path} came from elsewhere"
        for path in paths
        if path not in due and path not in lock.files and not (f"{UNPACKED}/" in path and is_kept(folder / path))
    ]
    return [printable(line) for line in [*told, *(f"{path} was not looked into: {why}" for path, why in unlisted)]]


def lost(
    folder: Path,
    lock: Lock,
    *,
    quick: bool,
    archives: bool = False,
    progress: Advance = silent,
) -> dict[str, str]:
    """Path -> what is wrong, of all that was received and is not there as it came; archives may be gone.

    quick: compare names and sizes only, without reading a file. archives: look at those, too, that were kept.
    `progress` is called with the bytes of each piece.
    """
    through: dict[Path, bool] = {folder: False}

    def is_led_away(place: Path) -> bool:
        """Whether a folder is reached through a link: adapters follow none, and it may lead anywhere."""
        if place not in through:
            through[place] = place.is_symlink() or is_led_away(place.parent)
        return through[place]

    wrong, all_due = {}, lock.due()
    if archives:
        kept = (one for one in lock.files.values() if (folder / one.name).is_file())
        all_due |= {one.name: (one.size_bytes, one.sha256) for one in kept}
    for path, due in sorted(all_due.items()):
        place = folder / path
        what = "lies behind a link" if is_led_away(place.parent) else _compared(place, due, quick, progress)
        if what is not None:
            wrong[path] = what
    return wrong


def _compared(path: Path, due: tuple[int, str], quick: bool, progress: Advance) -> str | None:
    try:
        if not path.is_file():
            return "is missing"
        same = path.stat().st_size == due[0] and (quick or sha256_file(path, progress) == due[1])
    except (OSError, UnreadableFile) as error:
        return f"cannot be read ({error})"
    return None if same else "is not what was received"
