"""A source from its site to a folder that its adapter reads, with a lock of what came.

Every run goes the same way, whatever an earlier one left: what lies there as the lock says stays, what is damaged or
missing comes, what is packed is unpacked, and what came out is held against the lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from openus.data import Card, RemoteFile
from openus.errors import ArchiveError, FetchError, OpenusError
from openus.fetch import github
from openus.fetch import lock as locks
from openus.fetch.archive import archives, parts, unpack_all
from openus.fetch.client import Client
from openus.fetch.download import Received, difference, download, measure, room, was_finished
from openus.fetch.folder import (
    MOVE,
    THERE_ALREADY,
    Fetched,
    alone,
    begun,
    clear,
    fetched,
    finish,
    locked,
    set_aside,
    tidy,
)
from openus.fetch.listing import MADE_ON_THE_FLY, RESOLVERS, by_hand, check_terms, resolve, safe, steps
from openus.fetch.lock import Lock, Locked
from openus.sources import Source

Report = Callable[[str, int, int | None], None]
"""Called with (`slug/file` or `slug: what is done`, bytes that are here, bytes of the whole or None)."""
MOST_AT_ONCE = 4
"""Files of one site."""


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

    Raises UsageError for terms that were not accepted, FetchError for what the site does or a person left in the
    folder, ArchiveError.
    """
    card, folder = source.card, root / source.card.slug
    check_terms(card, accepted)
    why = by_hand(card)
    needs_person = None if why is None else FetchError(f"{card.slug}: no program can fetch it, as {why}.", steps(card))
    if needs_person is not None and not folder.exists():
        raise needs_person
    with alone(folder):
        before = locks.read(folder)
        if before is not None and before.slug != card.slug:
            raise FetchError(f"{folder / locks.NAME} is {before.slug}'s.", "Move it away.")
        if before is not None and before.whole and not locks.lost(folder, before, quick=True):
            tidy(folder, before)
            return fetched(source, folder, before, [THERE_ALREADY, *_what_changed(card, before, client)])
        if needs_person is not None:
            raise needs_person
        run = _Run(card, folder, client, report, begun(card, before, accepted))
        try:
            if before is not None:
                run.said += clear(folder, before)
                locks.write(folder, run.lock)  # from here to the end of the run the folder is not whole
            run.receive(jobs)
            run.unpack(keep)
            if next(iter(source.items(folder)), None) is None:
                raise FetchError(
                    f"{card.slug}: what came lies in {folder}, and its adapter knows none of it.",
                    "Its site changed the layout, or gave another set: look at it, and tell the makers of openus.",
                )
            lock = finish(folder, run.lock, run.lock.files, run.counter(": hashing"))
        except OpenusError as error:
            error.hint = " ".join([error.hint, *run.said])
            raise
        return fetched(source, folder, lock, run.said)


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


def _is_another(file: RemoteFile, one: Locked) -> bool:
    """Whether the site itself lists another file today than the one that came."""
    return file.size_bytes not in (None, one.size_bytes) or file.sha256 not in (None, one.sha256)


def _what_changed(card: Card, lock: Lock, client: Client) -> list[str]:
    """What the site lists otherwise than when the lock was written, a sentence each."""
    if card.access.kind not in RESOLVERS or not lock.files:
        return []
    try:
        files = resolve(card, client)
    except OpenusError as error:
        return [f"whether the site changed it is not known: {error.message}"]
    said = []
    for file in files:
        one = lock.files.get(file.name)
        if one is None and card.access.kind not in MADE_ON_THE_FLY:
            said.append(f"the site lists {file.name} too, which was not there on the day of the lock.")
        elif one is not None and _is_another(file, one):
            said.append(f"the site changed {file.name} since {one.received}; yours is as it came then.")
    return said


class _Run:
    """One run for one source: what is to come, and the lock as far as it came."""

    def __init__(self, card: Card, folder: Path, client: Client, report: Report, lock: Lock) -> None:
        self.card, self.folder, self.client, self.report, self.lock = card, folder, client, report, lock
        self.had = lock.files
        """What runs before received."""
        self.pinned = card.access.kind not in MADE_ON_THE_FLY
        """Whether that must come again byte for byte; else what is in it must."""
        self.files: list[RemoteFile] = []
        self.said: list[str] = []
        """What a person should hear."""
        self._guard = threading.Lock()
        self._written = time.monotonic()

    def counter(self, what: str, whole: int | None = None) -> Callable[[int], None]:
        """A function to be called with the bytes that were done. It ends the run where that was asked for."""
        here = 0

        def count(more: int) -> None:
            nonlocal here
            if self.client.stop.is_set():
                raise KeyboardInterrupt
            here += more
            self.report(f"{self.card.slug}{what}", here, whole)

        return count

    def receive(self, jobs: int) -> None:
        """All files into the folder, several at once; each stands in the lock as soon as it is whole."""
        self.files = self._listed()
        self._refuse_strange_archives()
        places = [(self.folder / file.name, file.size_bytes or 0) for file in self.files]
        room(self.folder, sum(size for path, size in places if not path.is_file() and locks.came_out(path) is None))
        try:
            with ThreadPoolExecutor(max(1, min(jobs, MOST_AT_ONCE))) as pool:
                futures = [pool.submit(self._bring, file) for file in self.files]
                try:
                    failed = [error for future in futures if (error := future.exception()) is not None]
                except BaseException:
                    self.client.stop.set()  # all files stop, with all that came kept
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
            if failed:  # the others came all the same
                raise failed[0]
            self.lock = replace(self.lock, files={file.name: self.lock.files[file.name] for file in self.files})
        finally:
            if self.lock.files:
                locks.write(self.folder, self.lock)

    def _listed(self) -> list[RemoteFile]:
        card = self.card
        if card.access.kind == "github":
            commit = next(filter(None, map(github.commit_of, self.had)), None)
            ids = {**card.access.ids, **({"commit": commit} if commit else {})}
            card = replace(card, access=replace(card.access, ids=ids))
        files = [replace(file, name=safe(card, file.name)) for file in resolve(card, self.client)]
        if not self.pinned:
            return files
        gone = sorted(set(self.had) - {file.name for file in files})
        if gone:
            raise FetchError(f"{card.slug}: its site lists no {gone[0]}, which the lock holds.", MOVE)
        # a folder that was whole says what belongs to the set
        return [file for file in files if self.lock.contents is None or file.name in self.had]

    def _refuse_strange_archives(self) -> None:
        """What a person put there would be unpacked, and removed, with what comes."""
        mine = {file.name for file in self.files} | self.had.keys()
        for path in archives(self.folder):
            name = path.relative_to(self.folder).as_posix()
            waits = self.lock.contents is None and name != locks.top(name) in mine  # since a run was killed
            if not (name in mine or waits or locks.came_out(path)):
                raise FetchError(f"{path} is there, and this command did not bring it.", _YOURS)

    def _bring(self, file: RemoteFile) -> None:
        had = self.had.get(file.name)
        here = self._here(file, had)
        if here is not None:
            self._note(here)
        elif had is None or not self.pinned:
            self._download(file, lambda received: self._note(locked(file, received, file.url)))
        else:
            changed = f"{self.card.slug}: the site changed {file.name}, which came on {had.received}"
            if _is_another(file, had):
                raise FetchError(f"{changed}: it lists another size or checksum.", MOVE)
            try:
                self._download(replace(file, sha256=had.sha256), lambda _: self._note(had))
            except FetchError as error:
                if had.sha256 not in error.message:
                    raise
                raise FetchError(f"{changed}. {error.message}", MOVE) from error

    def _here(self, file: RemoteFile, had: Locked | None) -> Locked | None:
        """The line of a file that need not come: it lies there as it is due, or what came out of it does.

        What is not what came before is set aside. Raises FetchError for what a person put there.
        """
        path = self.folder / file.name
        unpacked = locks.came_out(path)
        if unpacked is not None and had is None:
            raise FetchError(f"{unpacked} is there, and no lock says what it came out of.", _YOURS)
        if not path.is_file():
            return had if unpacked is not None else None
        received = measure(path, file)
        self.counter(f"/{file.name}", file.size_bytes)(received.size_bytes)
        if had is not None and received.sha256 == had.sha256:
            return had
        wrong = difference(file, received)
        known = file.md5 or file.sha256 or file.git_sha1 or was_finished(path)
        if known and not wrong and (had is None or not self.pinned):
            return locked(file, received, file.url)
        if had is not None:
            self.said += set_aside(self.folder, [file.name])
            return None
        why = wrong or "Nothing that its site tells shows whether it is the file that is due."
        raise FetchError(f"{path} is there, and this command did not bring it. {why}", _YOURS)

    def _download(self, file: RemoteFile, settled: Callable[[Received], None]) -> None:
        count = self.counter(f"/{file.name}", file.size_bytes)
        try:
            download(self.client, file, self.folder, count, settled)
        except FetchError as error:
            fresh = self._fresh(file) if error.renewable else None
            if fresh is None:
                raise
            download(self.client, fresh, self.folder, count, settled)

    def _fresh(self, due: RemoteFile) -> RemoteFile | None:
        """The same file at a new address; None where the site tells the one that we know."""
        if self.card.access.kind not in RESOLVERS:
            return None
        again = next((one for one in resolve(self.card, self.client) if one.name == due.name), None)
        return None if again is None or again.url == due.url else replace(due, url=again.url)

    def _note(self, entry: Locked) -> None:
        with self._guard:
            self.lock = self.lock.with_file(entry)
            # a file whose checksum somebody published is known without its line, too
            if _is_unproved(entry) or time.monotonic() - self._written > 1.0:
                locks.write(self.folder, self.lock)
                self._written = time.monotonic()

    def unpack(self, keep: bool) -> None:
        """Unpack all. An archive that is damaged, and that nothing else could prove, comes again on the next run."""
        count = self.counter(": unpacking")
        try:
            for file in self.files if self.card.access.kind == "github" else ():
                if (self.folder / file.name).is_file():  # else all this was done
                    github.settle(
                        self.card.access.ids["repo"], self.folder / file.name, file.members, self.client, count
                    )
            unpack_all(self.folder, keep=keep, progress=count)
        except ArchiveError as error:
            if error.damaged is not None and self.lock.contents is None:
                self._forget(parts(error.damaged))
            raise

    def _forget(self, paths: Sequence[Path]) -> None:
        names = {path.relative_to(self.folder).as_posix() for path in paths}
        unproved = {name for name, one in self.lock.files.items() if name in names and _is_unproved(one)}
        files = {name: one for name, one in self.lock.files.items() if name not in unproved}
        locks.write(self.folder, replace(self.lock, files=files))
        for name in unproved:
            (self.folder / name).unlink()


_YOURS = "Move it away, then fetch again, or adopt it with --from."


def _is_unproved(one: Locked) -> bool:
    return one.verified in ("size", locks.PINNED)
