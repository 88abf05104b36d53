"""What the first bytes of an answer or a file say that it is, whatever its name or status promised."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping

from openus.data import RemoteFile
from openus.errors import FetchError

SNIFF = 1024
"""Bytes of a beginning that are looked at before any is kept."""

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


def page_title(head: bytes) -> str | None:
    """What a page that stands in for a file says of itself, None where `head`, a body's first bytes, is no page."""
    text = head[:4096].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not re.match(r"(?i)<!doctype|<html|<head|<\?xml|<error|<script", text):
        return None
    title = re.search(r"(?is)<title[^>]*>(.*?)</title>|<code>(.*?)</code>", text)
    words = " ".join(re.sub(r"<[^>]+>", " ", next(filter(None, title.groups()), "") if title else "").split())
    words = "".join(letter for letter in words if letter.isprintable())
    return f"a page {words[:100]!r}" if words else "a page"


def message(head: bytes) -> str | None:
    """The message of a JSON error body."""
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(head)
        if isinstance(body, dict):
            said = body.get("message") or body.get("error")
            plain = "".join(letter for letter in " ".join(str(said).split()) if letter.isprintable())
            return plain[:200].rstrip(".") if said else None
    return None
