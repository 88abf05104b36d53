"""One file from its site to the disk: resumed, verified while it streams, and there only when it is whole.

After a killed process (`openus.fetch.partial`) the next run goes on behind the last byte, if the site says that the
file is still the same (RFC 9110 14.2 and 13.1.5: Range with If-Range).
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from openus.data import Advance, RemoteFile, silent
from openus.errors import FetchError
from openus.fetch.address import redacted
from openus.fetch.checksums import Received, difference
from openus.fetch.client import Answer, Client, Transient
from openus.fetch.content import SNIFF, check_beginning
from openus.fetch.partial import Partial
from openus.fetch.split_zip import end_of_zip
from openus.storage import KEEP_FREE


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
    are thrown away. `keep_notes`: leave those by which `was_finished` knows the file.

    Raises FetchError: what arrived in its stead, and what to do.
    """
    if file.url is None:
        raise FetchError(f"{file.name} has no address.", "Get it by hand and adopt it with --from.")
    path = folder / file.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Partial(file, path, progress)
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


def _whole(client: Client, part: Partial) -> None:
    client.patiently(f"{part.file.name} from {part.state.url}", lambda: _attempt(client, part), lambda: part.size)


def _attempt(client: Client, part: Partial) -> None:
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
            check_free_space(part.path.parent, total if total is not None else file.size_bytes)
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


def _number(pattern: str, text: str) -> int | None:
    found = re.fullmatch(pattern, text)
    return int(found[1]) if found else None


def check_free_space(folder: Path, size: int | None) -> None:
    """Nothing, where `size` bytes, or nobody knows how many, leave some of the disk free. Raises FetchError."""
    free = shutil.disk_usage(folder).free
    if size is not None and size + KEEP_FREE > free:
        raise FetchError(
            f"{folder} has {free:,} bytes free; {size:,} are to come, and {KEEP_FREE:,} are kept free.",
            "Free some room.",
        )
