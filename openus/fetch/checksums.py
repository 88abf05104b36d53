"""The size and checksums of what came, and what of them is not as a site or card told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from openus.data import Advance, RemoteFile, silent
from openus.storage import pieces


@dataclass(frozen=True, slots=True)
class Received:
    """What came."""

    size_bytes: int
    sha256: str
    md5: str | None = None
    git_sha1: str | None = None
    """These two where they were due."""


def git_sha1(path: Path) -> str:
    """The hash of git's blob of a file: SHA-1 of `blob <size>\\0` and its bytes (git-hash-object(1))."""
    sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    for piece in pieces(path):
        sha1.update(piece)
    return sha1.hexdigest()


def measure(path: Path, file: RemoteFile, progress: Advance = silent) -> Received:
    """The checksums of what lies at `path`, as far as `file` tells any to compare with."""
    hashes = [hashlib.sha256(), *([hashlib.md5(usedforsecurity=False)] if file.md5 else [])]
    for piece in pieces(path):
        for one in hashes:
            one.update(piece)
        progress(len(piece))
    sha256, md5 = hashes[0].hexdigest(), hashes[1].hexdigest() if file.md5 else None
    return Received(path.stat().st_size, sha256, md5, git_sha1(path) if file.git_sha1 else None)


def difference(file: RemoteFile, received: Received) -> str | None:
    """What about the bytes that came is not as it was told, None where nothing is."""
    for name, words in (("size_bytes", "bytes"), ("md5", "MD5"), ("sha256", "SHA-256"), ("git_sha1", "git SHA-1")):
        due, came = getattr(file, name), getattr(received, name)
        if due is not None and str(due).lower() != str(came):
            return f"{file.name} arrived with {words} {came}; {due} is due."
    return None
