"""The folder of one source: one process in it at a time, what of it is as its lock says, and the lock at the end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from openus.data import Card, RemoteFile
from openus.errors import FetchError
from openus.fetch import lock as locks
from openus.fetch.archive import UNPACKED
from openus.fetch.client import told
from openus.fetch.download import Received
from openus.fetch.listing import is_open
from openus.fetch.lock import Lock, Locked
from openus.sources import Source
from openus.storage import sweep

MARK = ".fetching"
"""Held while a process is at work in the folder."""
MOVE = "Move its folder away to take what the site gives now."


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch came to."""

    slug: str
    folder: Path
    files: int
    size_bytes: int
    """Received, all runs together."""
    pinned: tuple[str, ...]
    """Files whose checksum nobody had published: this download is the first to say."""
    images: int
    """Items that the source's adapter lists there."""
    told: tuple[str, ...] = ()
    """What a person should hear."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The only process that fetches into `folder`. Raises FetchError where another does, or where nothing can be."""
    path = folder / MARK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = path.open("ab")
    except OSError as error:
        raise FetchError(f"{error.filename or folder}: {error.strerror or error}.", "Look at that place.") from error
    with mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(
                path.stat(), os.fstat(mark.fileno())
            )  # else another ended, and removed it, just now
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.ENOENT):
                raise FetchError(f"{path} can't be locked: {error.strerror}.", "Choose another disk.") from error
            mine = False
        if not mine:
            raise FetchError(f"Another process fetches into {folder}.", "Wait for it.")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came


def begun(card: Card, before: Lock | None, accepted: bool) -> Lock:
    """The lock of a run that begins, or goes on where another stopped: what came then must come again."""
    agreed = locks.now() if accepted and not is_open(card.licence) else None
    lock = Lock(card.slug, card.access.kind, dict(card.access.ids), card.licence.name, agreed)
    return lock if before is None else replace(lock, files=before.files, contents=before.contents)


def locked(file: RemoteFile, received: Received, url: str | None) -> Locked:
    """The line of a file that was received, and compared with all that `file` tells of it."""
    against = next(
        (name for name, due in (("sha256", file.sha256), ("md5", file.md5), ("git", file.git_sha1)) if due),
        "size" if file.size_bytes is not None else locks.PINNED,
    )
    return Locked(file.name, told(url) if url else None, received.size_bytes, received.sha256, against, locks.now())


def clear(folder: Path, lock: Lock) -> list[str]:
    """Remove the folders of archives out of which a file is missing or changed, so that they come again.

    What somebody changed, or put into such a folder, is set aside: nothing of a person's is lost. Returns what a person
    should hear of that. Raises FetchError for a folder that a person brought, which no program can mend.
    """
    wrong = locks.lost(folder, replace(lock, files={}), quick=False)  # archives are looked at as they are needed
    if wrong and all(one.url is None for one in lock.files.values()):
        path, what = next(iter(wrong.items()))
        raise FetchError(
            f"{folder}: {path} {what}, and a person brought it.", f"Move {folder} away and adopt it again with --from."
        )
    tops = {locks.top(path) for path in wrong}
    yours = [path for path, what in wrong.items() if what == locks.CHANGED]
    yours += [path for path in locks.strange(folder, lock) if locks.top(path) in tops]
    said = set_aside(folder, yours)
    _remove(folder, tops)
    return said


def set_aside(folder: Path, paths: Sequence[str]) -> list[str]:
    """Move files out of a source's folder to a hidden one beside it. Returns what a person should hear of that."""
    if not paths:
        return []
    aside = folder.parent / f".{folder.name}.set-aside-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    for path in paths:
        (aside / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).rename(aside / path)
    return [f"{paths[0]}{_and_more(paths)} not what came before: kept in {aside}, and fetched anew."]


def _remove(folder: Path, tops: Iterable[str]) -> None:
    for name in tops:
        shutil.rmtree(folder / f"{name}{UNPACKED}", ignore_errors=True)


def _and_more(names: Sized) -> str:
    return f" and {len(names) - 1} more are" if len(names) > 1 else " is"


def finish(
    folder: Path, lock: Lock, of: Collection[str] | None = None, progress: Callable[[int], None] = lambda _: None
) -> Lock:
    """Hold what came against the lock, if that knows it, and write the lock of a folder that is whole.

    `of` as for `contents`. Raises FetchError for a file that is not what came before, and removes what it came out of.
    """
    came = locks.contents(folder, of, progress)
    if lock.contents is not None:
        other = sorted(path for path, due in lock.contents.items() if came.get(path) != due)
        if other:
            _remove(folder, map(locks.top, other))
            raise FetchError(f"{lock.slug}: {other[0]}{_and_more(other)} not what the lock says came before.", MOVE)
        came = dict(lock.contents)  # without what a person put there since
    lock = replace(lock, contents=came, whole=True)
    locks.write(folder, lock)
    tidy(folder, lock)
    return lock


def tidy(folder: Path, lock: Lock) -> None:
    """Remove what killed runs left beside files that are whole now."""
    for place in {(folder / name).parent for name in lock.files} | {folder}:
        sweep(place)
        for left in [*place.glob(".*.partial"), *place.glob(".*.partial.json")]:
            left.unlink(missing_ok=True)


def fetched(source: Source, folder: Path, lock: Lock, said: Sequence[str] = ()) -> Fetched:
    """What a whole folder comes to."""
    files = lock.files.values()
    pinned = tuple(sorted(one.name for one in files if one.verified == locks.PINNED))
    images = sum(1 for _ in source.items(folder))
    return Fetched(lock.slug, folder, len(files), sum(one.size_bytes for one in files), pinned, images, tuple(said))


THERE_ALREADY = "it is there already, by names and sizes as its lock says (verify-raw compares each byte)."
