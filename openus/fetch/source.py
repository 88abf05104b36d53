"""A source from its site, or from a person's hands, to a folder that its adapter reads, with a lock of what came.

What a killed run leaves is gone on with: files that are whole stay, a file on its way is resumed, an archive that was
being unpacked is unpacked anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from openus.data import Card, RemoteFile
from openus.errors import ArchiveError, FetchError, OpenusError, UsageError
from openus.fetch import lock as locks
from openus.fetch.archive import SUFFIXES, UNPACKED, unpack, unpack_all
from openus.fetch.client import Client, told
from openus.fetch.download import (
    LFS_POINTER,
    SNIFF,
    Received,
    check_beginning,
    difference,
    download,
    measure,
    room,
    was_finished,
)
from openus.fetch.listing import MADE_ON_THE_FLY, RESOLVERS, by_hand, check_terms, is_open, resolve, safe, steps
from openus.fetch.lock import Lock, Locked
from openus.sources import Source
from openus.sources._layout import is_hidden
from openus.storage import sha256_file, sweep, walk

Report = Callable[[str, int, int | None], None]
"""Called with (slug/file, bytes that are here, bytes of the whole or None)."""


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


def fetch(
    source: Source,
    root: Path,
    client: Client,
    *,
    accepted: bool = False,
    keep: bool = False,
    jobs: int = 4,
    report: Report = lambda *_: None,
) -> Fetched:
    """Bring a source to `root/<slug>/`: downloaded, verified, unpacked, locked.

    Args:
        source: which.
        root: folder of all sources.
        client: what speaks to the site.
        accepted: a person accepted terms that are not open.
        keep: keep archives beside what came out of them.
        jobs: files at once.
        report: told of every piece that comes.

    Raises UsageError for terms that were not accepted, FetchError for what the site does, ArchiveError.
    """
    card, folder = source.card, root / source.card.slug
    check_terms(card, accepted)
    why = by_hand(card)
    if why is not None and not folder.exists():
        raise FetchError(f"{card.slug}: no program can fetch it, as {why}.", steps(card))
    with _alone(folder):
        before = locks.read(folder)
        if before is not None and before.slug != card.slug:
            raise FetchError(f"{folder / locks.NAME} is {before.slug}'s.", "Move it away.")
        if before is not None and before.is_whole and not locks.lost(folder, before, quick=True):
            _tidy(folder, before)
            return _there_already(source, folder, before, client)
        if why is not None:
            raise FetchError(f"{card.slug}: no program can fetch it, as {why}.", steps(card))
        if before is not None:
            _remove_damaged(folder, before)
        lock = _begun(card, before, accepted)
        if lock.whole and not _all_here(folder, lock):
            lock = replace(lock, whole=False)  # something went, or changed, before it was unpacked
        if not lock.whole:
            files = [replace(file, name=safe(card, file.name)) for file in resolve(_pinned(card, before), client)]
            expected = {} if card.access.kind in MADE_ON_THE_FLY or before is None else before.files
            gone = sorted(set(expected) - {file.name for file in files})
            if gone:
                raise FetchError(f"{card.slug}: its site no longer lists {gone[0]}, which the lock holds.", _MOVE)
            if expected and lock.contents is not None:  # a lock that was whole says what belongs to the set
                files = [file for file in files if file.name in expected]
            room(folder, sum(file.size_bytes or 0 for file in files if not (folder / file.name).is_file()))
            bring = _Bringer(card, folder, client, report)
            lock = _receive(folder, files, expected, lock, bring, jobs)
        return _unpacked(source, folder, lock, before, client, keep)


@dataclass(frozen=True, slots=True)
class Missed:
    """A source that did not come."""

    slug: str
    error: OpenusError


def fetch_all(
    sources: Sequence[Source],
    root: Path,
    client: Client,
    *,
    accepted: bool = False,
    keep: bool = False,
    jobs: int = 4,
    report: Report = lambda *_: None,
    done: Callable[[Fetched | Missed], None] = lambda _: None,
) -> None:
    """`fetch` each, several at once; one that fails stops no other. `done` is told of each as it ends."""
    guard = threading.Lock()

    def one(source: Source) -> None:
        try:
            came: Fetched | Missed = fetch(source, root, client, accepted=accepted, keep=keep, jobs=jobs, report=report)
        except OpenusError as error:
            came = Missed(source.card.slug, error)
        except OSError as error:
            told = f"{error.filename or root}: {error.strerror or error}."
            came = Missed(source.card.slug, FetchError(told, "Look at that place."))
        except Exception as error:
            told = f"{type(error).__name__}: {error} This is unexpected."
            came = Missed(source.card.slug, FetchError(told, "Please tell the makers of openus."))
        with guard:
            done(came)

    with ThreadPoolExecutor(max(1, min(jobs, len(sources)))) as pool:
        futures = [pool.submit(one, source) for source in sources]
        try:
            for future in futures:
                future.result()
        except BaseException:
            client.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def adopt(
    source: Source, root: Path, origin: Path, client: Client, *, accepted: bool = False, keep: bool = False
) -> Fetched:
    """Take what a person fetched (an archive, a folder of parts, an unpacked folder), verified as a download is.

    Files are linked where the disk allows it, else copied; `origin` is left as it is. Raises as `fetch` does, and
    FetchError where nothing in `origin` fits the source's layout: then nothing of it stays.
    """
    card, folder = source.card, root / source.card.slug
    check_terms(card, accepted)
    if not origin.exists():
        raise UsageError(f"{origin} is not there.", "Name the archive, or the folder, that you downloaded.")
    aside = root / f".{card.slug}.adopting.part"
    try:
        with _alone(folder):
            if any(path.name != MARK for path in folder.iterdir()):
                before = locks.read(folder)
                if before is not None and before.is_whole and not locks.lost(folder, before, quick=True):
                    return _there_already(source, folder, before, None)
                raise FetchError(f"{folder} holds something already.", "Move it away, then adopt.")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            lock = _begun(card, None, accepted)
            known = {file.name.rpartition("/")[2]: file for file in card.files}
            paths, unlisted = walk(origin) if origin.is_dir() else ([origin.name], [])
            if unlisted:
                raise FetchError(
                    f"{origin / unlisted[0][0]} was not looked into: {unlisted[0][1]}.", "Mend that first."
                )
            base = origin if origin.is_dir() else origin.parent
            theirs = locks.read(origin) if origin.is_dir() else None
            if theirs is not None and theirs.slug == card.slug and theirs.is_whole:
                wrong = locks.lost(origin, theirs, quick=False)
                if wrong:
                    path, what = next(iter(wrong.items()))
                    raise FetchError(f"{origin}: {path} {what}, by the lock in it.", "Copy it again.")
                lock = replace(lock, files=theirs.files)
            for path in paths:
                name = PurePosixPath(path).name
                if name == locks.NAME or is_hidden(path) or _comes_again(path, set(paths)):
                    continue
                target = aside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(base / path, target)
                if path not in lock.files and (name in known or name.lower().endswith(SUFFIXES)):
                    lock = lock.with_file(_adopted(replace(known.get(name, RemoteFile(name)), name=path), target))
            result = _unpacked(source, aside, replace(lock, whole=True), None, client, keep, strict=True)
            (folder / MARK).unlink()
            folder.rmdir()
            aside.rename(folder)
            return replace(result, folder=folder)
    except OSError as error:
        raise FetchError(
            f"{origin} could not be adopted: {error.filename or ''} {error.strerror or error}.",
            "Look at that place, and whether the disk has room.",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _comes_again(path: str, paths: set[str]) -> bool:
    """Whether a file came out of an archive that is brought too: the archive counts."""
    parts = path.split("/")
    folders = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return any(folder.endswith(UNPACKED) and folder.removesuffix(UNPACKED) in paths for folder in folders)


def _adopted(file: RemoteFile, path: Path) -> Locked:
    with path.open("rb") as data:
        check_beginning(file, data.read(SNIFF), str(path))
    received = measure(path, file)
    wrong = difference(file, received)
    if wrong:
        raise FetchError(wrong, "It is another version, or it was damaged on the way.")
    return _locked(file, received, None)


def _begun(card: Card, before: Lock | None, accepted: bool) -> Lock:
    """The lock of a run that goes on where another stopped, or begins."""
    agreed = before.accepted if before and before.contents is None else None  # a whole lock may be somebody else's
    agreed = agreed or (locks.now() if accepted and not is_open(card.licence) else None)
    fresh = Lock(card.slug, card.access.kind, dict(card.access.ids), card.licence.name, agreed)
    if before is None:
        return fresh
    begun = replace(fresh, files=before.files, contents=before.contents)  # what came must come again
    return replace(begun, whole=before.whole and before.contents is None)


def _all_here(folder: Path, lock: Lock) -> bool:
    """Whether each file that was received is still there as it came, or what came out of it."""
    some = any(folder.rglob(f"*{UNPACKED}"))
    for name, one in lock.files.items():
        path = folder / name
        if path.is_file():
            if sha256_file(path) != one.sha256:
                return False
        elif not (folder / f"{name}{UNPACKED}").is_dir() and not (some and _VOLUME.search(name)):
            return False
    return bool(lock.files)


def _pinned(card: Card, before: Lock | None) -> Card:
    """The card, with the commit of GitHub's snapshot that the lock holds."""
    found = [re.search(r"-([0-9a-f]{40})\.zip$", name) for name in (before.files if before else ())]
    if card.access.kind != "github" or not found or found[0] is None:
        return card
    return replace(card, access=replace(card.access, ids={**card.access.ids, "commit": found[0][1]}))


def _receive(
    folder: Path,
    files: Sequence[RemoteFile],
    expected: Mapping[str, Locked],
    lock: Lock,
    bring: _Bringer,
    jobs: int,
) -> Lock:
    """All files into the folder, several at once; each stands in the lock as soon as it is whole."""
    guard = threading.Lock()
    written = time.monotonic()

    def one(file: RemoteFile) -> None:
        nonlocal lock, written
        earlier = expected.get(file.name)
        path = folder / file.name
        kept = earlier is not None and (not path.is_file() or sha256_file(path) == earlier.sha256)
        if earlier is not None and kept and (folder / f"{file.name}{UNPACKED}").is_dir():
            entry = earlier
        else:
            entry = _locked(file, bring(file, earlier), file.url)
        with guard:
            lock = lock.with_file(entry)
            if (
                entry.verified.startswith(("nothing", "size")) or time.monotonic() - written > 1.0
            ):  # a file that is whole is known without its line, too
                locks.write(folder, lock)
                written = time.monotonic()

    try:
        with ThreadPoolExecutor(max(1, min(jobs, MOST_AT_ONCE))) as pool:
            futures = [pool.submit(one, file) for file in files]
            try:
                failed = [error for future in futures if (error := future.exception()) is not None]
            except BaseException:
                bring.client.stop.set()  # all files stop, with all that came kept
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if failed:  # the others came all the same
            raise failed[0]
        lock = replace(lock, whole=True)
    finally:
        if lock.files:
            locks.write(folder, lock)
    return lock


MOST_AT_ONCE = 4
"""Files of one site."""


@dataclass
class _Bringer:
    """Brings files of one source, and tells how far all of them are."""

    card: Card
    folder: Path
    client: Client
    report: Report

    def __call__(self, file: RemoteFile, earlier: Locked | None) -> Received:
        """The file, from a fresh address where the first one dies. What came `earlier` is what must come again."""
        path, here = self.folder / file.name, 0

        def moved(count: int) -> None:
            nonlocal here
            if self.client.stop.is_set():
                raise KeyboardInterrupt
            here += count
            self.report(f"{self.card.slug}/{file.name}", here, file.size_bytes)

        known = file.md5 or file.sha256 or file.git_sha1 or earlier is not None
        if path.is_file() and (known or was_finished(path)):  # whole, but for its line in the lock
            received = measure(path, file)
            if difference(file, received) is None and (earlier is None or received.sha256 == earlier.sha256):
                moved(received.size_bytes)
                return received
        if earlier is not None and file.sha256 not in (None, earlier.sha256):
            raise FetchError(
                f"{self.card.slug}: the site lists {file.name} with sha256 {file.sha256}; {earlier.sha256} came on "
                f"{earlier.received}: the site changed its file.",
                _MOVE,
            )
        due = file if earlier is None else replace(file, sha256=earlier.sha256)
        try:
            try:
                return download(self.client, due, self.folder, moved)
            except FetchError as error:
                fresh = self._fresh(due) if error.renewable else None
                if fresh is None:
                    raise
                return download(self.client, fresh, self.folder, moved)
        except FetchError as error:
            if earlier is None or earlier.sha256 not in error.message:
                raise
            raise FetchError(
                error.message,
                f"{self.folder / locks.NAME} holds what came on {earlier.received}: the site changed its file. {_MOVE}",
            ) from error

    def _fresh(self, due: RemoteFile) -> RemoteFile | None:
        """The same file at a new address; None where the site tells the one that we know."""
        if self.card.access.kind not in RESOLVERS:
            return None
        again = next((one for one in resolve(self.card, self.client) if one.name == due.name), None)
        return None if again is None or again.url == due.url else replace(due, url=again.url)


def _unpacked(
    source: Source,
    folder: Path,
    lock: Lock,
    before: Lock | None,
    client: Client,
    keep: bool,
    *,
    strict: bool = False,
) -> Fetched:
    """Unpack, look at what came out, and lock it."""
    card = source.card
    try:
        if card.access.kind == "github" and not strict:
            _same_tree(card, folder, lock, client)
        unpack_all(folder, keep=keep)
    except ArchiveError as error:
        if not strict and "damaged" in error.message:
            _drop_unverified(folder, lock)
        raise
    images = sum(1 for _ in source.items(folder))
    if strict and not images:
        names = ", ".join(file.name for file in card.files) or "what its page gives"
        raise FetchError(f"Nothing that {card.slug} is made of was found.", f"Expected is {names}. {steps(card)}")
    came = locks.contents(folder)
    if lock.contents is not None:
        other = sorted(path for path, told in lock.contents.items() if came.get(path) != told)
        if other:
            locks.write(folder, replace(lock, files=before.files if before else {}, whole=False))
            for path in other:
                inside, found, _ = path.partition(f"{UNPACKED}/")
                if found:
                    shutil.rmtree(folder / f"{inside}{UNPACKED}", ignore_errors=True)
            more = f" and {len(other) - 1} more are" if len(other) > 1 else " is"
            raise FetchError(f"{card.slug}: {other[0]}{more} not what the lock says came before.", _MOVE)
    if not images:
        raise FetchError(
            f"{card.slug}: {len(came)} files are in {folder}, and its adapter knows none of them.",
            "Its site changed the layout, or gave another set: look at them, and tell the makers of openus.",
        )
    lock = replace(lock, contents=came)
    locks.write(folder, lock)
    _tidy(folder, lock)
    return _fetched(card, folder, lock, images, ())


_MOVE = f"Move {locks.NAME} away to take what the site gives now."


def _drop_unverified(folder: Path, lock: Lock) -> None:
    """Forget the files that nothing but their unpacking can prove, so that the next run brings them anew."""
    unproved = [name for name, one in lock.files.items() if one.verified.startswith(("nothing", "size"))]
    for name in unproved:
        (folder / name).unlink(missing_ok=True)
    files = {name: one for name, one in lock.files.items() if name not in unproved}
    locks.write(folder, replace(lock, files=files, whole=False))


def _tidy(folder: Path, lock: Lock) -> None:
    """Remove what killed runs left beside files that are whole now."""
    for place in {(folder / name).parent for name in lock.files} | {folder}:
        sweep(place)
        for left in [*place.glob(".*.partial"), *place.glob(".*.partial.json")]:
            left.unlink(missing_ok=True)


def _there_already(source: Source, folder: Path, lock: Lock, client: Client | None) -> Fetched:
    """Nothing is fetched; what the site lists today is held against the lock."""
    card, said = (
        source.card,
        ["it is there already, by names and sizes as its lock says (verify-raw compares each byte)."],
    )
    if client is not None and card.access.kind in RESOLVERS and lock.files:
        try:
            for file in resolve(card, client):
                one = lock.files.get(file.name)
                if one is not None and (
                    file.size_bytes not in (None, one.size_bytes) or file.sha256 not in (None, one.sha256)
                ):
                    said.append(f"the site changed {file.name} since {one.received}; yours is as it came then.")
                elif one is None and card.access.kind not in MADE_ON_THE_FLY:
                    said.append(f"the site lists {file.name} too, which was not there on the day of the lock.")
        except OpenusError as error:
            said.append(f"whether the site changed it is not known: {error.message}")
    return _fetched(card, folder, lock, sum(1 for _ in source.items(folder)), said)


def _fetched(card: Card, folder: Path, lock: Lock, images: int, said: Sequence[str]) -> Fetched:
    files = lock.files.values()
    pinned = tuple(sorted(one.name for one in files if one.verified.startswith("nothing")))
    return Fetched(card.slug, folder, len(files), sum(one.size_bytes for one in files), pinned, images, tuple(said))


def _locked(file: RemoteFile, received: Received, url: str | None) -> Locked:
    against = next(
        (name for name, due in (("sha256", file.sha256), ("md5", file.md5), ("git", file.git_sha1)) if due),
        "size" if file.size_bytes is not None else "nothing: pinned here",
    )
    return Locked(file.name, told(url) if url else None, received.size_bytes, received.sha256, against, locks.now())


def _same_tree(card: Card, folder: Path, lock: Lock, client: Client) -> None:
    """Hold GitHub's snapshot against git's hashes, and put the objects of Git LFS in the place of their pointers.

    It runs before archives within the snapshot are unpacked, and while the snapshot itself is still there: once that is
    dropped, all this was done.
    """
    from openus.fetch import github

    for name in lock.files:
        sha = re.search(r"-([0-9a-f]{40})\.zip$", name)
        if not (folder / name).is_file() or sha is None:
            continue
        inside = folder / f"{name}{UNPACKED}"
        if not inside.exists():
            unpack(folder / name, inside)
        (file,) = github.resolve(replace(card.access, ids={**card.access.ids, "commit": sha[1]}), client)
        pointed = github.pointers(inside, file.members)
        wrong = [
            path
            for path in github.differing(inside, file.members)
            if not (inside / path).is_file() or _pointer_sha1(inside / path) != file.members[path]
        ]
        if wrong:
            more = f" and {len(wrong) - 1} more are" if len(wrong) > 1 else " is"
            raise FetchError(
                f"{card.slug}: {wrong[0]}{more} not what git's tree of {sha[1]} says.",
                f"Remove {folder} and fetch it again; it was damaged on the way.",
            )
        for wanted in github.objects(card.access.ids["repo"], pointed, client) if pointed else ():
            download(client, wanted, inside)


def _pointer_sha1(path: Path) -> str:
    """The git SHA-1 of the pointer in whose place an object of Git LFS was put (git-lfs docs/spec.md)."""
    text = f"{LFS_POINTER.decode()}\noid sha256:{sha256_file(path)}\nsize {path.stat().st_size}\n".encode()
    return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest()


def _remove_damaged(folder: Path, before: Lock) -> None:
    """Remove what came out of archives that is no longer whole, so that they come again."""
    tops = set()
    quick = not locks.lost(folder, before, quick=True)
    for path in () if quick else locks.lost(folder, before, quick=False):
        inside, found, _ = path.partition(f"{UNPACKED}/")
        if found:
            tops.add(folder / f"{inside}{UNPACKED}")
    if tops and any(_VOLUME.search(name) for name in before.files):
        tops |= set(folder.glob(f"*{UNPACKED}"))  # which volume held it, nobody knows
    for top in tops:
        shutil.rmtree(top, ignore_errors=True)


_VOLUME = re.compile(r"(?i)\.z\d\d+$|\.\d{3}$|\.part\d+\.rar$")


def _link(origin: Path, target: Path) -> None:
    try:
        os.link(origin.resolve(), target)
    except OSError:
        shutil.copyfile(origin, target)


MARK = ".fetching"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The only process that fetches into `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"{folder}: {error.strerror or error}.", "Look at that place.") from error
    path = folder / MARK
    with path.open("ab") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = path.stat().st_ino == os.fstat(mark.fileno()).st_ino  # else it ended, and removed it, just now
        except OSError:
            mine = False
        if not mine:
            raise FetchError(f"Another process fetches into {folder}.", "Wait for it.")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came
