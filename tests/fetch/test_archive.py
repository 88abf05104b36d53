"""Archives of every kind, in volumes and within others: read whole, or refused as damaged with nothing left behind."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import archives
import packers
import pytest
from archives import FILES, below, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from openus.errors import ArchiveError, CorpusError
from openus.fetch import archive
from openus.fetch.archive import unpack, unpack_all

place = archives.place

KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.7z", "a.rar", "a.change2zip"]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_comes_out_as_it_went_in(name: str, place: Path) -> None:
    done = unpack(packers.pack(place / name, FILES), place / "out")
    assert below(place / "out") == FILES
    assert (done.files, done.size_bytes) == (len(FILES), sum(map(len, FILES.values())))
    assert not list(place.glob(".*"))


def test_the_suffix_is_not_believed(place: Path) -> None:
    (place / "a.zip").write_bytes(packers.sevened(FILES))
    unpack(place / "a.zip", place / "out")
    assert below(place / "out") == FILES


def test_a_real_rar(real: Path, place: Path) -> None:
    path = next((real / "archives" / "tn3k-rar").rglob("*.rar"))
    assert unpack(path, place / "out").files == 614
    assert (place / "out/test-mask/0000.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP is not here")
def test_a_zip_that_info_zip_split(place: Path) -> None:
    (place / "src").mkdir()
    big = {f"set/{k:03d}.png": os.urandom(9000) for k in range(40)}
    for name, content in big.items():
        (place / "src" / name).parent.mkdir(exist_ok=True)
        (place / "src" / name).write_bytes(content)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", "../x.zip", "set"], cwd=place / "src", check=True)
    (place / "x.zip").rename(place / "x.change2zip")
    assert len(archive.parts(place / "x.change2zip")) > 3
    unpack(place / "x.change2zip", place / "out")
    assert below(place / "out") == big


@pytest.mark.parametrize("volumes", [2, 3, 9])
def test_members_may_lie_across_volumes(volumes: int, place: Path) -> None:
    unpack(packers.split(place, "x.change2zip", FILES, volumes), place / "out")
    assert below(place / "out") == FILES


def test_a_zip_that_was_cut_into_numbered_pieces(place: Path) -> None:
    data = packers.zipped(FILES)
    for number in range(3):
        (place / f"x.zip.{number + 1:03d}").write_bytes(
            data[number * 3000 : (number + 1) * 3000 if number < 2 else None]
        )
    unpack_all(place, keep=False)
    assert below(place) == {f"x.zip.001.unpacked/{name}": content for name, content in FILES.items()}


def test_a_missing_volume_is_told(place: Path) -> None:
    path = packers.split(place, "x.change2zip", FILES, 4)
    (place / "x.z02").unlink()
    refused(path, "split into 4 parts", "3 are here")
    (place / "x.z01").unlink(), (place / "x.z03").unlink()
    refused(path, "split into 4 parts", "1 are here", "Fetch the others")


@pytest.mark.parametrize("keep", [True, False])
def test_parts_that_a_site_wrapped_one_by_one_are_joined(keep: bool, place: Path) -> None:
    packers.split(place / "parts", "x.change2zip", FILES, 3)
    for part in sorted((place / "parts").iterdir()):
        (place / f"{part.name}.zip").write_bytes(packers.zipped({part.name: part.read_bytes()}))
        part.unlink()
    (place / "parts").rmdir()
    unpack_all(place, keep=keep)
    inner = place / "x.change2zip.zip.unpacked" / "x.change2zip.unpacked"
    assert below(inner) == FILES
    assert (place / "x.z01.zip").exists() == (place / "x.z01.zip.unpacked" / "x.z01").exists() == keep


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.7z", "a.rar"])
def test_it_tells_how_far_it_is_and_stops_when_asked(name: str, place: Path) -> None:
    path, told = packers.pack(place / name, FILES), []
    unpack(path, place / "out", progress=told.append)
    assert sum(told) == sum(map(len, FILES.values()))
    calls = iter([None])

    def stop(_: int) -> None:
        if next(calls, "end") == "end":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(path, place / "other", progress=stop)
    assert sorted(place.iterdir()) == [path, place / "out"]


def test_all_is_on_the_disk_before_the_folder_has_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = packers.pack(place / "a.zip", FILES), []

    def flushed() -> None:
        (aside,) = place.glob(".out.*.part")
        seen.append((below(aside), (place / "out").exists()))

    monkeypatch.setattr(os, "sync", flushed)
    unpack(path, place / "out")
    assert seen == [(FILES, False)]


def test_encrypted_archives_say_so(place: Path) -> None:
    data = bytearray(packers.zipped(FILES))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + offset] |= 1
    (place / "a.zip").write_bytes(data)
    refused(place / "a.zip", "is encrypted")
    (place / "b.7z").write_bytes(packers.sevened(FILES, "secret"))
    refused(place / "b.7z", "is encrypted")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("part", [0.3, 0.7, 0.97])
def test_what_was_cut_off_is_refused(name: str, part: float, place: Path) -> None:
    path = packers.pack(place / name, {f"{k}.png": os.urandom(4000) for k in range(9)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    if (name, part) != ("a.tar", 0.97):  # there only padding is missing
        refused(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.7z", "a.rar"])
def test_damage_is_told(name: str, place: Path) -> None:
    path = packers.pack(place / name, {"1.png": os.urandom(40_000)})
    data = bytearray(path.read_bytes())
    data[20_000] ^= 0xFF
    path.write_bytes(data)
    refused(path, "damaged")


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html>quota exceeded</html>", b"PK\x03\x04", b"Rar!\x1a\x07"]
)
def test_what_is_no_archive_is_told(content: bytes, place: Path) -> None:
    (place / "a.zip").write_bytes(content)
    refused(place / "a.zip")


@settings(deadline=None)
@given(
    data=st.binary(max_size=300),
    magic=st.sampled_from([b"PK\x03\x04", b"Rar!\x1a\x07\x01\0", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b"]),
)
def test_noise_raises_nothing_else(data: bytes, magic: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("noise")
    (folder / "a.zip").write_bytes(magic + data)
    with pytest.raises(ArchiveError):
        unpack(folder / "a.zip", folder / "out")
    assert [path.name for path in folder.iterdir()] == ["a.zip"]


def test_an_existing_folder_is_not_touched(place: Path) -> None:
    path = packers.pack(place / "a.zip", FILES)
    (place / "out").mkdir()
    with pytest.raises(ArchiveError, match="is there already"):
        unpack(path, place / "out")


def test_nested_archives_each_into_a_folder_of_its_name(place: Path) -> None:
    inner = packers.zipped({"image/1.png": b"1"})
    outer = {
        "Set/readme.txt": b"x",
        "Set/DDTI.zip": inner,
        "Set/mask.tar.gz": packers.tarred({"m/1.png": b"2"}, "w:gz"),
    }
    packers.pack(place / "all.zip", outer)
    done = unpack_all(place, keep=False)
    top = "all.zip.unpacked/Set"
    wanted = {
        f"{top}/readme.txt": b"x",
        f"{top}/DDTI.zip.unpacked/image/1.png": b"1",
        f"{top}/mask.tar.gz.unpacked/m/1.png": b"2",
    }
    assert below(place) == wanted
    assert len(done) == 3
    assert unpack_all(place) == []


def test_kept_archives_are_not_unpacked_again(place: Path) -> None:
    path = packers.pack(place / "a.zip", FILES)
    assert len(unpack_all(place)) == 1
    assert path.exists()
    assert unpack_all(place) == []


def test_no_medium_or_document_is_taken_for_an_archive(place: Path) -> None:
    for name in ("scan.nii.gz", "table.xlsx", "a.docx", ".hidden.zip"):
        (place / name).write_bytes(packers.zipped(FILES) if name != "scan.nii.gz" else gzip.compress(b"1"))
    assert unpack_all(place) == []


def test_a_killed_process_leaves_nothing_half_written(place: Path) -> None:
    packers.pack(place / "a.tar", {f"{k:05d}.png": os.urandom(2000) for k in range(9000)})
    code = "import sys, pathlib, openus.fetch.archive as a; a.unpack_all(pathlib.Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(place)])
    while process.poll() is None and not list(place.glob(".a.tar.unpacked.unpacking.part/*")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (place / "a.tar.unpacked").exists()
    assert unpack_all(place)[0].files == 9000
    assert not list(place.glob(".*"))


def test_a_damaged_header_is_not_the_end(place: Path) -> None:
    data = bytearray(packers.tarred({f"{k}.png": bytes([k]) * 100 for k in range(6)}))
    data[2 * 1024 + 3] ^= 1  # a member is a header and one block
    (place / "a.tar").write_bytes(data)
    refused(place / "a.tar", "header is damaged")
    (place / "b.tar").write_bytes(packers.tarred({"1.png": b"1", "2.png": b"2"})[: 2 * 1024])
    refused(place / "b.tar", "header is damaged or missing")


def test_archives_of_one_stem_and_folders_of_that_name_do_not_meet(place: Path) -> None:
    packers.pack(place / "mask.zip", {"1.png": b"1"})
    packers.pack(place / "mask.tar.gz", {"2.png": b"2"})
    (place / "mask").mkdir()
    (place / "mask/3.png").write_bytes(b"3")
    (place / "v.raw.gz").write_bytes(gzip.compress(b"values of a header"))
    assert len(unpack_all(place, keep=False)) == 2
    kept = {"mask.zip.unpacked/1.png": b"1", "mask.tar.gz.unpacked/2.png": b"2", "mask/3.png": b"3"}
    assert below(place) == kept | {"v.raw.gz": (place / "v.raw.gz").read_bytes()}


def test_two_runs_in_one_folder_exclude_each_other(place: Path) -> None:
    packers.pack(place / "a.zip", FILES)
    with archive._alone(place), pytest.raises(ArchiveError, match="Another process unpacks"):
        unpack_all(place)
    assert len(unpack_all(place)) == 1


def test_a_disk_that_cannot_lock_is_no_other_process(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packers.pack(place / "a.zip", FILES)
    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "No locks available")))
        for run in (lambda: unpack_all(place), lambda: unpack(place / "a.zip", place / "out")):
            with pytest.raises(
                CorpusError, match=rf"{place} can't be locked: No locks available\. Choose another disk"
            ):
                run()
    assert below(place).keys() == {"a.zip"}


def test_a_rar_beside_the_volumes_of_a_zip_is_a_rar(place: Path) -> None:
    packers.split(place, "x.change2zip", FILES)
    packers.pack(place / "x.rar", {"1.png": b"1"})
    assert len(unpack_all(place)) == 2
    assert below(place / "x.rar.unpacked") == {"1.png": b"1"}


def test_the_oldest_tar_and_folders_by_their_mode(place: Path) -> None:
    old = packers.tarred({"1.png": b"1"}).replace(b"ustar\x0000", bytes(8)).replace(b"ustar  \0", bytes(8))
    head = bytearray(old[:512])
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    (place / "a.tar.gz").write_bytes(gzip.compress(bytes(head) + old[512:]))
    unpack(place / "a.tar.gz", place / "old")
    assert below(place / "old") == {"1.png": b"1"}
    (place / "b.zip").write_bytes(packers.zipped({"d": b"", "w\\": b"", "d/1.png": b"1"}, {"d": stat.S_IFDIR | 0o755}))
    unpack(place / "b.zip", place / "dirs")
    assert below(place / "dirs") == {"d/1.png": b"1"}


@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_hostile_7z_header_raises_nothing_else(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("seven")
    (folder / "a.7z").write_bytes(packers.mutated_seven(packers.sevened({"a/1.png": b"1" * 50, "b": b"2"}), changes))
    try:
        unpack(folder / "a.7z", folder / "out")
    except ArchiveError:
        assert not (folder / "out").exists()
