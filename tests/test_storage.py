"""Files appear whole or not at all; listing is sorted and loses nothing."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from pathlib import Path

import pytest

from openus import storage
from openus.build.staging import Segments
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


def test_bytes_are_on_the_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed first, a file may be whole by its name and empty after a power cut."""
    fsync, replace, done = os.fsync, Path.replace, []

    def synced(handle: int) -> None:
        done.append(f"synced {os.fstat(handle).st_size}")
        fsync(handle)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"named {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    storage.write_text(tmp_path / "x.json", "12345")
    assert done == ["synced 5", "named x.json"]
    done.clear()
    segments = Segments(tmp_path)
    segments.append("u" * 32, [{"unit": "u" * 32, "position": 0, "extension": "png"}], [b"picture"])
    segments.commit()
    (tar,) = tmp_path.glob("segment-*.tar")
    table = tar.with_suffix(".parquet")
    assert done[:2] == [f"synced {tar.stat().st_size}", f"named {tar.name}"]
    assert done[2:] == [f"synced {table.stat().st_size}", f"named {table.name}"]


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
    (tmp_path / "mine.part").touch()  # somebody's own
    storage.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.part", "x.tar"]


def test_pieces_of_files_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"xABCx")
    (tmp_path / "b").write_bytes(b"DEF")
    with (tmp_path / "a").open("rb") as a, (tmp_path / "b").open("rb") as b:
        one = storage.Spliced([(a, 1, 3), (b, 0, 0), (b, 0, 3), (a, 0, 1)])
        assert (one.read(9), one.read(9), one.read(9), one.read(9)) == (b"ABC", b"DEF", b"x", b"")
        assert (one.seek(-3, 2), one.read(1), one.seek(1, 1), one.seek(1), one.read(1), one.tell()) == (
            4, b"E", 6, 1, b"B", 2,
        )  # fmt: skip
        assert (one.seek(99), one.read(1)) == (99, b"")
        with pytest.raises(OSError, match="negative"):
            one.seek(-8, 2)
        one.seek(0)
        with io.BufferedReader(one) as whole:
            assert (whole.read(5), whole.read()) == (b"ABCDE", b"Fx")
        assert not a.closed and not b.closed
    empty = storage.Spliced([])
    assert (empty.read(1), empty.seek(0, 2)) == (b"", 0)


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    with storage.exclusive(tmp_path), pytest.raises(BlockingIOError), storage.exclusive(tmp_path):
        raise AssertionError
    with storage.exclusive(tmp_path):
        pass


def test_a_folder_on_nfs_has_one_holder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS refuses to lock what is not open for writing: here the kernel's flock does, for folders."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    real = fcntl.flock

    def of_nfs(handle: int, how: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    with storage.exclusive(folder), pytest.raises(BlockingIOError), storage.exclusive(folder):
        raise AssertionError
    with storage.exclusive(folder):
        assert list(folder.iterdir()) == [] and (tmp_path / ".corpus.lock").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
