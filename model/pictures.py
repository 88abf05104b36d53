"""The pictures of a corpus: what is known of them, and random access to their pixels.

Pictures, read_pictures   the kept rows of a manifest, as columns
Shards                    the pictures at their addresses
statistics                mean and deviation of their pixels
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model import jpeg
from openus import manifest
from openus.data import Pixels
from openus.errors import CorpusError

Texts = NDArray[np.object_]
Numbers = NDArray[np.int64]

OPEN_SHARDS = 256
"""Descriptors a process holds at most."""
READ_AHEAD = 4 << 20
"""Bytes of pictures that are read in one go before these are decoded.

Reading and decoding by turns, they drive each other out of the processor's caches.
"""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Kept rows of a manifest as columns, sorted by key. Texts are objects: str, or None where nothing is known.

    Equal texts of a column are one object. `offset` and `size` address the encoded bytes in `corpus / shard`; `width`,
    `height` and `channels` are the stored picture's.
    """

    corpus: Path
    key: Texts
    source: Texts
    role: Texts
    anatomy: Texts
    patient_id: Texts
    study_id: Texts
    video_id: Texts
    cluster: Texts
    label: Texts
    view: Texts
    split: Texts
    licence: Texts
    shard: Texts
    sha256: Texts
    offset: Numbers
    size: Numbers
    width: Numbers
    height: Numbers
    channels: Numbers

    def __len__(self) -> int:
        return len(self.key)

    def take(self, rows: NDArray[Any] | Sequence[int]) -> Pictures:
        """The given rows (numbers or a mask of booleans), in the given order."""
        chosen = np.asarray(rows)
        chosen = chosen.astype(np.int64) if not len(chosen) else chosen
        return Pictures(self.corpus, *(getattr(self, name)[chosen] for name in _COLUMNS))

    def groups(self, by: Literal["source", "anatomy"]) -> dict[str, Numbers]:
        """Row numbers of each source or anatomy, by its name, sorted; what has no anatomy is the group `unknown`."""
        names = np.array([name or "unknown" for name in getattr(self, by)], object)
        return {str(name): np.flatnonzero(names == name) for name in sorted(set(names.tolist()))}


_COLUMNS = tuple(field.name for field in fields(Pictures))[1:]


def read_pictures(corpus: Path, *, role: str | None = None, sources: Sequence[str] | None = None) -> Pictures:
    """The kept pictures of a finished build, of one role or all, of some sources or all.

    Raises CorpusError when there is no readable manifest, when no row is left, when a kept row has no address, and
    when a shard is missing or ends before the last of its pictures.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = manifest.read(corpus / "manifest.parquet", ["status", *_COLUMNS])
    chosen = pc.equal(table["status"], "kept")
    if role is not None:
        chosen = pc.and_(chosen, pc.equal(table["role"], role))
    if sources is not None:
        chosen = pc.and_(chosen, pc.is_in(table["source"], pa.array(list(sources), pa.string())))
    table = table.filter(chosen).drop_columns(["status"])
    if not table.num_rows:
        asked = f" with role {role}" if role else ""
        asked += f" from {', '.join(sources)}" if sources is not None else ""
        raise CorpusError(f"{corpus / 'manifest.parquet'} has no kept picture{asked}.", "Look at what was built.")
    table = table.sort_by("key")
    pictures = Pictures(corpus, *(_column(table[name]) for name in _COLUMNS))
    _check_addresses(pictures)
    return pictures


def _column(column: Any) -> NDArray[Any]:
    """A column of a table as an array: numbers as int64 (null: -1), texts as objects, equal ones the same object."""
    import pyarrow as pa

    if pa.types.is_integer(column.type):
        return np.asarray(column.fill_null(-1).to_numpy(), np.int64)
    encoded = column.combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), None], object)
    codes: NDArray[np.int64] = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return words[codes]


def _check_addresses(pictures: Pictures) -> None:
    """Cheap and once: every shard is there and long enough. What is in it, `openus verify` tells."""
    again = "Build the corpus again, or copy its shards whole."
    lost = [key for key, name in zip(pictures.key, pictures.shard, strict=True) if name is None]
    if lost or (pictures.offset < 0).any() or (pictures.size <= 0).any():
        at = lost[0] if lost else pictures.key[np.flatnonzero((pictures.offset < 0) | (pictures.size <= 0))[0]]
        raise CorpusError(f"manifest.parquet: the kept picture {at} has no address in a shard.", again)
    if len(set(pictures.key.tolist())) < len(pictures):
        raise CorpusError("manifest.parquet has a key twice.", again)
    if odd := sorted({name for name in pictures.shard.tolist() if not re.fullmatch(r"shards/[\w.-]+\.tar", name)}):
        raise CorpusError(f"manifest.parquet names {odd[0]}, which is no file of shards/.", again)
    ends: dict[str, int] = {}
    for name, end in zip(pictures.shard.tolist(), (pictures.offset + pictures.size).tolist(), strict=True):
        ends[name] = max(ends.get(name, 0), end)
    for name, end in sorted(ends.items()):
        try:
            length = (pictures.corpus / name).stat().st_size
        except OSError as error:
            raise CorpusError(f"{pictures.corpus / name}: {error.strerror or error}.", again) from error
        if length < end:
            raise CorpusError(f"{name} ends at byte {length}, but the manifest has pictures up to {end}.", again)


class Shards:
    """Random access to the pictures' bytes: one descriptor a shard and process, opened when first needed.

    Reads are positional (preadv), so descriptors that a forked process inherits do no harm; a pickled copy opens its
    own. It has the columns that it needs and no more: each worker of a loader holds them.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._open: dict[str, int] = {}
        self._buffer = bytearray()
        self.corpus = pictures.corpus
        self.key, self.shard = pictures.key, pictures.shard
        self.sha256, self.offset, self.size = pictures.sha256, pictures.offset, pictures.size
        self.width, self.height = pictures.width, pictures.height

    def __len__(self) -> int:
        return len(self.key)

    def read(self, row: int) -> bytes:
        """The encoded bytes of a row. Raises CorpusError naming key and shard."""
        content = bytearray(self.size[row])
        self._read_into(memoryview(content), row, self.shard[row], int(self.offset[row]))
        return bytes(content)

    def picture(self, row: int, channels: int) -> Pixels:
        """The decoded picture of a row, as `decode_picture` gives it. Raises CorpusError naming key and shard."""
        return next(self.pictures(np.array([row]), channels, [None]))

    def pictures(self, rows: Numbers, channels: int, tops: Sequence[int | None]) -> Iterator[Pixels]:
        """The decoded pictures of rows, of each at least `tops` rows of pixels from above; None: all.

        One such iteration at a time, and no other read meanwhile: they share memory. Raises CorpusError naming key and
        shard; of what cannot be read before those in front of it are decoded.
        """
        parts = np.cumsum(self.size[rows]) // READ_AHEAD
        cuts = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(rows)]
        for first, last in pairwise(cuts):
            some = rows[first:last]
            files = self._encoded(some, tops[first:last])
            for row, width, (encoded, height) in zip(some, self.width[some].tolist(), files, strict=True):
                picture = jpeg.decode(encoded, channels)
                if picture is None or picture.shape[:2] != (height, width):
                    picture = self._whole(row, channels)
                yield picture
                del picture  # the next is decoded into its memory, which the processor has in its cache

    def _encoded(self, rows: Numbers, tops: Sequence[int | None]) -> list[tuple[memoryview, int]]:
        """The files of rows and the height they decode to: that of the top, where a file can be cut down to it.

        Their memory is written anew by the next call.
        """
        columns = [column[rows].tolist() for column in (self.shard, self.offset, self.size, self.height)]
        needed = sum(columns[2]) + len(rows) * jpeg.SLACK
        if len(self._buffer) < needed:
            self._buffer = bytearray(needed)
        buffer = memoryview(self._buffer)
        found, start = [], 0
        for row, top, name, offset, size, height in zip(rows, tops, *columns, strict=True):
            end = start + size
            self._read_into(buffer[start:end], row, name, offset)
            last = jpeg.cut(self._buffer, start, end, height, top or height)
            found.append((buffer[start:last], height if last == end else top or height))
            start = end + jpeg.SLACK
        return found

    def _whole(self, row: int, channels: int) -> Pixels:
        """A picture that did not decode as expected: from its untouched bytes, or the error that tells why."""
        picture = jpeg.decode(self.read(row), channels)
        if picture is None:
            raise self.fault(row, "its bytes are no picture")
        width, height = int(self.width[row]), int(self.height[row])
        if picture.shape[:2] != (height, width):
            found = f"{picture.shape[1]} × {len(picture)}"
            raise self.fault(row, f"it is {found}, the manifest says {width} × {height}")
        return picture

    def _read_into(self, place: memoryview, row: int, name: str, offset: int) -> None:
        try:
            count = os.preadv(self._open.get(name) or self._descriptor(name), [place], offset)
        except OSError as error:
            raise self.fault(row, error.strerror or str(error)) from error
        if count != len(place):
            raise self.fault(row, "the shard ends before it")

    def fault(self, row: int, what: str) -> CorpusError:
        """The error that names a row's picture and shard."""
        where = f"{self.key[row]} in {self.shard[row]}"
        return CorpusError(f"The picture {where} cannot be read: {what}.", "Run openus verify on the corpus.")

    def close(self) -> None:
        """Give the descriptors back; a later read opens anew."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, name: str) -> int:
        if name not in self._open:
            if len(self._open) >= OPEN_SHARDS:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[name] = os.open(self.corpus / name, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}, "_buffer": bytearray()}

    def __del__(self) -> None:
        self.close()


def decode_picture(content: bytes, channels: int) -> Pixels:
    """Encoded bytes as uint8 [H, W] for one channel, [H, W, 3] in RGB order for three.

    Gray of a coloured picture is libjpeg's luma (JPEG), or 0.299 R + 0.587 G + 0.114 B (the rest); gray in three
    channels is repeated. Raises CorpusError when the bytes are no picture.
    """
    picture = jpeg.decode(content, channels)
    if picture is None:
        raise CorpusError("These bytes are no picture that can be decoded.", "Run openus verify on the corpus.")
    return picture


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the pixels, a number a channel, in 0–1 (uint8 / 255), over `pictures` pictures."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pictures: int


def statistics(pictures: Pictures, channels: int, *, limit: int = 10_000, seed: int = 0) -> Statistics:
    """Mean and deviation of the stored pixels, each pixel counted once, from exact histograms.

    Of more than `limit` pictures those are taken whose hash of (seed, key) is smallest. Sums are integers, so neither
    order nor machine changes a digit; rounded to 6. Raises CorpusError for a damaged picture, or when all is flat.
    """
    rows = _sampled(pictures, limit, seed)
    shards = Shards(pictures)
    counts = np.zeros((channels, 256), np.int64)
    for row in rows:
        planes = shards.picture(row, channels).reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(planes[:, channel], minlength=256)
    shards.close()
    mean, std = zip(*(_moments([int(n) for n in count]) for count in counts), strict=True)
    if not all(std):
        raise CorpusError("All pictures of the corpus are flat: there is nothing to learn.", "Look at what was built.")
    return Statistics(mean, std, len(rows))


def _sampled(pictures: Pictures, limit: int, seed: int) -> list[int]:
    """Up to `limit` row numbers, sorted."""
    if len(pictures) <= limit:
        return list(range(len(pictures)))
    hashes = [hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest() for key in pictures.key]
    return sorted(sorted(range(len(pictures)), key=hashes.__getitem__)[:limit])


def _moments(count: list[int]) -> tuple[float, float]:
    """(mean, deviation) in 0–1 of pixels, `count[v]` of which have the value v."""
    total = sum(count)
    first = sum(value * n for value, n in enumerate(count))
    second = sum(value * value * n for value, n in enumerate(count))
    return round(first / (total * 255), 6), round((total * second - first * first) ** 0.5 / (total * 255), 6)
