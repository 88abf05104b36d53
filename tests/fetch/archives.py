"""What goes into an archive, what came out of it, and that it is refused: what the tests of archives share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openus.errors import ArchiveError
from openus.fetch import archive
from openus.fetch.archive import Limits, unpack

FILES = {
    "Data set/images/1.png": os.urandom(5000),
    "Data set/images/2.png": b"",
    "Data set/Größe ü/表.csv": b"a;b\n" * 999,
    "read me.txt": b"x" * 70_000,
}


def below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(path: Path, *words: str, limits: Limits = archive.DEFAULT) -> None:
    """It is refused in one sentence that names it and has these words; nothing is left."""
    before = sorted(path.parent.parent.rglob("*"))
    with pytest.raises(ArchiveError) as error:
        unpack(path, path.parent / "out", limits)
    assert all(word in str(error.value) for word in (path.name, *words)), str(error.value)
    assert sorted(path.parent.parent.rglob("*")) == before


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"
