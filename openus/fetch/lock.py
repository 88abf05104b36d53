"""`fetch.lock.json`: what came from where, byte for byte, under which terms; and the check of a folder against it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openus.errors import FetchError
from openus.fetch.archive import UNPACKED
from openus.sources._layout import is_hidden
from openus.storage import printable, sha256_file, walk, write_text

NAME = "fetch.lock.json"
FORMAT = 1
PINNED = "nothing: pinned here"
MISSING, CHANGED = "is missing", "is not what was received"


@dataclass(frozen=True, slots=True)
class Locked:
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
    files: Mapping[str, Locked] = field(default_factory=dict)
    contents: Mapping[str, tuple[int, str]] | None = None
    """Path -> (bytes, SHA-256) of what lies in the folder once it is unpacked, archives apart: `files` has them. None
    until then. Once known it does not change: the same must come again."""
    whole: bool = False
    """Whether the last run ended with all of `contents` in the folder."""

    def with_file(self, one: Locked) -> Lock:
        """This, with one more file."""
        return replace(self, files={**self.files, one.name: one})


def now() -> str:
    """This second, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(folder: Path) -> Lock | None:
    """The lock of a source's folder, None without one. Raises FetchError where it is no lock of this kind."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise ValueError("another format")
        files = {one["name"]: Locked(**one) for one in told.pop("files")}
        contents = told.pop("contents")
        rows = [(one.size_bytes, one.sha256) for one in files.values()] + list((contents or {}).values())
        if not all(isinstance(size, int) and re.fullmatch("[0-9a-f]{64}", str(sha256)) for size, sha256 in rows):
            raise ValueError("a size or checksum in it is none")
        if not all(map(_stays_inside, [*files, *(contents or ())])) or not isinstance(told["slug"], str):
            raise ValueError("a name in it leaves its folder")
        if told["whole"] not in (True, False) or (told["whole"] and contents is None):
            raise ValueError("it is whole without contents")
        if contents is not None:
            contents = {str(name): (int(size), str(sha256)) for name, (size, sha256) in contents.items()}
        return Lock(**told, files=files, contents=contents)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise FetchError(f"{path} is no lock file of openus ({error}).", "Move it away to fetch anew.") from error


def _stays_inside(name: object) -> bool:
    """A lock may come from somebody else: its names are believed no more than a site's."""
    return isinstance(name, str) and "\0" not in name and not {"", ".", ".."} & set(name.split("/"))


def write(folder: Path, lock: Lock) -> None:
    """Put `lock` into its folder, whole or not at all."""
    told = asdict(lock) | {"files": [asdict(one) for _, one in sorted(lock.files.items())], "format": FORMAT}
    if lock.contents is not None:
        told["contents"] = {name: list(lock.contents[name]) for name in sorted(lock.contents)}
    text = json.dumps(told, indent=1, sort_keys=True)
    write_text(folder / NAME, re.sub(r"\[\s+(\d+),\s+(\"[0-9a-f]{64}\")\s+\]", r"[\1, \2]", text) + "\n")


def contents(
    folder: Path, of: Collection[str] | None, progress: Callable[[int], None] = lambda _: None
) -> dict[str, tuple[int, str]]:
    """Path -> (bytes, SHA-256) of every file below `folder` that is one `of` these or came out of one; None for all.

    Left out are the lock, hidden files, and archives beside what came out of them, which may be kept or not.
    `progress` is called with the bytes of each. Raises UnreadableFile.
    """
    found = {}
    for path in _paths(folder)[0]:
        if (of is None or top(path) in of) and came_out(folder / path) is None:
            found[path] = ((folder / path).stat().st_size, sha256_file(folder / path))
            progress(found[path][0])
    return found


def top(path: str) -> str:
    """The file of a source that `path` came out of, itself where it came out of none.

    >>> top("a/b.zip.unpacked/c/d.zip.unpacked/e.png"), top("t.csv")
    ('a/b.zip', 't.csv')
    """
    return path.partition(f"{UNPACKED}/")[0]


def _paths(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    listed, unlisted = walk(folder)
    return [path for path in listed if path != NAME and not is_hidden(path)], unlisted


def came_out(path: Path) -> Path | None:
    """The folder of what came out of the archive `path`, or out of the split one of which it is a volume."""
    names = [path.name]
    for volume, firsts in _VOLUMES.items():
        if found := re.search(volume, path.name):
            names += [path.name[: found.start()] + first for first in firsts]
    places = (path.with_name(name + UNPACKED) for name in names)
    return next((place for place in places if place.is_dir()), None)


_VOLUMES = {
    r"(?i)\.z\d\d+$": (".zip", ".change2zip", ".ZIP"),
    r"\.\d{3}$": (".001",),
    r"(?i)\.part\d+\.rar$": (".part1.rar", ".part01.rar", ".part001.rar"),
}
"""How a volume's name ends -> how that of the one ends by which its archive is opened."""


def differences(folder: Path, lock: Lock) -> list[str]:
    """What about the folder is not as its lock says, one sentence each; nothing where all is as it came."""
    if not lock.whole:
        return ["it was not received and unpacked to the end"]
    told = [f"{path} {what}" for path, what in lost(folder, lock, quick=False).items()]
    told += [f"{path} came from elsewhere" for path in strange(folder, lock)]
    return [
        printable(line) for line in [*told, *(f"{path} was not looked into: {why}" for path, why in _paths(folder)[1])]
    ]


def strange(folder: Path, lock: Lock) -> list[str]:
    """The files below `folder` that came from elsewhere, by the lock of a folder that was whole."""
    known = {*(lock.contents or ()), *lock.files}
    return [path for path in _paths(folder)[0] if path not in known and came_out(folder / path) is None]


def lost(folder: Path, lock: Lock, *, quick: bool) -> dict[str, str]:
    """Path -> what is wrong, of all that was received and is not there as it came; archives may be gone.

    quick: compare names and sizes only, without reading a file.
    """
    due = dict(lock.contents or {})
    kept = {one.name: (one.size_bytes, one.sha256) for one in lock.files.values() if (folder / one.name).is_file()}
    wrong = {}
    for path, (size, sha256) in sorted((kept | due).items()):
        if not (folder / path).is_file():
            wrong[path] = MISSING
        elif (folder / path).stat().st_size != size or (not quick and sha256_file(folder / path) != sha256):
            wrong[path] = CHANGED
    return wrong
