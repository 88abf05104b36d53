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
from openus.errors import FetchError, OpenusError, UsageError
from openus.fetch import lock as locks
from openus.fetch.archive import SUFFIXES, UNPACKED, unpack, unpack_all
from openus.fetch.client import Client, told
from openus.fetch.download import LFS_POINTER, SNIFF, Received, check_beginning, difference, download, measure, room
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
    before = locks.read(folder)
    if before is not None and before.slug != card.slug:
        raise FetchError(f"{folder / locks.NAME} is {before.slug}'s.", "Move it away.")
    if why is not None and before is None:
        raise FetchError(f"{card.slug}: no program can fetch it, as {why}.", steps(card))
    with _alone(folder):
        if before is not None and before.contents is not None and not locks.lost(folder, before, quick=True):
            _tidy(folder, before)
            return _there_already(source, folder, before, client)
        if why is not None:
            raise FetchError(f"{card.slug}: no program can fetch it, as {why}, and it is not whole.", steps(card))
        if before is not None:
            _remove_damaged(folder, before)
        lock = _begun(card, before, accepted)
        if not lock.whole:
            files = [replace(file, name=safe(card, file.name)) for file in resolve(card, client)]
            expected = {} if card.access.kind in MADE_ON_THE_FLY or before is None else before.files
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
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        before = locks.read(folder)
        if before is not None and before.contents is not None and not locks.lost(folder, before, quick=True):
            return _there_already(source, folder, before, None)
        raise FetchError(f"{folder} holds something already.", "Move it away, then adopt.")
    aside = root / f".{card.slug}.adopting.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        with _alone(aside):
            lock = _begun(card, None, accepted)
            known = {file.name.rpartition("/")[2]: file for file in card.files}
            paths = walk(origin)[0] if origin.is_dir() else [origin.name]
            base = origin if origin.is_dir() else origin.parent
            for path in paths:
                name = PurePosixPath(path).name
                if name == locks.NAME or is_hidden(path):
                    continue
                target = aside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(base / path, target)
                if name in known or name.lower().endswith(SUFFIXES):
                    lock = lock.with_file(_adopted(replace(known.get(name, RemoteFile(name)), name=path), target))
            result = _unpacked(source, aside, replace(lock, whole=True), None, client, keep, strict=True)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
        return replace(result, folder=folder)
    except OSError as error:
        raise FetchError(f"{origin} could not be adopted: {error.strerror or error}.", "Free some room.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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
    agreed = (before.accepted if before else None) or (locks.now() if accepted and not is_open(card.licence) else None)
    fresh = Lock(card.slug, card.access.kind, dict(card.access.ids), card.licence.name, agreed)
    if before is None or before.contents is not None:
        return fresh
    return replace(fresh, files=before.files, whole=before.whole)


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
        if earlier is not None and (folder / f"{file.name}{UNPACKED}").is_dir():
            entry = earlier
        else:
            entry = _locked(file, bring(file, earlier), file.url)
        with guard:
            lock = lock.with_file(entry)
            if time.monotonic() - written > 1.0:  # a file that is whole is known without its line, too
                locks.write(folder, lock)
                written = time.monotonic()

    try:
        with ThreadPoolExecutor(max(1, min(jobs, MOST_AT_ONCE))) as pool:
            futures = [pool.submit(one, file) for file in files]
            try:
                for future in futures:
                    future.result()
            except BaseException as error:
                if not isinstance(error, Exception):
                    bring.client.stop.set()  # the other files stop too, with all that came kept
                pool.shutdown(wait=False, cancel_futures=True)
                raise
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

        if path.is_file():  # whole, but for its line in the lock
            received = measure(path, file)
            if difference(file, received) is None and (earlier is None or received.sha256 == earlier.sha256):
                moved(received.size_bytes)
                return received
        due = file if earlier is None or file.sha256 else replace(file, sha256=earlier.sha256)
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
                f"{self.folder / locks.NAME} holds what came on {earlier.received}: the site changed its file. Move "
                "that lock away to take the new one.",
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
    if card.access.kind == "github" and not strict:
        _same_tree(card, folder, lock, client)
    unpack_all(folder, keep=keep)
    images = sum(1 for _ in source.items(folder))
    if strict and not images:
        names = ", ".join(file.name for file in card.files) or "what its page gives"
        raise FetchError(f"Nothing that {card.slug} is made of was found.", f"Expected is {names}. {steps(card)}")
    lock = replace(lock, contents=locks.contents(folder))
    said = []
    if before is not None and before.contents is not None:
        said += [f"{path} differs from what came before." for path in _changed(before.contents, lock.contents or {})]
    locks.write(folder, lock)
    _tidy(folder, lock)
    return _fetched(card, folder, lock, images, said)


def _tidy(folder: Path, lock: Lock) -> None:
    """Remove what killed runs left beside files that are whole now."""
    for place in {(folder / name).parent for name in lock.files} | {folder}:
        sweep(place)
        for left in [*place.glob(".*.partial"), *place.glob(".*.partial.json")]:
            left.unlink(missing_ok=True)


def _changed(before: Mapping[str, tuple[int, str]], after: Mapping[str, tuple[int, str]]) -> list[str]:
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _there_already(source: Source, folder: Path, lock: Lock, client: Client | None) -> Fetched:
    """Nothing is fetched; what the site lists today is held against the lock."""
    card, said = source.card, ["it is there already, as its lock says."]
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
    if not images:
        raise FetchError(
            f"{card.slug}: {len(lock.contents or {})} files are in {folder}, and its adapter knows none of them.",
            "Its site changed the layout, or gave another set: look at them, and tell the makers of openus.",
        )
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
    tops = {path.partition("/")[0] for path in locks.lost(folder, before, quick=True)}
    if tops and any(_VOLUME.search(name) for name in before.files):
        tops |= {path.name for path in folder.glob(f"*{UNPACKED}")}  # which volume held it, nobody knows
    for top in tops:
        if top.endswith(UNPACKED):
            shutil.rmtree(folder / top, ignore_errors=True)


_VOLUME = re.compile(r"(?i)\.z\d\d+$|\.\d{3}$|\.part\d+\.rar$")


def _link(origin: Path, target: Path) -> None:
    try:
        os.link(origin.resolve(), target)
    except OSError:
        shutil.copyfile(origin, target)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The only process that fetches into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".fetching"
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
