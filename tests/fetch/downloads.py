"""One file to be downloaded, and the half of it that a killed run leaves: what the tests of downloads share."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import Server, ranged

from openus.data import RemoteFile
from openus.errors import FetchError
from openus.fetch.client import Client, RetryPolicy
from openus.fetch.download import download

DATA = b"PK\x03\x04" + random.Random(1).randbytes(700_000) + b"PK\x05\x06" + bytes(18)
SHA256 = hashlib.sha256(DATA).hexdigest()
HALF = len(DATA) // 2


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(waits: list[float]) -> Iterator[Client]:
    with Client(mirrors={}, sleep=waits.append) as one:
        yield one


def wanted(server: Server, name: str = "a.zip", **known: object) -> RemoteFile:
    return RemoteFile(name, url=f"{server.url}/{name}", **known)  # type: ignore[arg-type]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def partial(server: Server, client: Client, tmp_path: Path, **how: object) -> None:
    """Leave half of the file, as a killed run does."""
    server.route("/a.zip", lambda request: ranged(request, DATA, cut=HALF, **how))  # type: ignore[arg-type]
    with pytest.raises(FetchError), Client(mirrors={}, patience=RetryPolicy(tries=1)) as hasty:
        download(hasty, wanted(server), tmp_path)
    assert left(tmp_path) == [".a.zip.partial", ".a.zip.partial.json"]
    server.asked.clear()
