"""What a person fetched by hand, to the folder that a fetch would have made of it, verified as a download is."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

from openus.data import RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch import lock as locks
from openus.fetch.archive import SUFFIXES, UNPACKED, unpack_all
from openus.fetch.download import SNIFF, check_beginning, difference, measure
from openus.fetch.folder import MARK, THERE_ALREADY, Fetched, alone, begun, fetched, finish, locked
from openus.fetch.listing import check_terms, steps
from openus.fetch.lock import Lock, Locked
from openus.sources import Source
from openus.sources._layout import is_hidden
from openus.storage import walk


def adopt(source: Source, root: Path, origin: Path, *, accepted: bool = False, keep: bool = False) -> Fetched:
    """Take what a person fetched (an archive, a folder of parts, an unpacked folder) to `root/<slug>/`.

    Files are linked where the disk allows it, else copied; `origin` is left as it is. A folder with a lock of its own
    must be as that says. Raises UsageError, and FetchError where nothing in `origin` fits the source's layout, or
    something in it is not what it should be: then nothing of it stays.
    """
    card, slug = source.card, source.card.slug
    check_terms(card, accepted)
    folder = (root / slug).resolve()  # it may be a link to another disk
    if not origin.exists():
        raise UsageError(f"{origin} is not there.", "Name the archive, or the folder, that you downloaded.")
    if origin.resolve() in (folder, *folder.parents):
        raise UsageError(f"{origin} holds {folder}, to which it should go.", "Move what you downloaded elsewhere.")
    aside = folder.parent / f".{slug}.adopting.part"
    try:
        with alone(folder):
            if any(path.name != MARK for path in folder.iterdir()):
                before = locks.read(folder)
                if (
                    before is not None
                    and before.slug == slug
                    and before.whole
                    and not locks.lost(folder, before, quick=True)
                ):
                    return fetched(source, root / slug, before, [THERE_ALREADY])
                raise FetchError(f"{folder} holds something already.", "Move it away, then adopt.")
            shutil.rmtree(aside, ignore_errors=True)
            try:
                aside.mkdir(parents=True)
                lock = _made(source, origin, aside, accepted, keep)
                (folder / MARK).unlink()
                folder.rmdir()
                aside.rename(folder)
                return fetched(source, root / slug, lock)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise FetchError(
            f"{origin} could not be adopted: {error.filename or ''} {error.strerror or error}.",
            "Look at that place, and whether the disk has room.",
        ) from error


def _made(source: Source, origin: Path, aside: Path, accepted: bool, keep: bool) -> Lock:
    card = source.card
    lock = replace(begun(card, None, accepted), files=_linked(source, origin, aside))
    unpack_all(aside, keep=keep)
    if next(iter(source.items(aside)), None) is None:
        names = ", ".join(file.name for file in card.files) or "what its page gives"
        raise FetchError(f"Nothing that {card.slug} is made of was found.", f"Expected is {names}. {steps(card)}")
    return finish(aside, lock)


def _linked(source: Source, origin: Path, aside: Path) -> dict[str, Locked]:
    """All of `origin` below `aside`, and the lines of the files that are downloads, each verified."""
    card = source.card
    base, paths = origin.parent, [origin.name]
    files: dict[str, Locked] = {}
    if origin.is_dir():
        base, (paths, unlisted) = origin, walk(origin)
        if unlisted:
            path, why = unlisted[0]
            raise FetchError(f"{origin / path} was not looked into: {why}.", "Mend that first.")
        theirs = locks.read(origin)
        if theirs is not None and theirs.slug == card.slug and theirs.whole:
            wrong = locks.lost(origin, theirs, quick=False)
            if wrong:
                path, what = next(iter(wrong.items()))
                raise FetchError(f"{origin}: {path} {what}, by the lock in it.", "Copy it again.")
            files |= theirs.files
    known = {file.name.rpartition("/")[2]: file for file in card.files}
    for path in paths:
        name = PurePosixPath(path).name
        if name == locks.NAME or is_hidden(path) or _comes_again(path, set(paths)):
            continue
        target = aside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(base / path, target)
        if path not in files and (name in known or name.lower().endswith(SUFFIXES)):
            files[path] = _verified(replace(known.get(name, RemoteFile(name)), name=path), target)
    return files


def _comes_again(path: str, paths: set[str]) -> bool:
    """Whether a file came out of an archive that is brought too: the archive counts."""
    parts = path.split("/")
    folders = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return any(folder.endswith(UNPACKED) and folder.removesuffix(UNPACKED) in paths for folder in folders)


def _verified(file: RemoteFile, path: Path) -> Locked:
    with path.open("rb") as data:
        check_beginning(file, data.read(SNIFF), str(path))
    received = measure(path, file)
    wrong = difference(file, received)
    if wrong:
        raise FetchError(wrong, "It is another version, or it was damaged on the way.")
    return locked(file, received, None)


def _link(origin: Path, target: Path) -> None:
    try:
        os.link(origin.resolve(), target)
    except OSError:
        shutil.copyfile(origin, target)
