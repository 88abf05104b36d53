"""One file from its site to the disk: resumed, verified while it streams, and there only when it is whole.

While it comes it is `.<name>.partial`, beside `.<name>.partial.json`, which says from where and of which state. A
killed process leaves both, and the next run goes on behind the last byte, if the site says that the file is still the
same (RFC 9110 14.2 and 13.1.5: Range with If-Range).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from openus.data import Advance, RemoteFile, silent
from openus.errors import FetchError
from openus.fetch.address import redacted
from openus.fetch.client import Answer, Client, Transient, page_title
from openus.fetch.formats import end_of_zip

SNIFF = 1024
"""Bytes of a beginning that are looked at before any is kept."""
KEEP_FREE = 256 << 20

_MAGIC: Mapping[str, tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK00PK"),
    "rar": (b"Rar!\x1a\x07",),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "gz": (b"\x1f\x8b",),
    "tgz": (b"\x1f\x8b",),
    "xlsx": (b"PK\x03\x04",),
    "png": (b"\x89PNG",),
    "jpg": (b"\xff\xd8",),
    "hdf5": (b"\x89HDF",),
    "h5": (b"\x89HDF",),
    "avi": (b"RIFF",),
    "pdf": (b"%PDF",),
}
"""First bytes by the last word of the name, where only these can be."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"


@dataclass(frozen=True, slots=True)
class Received:
    """What came."""

    size_bytes: int
    sha256: str
    md5: str | None = None
    git_sha1: str | None = None
    """These two where they were due."""


@dataclass
class _State:
    """What is known of a file that is on its way; kept beside it."""

    url: str
    validator: str | None = None
    """A strong ETag or a Last-Modified, for If-Range."""
    total: int | None = None
    sha256: str | None = None
    """Of the whole, once it is verified."""


class _Partial:
    """A file on its way: its bytes, its state beside them, and the checksums of what came."""

    def __init__(self, file: RemoteFile, path: Path, progress: Advance) -> None:
        self.file, self.progress = file, progress
        self.path = path.with_name(f".{path.name}.partial")
        self.notes = path.with_name(f".{path.name}.partial.json")
        self.aside = path.with_name(f".{path.name}.partial.json.part")
        self.state = _State(redacted(str(file.url)))
        self._reset()
        if not self.path.exists():
            return
        kept = self._read()
        if kept is None or kept.url != self.state.url:
            self.path.unlink()
            return
        self.state = kept
        with self.path.open("rb") as data:
            while chunk := data.read(1 << 20):
                self._count(chunk)

    def _reset(self) -> None:
        self.size = 0
        self.hashes = {"sha256": hashlib.sha256()}
        if self.file.md5:
            self.hashes["md5"] = hashlib.md5(usedforsecurity=False)

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        for one in self.hashes.values():
            one.update(data)
        self.progress(len(data))

    def _read(self) -> _State | None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept: dict[str, Any] = json.loads(self.notes.read_text(encoding="utf-8"))
            return _State(kept["url"], kept["validator"], kept["total"])
        return None

    def begin(self, validator: str | None, total: int | None) -> None:
        """Note the state of the file whose first byte is about to come."""
        self._note(_State(self.state.url, validator, total))

    def end(self, received: Received) -> None:
        """Note that all is here and verified."""
        self._note(_State(self.state.url, self.state.validator, received.size_bytes, received.sha256))

    def _note(self, state: _State) -> None:
        self.state = state
        with self.aside.open("w", encoding="utf-8") as file:  # of one name, so that a killed run's is written over
            file.write(json.dumps(asdict(state)))
            file.flush()
            os.fsync(file.fileno())
        self.aside.replace(self.notes)

    def take(self, chunks: Iterable[bytes]) -> None:
        """Append the chunks. What is here when it stops, for whatever reason, is on the disk and counted."""
        with self.path.open("ab", buffering=0) as out:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) :]
                self._count(chunk)
                if self.state.total is not None and self.size > self.state.total:
                    self.forget()
                    raise FetchError(f"{self.file.name}: {self.state.url} sends more bytes than it told.")
            os.fsync(out.fileno())

    def forget(self) -> None:
        """Throw away what came."""
        self.progress(-self.size)
        self.path.unlink(missing_ok=True)
        self._reset()

    def drop(self) -> None:
        """Throw away all, the state too."""
        self.forget()
        self.notes.unlink(missing_ok=True)
        self.aside.unlink(missing_ok=True)

    def received(self) -> Received:
        """What came, with git's hash only where it is due: that begins with the size, which may not be known before."""
        hexes = {name: one.hexdigest() for name, one in self.hashes.items()}
        git = git_sha1(self.path) if self.file.git_sha1 else None
        return Received(self.size, hexes["sha256"], hexes.get("md5"), git)


def git_sha1(path: Path) -> str:
    """The hash of git's blob of a file: SHA-1 of `blob <size>\\0` and its bytes (git-hash-object(1))."""
    sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as data:
        while chunk := data.read(1 << 20):
            sha1.update(chunk)
    return sha1.hexdigest()


def measure(path: Path, file: RemoteFile, progress: Advance = silent) -> Received:
    """The checksums of what lies at `path`, as far as `file` tells any to compare with."""
    hashes = [hashlib.sha256(), *([hashlib.md5(usedforsecurity=False)] if file.md5 else [])]
    with path.open("rb") as data:
        while piece := data.read(1 << 20):
            for one in hashes:
                one.update(piece)
            progress(len(piece))
    sha256, md5 = hashes[0].hexdigest(), hashes[1].hexdigest() if file.md5 else None
    return Received(path.stat().st_size, sha256, md5, git_sha1(path) if file.git_sha1 else None)


def was_finished(path: Path, received: Received) -> bool:
    """Whether a run was killed just after it had put the whole file in its place: of it only its notes are left."""
    part, notes = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.partial.json")
    try:
        sha256 = json.loads(notes.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return not part.exists() and bool(sha256 == received.sha256)


def on_its_way(path: Path) -> int:
    """Bytes of a file that came before its run was stopped."""
    part = path.with_name(f".{path.name}.partial")
    return part.stat().st_size if part.is_file() else 0


def download(
    client: Client,
    file: RemoteFile,
    folder: Path,
    progress: Advance = silent,
    *,
    keep_notes: bool = False,
) -> Received:
    """Bring `file` to `folder / file.name`, verified by what is told of it: size, MD5, SHA-256, git's SHA-1.

    Goes on where a killed run stopped. `progress` is told of the bytes that came, and of less than nothing where they
    are thrown away. `keep_notes`: leave those by which `was_finished` knows the file. Raises
    FetchError: what arrived in its stead, and what to do.
    """
    if file.url is None:
        raise FetchError(f"{file.name} has no address.", "Get it by hand and adopt it with --from.")
    path = folder / file.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _Partial(file, path, progress)
        resumed = part.size > 0
        try:
            _whole(client, part)
        except FetchError:
            if not part.size:
                part.drop()
            raise
        received = part.received()
        wrong = difference(file, received)
        if wrong and resumed:  # two states of one file may have met
            part.drop()
            _whole(client, part)
            received = part.received()
            wrong = difference(file, received)
        if wrong:
            part.drop()
            raise FetchError(wrong, "The site changed it, or it was damaged on the way.")
        part.end(received)
        part.path.replace(path)
        part.aside.unlink(missing_ok=True)
        if not keep_notes:
            part.notes.unlink(missing_ok=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FetchError(
            f"{path} could not be written: {error.strerror or error}.",
            "Free some room and run it again; what came is kept." if full else "Look at the folder.",
        ) from error
    return received


def _whole(client: Client, part: _Partial) -> None:
    client.patiently(f"{part.file.name} from {part.state.url}", lambda: _attempt(client, part), lambda: part.size)


def _attempt(client: Client, part: _Partial) -> None:
    """One request, to the end of the file. Raises Transient, with all that came kept."""
    file, state, url = part.file, part.state, str(part.file.url)
    if part.size and part.size == state.total:
        return
    headers = {}
    if part.size and (state.validator or file.md5 or file.sha256 or file.git_sha1):
        headers["Range"] = f"bytes={part.size}-"
        if state.validator:
            headers["If-Range"] = state.validator
    with client.open(url, headers=headers) as answer:
        if answer.status == 416 and part.size:
            begin, total = None, _number(r"bytes \*/(\d{1,18})", answer.headers.get("content-range", ""))
        else:
            client.expect(answer, url)
            begin, total = _place(answer)
        if begin is None:  # behind the end: all is here, or it is another file now
            if total == part.size:
                return
            part.forget()
            raise Transient("has another length than before")
        total = file.size_bytes if total is None else total
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding != "identity" and not file.name.lower().endswith((".gz", ".tgz")):
            raise FetchError(
                f"{state.url} gives {file.name} packed ({encoding}), which was not asked for.", "Try later."
            )
        chunks = answer.chunks if begin else _looked_at(file, answer)  # before what came is given up for it
        if begin != part.size or (begin and (state.total not in (None, total) or _is_another(state.validator, answer))):
            part.forget()
            if begin:
                raise Transient(f"gave the bytes from {begin} on, which are not those that are missing")
        if total is not None and file.size_bytes not in (None, total):
            raise FetchError(
                f"{file.name} at {state.url} has {total:,} bytes; {file.size_bytes:,} are due.",
                "The site changed its file, or serves something else.",
                renewable=True,
            )
        if not part.size:
            room(part.path.parent, total if total is not None else file.size_bytes)
            part.begin(_validator(answer), total)
        part.take(chunks)
    if total is not None and part.size < total:
        raise Transient(f"broke off after {part.size:,} of {total:,} bytes")
    if total is None and file.archive == "zip" and end_of_zip(part.path) is None:
        part.forget()  # it has no length: whether it can be gone on with, nobody knows
        raise Transient("broke off: the archive has no end")
    part.begin(part.state.validator, part.size)


def _place(answer: Answer) -> tuple[int | None, int | None]:
    """(first byte, size of the whole) of what comes; first None where it says that nothing does."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("content-range", ""))
        if found is None:
            raise FetchError(f"{redacted(answer.url)} gives a part of the file and does not say which.")
        begin, end = int(found[1]), int(found[2])
        return (begin if end >= begin else None), None if found[3] == "*" else int(found[3])
    length = answer.headers.get("content-length", "")
    chunked = "transfer-encoding" in answer.headers
    return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) and not chunked else None


def _is_another(validator: str | None, answer: Answer) -> bool:
    """Whether a part says itself that it is of another state of the file: some servers ignore If-Range."""
    now = _validator(answer)
    return bool(validator and now and validator.startswith('"') == now.startswith('"') and validator != now)


def _validator(answer: Answer) -> str | None:
    etag = answer.headers.get("etag", "")
    return etag if etag.startswith('"') else answer.headers.get("last-modified")


def _looked_at(file: RemoteFile, answer: Answer) -> Iterator[bytes]:
    """The chunks, the first of which were looked at and can be the file. Raises FetchError."""
    head = bytearray()
    for chunk in answer.chunks:
        head += chunk
        if len(head) >= SNIFF:
            break
    check_beginning(file, bytes(head), redacted(answer.url))
    return chain([bytes(head)], answer.chunks)


def check_beginning(file: RemoteFile, head: bytes, where: str) -> None:
    """Nothing, where `head`, the first bytes of a file, can be that file's. Raises FetchError naming what came.

    A page, an error in XML or JSON, the pointer of Git LFS or nothing at all come under status 200 from several sites.
    """
    if not head:
        if file.size_bytes == 0:
            return
        raise FetchError(f"{where} gave an empty file in place of {file.name}.", "Try again later.", renewable=True)
    kind = file.archive or file.name.rpartition(".")[2].lower()
    page = page_title(head)
    if page is not None and kind not in ("html", "htm", "xml"):
        raise FetchError(
            f"{where} gave {page} in place of {file.name}.", "Open the address in a browser to see why.", renewable=True
        )
    if head.lstrip().startswith(b"{") and kind not in ("json", "jsonl", "geojson", "ipynb", "js"):
        said = re.search(rb'"(?:message|error)"\s*:\s*"([^"]{1,200})', head)
        detail = f" ({said[1].decode('utf-8', 'replace')})" if said else ""
        raise FetchError(f"{where} gave JSON{detail} in place of {file.name}.", "It may want a login.", renewable=True)
    if head.startswith(LFS_POINTER) and file.size_bytes != len(head):
        raise FetchError(
            f"{where} gave the pointer of Git LFS in place of {file.name}.", "Try again later.", renewable=True
        )
    magic = _MAGIC.get(kind)
    # then the whole will tell, and a name may lie; the last volume of a split zip begins with anything
    exact = file.sha256 or file.git_sha1 or file.name.lower().endswith(".change2zip")
    if magic and not exact and not head.startswith(magic):
        raise FetchError(
            f"{where} gave something else in place of {file.name}: it begins {head[:8]!r}, which is no {kind}.",
            "The site changed its file, or serves something else.",
            renewable=True,
        )


def difference(file: RemoteFile, received: Received) -> str | None:
    """What about the bytes that came is not as it was told, None where nothing is."""
    for name, words in (("size_bytes", "bytes"), ("md5", "MD5"), ("sha256", "SHA-256"), ("git_sha1", "git SHA-1")):
        due, came = getattr(file, name), getattr(received, name)
        if due is not None and str(due).lower() != str(came):
            return f"{file.name} arrived with {words} {came}; {due} is due."
    return None


def _number(pattern: str, text: str) -> int | None:
    found = re.fullmatch(pattern, text)
    return int(found[1]) if found else None


def room(folder: Path, size: int | None) -> None:
    """Nothing, where `size` bytes, or nobody knows how many, leave some of the disk free. Raises FetchError."""
    free = shutil.disk_usage(folder).free
    if size is not None and size + KEEP_FREE > free:
        raise FetchError(
            f"{folder} has {free:,} bytes free; {size:,} are to come, and {KEEP_FREE:,} are kept free.",
            "Free some room.",
        )
