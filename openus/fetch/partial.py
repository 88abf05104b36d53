"""A file on its way: `.<name>.partial`, beside `.<name>.partial.json`, which says from where and of which state.

A killed process leaves both. The notes may outlive the bytes: then they know the file that these became.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openus.data import Advance, RemoteFile
from openus.errors import FetchError
from openus.fetch.address import redacted
from openus.fetch.checksums import Received, git_sha1
from openus.storage import pieces


def _places(path: Path) -> tuple[Path, Path]:
    """Where the bytes of a file lie while it comes, and the notes on it."""
    return path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.partial.json")


@dataclass
class _State:
    """What is known of a file that is on its way; kept beside it."""

    url: str
    validator: str | None = None
    """A strong ETag or a Last-Modified, for If-Range."""
    total: int | None = None
    sha256: str | None = None
    """Of the whole, once it is verified."""


class Partial:
    """A file on its way: its bytes, its state beside them, and the checksums of what came."""

    def __init__(self, file: RemoteFile, path: Path, progress: Advance) -> None:
        self.file, self.progress = file, progress
        self.path, self.notes = _places(path)
        self.aside = self.notes.with_name(f"{self.notes.name}.part")
        self.state = _State(redacted(str(file.url)))
        self._reset()
        if not self.path.exists():
            return
        kept = self._read()
        if kept is None or kept.url != self.state.url:
            self.path.unlink()
            return
        self.state = kept
        for piece in pieces(self.path):
            self._count(piece)

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


def was_finished(path: Path, received: Received) -> bool:
    """Whether a run was killed just after it had put the whole file in its place: of it only its notes are left."""
    part, notes = _places(path)
    try:
        sha256 = json.loads(notes.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return not part.exists() and bool(sha256 == received.sha256)


def on_its_way(path: Path) -> int:
    """Bytes of a file that came before its run was stopped."""
    part, _ = _places(path)
    return part.stat().st_size if part.is_file() else 0
