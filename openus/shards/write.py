"""Tar files whose bytes depend on their samples alone.

A sample is `<key>.jpg` or `<key>.png` followed by `<key>.json`; headers are ustar with no time, user or host.
Format: https://github.com/webdataset/webdataset#the-webdataset-format
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from openus.storage import atomic

BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture to be written: encoded bytes as they are, and what its JSON says."""

    key: str
    extension: str
    picture: bytes
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the encoded bytes of a sample lie."""

    key: str
    shard: str
    offset: int
    size: int


class TarAppender:
    """Appends members to an open binary file as a ustar archive, and knows where each began."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.position = 0

    def add(self, name: str, content: bytes) -> int:
        """Write one member; returns the byte offset of its content."""
        info = tarfile.TarInfo(name)  # mtime 0, uid 0, no names: nothing of this machine
        info.size = len(content)
        info.mode = 0o644
        header = info.tobuf(tarfile.USTAR_FORMAT)
        padding = -len(content) % BLOCK
        self._file.write(header)
        self._file.write(content)
        self._file.write(b"\0" * padding)
        offset = self.position + len(header)
        self.position = offset + len(content) + padding
        return offset

    def close(self) -> None:
        """Write the two empty blocks that end an archive."""
        self._file.write(b"\0" * (2 * BLOCK))
        self.position += 2 * BLOCK


def sample_json(meta: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a sample's JSON: sorted keys, UTF-8, no blanks."""
    return json.dumps(meta, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def write_shards(
    samples: Iterable[Sample], folder: Path, prefix: str, *, max_samples: int, max_bytes: int
) -> Iterator[Address]:
    """Write `samples` in their order as `<folder>/<prefix>-000000.tar` …; yields the address of each.

    A shard is closed when the next sample would exceed `max_samples` or `max_bytes`. Each appears whole or not at
    all. `Address.shard` is `<folder name>/<file name>`.
    """
    waiting = iter(samples)
    sample = next(waiting, None)
    number = 0
    while sample is not None:
        name = f"{prefix}-{number:06d}.tar"
        with atomic(folder / name) as file:
            tar = TarAppender(file)
            count = 0
            while sample is not None and count < max_samples and (count == 0 or tar.position < max_bytes):
                offset = tar.add(f"{sample.key}.{sample.extension}", sample.picture)
                tar.add(f"{sample.key}.json", sample_json(sample.meta))
                yield Address(sample.key, f"{folder.name}/{name}", offset, len(sample.picture))
                count += 1
                sample = next(waiting, None)
            tar.close()
        number += 1
