"""Reading shards: one picture by its address, or a whole shard in order."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openus.errors import CorpusError

PICTURES = ("jpg", "png")


@dataclass(frozen=True, slots=True)
class StoredSample:
    """One sample as it lies in a shard."""

    key: str
    extension: str
    picture: bytes
    meta: dict[str, Any] | None
    offset: int


def picture_bytes(corpus: Path, shard: str, offset: int, size: int) -> bytes:
    """The encoded bytes at an address of the manifest. Raises CorpusError when they are not there."""
    try:
        with (corpus / shard).open("rb") as file:
            file.seek(offset)
            content = file.read(size)
    except OSError as error:
        raise CorpusError(f"{shard}: {error.strerror or error}.", "Build the corpus again.") from error
    if len(content) != size:
        raise CorpusError(f"{shard} ends before byte {offset + size}.", "Build the corpus again.")
    return content


def samples(shard: Path) -> Iterator[StoredSample]:
    """Every sample of a shard in order (pictures of any WebDataset, JSON optional).

    Raises CorpusError when the file is no whole tar or a sample has no picture.
    """
    key, extension, picture, offset = "", "", b"", 0
    meta: dict[str, Any] | None = None
    seen = False
    if not _has_end(shard):
        raise CorpusError(f"{shard.name} is cut off: a tar ends with two empty blocks.", "Build the corpus again.")
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                name = f"{folder}/{stem}" if folder else stem
                if name != key:
                    if seen:
                        yield StoredSample(key, extension, picture, meta, offset)
                    key, extension, picture, meta, offset, seen = name, "", b"", None, 0, False
                content = tar.extractfile(member)
                assert content is not None
                suffix = "jpg" if suffix.lower() == "jpeg" else suffix.lower()
                if suffix in PICTURES:
                    extension, picture, offset, seen = suffix, content.read(), member.offset_data, True
                elif suffix == "json":
                    meta = json.loads(content.read())
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{shard.name} is no whole shard: {error}.", "Build the corpus again.") from error
    if seen:
        yield StoredSample(key, extension, picture, meta, offset)


def _has_end(shard: Path) -> bool:
    """True when the archive ends as tar says. Cut between two members it would else read as whole."""
    try:
        with shard.open("rb") as file:
            if file.seek(0, os.SEEK_END) < 2 * tarfile.BLOCKSIZE:
                return False
            file.seek(-2 * tarfile.BLOCKSIZE, os.SEEK_END)
            return not any(file.read())
    except OSError as error:
        raise CorpusError(f"{shard}: {error.strerror or error}.", "Build the corpus again.") from error
