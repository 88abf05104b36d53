"""What is where a source is to go: a person's files, links, another process, disks that can't be written or locked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import commands
import pytest
import sites
from commands import adopted, declared, fetch, ids
from conftest import openus
from layouts import write

from openus.fetch.folder import alone

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


@pytest.mark.parametrize(
    "name", ["Benign.zip", "Benign.zip.unpacked/mine.png", "Benign.zip/mine.png"]
)  # nobody publishes checksums of buid
def test_what_a_person_put_there_is_neither_taken_nor_lost(
    name: str, site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site("buid")
    mine = sites.zipped({"a.txt": b"mine"})
    write(tmp_path / "raw/buid" / name, mine)
    args = ("buid", "--root", tmp_path / "raw", "--accept-licence")
    for _ in range(2):
        ran = fetch(*args)
        assert ran.exit_code == 1 and name.partition("/")[0] in ran.stderr and "Move it away" in ran.stderr
        assert (tmp_path / "raw/buid" / name).read_bytes() == mine
    (tmp_path / "raw/buid" / name).unlink()
    if "/" in name:
        (tmp_path / "raw/buid" / name).parent.rmdir()
    assert fetch(*args).exit_code == 0
    assert ids("buid", tmp_path / "raw") == declared("buid")


def test_what_lies_there_is_no_part_of_what_came(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    mine = {"notes.txt": b"mine", "old.zip": b"broken", "masks.zip": sites.zipped({"1.png": b"1"}), ".draft.part": b"1",
            "test_set.zip.txt": b"x"}  # fmt: skip
    for name, data in mine.items():
        write(tmp_path / "raw/hc18" / name, data)
    args = ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    assert {name: (tmp_path / "raw/hc18" / name).read_bytes() for name in mine} == mine
    assert "notes.txt came from elsewhere" in openus("verify-raw", tmp_path / "raw/hc18").stdout
    for name in mine:
        (tmp_path / "raw/hc18" / name).unlink()
    assert openus("verify-raw", tmp_path / "raw/hc18").exit_code == 0
    assert "there already" in fetch(*args).stdout


def test_what_is_in_the_way_of_one_stops_no_other(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/aul").write_bytes(b"a file")
    ran = fetch("aul", "hc18", "--root", tmp_path / "raw", "--json")
    assert ran.exit_code == 1 and "Traceback" not in ran.stderr
    assert set(ran.json["failed"]) == {"aul"} and ran.json["fetched"][0]["slug"] == "hc18"


def test_two_processes_do_not_fetch_one_source(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    with alone(tmp_path / "raw/hc18"):
        ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "Another process fetches" in ran.stderr
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0


def test_a_disk_that_cannot_lock_is_told(
    site: Callable[..., sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("hc18")
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "can't be locked" in ran.stderr and not (tmp_path / "raw/hc18").exists()


def test_a_whole_folder_on_a_disk_that_cannot_be_written_is_there_already(
    site: Callable[..., sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0

    def refuses(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        for name in ("mkdir", "unlink", "rename", "replace"):
            patched.setattr(Path, name, refuses)
        ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 0 and "there already" in ran.stdout


def test_a_folder_may_be_a_link_to_another_disk(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published("bus-b")
    (tmp_path / "disk").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/bus-b").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert adopted("bus-b", tmp_path / "published/bus-b", tmp_path / "raw").exit_code == 0
    assert openus("verify-raw", tmp_path / "raw/bus-b").exit_code == 0 and (tmp_path / "disk/fetch.lock.json").exists()


def test_an_unpacked_folder_on_another_disk_comes_again(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    (folder / "training_set.zip.unpacked").rename(tmp_path / "disk")
    (folder / "training_set.zip.unpacked").symlink_to(tmp_path / "disk", target_is_directory=True)
    there = sorted((tmp_path / "disk").rglob("*"))
    ran = fetch(*args)
    assert ran.exit_code == 0 and "not as it came is kept in" in ran.stdout
    assert ids("hc18", tmp_path / "raw") == declared("hc18") and sorted((tmp_path / "disk").rglob("*")) == there
