"""Archives in several volumes, within others, and wrapped one by one: fetched, killed, mended, kept or not, adopted."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import packers
import pytest
from server import Reply, Server
from test_deaths import Died, dies_at, left

from openus import sources
from openus.data import RemoteFile
from openus.errors import ArchiveError, FetchError
from openus.fetch import lock as locks
from openus.fetch.adopt import adopt
from openus.fetch.client import Client
from openus.fetch.source import fetch
from openus.sources import Source

Files = Mapping[str, bytes]
KINDS = ("Benign", "Normal")
IMAGES = {f"{kind}/{kind}/image/{n}.jpg": b"\xff\xd8" + kind.encode() * 400 for kind in KINDS for n in (1, 2)}
"""As AUL's archives have them."""


def cut(data: bytes, name: str, count: int) -> Files:
    """`name.001` and so on."""
    size = -(-len(data) // count)
    return {f"{name}.{n + 1:03}": data[n * size : (n + 1) * size] for n in range(count)}


def split(tmp_path: Path, name: str) -> Files:
    packers.split(tmp_path / "split", name, IMAGES, 3)
    return {path.name: path.read_bytes() for path in (tmp_path / "split").iterdir()}


def wrapped(files: Files) -> Files:
    return {f"{name}.zip": packers.zipped({name: data}) for name, data in files.items()}


SETS: dict[str, Callable[[Path], Files]] = {
    "one": lambda _: {"o.zip": packers.zipped(IMAGES)},
    "nested": lambda _: {"o.zip": packers.zipped({"in.zip": packers.zipped(IMAGES)})},
    "split": lambda tmp_path: split(tmp_path, "o.zip"),
    "odd name": lambda tmp_path: split(tmp_path, "o.change2zip"),
    "cut": lambda _: cut(packers.zipped(IMAGES), "o.zip", 3),
    "cut, nested": lambda _: {"o.zip": packers.zipped(cut(packers.zipped(IMAGES), "in.zip", 3))},
    "split, wrapped": lambda tmp_path: wrapped(split(tmp_path, "o.change2zip")),
    "cut, wrapped": lambda _: wrapped(cut(packers.zipped(IMAGES), "o.zip", 3)),
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture(params=list(SETS))
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return SETS[request.param](tmp_path)


def published(server: Server, files: Files) -> Source:
    """AUL, of these files, on a plain server."""
    for name, data in files.items():
        server.file(f"/{name}", data)
    one = sources.load("aul")
    listed = tuple(RemoteFile(name, f"{server.url}/{name}") for name in files)
    return replace(one, card=replace(one.card, files=listed, access=replace(one.card.access, kind="http")))


def brought(source: Source, root: Path, keep: bool = False) -> locks.Lock:
    """The lock of a fetch that went well."""
    with Client({}, sleep=lambda _: None) as client:
        fetch(source, root, client, accepted=True, keep=keep, jobs=2)
    return checked(source, root / "aul")


def checked(source: Source, folder: Path) -> locks.Lock:
    lock = locks.read(folder)
    assert lock is not None and locks.differences(folder, lock) == [] and left(folder) == []
    came = sorted(path.read_bytes() for path in folder.rglob("*.jpg") if ".set-aside" not in str(path))
    assert came == sorted(IMAGES.values()) and len(list(source.items(folder))) == len(IMAGES)
    return lock


def aside(folder: Path) -> list[Path]:
    return list(folder.glob(".set-aside*"))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_what_is_missing_comes_whether_archives_are_kept_or_not(
    keep: bool, then: bool, files: Files, server: Server, tmp_path: Path
) -> None:
    source = published(server, files)
    first = brought(source, tmp_path, keep)
    sorted((tmp_path / "aul").rglob("*.jpg"))[0].unlink()
    assert brought(source, tmp_path, then).due() == first.due()
    assert aside(tmp_path / "aul") == []


def test_a_kill_while_unpacking_is_gone_on_with(files: Files, server: Server, tmp_path: Path) -> None:
    source = published(server, files)
    for name in ("rename", "unlink", "replace"):
        for at in range(1, 12):
            with dies_at(Path, name, at) as calls, contextlib.suppress(Died):
                brought(source, tmp_path)
            brought(source, tmp_path)
            shutil.rmtree(tmp_path / "aul")
            if calls[0] < at:
                break


@pytest.mark.parametrize("keep", [True, False])
def test_a_folder_of_parts_is_adopted_and_mended(keep: bool, files: Files, server: Server, tmp_path: Path) -> None:
    source, origin = published(server, files), tmp_path / "origin"
    origin.mkdir()
    for name, data in files.items():
        (origin / name).write_bytes(data)
    adopt(source, tmp_path / "a", origin, accepted=True, keep=keep)
    first = checked(source, tmp_path / "a/aul")
    for from_ in (origin, tmp_path / "a/aul"):
        adopt(source, tmp_path / "b", from_, accepted=True)
        assert checked(source, tmp_path / "b/aul").due() == first.due()
        sorted((tmp_path / "b/aul").rglob("*.jpg"))[0].unlink()
        adopt(source, tmp_path / "b", from_, accepted=True)
        assert checked(source, tmp_path / "b/aul").due() == first.due()
        shutil.rmtree(tmp_path / "b")
    assert {path.name: path.read_bytes() for path in origin.iterdir()} == files


def test_an_adopted_archive_that_was_kept_mends_the_folder(server: Server, tmp_path: Path) -> None:
    source = published(server, {})
    (tmp_path / "o (1).zip").write_bytes(packers.zipped(IMAGES))
    adopt(source, tmp_path, tmp_path / "o (1).zip", accepted=True, keep=True)
    sorted((tmp_path / "aul").rglob("*.jpg"))[0].unlink()
    brought(source, tmp_path)
    (tmp_path / "aul/o (1).zip").unlink()
    sorted((tmp_path / "aul").rglob("*.jpg"))[0].unlink()
    with pytest.raises(FetchError, match="a person brought it"):
        brought(source, tmp_path)
    (tmp_path / "o (1).zip").rename(tmp_path / "renamed.zip")
    adopt(source, tmp_path, tmp_path / "renamed.zip", accepted=True)
    checked(source, tmp_path / "aul")


def test_a_disk_without_links_makes_no_second_copy(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = published(server, SETS["one"](tmp_path))
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
    brought(source, tmp_path, keep=True)
    sorted((tmp_path / "aul").rglob("*.jpg"))[0].unlink()
    brought(source, tmp_path, keep=True)
    assert aside(tmp_path / "aul") == []


def test_damage_that_only_an_inner_archive_shows_comes_again(server: Server, tmp_path: Path) -> None:
    inner = packers.zipped(IMAGES)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("in.zip")
        member.size = len(inner)
        tar.addfile(member, io.BytesIO(inner))
    whole = out.getvalue()
    name = b"Benign/Benign/image/1.jpg"
    at = whole.index(name) + len(name) + 6  # of its data
    source = published(server, {"o.tar": whole})
    server.route("/o.tar", Reply(200, whole[:at] + b"!" + whole[at + 1 :]))
    with pytest.raises(ArchiveError, match=r"in\.zip is damaged"):
        brought(source, tmp_path)
    server.file("/o.tar", whole)
    brought(source, tmp_path)


def test_a_site_that_changes_between_a_kill_and_the_next_run_does_not_mix(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(letter: bytes) -> Source:
        parts = {kind: {p: d + letter for p, d in IMAGES.items() if p.startswith(kind)} for kind in KINDS}
        files = {f"{kind}.zip": packers.zipped(members) for kind, members in parts.items()}
        source = published(server, files)
        sized = tuple(replace(file, size_bytes=len(files[file.name])) for file in source.card.files)
        return replace(source, card=replace(source.card, files=sized))

    first, second = state(b"1"), state(b"22")
    state(b"1")
    server.route("/Normal.zip", Reply(403, b"no"))
    with Client({}, sleep=lambda _: None) as client, pytest.raises(FetchError):
        fetch(first, tmp_path, client, accepted=True)
    state(b"22")
    with Client({}, sleep=lambda _: None) as client:
        fetch(second, tmp_path, client, accepted=True)
    assert {path.read_bytes()[-2:] for path in (tmp_path / "aul").rglob("*.jpg")} == {b"22"}
