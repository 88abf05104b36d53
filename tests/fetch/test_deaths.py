"""A fetch that dies at any of its steps, and the run after it: the same folder as if it had never died."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import miniature
import pytest
import sites
from layouts import layouts
from server import Server

from openus import sources
from openus.fetch import archive, intake, lock, source
from openus.fetch.client import Client

STEPS: dict[str, tuple[Any, str]] = {
    "the lock is written": (lock, "write"),
    "a file is received": (intake, "download"),
    "all is unpacked": (intake, "unpack_all"),
    "one archive is unpacked": (archive, "_unpack"),
    "contents are hashed": (lock, "contents"),
    "a file is put in its place": (Path, "replace"),
    "a folder is put in its place": (Path, "rename"),
    "a file is removed": (Path, "unlink"),
}
MOST = 8
"""Calls of a step at which it dies, one after the other."""


class Died(BaseException):
    """The process was killed here: nothing that catches errors sees it."""


@contextlib.contextmanager
def dies_at(
    owner: Any, name: str, at: int, after: bool = False, error: type[BaseException] = Died
) -> Iterator[list[int]]:
    """`owner.name` raises at its call number `at`, before or after it did its work. Yields the count of calls."""
    real, calls = getattr(owner, name), [0]

    def dying(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == at and not after:
            raise error
        result = real(*args, **more)
        if calls[0] == at and after:
            raise error
        return result

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, name, dying)
        yield calls


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


def left(folder: Path) -> list[str]:
    ours = (path.name for path in folder.rglob(".*") if not path.relative_to(folder).parts[0].startswith(".set-aside"))
    return [name for name in ours if not name.startswith("._") and name != ".DS_Store"]


@pytest.mark.parametrize("slug", ["hc18", "fast-u-net", "echocp"])
def test_whatever_step_a_run_dies_at_the_next_one_ends_alike(
    slug: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    one = sources.load(slug)
    plain = tuple(replace(file, size_bytes=None, md5=None, sha256=None) for file in one.card.files)
    one = replace(one, card=replace(one.card, files=plain))
    miniature.write(layouts()[slug], tmp_path / "published")
    mirrors = sites.serve(server, one.card, sites.uploaded(tmp_path / "published"))

    def run(root: Path) -> dict[str, tuple[int, str]]:
        with Client(mirrors, sleep=lambda _: None) as client:
            source.fetch(one, root, client, accepted=True, jobs=1)
        came = lock.read(root / slug)
        assert came is not None and came.whole
        return came.due()

    whole = run(tmp_path / "whole")
    deaths = 0
    for step, (owner, name) in STEPS.items():
        for after in (False, True):
            for at in range(1, MOST + 1):
                root = tmp_path / "dying"
                with dies_at(owner, name, at, after) as calls:
                    try:
                        run(root)
                    except Died:
                        deaths += 1
                assert run(root) == whole, (step, after, at)
                assert left(root / slug) == [], (step, after, at)
                shutil.rmtree(root)
                if calls[0] < at:
                    break
    assert deaths > 30
