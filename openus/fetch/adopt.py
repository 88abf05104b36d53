"""What a person fetched by hand, to the folder that a fetch would have made of it, verified as a download is."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from openus.data import Advance, Card, Progress, RemoteFile, silent
from openus.errors import FetchError, UsageError
from openus.fetch import lock as locks
from openus.fetch.archive import UNPACKED, kind, opener, unpack_all, volumes
from openus.fetch.checksums import difference, measure
from openus.fetch.content import SNIFF, check_beginning
from openus.fetch.folder import (
    ADOPTED,
    MARK,
    WORK,
    Fetched,
    alone,
    already,
    broken,
    counter,
    fetched,
    link,
    lock_entry,
    new_lock,
    put_in_place,
    with_contents,
)
from openus.fetch.listing import check_terms, steps
from openus.fetch.lock import Lock, LockEntry
from openus.sources import LOCK_NAME, Source
from openus.storage import is_hidden, sha256_file, walk


def adopt(
    source: Source,
    root: Path,
    origin: Path,
    *,
    accepted: bool = False,
    keep: bool = False,
    report: Progress = silent,
) -> Fetched:
    """Take what a person fetched (an archive, a folder of parts, an unpacked folder) to `root/<slug>/`.

    Files are linked where the disk allows it, else copied; `origin` is left as it is. A folder with a lock of its own
    must be as that says. Where `root/<slug>/` has a lock, what is missing there is brought, and must be what came then.

    Raises UsageError, and FetchError where nothing in `origin` fits the source's layout, or something in it is not what
    it should be: then nothing of it stays.
    """
    check_terms(source.card, accepted)
    try:
        return _adopt(source, root / source.card.slug, origin, accepted, keep, report)
    except OSError as error:
        raise FetchError(
            f"{origin} could not be adopted: {error.filename or ''} {error.strerror or error}.",
            "Look at that place, and whether the disk has room.",
        ) from error


def _adopt(source: Source, folder: Path, origin: Path, accepted: bool, keep: bool, report: Progress) -> Fetched:
    card, real = source.card, origin.resolve()
    if not (origin.is_file() or origin.is_dir()):
        what = "is no file and no folder" if origin.exists() else "is not there"
        raise UsageError(f"{origin} {what}.", "Name the archive, or the folder, that you downloaded.")
    if real in (folder.resolve(), *folder.resolve().parents) or WORK in real.parts:
        raise UsageError(f"{origin} holds {folder}, to which it should go.", "Move what you downloaded elsewhere.")
    before = locks.read(folder)
    if before is not None and before.slug != card.slug:
        raise FetchError(f"{folder / LOCK_NAME} is {before.slug}'s.", "Move it away.")
    mending = before if before is not None and before.whole else None
    if mending and not locks.lost(folder, mending, quick=True):
        return already(source, folder, mending, [f"nothing of {origin} was taken."])
    with alone(folder) as work:
        others = {path.name for path in folder.iterdir()} - {WORK}
        if others - {LOCK_NAME} and not mending:
            raise FetchError(f"{folder} holds something already.", "Move it away, then adopt.")
        made = work / ADOPTED
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        try:
            lock = new_lock(card, mending, accepted)
            if mending:
                files = _mended(origin, made, folder, mending)
            else:
                theirs = locks.read(origin) if origin.is_dir() else None
                if theirs is not None and theirs.slug == card.slug and theirs.whole:
                    lock = replace(lock, kind=theirs.kind, ids=theirs.ids)
                    files = _as_locked(card, origin, theirs, made)
                else:
                    files = _taken(card, origin, made, counter(report, f"{card.slug}: reading"))
            unpack_all(made, keep=keep, progress=counter(report, f"{card.slug}: unpacking"))
            if not mending and next(iter(source.items(made)), None) is None:
                names = ", ".join(file.name for file in card.files) or "what its page gives"
                raise FetchError(
                    f"Nothing that {card.slug} is made of was found.", f"Expected is {names}. {steps(card)}"
                )
            lock = with_contents(replace(lock, files=files), made, counter(report, f"{card.slug}: hashing"))
            _take_up(work, made)
            put_in_place(folder, lock, work)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return fetched(source, folder, lock, _left_out(card, lock))


def _take_up(work: Path, made: Path) -> None:
    """Let all that was gathered be what WORK holds: from here on a run that is killed can be gone on with."""
    for path in work.iterdir():
        if path.name not in (made.name, MARK):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in [*made.iterdir()]:
        path.rename(work / path.name)


def _offered(slug: str, origin: Path) -> dict[str, Path]:
    """The name of each file that is adopted, and where it lies. Raises FetchError where another source's lock lies."""
    if not origin.is_dir():
        return {origin.name: origin}
    paths, unlisted = walk(origin)
    if unlisted:
        raise FetchError(f"{origin / unlisted[0][0]} was not looked into: {unlisted[0][1]}.", "Mend that first.")
    found: dict[str, Path] = {}
    all_paths = set(paths)
    for path in paths:
        if path.rpartition("/")[2] == LOCK_NAME:
            theirs = locks.read((origin / path).parent)
            if theirs is not None and theirs.slug != slug:
                raise FetchError(f"{origin} holds {theirs.slug} too, in {path}.", f"Name the folder of {slug} itself.")
        elif not (is_hidden(path) or path.endswith(_UNFINISHED) or _comes_again(path, all_paths)):
            name = path.replace(f"{UNPACKED}/", "/")
            if name in found:
                raise FetchError(f"{origin / path} and {found[name]} would lie at one place.", "Move one of them away.")
            found[name] = origin / path
    return found


def _taken(card: Card, origin: Path, made: Path, count: Advance) -> Mapping[str, LockEntry]:
    """All of `origin`, linked below `made`, each file verified by what is known of it."""
    offered = _offered(card.slug, origin)
    files: dict[str, LockEntry] = {}
    split = volumes(offered)
    for name, place in offered.items():
        link(place, made / name)
        files[name] = _verified(_known(card, name), name, made / name, place, name in split, count)
    return files


def _as_locked(card: Card, origin: Path, theirs: Lock, made: Path) -> Mapping[str, LockEntry]:
    """What a folder's own lock names, which has to be as that, and the card, say."""
    wrong = locks.lost(origin, theirs, quick=False)
    if wrong:
        path, what = next(iter(wrong.items()))
        raise FetchError(f"{origin}: {path} {what}, by the lock in it.", "Copy it again.")
    for one in theirs.files.values():
        known = _known(card, one.name)
        if known and (known.size_bytes not in (None, one.size_bytes) or known.sha256 not in (None, one.sha256)):
            raise FetchError(f"{one.name} in {origin} is not what the card says.", "It is another version.")
    for path in theirs.due():
        link(origin / path, made / path)
    return theirs.files


def _mended(origin: Path, made: Path, folder: Path, lock: Lock) -> Mapping[str, LockEntry]:
    """What is missing from the folder, below `made`: each file as it came then, whatever it is called in `origin`, or,
    from a folder with the same lock, what came out of it."""
    offered = _offered(lock.slug, origin)
    places = [*offered.values(), *(folder / name for name in lock.files)]  # an archive may have been kept
    by_size: dict[int, list[Path]] = {}
    for place in places:
        if place.is_file():
            by_size.setdefault(place.stat().st_size, []).append(place)
    lacking = []
    for name in sorted(broken(folder, lock)):
        one = lock.files[name]
        found = next((place for place in by_size.get(one.size_bytes, ()) if sha256_file(place) == one.sha256), None)
        if found is not None:
            link(found, made / name)
        elif not _linked_contents(origin, made, one):
            lacking.append(name)
    lacking = [name for name in lacking if not (made / f"{opener(name, lock.files)}{UNPACKED}").is_dir()]
    if lacking:
        raise FetchError(
            f"{folder} lacks {lacking[0]}, or some of it, and {origin} has no file that is what came before.",
            f"Bring that, or move {folder} away to adopt another version.",
        )
    return lock.files


def _linked_contents(origin: Path, made: Path, one: LockEntry) -> bool:
    """Whether all that came out of an archive lies in `origin`, as in a raw folder; then it is below `made` too."""
    inside = {f"{one.name}{UNPACKED}/{path}": sha256 for path, (_, sha256) in (one.contents or {}).items()}
    if one.contents is None or not all(
        (origin / path).is_file() and sha256_file(origin / path) == sha256 for path, sha256 in inside.items()
    ):
        return False
    for path in inside:
        link(origin / path, made / path)
    return True


def _known(card: Card, path: str) -> RemoteFile | None:
    """The card's file of that name, also where a browser gave it a number: `x (1).zip`.

    Of several with one name the one whose folders fit, or none.
    """
    plain = re.sub(r" ?\(\d+\)(?=\.[^/]*$|$)", "", path)
    for name in (unicodedata.normalize("NFC", path), unicodedata.normalize("NFC", plain)):
        last = name.rpartition("/")[2]
        found = [file for file in card.files if unicodedata.normalize("NFC", file.name).rpartition("/")[2] == last]
        fits = [file for file in found if f"/{name}".endswith(f"/{unicodedata.normalize('NFC', file.name)}")]
        if fits or len(found) == 1:
            return (fits or found)[0]
    return None


def _left_out(card: Card, lock: Lock) -> list[str]:
    """Files of the card that were not brought, where others were."""
    brought = {known.name for name in lock.files if (known := _known(card, name))}
    is_packed = any(one.contents is not None for one in lock.files.values())  # else a person unpacked the archives
    missing = [file.name for file in card.files if file.name not in brought and (is_packed or not kind(file.name))]
    return [f"of the card's files these were not brought: {', '.join(missing)}."] if brought and missing else []


_UNFINISHED = (".crdownload", ".download", ".part")
"""How browsers name what is still on its way."""


def _comes_again(path: str, paths: set[str]) -> bool:
    """Whether a file came out of an archive that is brought too: the archive counts."""
    parts = path.split("/")
    folders = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return any(folder.endswith(UNPACKED) and folder.removesuffix(UNPACKED) in paths for folder in folders)


def _verified(known: RemoteFile | None, name: str, copy: Path, origin: Path, split: bool, count: Advance) -> LockEntry:
    file = replace(known, name=name) if known else RemoteFile(name)
    if split:
        file = replace(file, archive="split")
    try:
        if known or kind(name):  # names of others are the publisher's own business
            with copy.open("rb") as data:
                check_beginning(file, data.read(SNIFF), str(origin))
    except FetchError as error:
        raise FetchError(error.message, "Get it again.") from error
    received = measure(copy, file, count)
    wrong = difference(file, received)
    if wrong:
        raise FetchError(f"{origin}: {wrong}", "It is another version, or it was damaged on the way.")
    return lock_entry(file, received, None)
