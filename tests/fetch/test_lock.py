"""The lock: what came once is what may come again, and a lock that is damaged, another source's or hostile is told."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import commands
import pytest
import sites
from commands import card_of, fetch
from conftest import openus
from layouts import write
from server import Reply, Request, Server

from openus import sources
from openus.fetch import lock as locks

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


def test_a_site_that_changed_its_file_is_told(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    files = dict(site("hc18"))
    root = tmp_path / "raw"
    assert fetch("hc18", "--root", root).exit_code == 0
    lock = (root / "hc18/fetch.lock.json").read_text()
    name = "test_set_pixel_size.csv"
    files[name] += b"more\n"
    sites.serve(server, sources.load("hc18").card, files)
    again = fetch("hc18", "--root", root)
    assert again.exit_code == 0 and f"site changed {name}" in again.stdout
    shutil.rmtree(root / "hc18")
    (root / "hc18").mkdir()
    (root / "hc18/fetch.lock.json").write_text(lock)  # a colleague's lock
    other = fetch("hc18", "--root", root)
    assert other.exit_code == 1 and f"the site changed {name}" in other.stderr
    (root / "hc18/fetch.lock.json").unlink()
    assert fetch("hc18", "--root", root).exit_code == 0


def test_a_lock_pins_all_that_came(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    files = site("camus")  # its zip has other bytes each time: what is in it counts
    root = tmp_path / "raw"
    assert fetch("camus", "--root", root, "--accept-licence").exit_code == 0
    lock = (root / "camus/fetch.lock.json").read_text()
    (name,) = (name for name in files if name.startswith("CAMUS_public"))
    for other in ({**files, "more.txt": b"x"}, {**files, name: sites.zipped({"CAMUS_public/x.txt": b"y"})}):
        shutil.rmtree(root / "camus")
        (root / "camus").mkdir()
        (root / "camus/fetch.lock.json").write_text(lock)
        sites.serve(server, card_of("camus"), other)
        ran = fetch("camus", "--root", root, "--accept-licence")
        assert ran.exit_code == 1 and "not what the lock says came before" in ran.stderr


@pytest.mark.parametrize("slug", ["ccaui", "camus"])  # Mendeley tells SHA-256; Girder's zip differs each time
def test_what_a_lock_refuses_it_refuses_on_every_run(
    slug: str, site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    files = site(slug)
    root, args = tmp_path / "raw", (slug, "--root", tmp_path / "raw", "--accept-licence")
    assert fetch(*args).exit_code == 0
    lock = (root / slug / "fetch.lock.json").read_text()
    shutil.rmtree(root / slug)
    write(root / slug / "fetch.lock.json", lock)
    other = {}
    for name, data in files.items():  # the same sizes all over
        if not zipfile.is_zipfile(io.BytesIO(data)):
            other[name] = data
            continue
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()}
        first = sorted(members)[0]
        members[first] = members[first][:-1] + bytes([members[first][-1] ^ 1])
        other[name] = sites.zipped(members)
    sites.serve(server, card_of(slug), other)
    for _ in range(3):
        ran = fetch(*args)
        assert ran.exit_code == 1 and "away to take what the site gives now" in ran.stderr
    sites.serve(server, card_of(slug), files)
    assert fetch(*args).exit_code == 0
    assert openus("verify-raw", root / slug).exit_code == 0


def test_a_file_that_the_site_no_longer_lists_is_told(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    files = dict(site("aul"))
    root = tmp_path / "raw"
    assert fetch("aul", "--root", root).exit_code == 0
    shutil.rmtree(root / "aul/Normal.zip.unpacked")
    del files["Normal.zip"]
    sites.serve(server, card_of("aul"), files)
    ran = fetch("aul", "--root", root)
    assert ran.exit_code == 1 and "its site lists no Normal.zip" in ran.stderr


def test_a_repository_that_was_renamed_is_told_before_anything_is_touched(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("fast-u-net")
    folder, args = tmp_path / "raw/fast-u-net", ("fast-u-net", "--root", tmp_path / "raw", "--accept-licence")
    assert fetch(*args).exit_code == 0
    next(path for path in sorted(folder.rglob("*.png"))).unlink()
    before = sorted(folder.rglob("*"))
    tree = next(handler for _, path, handler in server._routes if "git/trees" in path)
    told = json.loads(tree(Request("GET", "", {}, {})).body)
    told["url"] = "https://api.github.com/repos/somebody/renamed/git/trees/x"
    server.route("/gh/repos/.*/git/trees/.*", Reply(200, json.dumps(told).encode()))
    ran = fetch(*args)
    assert ran.exit_code == 1 and "which the lock holds" in ran.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 9}', '{"format": 1, "files": 3}'])
def test_a_lock_that_is_none_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "hc18").mkdir()
    (tmp_path / "hc18/fetch.lock.json").write_text(text)
    for ran in (fetch("hc18", "--root", tmp_path), openus("verify-raw", tmp_path / "hc18")):
        assert ran.exit_code == 1 and "no lock file of openus" in ran.stderr


def test_a_lock_of_another_source_is_told(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    (tmp_path / "raw/aul").mkdir()
    shutil.copy(tmp_path / "raw/hc18/fetch.lock.json", tmp_path / "raw/aul")
    ran = fetch("aul", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "is hc18's" in ran.stderr
    assert openus("verify-raw", tmp_path / "raw").exit_code == 2  # no lock there


@pytest.mark.parametrize(
    "name",
    ["/etc/x", "../../x", "a/../../x", 5, "a/" * 1500 + "b", "n" * 300, "x.unpacked/y.csv", "o.zip.unpacked", "\ud800",
     "fetch.lock.json", ".fetching/x", ""],
)  # fmt: skip
def test_a_lock_that_leaves_its_folder_is_none(name: object, site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    fetch("hc18", "--root", tmp_path / "raw")
    path = tmp_path / "raw/hc18/fetch.lock.json"
    told = json.loads(path.read_text())
    told["files"][0]["name"] = name
    path.write_text(json.dumps(told))
    ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "no lock file of openus" in ran.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [("slug", "\ud800"), ("kind", "\x1b[31m"), ("whole", "no"), ("ids", 3), ("licence", 5), ("files", []), ("files", 5),
     ("received", "\x1b"), ("verified", None), ("url", [1]), ("size_bytes", -5), ("size_bytes", 10**400), ("sha256", 5),
     ("contents", [1]), ("contents", {"a": [1]}), ("contents", {"../x": [1, "0" * 64]}), ("more", 1)],
)  # fmt: skip
def test_a_lock_with_a_value_of_another_kind_is_none(
    key: str, value: object, site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site("hc18")
    fetch("hc18", "--root", tmp_path / "raw")
    path = tmp_path / "raw/hc18/fetch.lock.json"
    told = json.loads(path.read_text())
    (told if key in told or key == "more" else told["files"][0])[key] = value
    path.write_text(json.dumps(told))
    for ran in (fetch("hc18", "--root", tmp_path / "raw"), openus("verify-raw", tmp_path / "raw/hc18")):
        assert ran.exit_code == 1 and "no lock file of openus" in ran.stderr and "This is unexpected" not in ran.stderr


def test_a_lock_does_not_reach_through_links(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    write(tmp_path / "home/thesis.txt", b"mine")
    (folder / "ext").symlink_to(tmp_path / "home", target_is_directory=True)
    told = json.loads((folder / "fetch.lock.json").read_text())
    told["files"].append({**told["files"][0], "name": "ext/thesis.txt", "contents": None})
    (folder / "fetch.lock.json").write_text(json.dumps(told))
    assert "behind a link" in openus("verify-raw", folder).stdout
    assert fetch(*args).exit_code == 1
    assert (tmp_path / "home/thesis.txt").read_bytes() == b"mine"


def test_checking_stops_in_the_middle_of_a_file(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    lock = locks.read(tmp_path / "raw/hc18")
    assert lock is not None
    big = tmp_path / "raw/hc18/big.bin"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    name, size = "big.bin", 1 << 30
    lock = replace(lock, files={**lock.files, name: replace(next(iter(lock.files.values())), name=name,
                                                           size_bytes=size, contents=None)})  # fmt: skip
    came = 0

    def stop(count: int) -> None:
        nonlocal came
        came += count
        if came > 5_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locks.lost(tmp_path / "raw/hc18", lock, quick=False, progress=stop)
    assert came < 10_000_000
