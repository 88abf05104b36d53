"""The files of one source into the folder where work is done: what is to come, received, unpacked, and noted.

What earlier runs brought, or a person put there, is taken where it is shown to be the site's.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from openus.data import Advance, Card, Progress, RemoteFile
from openus.errors import ArchiveError, FetchError
from openus.fetch import github
from openus.fetch import lock as locks
from openus.fetch.archive import UNPACKED, opener, parts, unpack_all, volumes
from openus.fetch.checksums import Received, difference, measure
from openus.fetch.client import Client
from openus.fetch.download import check_free_space, download
from openus.fetch.folder import ELSEWHERE, broken, counter, link, lock_entry, new_lock
from openus.fetch.listing import MADE_ON_THE_FLY, RESOLVERS, by_hand, resolve, safe, steps
from openus.fetch.lock import Lock, LockEntry
from openus.fetch.partial import on_its_way, was_finished
from openus.storage import is_hidden, sha256_file

MOST_AT_ONCE = 4
"""Files of one site."""
_YOURS = "Move it away, then fetch again, or adopt it with --from."


class Intake:
    """One run for one source: what is to come, and the lock as far as it came."""

    def __init__(
        self,
        card: Card,
        folder: Path,
        work: Path,
        client: Client,
        report: Progress,
        before: Lock | None,
        accepted: bool,
    ) -> None:
        self.card, self.folder, self.work = card, folder, work
        self.client, self.report, self.lock = client, report, new_lock(card, before, accepted)
        self.before_kind = before.kind if before is not None and before.files else None
        lock, self.had = self.lock, self.lock.files
        """What runs before received."""
        self.due = broken(folder, lock, self.counter(": checking")) if lock.whole else set(lock.files)
        """What of that does not lie in the folder as it came."""
        self.must_equal = lock.whole and card.access.kind not in MADE_ON_THE_FLY
        """Whether what came must come again byte for byte; else what is in it must, if the folder was whole."""
        self.files: list[RemoteFile] = []
        self._came: dict[str, LockEntry] = {}
        self._guard = threading.Lock()
        self._written = time.monotonic()

    def counter(self, what: str, whole: int | None = None) -> Advance:
        """A function that reports the bytes of `what` it is called with, until the client is stopped."""
        return counter(self.report, f"{self.card.slug}{what}", whole, self.client.stop)

    def receive(self, jobs: int) -> None:
        """All files into WORK, several at once; each stands in the lock as soon as it is whole."""
        self.files = self._listed()
        self._make_room()
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
            names = [file.name for file in self.files]
            self.lock = replace(self.lock, files={name: (self._came.get(name) or self.had[name]) for name in names})
        finally:
            self._write()

    def _listed(self) -> list[RemoteFile]:
        """What the site lists; of a folder that was whole, what belongs to it."""
        card = self.card
        no_site = not self.due or (self.must_equal and all(map(self._is_at_hand, self.due)))
        if self.lock.whole and no_site:
            return [RemoteFile(one.name, one.url, one.size_bytes) for one in self.had.values()]
        self._check_site()
        if card.access.kind == "github":
            commit = next(filter(None, map(github.commit_of, self.had)), None)
            ids = {**card.access.ids, **({"commit": commit} if commit else {})}
            card = replace(card, access=replace(card.access, ids=ids))
        files = [replace(file, name=safe(card, file.name)) for file in resolve(card, self.client)]
        files = [file for file in files if not is_hidden(file.name)]  # no adapter sees them
        names = {file.name for file in files}
        split = volumes(names)
        files = [replace(file, archive="split") if file.name in split else file for file in files]
        gone = sorted(set(self.had) - names)
        if gone and self.lock.whole:
            raise FetchError(f"{card.slug}: its site lists no {gone[0]}, which the lock holds.", ELSEWHERE)
        for name in gone:
            self._drop(name)
        return [file for file in files if not self.lock.whole or file.name in self.had]

    def _check_site(self) -> None:
        """Raises FetchError where this site cannot mend what came from elsewhere, and where no program can ask it."""
        path = min(self.due, default="")
        if self.lock.whole and all(one.url is None for one in self.had.values()):
            path, what = next(iter(locks.lost(self.folder, self.lock, quick=False).items()))
            raise FetchError(f"{self.folder}: {path} {what}, and a person brought it.", "Bring it again with --from.")
        if self.before_kind not in (None, self.card.access.kind):
            raise FetchError(
                f"{self.folder} lacks {path}, and it came from another place ({self.before_kind}).",
                f"Fetch it as it was fetched then (--mirror or not), or move {self.folder} away.",
            )
        why = by_hand(self.card)
        if why is not None:
            raise FetchError(f"{self.card.slug}: no program can fetch it, as {why}.", steps(self.card))

    def _drop(self, name: str) -> None:
        """Remove what came of a file in WORK."""
        (self.work / name).unlink(missing_ok=True)
        shutil.rmtree(self._unpacked(name), ignore_errors=True)

    def _is_at_hand(self, name: str) -> bool:
        """Whether a file, or what came out of it, lies in WORK since a run was killed, or was kept."""
        places = (self.work / name, self.folder / name)
        same = any(path.is_file() and sha256_file(path) == self.had[name].sha256 for path in places)
        return same or self._unpacked(name).is_dir()

    def _make_room(self) -> None:
        coming = 0
        for file in self.files:
            place = self.work / file.name
            is_here = place.exists() or self._unpacked(file.name).exists()
            if (file.name in self.due or file.name not in self.had) and not is_here:
                coming += max(0, (file.size_bytes or 0) - on_its_way(place))
        check_free_space(self.work, coming)

    def _unpacked(self, name: str) -> Path:
        """Where what comes out of a file is put, if that is an archive or a volume of one."""
        return self.work / f"{opener(name, self.had)}{UNPACKED}"

    def _bring(self, file: RemoteFile) -> None:
        had = self.had.get(file.name)
        if had is not None and file.name not in self.due:
            return
        if had is not None and not self.lock.whole and is_another(file, had):  # since a run was killed
            self._drop(file.name)
            had = None
        here = self._received(file, had) or self._put_there(file, had)
        if here is not None:
            self._note(here)
        elif had is None or not self.must_equal:
            contents = None if had is None else had.contents
            self._note(replace(lock_entry(file, self._download(file), file.url), contents=contents))
        else:
            changed = f"{self.card.slug}: the site changed {file.name}, which came on {had.received}"
            if is_another(file, had):
                raise FetchError(f"{changed}: it lists another size or checksum.", ELSEWHERE)
            try:
                self._download(replace(file, sha256=had.sha256))
                self._note(had)
            except FetchError as error:
                if had.sha256 not in error.message:
                    raise
                raise FetchError(f"{changed}. {error.message}", ELSEWHERE) from error

    def _received(self, file: RemoteFile, had: LockEntry | None) -> LockEntry | None:
        """The line of a file that an earlier run received; what is not as it was then is removed."""
        place = self.work / file.name
        if place.is_file():
            received = self._measured(file, place)
            if had is not None and received.sha256 == had.sha256:
                return had
            known = file.md5 or file.sha256 or file.git_sha1 or was_finished(place, received)
            if known and difference(file, received) is None and (had is None or not self.must_equal):
                return replace(lock_entry(file, received, file.url), contents=None if had is None else had.contents)
        elif had is not None and self._unpacked(file.name).is_dir():
            return had
        self._drop(file.name)
        return None

    def _put_there(self, file: RemoteFile, had: LockEntry | None) -> LockEntry | None:
        """The line of a file that lies in the folder: an archive that was kept, or what a person put there.

        Raises FetchError for what nothing shows to be the site's.
        """
        place = self.folder / file.name
        unpacked = self.folder / f"{file.name}{UNPACKED}"
        if not self.lock.whole and os.path.lexists(unpacked):
            raise FetchError(f"{unpacked} is there, and no lock says what it came out of.", _YOURS)
        line, why = None, f"It is no file, and {file.name} is to come."
        if place.is_file():
            received = self._measured(file, place)
            wrong = difference(file, received)
            why = wrong or "Nothing that its site tells shows whether it is the file that is due."
            if had is not None and received.sha256 == had.sha256:
                line = had
            elif had is None and not wrong and (file.md5 or file.sha256 or file.git_sha1):
                line = lock_entry(file, received, file.url)
        if line is not None:
            link(place, self.work / file.name)
        elif (had is None or not self.lock.whole) and os.path.lexists(place):
            raise FetchError(f"{place} is there, and this command did not bring it. {why}", _YOURS)
        return line

    def _measured(self, file: RemoteFile, place: Path) -> Received:
        return measure(place, file, self.counter(f"/{file.name}", file.size_bytes))

    def _download(self, file: RemoteFile) -> Received:
        count = self.counter(f"/{file.name}", file.size_bytes)
        try:
            return download(self.client, file, self.work, count, keep_notes=True)
        except FetchError as error:
            fresh = self._fresh(file) if error.renewable else None
            if fresh is None:
                raise
            return download(self.client, fresh, self.work, count, keep_notes=True)

    def _fresh(self, due: RemoteFile) -> RemoteFile | None:
        """The same file at a new address; None where the site tells the one that we know."""
        if self.card.access.kind not in RESOLVERS:
            return None
        again = next((one for one in resolve(self.card, self.client) if one.name == due.name), None)
        return None if again is None or again.url == due.url else replace(due, url=again.url)

    def _note(self, entry: LockEntry) -> None:
        with self._guard:
            self._came[entry.name] = entry
            if time.monotonic() - self._written > 1.0:  # until then a file is known by its notes
                self._write()

    def _write(self) -> None:
        if self._came:
            locks.write(self.folder, replace(self.lock, files={**self.lock.files, **self._came}))
            self._written = time.monotonic()

    def unpack(self, keep: bool) -> None:
        """Unpack all. An archive that is damaged, and that nothing else could prove, comes again on the next run."""
        count = self.counter(": unpacking")
        try:
            for file in self.files if self.card.access.kind == "github" else ():
                snapshot = self.work / file.name
                if snapshot.is_file():  # else all this was done
                    github.settle(self.card.access.ids["repo"], snapshot, file.members, self.client, count)
            unpack_all(self.work, keep=keep, progress=count)
        except ArchiveError as error:
            if error.damaged is not None:
                self._forget(parts(error.damaged))
            raise

    def _forget(self, damaged: Sequence[Path]) -> None:
        """Let come again what is, or holds, what is damaged, where nothing but its unpacking proves it."""
        files, inside = self.lock.files, (path.relative_to(self.work).as_posix() for path in damaged)
        tops = set(map(locks.top, inside))
        names = [name for name in files if name in tops or opener(name, files) in tops]
        gone = [name for name in names if _is_unproved(files[name]) and files[name].contents is None]
        locks.write(self.folder, replace(self.lock, files={n: one for n, one in files.items() if n not in gone}))
        for name in gone:
            self._drop(name)


def is_another(file: RemoteFile, one: LockEntry) -> bool:
    """Whether the site itself lists another file today than the one that came."""
    pairs = ((file.size_bytes, one.size_bytes), (file.sha256, one.sha256), (file.md5, one.md5))
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def _is_unproved(one: LockEntry) -> bool:
    return one.verified in ("size", locks.PINNED)
