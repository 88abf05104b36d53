"""The folder of one source, and the hidden one in it where all work is done until its result is whole.

Nothing outside `WORK` is touched while a run is under way. At its end what came is held against the lock, the lock is
written, and each file and unpacked archive is renamed into its place; what lay there and was not as it came is set
aside. A run that is killed between goes on from there: `WORK` has the rest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from openus.data import Advance, Card, Progress, RemoteFile, silent
from openus.errors import FetchError
from openus.fetch import lock as locks
from openus.fetch.address import redacted
from openus.fetch.archive import UNPACKED, opener
from openus.fetch.checksums import Received
from openus.fetch.listing import is_open
from openus.fetch.lock import Lock, LockEntry
from openus.sources import Source
from openus.storage import sha256_file, walk

WORK, MARK, OLD = ".fetching", "in use", ".old"
"""The folder where work is done; the file in it that is held meanwhile; and what something new takes the place of."""
ADOPTED = "adopted"
"""Where an adoption gathers, in WORK."""
ASIDE = ".set-aside-"
"""How a folder's name begins with what was not as it came."""
ELSEWHERE = "Move its folder away to take what the site gives now."


def counter(report: Progress, what: str, whole: int | None = None, stop: threading.Event | None = None) -> Advance:
    """A function to be called with the bytes that were done, which reports all so far. Raises KeyboardInterrupt once
    `stop` is set.
    """
    here = 0

    def count(more: int) -> None:
        nonlocal here
        if stop is not None and stop.is_set():
            raise KeyboardInterrupt
        here += more
        report(what, here, whole)

    return count


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
def alone(folder: Path) -> Iterator[Path]:
    """`folder`'s WORK, to the only process that works there. It stays if anything is in it.

    Raises FetchError where another process does, and where nothing can be written.
    """
    work, is_new = folder / WORK, not folder.exists()
    try:
        work.mkdir(parents=True, exist_ok=True)
        mark = (work / MARK).open("ab")
    except FileNotFoundError as error:  # another has just ended
        raise FetchError(f"Another process fetches into {folder}.", "Wait for it.") from error
    except OSError as error:
        raise FetchError(f"{error.filename or folder}: {error.strerror or error}.", "Look at that place.") from error
    with mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat((work / MARK).stat(), os.fstat(mark.fileno()))  # else another ended just now
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.ENOENT):
                _leave(work, is_new)
                raise FetchError(f"{work} can't be locked: {error.strerror}.", "Choose another disk.") from error
            mine = False
        if not mine:
            raise FetchError(f"Another process fetches into {folder}.", "Wait for it.")
        try:
            yield work
        finally:
            _leave(work, is_new)


def _leave(work: Path, is_new: bool) -> None:
    if [path.name for path in work.iterdir()] == [MARK]:
        (work / MARK).unlink()
        with contextlib.suppress(OSError):  # another has begun, or there is more in it
            work.rmdir()
            if is_new:
                work.parent.rmdir()


def empty(work: Path) -> None:
    """Remove all that killed runs left in WORK."""
    for path in work.iterdir():
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def link(origin: Path, place: Path) -> None:
    """A file at another place too: linked where the disk allows it, else copied."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(origin.resolve(), place)
    except OSError:
        shutil.copyfile(origin, place)


def already(source: Source, folder: Path, lock: Lock, said: Sequence[str]) -> Fetched:
    """What a folder comes to that is whole before anything was done; nothing is written, unless a run was killed at its
    very end.
    """
    if (folder / WORK).exists():
        with contextlib.suppress(FetchError), alone(folder) as work:
            empty(work)
    first = "it is there already, by names and sizes as its lock says (verify-raw compares each byte)."
    return fetched(source, folder, lock, [first, *said])


def new_lock(card: Card, before: Lock | None, accepted: bool) -> Lock:
    """The lock of a run that begins, or goes on where another stopped: what came then must come again."""
    agreed = locks.now() if accepted and not is_open(card.licence) else None
    lock = Lock(card.slug, card.access.kind, dict(card.access.ids), card.licence.name, agreed)
    return lock if before is None else replace(lock, files=before.files, whole=before.whole)


def lock_entry(file: RemoteFile, received: Received, url: str | None) -> LockEntry:
    """The line of a file that was received, and compared with all that `file` tells of it."""
    against = next(
        (name for name, due in (("sha256", file.sha256), ("md5", file.md5), ("git", file.git_sha1)) if due),
        "size" if file.size_bytes is not None else locks.PINNED,
    )
    where = redacted(url) if url else None
    return LockEntry(file.name, where, received.size_bytes, received.sha256, against, locks.now(), received.md5)


def broken(folder: Path, lock: Lock, count: Advance = silent) -> set[str]:
    """The files of the lock of which anything is missing or changed, with all that is unpacked together with them."""
    found = {locks.top(path) for path in locks.lost(folder, lock, quick=False, progress=count)}
    if any(lock.files[name].contents is not None for name in found):  # parts that were wrapped one by one left nothing
        found |= {one.name for one in lock.files.values() if one.contents == {}}
    return found | {name for name in lock.files if opener(name, lock.files) in found}


def with_contents(lock: Lock, made: Path, count: Advance = silent) -> Lock:
    """The lock, whole, with what came out of each archive below `made`.

    Raises FetchError where that is not what came out of it before, and removes it.
    """
    files = dict(lock.files)
    for one in lock.files.values():
        inside = made / f"{one.name}{UNPACKED}"
        if not inside.is_dir():
            continue
        came = locks.contents(inside, count)
        if one.contents not in (None, came):
            shutil.rmtree(inside)
            known = one.contents or {}
            path = min(path for path in {*came, *known} if came.get(path) != known.get(path))
            raise FetchError(f"{lock.slug}: {path} in {one.name} is not what the lock says came before.", ELSEWHERE)
        files[one.name] = replace(one, contents=came)
    return replace(lock, files=files, whole=True)


def put_in_place(folder: Path, lock: Lock, work: Path) -> None:
    """Rename what lies in WORK into the folder, the lock before it; what was there and is another is set aside."""
    locks.write(folder, lock)
    aside = folder / f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"

    def away(path: Path) -> None:
        name = path.relative_to(folder)
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside / name)

    for name, one in sorted(lock.files.items()):
        kept, unpacked = folder / name, work / f"{opener(name, lock.files)}{UNPACKED}"
        if unpacked.is_dir() and kept.is_file() and not (work / name).exists() and sha256_file(kept) != one.sha256:
            away(kept)  # an archive that is another now
    news = [new for name in sorted(lock.files) for new in (work / name, work / f"{name}{UNPACKED}") if new.exists()]
    for new in news:
        place = folder / new.relative_to(work)
        for above in reversed(place.parents[: len(new.relative_to(work).parts) - 1]):
            if above.is_symlink() or above.is_file():
                away(above)
        _make_way(place, new, away, work / OLD)
        place.parent.mkdir(parents=True, exist_ok=True)
        new.replace(place)
    empty(work)


def _make_way(place: Path, new: Path, away: Callable[[Path], None], old: Path) -> None:
    """Call `away` with what lies at `place` and is not in what is `new`; rename to `old` the folder that is left."""
    if not (place.is_dir() and not place.is_symlink() and new.is_dir()):
        if os.path.lexists(place) and not _is_same(place, new):
            away(place)
        return
    for path in _all(place):
        if locks.is_kept(place / path) and not (new / path).exists():  # an archive that came out of another
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).rename(new / path)
        elif not _is_same(place / path, new / path):
            away(place / path)
    shutil.rmtree(old, ignore_errors=True)
    place.rename(old)


def _is_same(place: Path, new: Path) -> bool:
    plain = not place.is_symlink() and place.is_file() and new.is_file()
    return plain and sha256_file(place) == sha256_file(new)


def _all(folder: Path) -> list[str]:
    """All files below a folder, and all links."""
    paths, unlisted = walk(folder)
    return [*paths, *(path for path, _ in unlisted if (folder / path).is_symlink())]


def fetched(source: Source, folder: Path, lock: Lock, said: Sequence[str] = ()) -> Fetched:
    """What a whole folder comes to."""
    files = lock.files.values()
    pinned = tuple(sorted(one.name for one in files if one.verified == locks.PINNED))
    images = sum(1 for _ in source.items(folder))
    for aside in sorted(folder.glob(f"{ASIDE}*")):
        if yours := _all(aside):
            more = f" and {len(yours) - 1} more" if len(yours) > 1 else ""
            said = [*said, f"what was not as it came is kept in {aside}: {yours[0]}{more}."]
    return Fetched(lock.slug, folder, len(files), sum(one.size_bytes for one in files), pinned, images, tuple(said))
