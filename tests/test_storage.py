"""Files appear whole or not at all; listing is sorted and loses nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from openus import storage
from openus.errors import CorpusError


def test_listing_is_sorted_by_code_point_and_complete(tmp_path: Path) -> None:
    names = ["b.png", "B.png", "a b/é.png", "a/x.png", "a/.hidden"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    paths, unlisted = storage.walk(tmp_path)
    assert paths == sorted([*names, "gone.png"])
    assert unlisted == [("loop", "it is a link, and links to folders are not followed")]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    storage.write_text(target, "old")
    with pytest.raises(KeyError), storage.atomic(target) as file:
        file.write(b"half")
        raise KeyError
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_full_disk_is_said_plainly(tmp_path: Path) -> None:
    with (
        pytest.raises(CorpusError, match=r"x\.tar could not be written: No space left"),
        storage.atomic(tmp_path / "x.tar"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_sweep_removes_what_was_left_aside(tmp_path: Path) -> None:
    (tmp_path / ".x.tar.12345678.part").touch()
    (tmp_path / "x.tar").touch()
    storage.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar"]
