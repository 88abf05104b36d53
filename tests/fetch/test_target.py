"""What an archive would have written and may not: names that lead out or meet, links, bombs, more than a disk holds."""

from __future__ import annotations

import bz2
import errno
import os
import shutil
import stat
import tarfile
import time
from pathlib import Path

import archives
import packers
import pytest
from archives import FILES, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from openus.errors import ArchiveError
from openus.fetch import target
from openus.fetch.archive import Limits, unpack, unpack_all

place = archives.place

EVIL = ["../up.png", "a/../../up.png", "/etc/up.png", "C:\\up.png", "..\\up.png", "\\\\host\\share\\up.png"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.rar"])
@pytest.mark.parametrize("evil", EVIL)
def test_nothing_leaves_its_folder(name: str, evil: str, place: Path) -> None:
    refused(packers.pack(place / name, {"fine.png": b"1", evil: b"2"}), "is not unpacked")


@pytest.mark.parametrize("evil", ["../up.png", "/tmp/u.png"])
def test_nothing_leaves_its_folder_in_7z(evil: str, place: Path) -> None:
    plain = "x" * len(evil)
    (place / "a.7z").write_bytes(packers.renamed_in_seven(packers.sevened({plain: b"2"}), plain, evil))
    refused(place / "a.7z", "is not unpacked")


@settings(deadline=None)
@given(names=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True))
def test_no_name_gets_out(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    try:
        (folder / "a.tar").write_bytes(packers.tarred(dict.fromkeys(names, b"1")))
        unpack(folder / "a.tar", folder / "out")
    except (ArchiveError, UnicodeEncodeError):
        assert not (folder / "out").exists()
    assert {path.name for path in folder.iterdir()} <= {"a.tar", "out"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../up", "fine.png"])
def test_links_are_refused(target: str, place: Path) -> None:
    link = {"fine.png": b"1", "link": target.encode()}
    (place / "a.zip").write_bytes(packers.zipped(link, {"link": stat.S_IFLNK | 0o777}))
    refused(place / "a.zip", "'link' is a link")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        (place / "b.tar.gz").write_bytes(packers.tarred(link, "w:gz", {"link": kind}))
        refused(place / "b.tar.gz", "'link' is a link")
    (place / "c.rar").write_bytes(packers.rarred({"fine.png": b"1", "link": b""}, {"link": target}))
    refused(place / "c.rar", "'link' is a link")


def test_a_link_in_7z_is_refused(place: Path) -> None:
    import py7zr

    (place / "fine.png").write_bytes(b"1")
    (place / "link").symlink_to("fine.png")
    with py7zr.SevenZipFile(place / "a.7z", "w") as seven:
        seven.write(place / "fine.png", "fine.png")
        seven.write(place / "link", "link")
    refused(place / "a.7z", "'link' is a link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(kind: bytes, place: Path) -> None:
    (place / "a.tar").write_bytes(packers.tarred({"fine": b"1", "dev": b""}, kinds={"dev": kind}))
    refused(place / "a.tar", "'dev' is a device or pipe")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [packers.zipped, packers.tarred, packers.rarred])
@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("a/1.png", "a/./1.png"), "is in it twice"),
        (("a/1.png", "A/2.png"), "'a/'"),
        (("a/1.png", "a/1.PNG"), "'a/1.png'"),
        (("a/\u00e9.png", "a/e\u0301.png"), "on some file systems"),
        (("a", "a/1.png"), "'a'"),
        (("a/1.png", "a"), "'a/'"),
    ],
)
def test_names_that_would_overwrite_each_other_are_refused(
    pack, pair: tuple[str, str], words: str, place: Path
) -> None:
    (place / "x").write_bytes(pack({pair[0]: b"1", pair[1]: b"2"}))
    refused(place / "x", words)


def test_the_same_name_twice_is_refused(place: Path) -> None:
    data = packers.zipped({"a/1.png": b"1", "a/2.png": b"2"}).replace(b"a/2.png", b"a/1.png")
    (place / "x.zip").write_bytes(data)
    refused(place / "x.zip", "'a/1.png' is in it twice")


def test_a_name_that_no_file_system_takes_is_told(place: Path) -> None:
    refused(packers.pack(place / "a.zip", {"x" * 300: b"1"}), "File name too long")


@pytest.mark.parametrize("name", ["a/" * 60_000 + "1.png", "x" * 5000])
def test_a_name_without_end_costs_nothing(name: str, place: Path) -> None:
    began = time.monotonic()
    (place / "a.tar.gz").write_bytes(packers.tarred({name: b"1"}, "w:gz"))
    refused(place / "a.tar.gz", "is too long or too deep")
    assert time.monotonic() - began < 20


def test_ten_gigabytes_from_ten_kilobytes(place: Path) -> None:
    stream = bz2.compress(bytes(45_000_000))
    (place / "bomb.csv.bz2").write_bytes(stream * 240)
    assert (place / "bomb.csv.bz2").stat().st_size < 15_000
    refused(place / "bomb.csv.bz2", "decompression bomb")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.7z"])
def test_a_bomb_of_any_kind(name: str, place: Path) -> None:
    path = packers.pack(place / name, {f"{k}.png": bytes(3_000_000) for k in range(3)})
    refused(path, "decompression bomb", limits=Limits(small=1 << 20))
    unpack(path, place / "out", Limits(small=1 << 24))


def test_a_bomb_that_lies_about_its_size(place: Path) -> None:
    data = bytearray(packers.zipped({"a.png": bytes(3_000_000)}))
    directory = data.find(b"PK\x01\x02")
    for at in (22, directory + 24):
        data[at : at + 4] = (1000).to_bytes(4, "little")
    (place / "a.zip").write_bytes(data)
    refused(place / "a.zip", "damaged", limits=Limits(small=1 << 20))


def test_too_many_files(place: Path) -> None:
    path = packers.pack(place / "a.tar", {f"{k}.png": b"1" for k in range(9)})
    refused(path, "more than 8 files", limits=Limits(max_files=8))


def test_archives_without_end_are_refused(place: Path) -> None:
    data = packers.zipped({"1.png": b"1"})
    for _ in range(7):
        data = packers.zipped({"deep.zip": data})
    (place / "deep.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match="more than 4 archives"):
        unpack_all(place)


def test_a_header_without_end_is_refused_before_it_is_read(place: Path) -> None:
    (place / "a.tar.bz2").write_bytes(packers.tarred({"x" * 3_000_000: b"1"}, "w:bz2"))
    refused(place / "a.tar.bz2", "a header of 3,")


def test_nothing_without_end_behind_the_end(place: Path) -> None:
    tar = packers.tarred({"1.png": b"1"})
    (place / "a.tar.bz2").write_bytes(bz2.compress(tar) + bz2.compress(bytes(45_000_000)) * 3)
    refused(place / "a.tar.bz2", "behind its end")


def test_what_grows_from_archive_to_archive_has_one_limit(place: Path) -> None:
    inner = packers.zipped({f"{k}.csv": bytes(150_000) for k in range(5)})
    packers.pack(place / "a.zip", {f"{k}.zip": inner for k in range(9)})
    with pytest.raises(ArchiveError, match="with all before it"):
        unpack_all(place, limits=Limits(small=2_000_000, max_ratio=1))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.7z", "a.rar"])
def test_a_full_disk_is_told_beforehand(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packers.pack(place / name, FILES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    refused(path, "1,000,000 are free", "Free some room")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.7z", "a.rar"])
def test_a_disk_that_fills_up_on_the_way_leaves_nothing(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packers.pack(place / name, FILES)
    monkeypatch.setattr(os, "sync", lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    refused(path, "No space left on device", "Free some room")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.7z", "a.rar"])
def test_a_disk_that_is_full_in_the_middle_of_a_member(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: target.Target, size_bytes: int, files: int) -> None:
        if self.written > 5000:
            raise OSError(errno.ENOSPC, "No space left on device")

    path = packers.pack(place / name, FILES)
    monkeypatch.setattr(target.Target, "_check_amount", full)
    refused(path, "No space left on device", "Free some room")
