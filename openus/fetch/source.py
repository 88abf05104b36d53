"""A source from its site to a folder that its adapter reads, with a lock of what came.

Every run goes the same way, whatever an earlier one left: what lies there as the lock says stays, what is damaged or
missing comes, what is packed is unpacked, and what came out is held against the lock before it is put in place.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from openus.data import Card, Progress, silent
from openus.errors import FetchError, OpenusError
from openus.fetch import lock as locks
from openus.fetch.client import Client
from openus.fetch.folder import ADOPTED, Fetched, alone, already, empty, fetched, put_in_place, with_contents
from openus.fetch.intake import Intake, is_another
from openus.fetch.listing import MADE_ON_THE_FLY, RESOLVERS, by_hand, check_terms, resolve, steps
from openus.fetch.lock import Lock
from openus.sources import LOCK_NAME, Source


def fetch(
    source: Source,
    root: Path,
    client: Client,
    *,
    accepted: bool = False,
    keep: bool = False,
    jobs: int = 4,
    report: Progress = silent,
) -> Fetched:
    """Bring a source to `root/<slug>/`: downloaded, verified, unpacked, locked.

    Args:
        source: which.
        root: folder of all sources.
        client: what speaks to the site.
        accepted: a person accepted terms that are not open.
        keep: keep archives beside what came out of them.
        jobs: files at once.
        report: told, in bytes, of every piece of `slug/file` that comes, and of `slug: what is done`.

    Raises UsageError for terms that were not accepted, FetchError for what the site does or a person left in the
    folder, ArchiveError.
    """
    card, folder = source.card, root / source.card.slug
    check_terms(card, accepted)
    before = locks.read(folder)
    if before is not None and before.slug != card.slug:
        raise FetchError(f"{folder / LOCK_NAME} is {before.slug}'s.", "Move it away.")
    if before is not None and before.whole and not locks.lost(folder, before, quick=True):
        said = _what_changed(card, before, client)
        if keep and any(one.contents and not (folder / one.name).is_file() for one in before.files.values()):
            said.append("its archives were not all kept when it came.")
        return already(source, folder, before, said)
    if before is None and (why := by_hand(card)) is not None:
        raise FetchError(f"{card.slug}: no program can fetch it, as {why}.", steps(card))
    with alone(folder) as work:
        before = locks.read(folder)
        shutil.rmtree(work / ADOPTED, ignore_errors=True)  # of an adoption that was killed
        if before is not None and not before.whole and before.kind != card.access.kind:
            before = None  # it had begun to come from elsewhere
            empty(work)
        run = Intake(card, folder, work, client, report, before, accepted)
        run.receive(jobs)
        run.unpack(keep)
        if next(iter(source.items(work)), None) is None and next(iter(source.items(folder)), None) is None:
            raise FetchError(
                f"{card.slug}: what came lies in {work}, and its adapter knows none of it.",
                "Its site changed the layout, or gave another set: look at it, and tell the makers of openus.",
            )
        lock = with_contents(run.lock, work, run.counter(": hashing"))
        put_in_place(folder, lock, work)
    return fetched(source, folder, lock)


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
    report: Progress = silent,
    done: Callable[[Fetched | Missed], None] = silent,
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

    at_once = max(1, min(jobs, len(sources)))
    jobs = max(1, jobs // at_once)  # of each
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(one, source) for source in sources]
        try:
            for future in futures:
                future.result()
        except BaseException:
            client.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _what_changed(card: Card, lock: Lock, client: Client) -> list[str]:
    """What the site lists otherwise than when the lock was written, a sentence each."""
    if card.access.kind not in RESOLVERS or card.access.kind != lock.kind or not lock.files:
        return []
    hurried = replace(client.patience, tries=1, timeout_s=10.0)  # it is a courtesy
    try:
        with Client(client.mirrors, hurried, client.sleep, client.stop) as quick:
            files = resolve(card, quick)
    except OpenusError as error:
        return [f"whether the site changed it is not known: {error.message}"]
    said: list[str] = []
    is_adopted = all(one.url is None for one in lock.files.values())
    for file in files:
        one = lock.files.get(file.name)
        if one is None and card.access.kind not in MADE_ON_THE_FLY and not is_adopted:
            said.append(f"the site lists {file.name} too, which is not among what came.")
        elif one is not None and is_another(file, one):
            said.append(f"the site changed {file.name} since {one.received}; yours is as it came then.")
    return said
