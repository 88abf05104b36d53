"""Reading shards: one picture by its address, or a whole shard in order."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from openus.data import Pixels
from openus.errors import CorpusError
from openus.storage import printable, sha256_file

OPENCV_NO_MEMORY = -4
PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "pgm", "ppm")


@dataclass(frozen=True, slots=True)
class StoredSample:
    """One sample as it lies in a shard."""

    key: str
    extension: str
    picture: bytes
    meta: dict[str, Any] | None
    offset: int


def digest(corpus: Path) -> str:
    """SHA-256 over the manifest and every shard of a corpus: two corpora with one digest are the same bytes.

    Reads everything once (about a second per gigabyte). Raises UnreadableFile.
    """
    files = [corpus / "manifest.parquet", *sorted((corpus / "shards").glob("*.tar"))]
    listing = "".join(f"{file.relative_to(corpus).as_posix()}\0{sha256_file(file)}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def pictures_digest(pictures: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the keys of pictures and the SHA-256 of their encoded bytes, in any order."""
    listing = "".join(f"{key}\0{sha256}\n" for key, sha256 in sorted(pictures))
    return hashlib.sha256(listing.encode()).hexdigest()


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
    """Every picture of a shard in order, with the JSON of its sample where there is one.

    Any WebDataset will do: a sample is what stands together under one key (the name up to the first dot of its last
    part). A sample with several pictures comes once for each.

    Raises CorpusError when the file is no whole tar, or when a sample has no picture: who reads shards to prove
    something must not be led past what it cannot see.
    """
    if not _has_end(shard):
        raise CorpusError(f"{shard.name} is cut off: a tar ends with two empty blocks.", "Build the corpus again.")
    try:
        with tarfile.open(shard, "r:") as tar:
            for key, members in itertools.groupby((m for m in tar if m.isfile()), key=lambda m: _split(m.name)[0]):
                yield from _sample(shard, tar, key, list(members))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{shard.name} is no whole shard: {error}.", "Build the corpus again.") from error


def _sample(shard: Path, tar: tarfile.TarFile, key: str, members: list[tarfile.TarInfo]) -> Iterator[StoredSample]:
    """The pictures of one sample."""
    key, content = printable(key), {}
    for member in members:
        file = tar.extractfile(member)
        content[member.name] = file.read() if file is not None else b""
    meta = next((_meta(shard, key, content[m.name]) for m in members if _split(m.name)[1] == "json"), None)
    pictures = [member for member in members if _split(member.name)[1] in PICTURES]
    if not pictures:
        raise CorpusError(f"{shard.name}: the sample {key} has no picture of a kind read here.", "Look at the shard.")
    for member in pictures:
        yield StoredSample(key, _split(member.name)[1], content[member.name], meta, member.offset_data)


def _meta(shard: Path, key: str, content: bytes) -> dict[str, Any]:
    """What the JSON of a sample says."""
    try:
        meta = json.loads(content)
        json.dumps(meta, ensure_ascii=False).encode()  # half a surrogate pair could not be told on
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{shard.name}: the JSON of {key} cannot be read: {error}.", "Look at the shard.") from error
    if not isinstance(meta, dict):
        raise CorpusError(f"{shard.name}: the JSON of {key} is no object of names and values.", "Look at the shard.")
    return meta


def _split(name: str) -> tuple[str, str]:
    """(key, last suffix in small letters) of a member's name."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0], base.rpartition(".")[2].lower()


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


def decoded(content: bytes) -> Pixels | None:
    """A stored picture: uint8 [H, W] gray or [H, W, 3] RGB; None when the bytes are none, or claim to be too large.

    Raises MemoryError where this machine has none for it, which says nothing of the bytes.
    """
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        if error.code == OPENCV_NO_MEMORY:
            raise MemoryError("no memory for a picture") from error
        return None
    if picture is not None and picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return None if picture is None else np.asarray(picture, dtype=np.uint8)
