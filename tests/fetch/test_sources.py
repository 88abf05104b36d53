"""Every source, from a server of its site's shape, or from a person's hands, to a corpus."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import miniature
import pytest
import sites
from conftest import Ran, openus
from layouts import layouts, write
from server import Reply, Request, Server, ranged
from test_deaths import dies_at

from openus import sources
from openus.data import Card
from openus.fetch import adopt as adopting
from openus.fetch import intake, listing
from openus.fetch import lock as locks
from openus.fetch.archive import unpack_all
from openus.fetch.folder import alone

LAYOUTS = layouts()
SLUGS = sources.slugs()
BY_HAND = {slug for slug in SLUGS if listing.by_hand(sources.load(slug).card)}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "GITHUB_TOKEN", "GH_TOKEN", "ZENODO_TOKEN",
                 "HF_TOKEN", "GIRDER_API_KEY", "OPENUS_MIRRORS", "KAGGLE_CONFIG_DIR", "HUGGING_FACE_HUB_TOKEN",
                 "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "OPENUS_AIMI_SAS_URL"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], sites.Files]:
    """A source in miniature as its publisher uploaded it; the card's sizes and checksums are those of the whole set."""

    def make(slug: str) -> sites.Files:
        module = import_module(f"openus.sources.{slug.replace('-', '_')}")
        files = tuple(replace(file, size_bytes=None, md5=None, sha256=None) for file in module.CARD.files)
        monkeypatch.setattr(module, "CARD", replace(module.CARD, files=files))
        miniature.write(LAYOUTS[slug], tmp_path / "published" / slug)
        return sites.uploaded(tmp_path / "published" / slug)

    return make


@pytest.fixture
def site(
    server: Server, published: Callable[[str], sites.Files], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., sites.Files]:
    """The source's site, reached through OPENUS_MIRRORS."""

    def make(slug: str) -> sites.Files:
        files = sites.offered(sources.load(slug).card, published(slug))
        mirrors = sites.serve(server, sources.load(slug).card, files)
        monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(mirrors))
        return files

    return make


def ids(slug: str, root: Path) -> list[str]:
    return sorted(item.id for item in sources.load(slug).items(root / slug))


def declared(slug: str) -> list[str]:
    return sorted(str(fields["id"]) for _, fields in LAYOUTS[slug].items())


def fetch(*args: object) -> Ran:
    return openus("fetch", *args)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_source_comes_to_a_corpus(
    slug: str, site: Callable[..., sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "raw"
    files = site(slug)
    for name, data in files.items():
        write(tmp_path / "plain" / slug / name, data)
    unpack_all(tmp_path / "plain" / slug)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    more = ("--from", tmp_path / "published" / slug) if slug in BY_HAND else ()
    ran = fetch(slug, "--root", root, "--accept-licence", *more)
    assert ran.exit_code == 0, ran.stderr
    assert ids(slug, root) == ids(slug, tmp_path / "plain") != []
    if slug not in ("ddti", "tn3k"):  # other forms of these lie elsewhere
        assert ids(slug, root) == declared(slug)
    lock = json.loads((root / slug / "fetch.lock.json").read_text())
    assert lock["slug"] == slug and lock["whole"]
    assert "t0ken" not in json.dumps(lock) + ran.stdout + ran.stderr and "s1gned" not in json.dumps(lock)
    assert openus("verify-raw", root / slug).exit_code == 0
    left = [path.name for path in (root / slug).rglob("*") if path.name.startswith(".") or path.suffix == ".partial"]
    assert [name for name in left if not name.startswith("._") and name != ".DS_Store"] == []
    again = fetch(slug, "--root", root, "--accept-licence", *more)
    assert again.exit_code == 0 and "there already" in again.stdout, again.stderr
    built = openus("build-shards", slug, "--root", root, "--out", tmp_path / "out", "--workers", 1)
    assert built.exit_code == 0, built.stderr


def test_every_kind_of_access_has_its_site() -> None:
    assert {sources.load(slug).card.access.kind for slug in SLUGS} <= set(sites._SITES)
    assert set(listing.RESOLVERS) <= set(sites._SITES)
    for module in set(listing.RESOLVERS.values()):
        assert callable(import_module(f"openus.fetch.{module}").resolve)


# terms


def test_terms_that_are_not_open_are_shown_and_must_be_accepted(
    site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site("acouslic")
    ran = fetch("acouslic", "--root", tmp_path / "raw")
    assert ran.exit_code == 2 and not (tmp_path / "raw").exists()
    for words in ("CC-BY-NC-SA-4.0", "commercial use forbidden", "--accept-licence", "zenodo.org"):
        assert words in ran.stderr
    assert fetch("acouslic", "--root", tmp_path / "raw", "--accept-licence").exit_code == 0
    assert json.loads((tmp_path / "raw/acouslic/fetch.lock.json").read_text())["accepted"].endswith("+00:00")


def test_open_terms_are_not_asked_for(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    ran = fetch("hc18", "--root", tmp_path / "raw", "--json")
    assert ran.exit_code == 0
    assert ran.json["fetched"][0]["items"] == len(declared("hc18"))
    lock = json.loads((tmp_path / "raw/hc18/fetch.lock.json").read_text())
    assert lock["accepted"] is None and lock["ids"]["record"] == "1327317"
    for one in lock["files"]:
        assert one["verified"] == "md5" and one["url"].startswith("https://zenodo.org/api/records/1327317/files/")


# what changes, what is damaged, what is killed


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


def test_a_card_that_knows_another_checksum_refuses_before_a_byte(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("hc18")
    module = import_module("openus.sources.hc18")
    files = tuple(replace(file, md5="0" * 32) for file in module.CARD.files)
    monkeypatch.setattr(module, "CARD", replace(module.CARD, files=files))
    server.asked.clear()
    ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "the card says " + "0" * 32 in ran.stderr
    assert all("content" not in request.path for request in server.asked)


def test_damage_is_found_and_mended(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    site("hc18")
    root = tmp_path / "raw"
    fetch("hc18", "--root", root)
    inside = root / "hc18/training_set.zip.unpacked"
    victim = next(path for path in sorted(inside.rglob("*.png")))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + b"x")
    (root / "hc18/mine.txt").write_text("a note")
    ran = openus("verify-raw", root / "hc18")
    assert (
        ran.exit_code == 1 and "is not what was received" in ran.stdout and "mine.txt came from elsewhere" in ran.stdout
    )
    assert "NOT as they came" in ran.stdout
    victim.unlink()
    server.asked.clear()
    assert fetch("hc18", "--root", root).exit_code == 0
    assert victim.read_bytes() == whole and (root / "hc18/mine.txt").exists()
    assert [request.path.split("/")[-2] for request in server.asked if "content" in request.path] == [
        "training_set.zip"
    ]


def test_a_killed_run_is_gone_on_with(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    site("hc18")
    root = tmp_path / "raw"
    server.route("/zenodo/.*/test_set.zip/content", Reply(403, b"{}"))
    first = fetch("hc18", "--root", root)
    assert first.exit_code == 1 and "test_set.zip" in first.stderr
    came = json.loads((root / "hc18/fetch.lock.json").read_text())
    assert len(came["files"]) == 3 and not came["whole"]
    server._routes.pop(0)
    server.asked.clear()
    assert fetch("hc18", "--root", root).exit_code == 0
    assert [request.path.split("/")[-2] for request in server.asked if "content" in request.path] == ["test_set.zip"]


def test_an_address_that_died_is_asked_for_anew_and_gone_on_with(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    files = site("thyroid")
    (data,) = files.values()
    half, uuids = len(data) // 2, iter(["first", "second", "third"])
    alive = [""]

    def given(request: Request) -> Reply:
        uuid = request.query.get("uuid")
        if uuid is None:  # Drive's page before large files, with another uuid each time
            alive[0] = next(uuids)
            form = (
                '<html><title>Google Drive - Virus scan warning</title><form id="download-form" method="get" '
                'action="https://drive.usercontent.google.com/download"><input type="hidden" name="id" '
                f'value="{request.query["id"]}"><input type="hidden" name="confirm" value="t">'
                f'<input type="hidden" name="uuid" value="{alive[0]}"></form>'
            )
            return Reply(200, form.encode(), {"Content-Type": "text/html"})
        named = {"Content-Disposition": 'attachment; filename="Thyroid Dataset.zip"'}
        if uuid == "first":
            if "range" in request.headers:
                return Reply(403, b"<html><title>Sorry</title>")
            return ranged(request, data, headers=named, cut=half)
        return ranged(request, data, headers=named)

    server.route("/gu/download", given)
    ran = fetch("thyroid", "--root", tmp_path / "raw", "--accept-licence")
    assert ran.exit_code == 0, ran.stderr
    assert server.asked[-1].query["uuid"] == "second" and server.asked[-1].headers["range"] == f"bytes={half}-"
    assert ids("thyroid", tmp_path / "raw") == declared("thyroid")


def test_archives_are_kept_where_that_is_asked(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    files = site("hc18")
    fetch("hc18", "--root", tmp_path / "raw", "--keep-archives")
    assert (tmp_path / "raw/hc18/training_set.zip").read_bytes() == files["training_set.zip"]
    assert openus("verify-raw", tmp_path / "raw/hc18").exit_code == 0


@pytest.mark.parametrize(
    "name",
    ["../x.zip", "/etc/x.zip", "a/../../x.zip", "a\\b.zip", ".hidden.zip", "a//b.zip", "fetch.lock.json",
     "Benign.zip.unpacked", "x\n.zip", "n" * 300 + ".zip"],
)  # fmt: skip
def test_a_name_that_leaves_its_folder_is_refused(
    name: str, site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("aul")
    sites.serve(server, sources.load("aul").card, {name: b"PK\x03\x04"})
    ran = fetch("aul", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "is refused" in ran.stderr
    assert not list(tmp_path.rglob("x.zip"))


def test_what_no_adapter_knows_is_an_error_and_stays(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("aul")
    sites.serve(server, sources.load("aul").card, {"other.zip": sites.zipped({"holiday.jpg": b"\xff\xd8\xff"})})
    for _ in range(2):
        ran = fetch("aul", "--root", tmp_path / "raw")
        assert ran.exit_code == 1 and "its adapter knows none of it" in ran.stderr
    assert "not received and unpacked to the end" in openus("verify-raw", tmp_path / "raw/aul").stdout


def test_an_interrupt_stops_soon_and_keeps_what_came(
    server: Server, published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    files = {**published("aul"), "Normal.zip": sites.zipped({"x.bin": bytes(3_000_000)})}
    mirrors = sites.serve(server, card_of("aul"), files)
    (method, path, handler), *_ = (one for one in server._routes if one[1].endswith("Normal\\.zip/content"))
    server.route(path, lambda request: replace(handler(request), pause_s=0.2), method)
    child = subprocess.Popen(
        [sys.executable, "-m", "openus.cli", "fetch", "aul", "--root", str(tmp_path / "raw")],
        env=os.environ | {"OPENUS_MIRRORS": json.dumps(mirrors)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    part = tmp_path / "raw/aul/.fetching/.Normal.zip.partial"
    while not (part.exists() and part.stat().st_size > 300_000):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a shell started behind itself
    _, errors = child.communicate(timeout=10)
    assert child.returncode == 130 and "run the same command again" in errors and "Traceback" not in errors
    assert part.stat().st_size > 300_000


def test_two_names_that_some_disks_cannot_tell_apart_are_refused(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("aul")
    sites.serve(server, sources.load("aul").card, {"A.zip": b"PK\x03\x04", "a.zip": b"PK\x03\x04"})
    ran = fetch("aul", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "more than once" in ran.stderr


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


# many at once


def test_a_newcomer_without_an_account_gets_what_is_open(
    server: Server, published: Callable[[str], sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors: dict[str, str] = {}
    for slug in SLUGS:
        if slug not in BY_HAND:
            mirrors |= sites.serve(server, card_of(slug), published(slug))
    monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(mirrors))
    ran = fetch("--open", "--root", tmp_path / "raw")
    assert ran.exit_code == 0, ran.stderr
    came = {path.name for path in (tmp_path / "raw").iterdir()}
    assert {"hc18", "aul", "fetal-planes-db", "jnu-ifm", "ccaui", "luss-phantom", "psfhs", "brest"} - came == set()
    lines = {line.split()[0]: line for line in ran.stdout.partition("Not fetched:")[2].splitlines() if line.strip()}
    assert set(lines) == set(SLUGS) - came
    assert came == {
        slug
        for slug in SLUGS
        if slug not in BY_HAND and listing.is_open(card_of(slug).licence) and "Kaggle" not in lines.get(slug, "")
    }
    assert "on application" in lines["echonet-dynamic"] and "--accept-licence" in lines["acouslic"]
    assert "Kaggle account" in lines["abdomenus"]


def test_one_that_fails_stops_no_other(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    site("hc18")
    server.route("/zenodo/api/records/7272660", Reply(410, b'{"message": "Record deleted"}'))
    ran = fetch("aul", "hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "aul: " in ran.stderr and "Record deleted" in ran.stderr
    assert ids("hc18", tmp_path / "raw") == declared("hc18")


@pytest.mark.parametrize("args", [(), ("--all", "hc18"), ("--all", "--open"), ("hc18", "aul", "--from", "."), ("nix",)])
def test_what_to_fetch_must_be_clear(args: tuple[str, ...]) -> None:
    assert fetch(*args).exit_code == 2


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


def test_an_archive_that_came_damaged_comes_anew(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("camus")
    routes = list(server._routes)
    (place,) = (path for _, path, _ in routes if path.endswith("/download"))
    whole = next(handler for _, path, handler in routes if path == place)
    data = whole(Request("GET", "", {}, {})).body
    broken = data[: len(data) // 2] + bytes(100) + data[len(data) // 2 + 100 :]
    server.route(place, Reply(200, broken, chunked=True))
    assert "damaged" in fetch("camus", "--root", tmp_path / "raw", "--accept-licence").stderr
    server.route(place, whole)
    assert fetch("camus", "--root", tmp_path / "raw", "--accept-licence").exit_code == 0


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


def test_what_is_good_stays_until_the_rest_has_come(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    inside = sorted((folder / "training_set.zip.unpacked").rglob("*.png"))
    inside[0].unlink()
    (folder / "training_set.zip.unpacked/labels.csv").write_bytes(b"mine")
    there = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    server.route("/zenodo/.*", Reply(410, b"{}"))
    assert fetch(*args).exit_code == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == there
    server._routes.pop(0)
    assert fetch(*args).exit_code == 0
    assert inside[0].is_file() and list(folder.glob(".set-aside-*/*/labels.csv"))


def test_kept_archives_mend_without_the_site(site: Callable[..., sites.Files], server: Server, tmp_path: Path) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args, "--keep-archives").exit_code == 0
    shutil.rmtree(folder / "training_set.zip.unpacked")
    server.asked.clear()
    assert fetch(*args).exit_code == 0 and server.asked == []
    assert ids("hc18", tmp_path / "raw") == declared("hc18")


@pytest.mark.parametrize("slug", ["aul", "camus"])
@pytest.mark.parametrize("then", [(), ("--keep-archives",)])
def test_kept_archives_may_go_and_come_back(
    slug: str, then: tuple[str, ...], site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site(slug)
    folder, args = tmp_path / "raw" / slug, (slug, "--root", tmp_path / "raw", "--accept-licence")
    assert fetch(*args, "--keep-archives").exit_code == 0
    kept = [path for path in folder.iterdir() if path.suffix == ".zip"]
    assert kept
    kept[0].unlink()
    assert openus("verify-raw", folder).exit_code == 0
    again = fetch(*args, *then).stdout
    assert "there already" in again and ("not all kept" in again) == bool(then)
    next(path for path in sorted(folder.rglob("*.unpacked/**/*")) if path.is_file()).unlink()
    ran = fetch(*args, *then)
    assert ran.exit_code == 0, ran.stderr
    assert openus("verify-raw", folder).exit_code == 0
    assert ids(slug, tmp_path / "raw") == declared(slug)


def test_what_somebody_changed_is_set_aside_and_comes_again(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    folder, args = tmp_path / "raw/hc18", ("hc18", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    table, inside = folder / "test_set_pixel_size.csv", folder / "test_set.zip.unpacked"
    whole, image = table.read_bytes(), next(path for path in sorted(inside.rglob("*.png")))
    table.write_bytes(whole + b"my correction\n")
    write(inside / "my notes.txt", b"mine")
    image.unlink()
    ran = fetch(*args)
    assert ran.exit_code == 0 and "not as it came is kept in" in ran.stdout and "and 1 more." in ran.stdout, ran.stderr
    (aside,) = (path for path in folder.iterdir() if path.name.startswith("."))
    assert str(aside) in ran.stdout and (aside / table.name).read_bytes() == whole + b"my correction\n"
    assert (aside / inside.name / "my notes.txt").read_bytes() == b"mine"
    assert table.read_bytes() == whole and image.is_file()
    assert openus("verify-raw", folder).exit_code == 0


def test_what_is_in_the_way_of_one_stops_no_other(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/aul").write_bytes(b"a file")
    ran = fetch("aul", "hc18", "--root", tmp_path / "raw", "--json")
    assert ran.exit_code == 1 and "Traceback" not in ran.stderr
    assert set(ran.json["failed"]) == {"aul"} and ran.json["fetched"][0]["slug"] == "hc18"


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


def interrupted(*args: object) -> None:
    """A fetch that dies after all was received and before it is unpacked."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(intake, "unpack_all", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert fetch(*args).exit_code == 130


def test_what_is_lost_between_receiving_and_unpacking_comes_again(
    site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site("aul")
    args = ("aul", "--root", tmp_path / "raw")
    interrupted(*args)
    (tmp_path / "raw/aul/.fetching/Benign.zip").unlink()
    (tmp_path / "raw/aul/.fetching/Normal.zip").write_bytes(
        sites.zipped({"Normal/Normal/image/9.jpg": b"\xff\xd8\xff"})
    )
    ran = fetch(*args)
    assert ran.exit_code == 0, ran.stderr
    assert ids("aul", tmp_path / "raw") == declared("aul")


def test_of_a_damaged_archive_that_was_kept_the_contents_count(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    files = site("aul")
    args = ("aul", "--root", tmp_path / "raw", "--keep-archives")
    assert fetch(*args).exit_code == 0
    kept = tmp_path / "raw/aul/Benign.zip"
    kept.write_bytes(files["Benign.zip"][:-9])
    assert "there already" in fetch(*args).stdout
    assert "Benign.zip is not what was received" in openus("verify-raw", tmp_path / "raw/aul").stdout
    sorted((tmp_path / "raw/aul/Benign.zip.unpacked").rglob("*.jpg"))[0].unlink()
    assert fetch(*args).exit_code == 0 and kept.read_bytes() == files["Benign.zip"]
    assert openus("verify-raw", tmp_path / "raw/aul").exit_code == 0


def test_damage_of_the_same_size_is_mended_with_what_is_missing(
    site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    site("aul")
    args = ("aul", "--root", tmp_path / "raw")
    assert fetch(*args).exit_code == 0
    first, second = (sorted((tmp_path / f"raw/aul/{n}.zip.unpacked").rglob("*.jpg"))[0] for n in ("Benign", "Normal"))
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + b"x")
    assert "by names and sizes" in fetch(*args).stdout
    second.unlink()
    assert fetch(*args).exit_code == 0
    assert first.read_bytes() == whole and second.exists()


def test_an_old_file_does_not_pass_as_the_download_after_a_kill(
    site: Callable[..., sites.Files], tmp_path: Path
) -> None:
    files = site("buid")
    folder = tmp_path / "raw/buid"
    old = files["Benign.zip"][:-1] + b"x"
    write(folder / "Benign.zip", old)
    write(folder / ".fetching/.Benign.zip.partial", files["Benign.zip"][:100])
    write(folder / ".fetching/.Benign.zip.partial.json", json.dumps({"url": "x", "validator": None, "total": len(old)}))
    args = ("buid", "--root", tmp_path / "raw", "--accept-licence", "--keep-archives")
    assert "did not bring it" in fetch(*args).stderr and (folder / "Benign.zip").read_bytes() == old
    (folder / "Benign.zip").unlink()
    assert fetch(*args).exit_code == 0
    assert (folder / "Benign.zip").read_bytes() == files["Benign.zip"]


def test_a_raw_folder_with_its_lock_is_adopted_by_that_lock(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    args = ("hc18", "--root", tmp_path / "mine", "--from", tmp_path / "raw/hc18")
    assert fetch(*args).exit_code == 0
    copied = [json.loads((tmp_path / f"{r}/hc18/fetch.lock.json").read_text())["files"] for r in ("raw", "mine")]
    assert copied[0] == copied[1]
    shutil.rmtree(tmp_path / "mine")
    victim = sorted((tmp_path / "raw/hc18").rglob("*.png"))[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    ran = fetch(*args)
    assert ran.exit_code == 1 and "by the lock in it" in ran.stderr and not (tmp_path / "mine/hc18").exists()


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


# by hand


@pytest.mark.parametrize("slug", sorted(BY_HAND))
def test_what_needs_a_person_comes_with_its_steps(slug: str, tmp_path: Path) -> None:
    ran = fetch(slug, "--root", tmp_path / "raw", "--accept-licence")
    card = card_of(slug)
    assert ran.exit_code == 1 and not (tmp_path / "raw" / slug).exists()
    assert card.access.url in ran.stderr and f"openus fetch {slug} --from PATH" in ran.stderr
    assert all(" ".join(step.split()) in " ".join(ran.stderr.split()) for step in card.access.steps)
    assert all(file.name in ran.stderr for file in card.files)


def test_an_archive_a_folder_of_parts_and_an_unpacked_folder_end_alike(
    published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("echocp")
    packed = tmp_path / "published/echocp"
    roots = [tmp_path / "parts", tmp_path / "unpacked"]
    assert fetch("echocp", "--root", roots[0], "--from", packed).exit_code == 0
    assert (packed / "EchoCP_dataset.z01").exists()  # what is adopted stays where it was
    assert fetch("echocp", "--root", roots[1], "--from", roots[0] / "echocp").exit_code == 0
    assert ids("echocp", roots[0]) == ids("echocp", roots[1]) == declared("echocp")
    published("bus-b")
    (one,) = (tmp_path / "published/bus-b").iterdir()
    ran = fetch("bus-b", "--root", tmp_path / "one", "--from", one, "--accept-licence")
    assert ran.exit_code == 0 and ids("bus-b", tmp_path / "one") == declared("bus-b")
    assert "lock file pins what came" in ran.stdout


def test_a_copy_on_hugging_face(
    server: Server, published: Callable[[str], sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    copy = listing.elsewhere(sources.load("blues"), mirror=True)
    monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(sites.serve(server, copy.card, published("blues"))))
    ran = fetch("blues", "--mirror", "--accept-licence", "--root", tmp_path / "raw")
    assert ran.exit_code == 0, ran.stderr
    assert ids("blues", tmp_path / "raw") == declared("blues")
    lock = (tmp_path / "raw/blues/fetch.lock.json").read_text()
    assert '"kind": "huggingface"' in lock and "t0ken" not in lock and "s1gned" not in lock
    assert {one["verified"] for one in json.loads(lock)["files"]} <= {"sha256", "git"}
    for request in server.asked:
        assert request.headers.get("authorization") == (None if request.path.startswith("/xet") else "Bearer t0ken")
    assert fetch("hc18", "--mirror").exit_code == 2


def test_a_link_to_stanfords_container(
    server: Server, published: Callable[[str], sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = "https://aimi.blob.core.windows.net/c?sv=2019-02-02&sr=c&sig=s1gned&se={}&sp=rl"
    monkeypatch.setenv("OPENUS_AIMI_SAS_URL", link.format("2099-01-01T00:00:00Z"))
    there = listing.elsewhere(sources.load("echonet-dynamic"), mirror=False)
    assert there.card.access.kind == "azure"
    monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(sites.serve(server, there.card, published("echonet-dynamic"))))
    args = ("echonet-dynamic", "--root", tmp_path / "raw", "--accept-licence")
    ran = fetch(*args)
    assert ran.exit_code == 0, ran.stderr
    assert ids("echonet-dynamic", tmp_path / "raw") == declared("echonet-dynamic")
    lock = (tmp_path / "raw/echonet-dynamic/fetch.lock.json").read_text()
    assert "s1gned" not in lock + ran.stdout + ran.stderr and '"verified": "md5"' in lock
    shutil.rmtree(tmp_path / "raw")
    for wrong, said in (
        (link.format("2020-01-01T00:00:00Z"), "has expired on 2020"),
        (link.format("2099-01-01T00:00:00Z").replace("s1gned", "0ther"), "AuthenticationFailed"),
        ("nonsense", "no link to a container"),
    ):
        monkeypatch.setenv("OPENUS_AIMI_SAS_URL", wrong)
        ran = fetch(*args)
        assert ran.exit_code in (1, 2) and said in ran.stderr and "0ther" not in ran.stderr
    monkeypatch.delenv("OPENUS_AIMI_SAS_URL")
    assert "By hand" in fetch(*args).stderr


def test_an_adoption_takes_nothing_that_it_did_not_look_at(
    published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("bus-b")
    packed = tmp_path / "published/bus-b"
    (tmp_path / "elsewhere").mkdir()
    (packed / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    args = ("bus-b", "--root", tmp_path / "raw", "--from", packed, "--accept-licence")
    assert "was not looked into" in fetch(*args).stderr
    (packed / "link").unlink()
    write(packed / "BUS.zip.unpacked/BUS/original/000999.png", b"")  # beside its archive: the archive counts
    write(tmp_path / "raw/bus-b/.git", b"mine")
    assert "holds something already" in fetch(*args).stderr
    assert (tmp_path / "raw/bus-b/.git").read_bytes() == b"mine"
    shutil.rmtree(tmp_path / "raw/bus-b")
    with alone(tmp_path / "raw/bus-b"):
        assert "Another process fetches" in fetch(*args).stderr
    assert fetch(*args).exit_code == 0
    assert ids("bus-b", tmp_path / "raw") == declared("bus-b")


def adopted(slug: str, origin: Path, root: Path, *more: object) -> Ran:
    return fetch(slug, "--root", root, "--from", origin, "--accept-licence", *more)


def test_an_adopted_folder_is_mended_by_bringing_it_again(
    published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("bus-b")
    packed, root = tmp_path / "published/bus-b", tmp_path / "raw"
    for origin in (packed, tmp_path / "loose"):
        if origin != packed:
            shutil.copytree(packed, origin)
            unpack_all(origin, keep=False)
            shutil.rmtree(root)
        assert adopted("bus-b", origin, root).exit_code == 0
        assert "there already" in adopted("bus-b", origin, root).stdout
        victim = sorted(root.rglob("*.png"))[0]
        victim.unlink()
        ran = fetch("bus-b", "--root", root, "--accept-licence")
        assert ran.exit_code == 1 and "a person brought it" in ran.stderr and "--from" in ran.stderr
        ran = adopted("bus-b", origin, root)
        assert ran.exit_code == 0 and victim.is_file(), ran.stderr
        assert openus("verify-raw", root / "bus-b").exit_code == 0
        victim.unlink()
        (tmp_path / "empty").mkdir(exist_ok=True)
        ran = adopted("bus-b", tmp_path / "empty", root)
        assert ran.exit_code == 1 and "has no file that is what came before" in ran.stderr


def test_a_part_that_was_not_brought_is_told(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    files = published("hc18")
    write(tmp_path / "got/training_set (1).zip", sites.offered(sources.load("hc18").card, files)["training_set.zip"])
    ran = adopted("hc18", tmp_path / "got", tmp_path / "raw")
    assert ran.exit_code == 0 and "were not brought: test_set.zip" in ran.stdout, ran.stderr


def test_a_folder_of_two_sources_is_refused(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    ran = adopted("aul", tmp_path / "raw", tmp_path / "mine")
    assert ran.exit_code == 1 and "holds hc18 too" in ran.stderr and not (tmp_path / "mine/aul").exists()
    ran = adopted("aul", tmp_path, tmp_path / "raw")
    assert ran.exit_code == 2 and "to which it should go" in ran.stderr


def test_a_folder_may_be_a_link_to_another_disk(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published("bus-b")
    (tmp_path / "disk").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/bus-b").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert adopted("bus-b", tmp_path / "published/bus-b", tmp_path / "raw").exit_code == 0
    assert openus("verify-raw", tmp_path / "raw/bus-b").exit_code == 0 and (tmp_path / "disk/fetch.lock.json").exists()


def test_what_is_not_the_source_is_not_adopted(tmp_path: Path, published: Callable[[str], sites.Files]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/holiday.jpg").write_bytes(b"\xff\xd8\xff")
    ran = fetch("bus-b", "--root", tmp_path / "raw", "--from", tmp_path / "other", "--accept-licence")
    assert ran.exit_code == 1 and "Nothing that bus-b is made of was found" in ran.stderr
    assert list((tmp_path / "raw").iterdir()) == []
    assert fetch("bus-b", "--from", tmp_path / "none", "--accept-licence").exit_code == 2


def test_an_adopted_file_is_verified_as_a_download_is(tmp_path: Path) -> None:
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand/training_set.zip").write_bytes(b"PK\x03\x04 and then something else")
    ran = fetch("hc18", "--root", tmp_path / "raw", "--from", tmp_path / "hand")
    assert ran.exit_code == 1 and "training_set.zip arrived with bytes 28; 132926838 is due" in ran.stderr
    (tmp_path / "hand/training_set.zip").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    ran = fetch("hc18", "--root", tmp_path / "raw", "--from", tmp_path / "hand")
    assert ran.exit_code == 1 and "a page 'Sign in' in place of training_set.zip" in ran.stderr


def test_two_processes_do_not_fetch_one_source(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    with alone(tmp_path / "raw/hc18"):
        ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "Another process fetches" in ran.stderr
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0


def card_of(slug: str) -> Card:
    return sources.load(slug).card


@pytest.fixture
def blues_and_its_mirror(
    server: Server, published: Callable[[str], sites.Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both places give the source's published files."""
    copy, files = listing.elsewhere(sources.load("blues"), mirror=True), published("blues")
    mirrors = {**sites.serve(server, copy.card, files), **sites.serve(server, sources.load("blues").card, files)}
    monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(mirrors))


@pytest.mark.usefixtures("blues_and_its_mirror")
def test_a_mirrored_folder_is_mended_from_its_mirror_alone(tmp_path: Path) -> None:
    folder, args = tmp_path / "raw/blues", ("blues", "--accept-licence", "--root", tmp_path / "raw")
    assert fetch(*args, "--mirror").exit_code == 0
    assert "too" not in fetch(*args).stdout
    victim = next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "fetch.lock.json")
    victim.unlink()
    before = sorted(folder.rglob("*"))
    ran = fetch(*args)
    assert ran.exit_code == 1 and "from another place (huggingface)" in ran.stderr and "--mirror" in ran.stderr
    assert sorted(folder.rglob("*")) == before
    assert fetch(*args, "--mirror").exit_code == 0 and victim.is_file()


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


def test_what_is_damaged_of_an_adopted_source_is_named(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published("bus-b")
    assert adopted("bus-b", tmp_path / "published/bus-b", tmp_path / "raw").exit_code == 0
    victim = sorted((tmp_path / "raw").rglob("*.png"))[0]
    victim.unlink()
    ran = fetch("bus-b", "--root", tmp_path / "raw", "--accept-licence")
    assert ran.exit_code == 1 and victim.name in ran.stderr and "a person brought it" in ran.stderr


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    card = sources.load("fast-u-net").card
    for file in card.files:
        assert adopting._known(card, f"somewhere/{file.name}") == file
    assert adopting._known(card, "train.txt") is None


def test_volumes_in_a_raw_folder_are_adopted_and_mended(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("regpro")
    assert fetch("regpro", "--root", tmp_path / "raw", "--accept-licence").exit_code == 0
    assert adopted("regpro", tmp_path / "raw/regpro", tmp_path / "mine").exit_code == 0
    folder = tmp_path / "mine/regpro"
    names = {one["name"] for one in json.loads((folder / "fetch.lock.json").read_text())["files"]}
    assert not [name for name in names if name.endswith(".nii.gz")]
    sorted(folder.rglob("*.nii.gz"))[0].unlink()
    ran = fetch("regpro", "--root", tmp_path / "mine", "--accept-licence")
    assert ran.exit_code == 0, ran.stderr
    assert openus("verify-raw", folder).exit_code == 0


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


def test_what_cannot_be_adopted_is_told(published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published("bus-b")
    os.mkfifo(tmp_path / "pipe")
    ran = adopted("bus-b", tmp_path / "pipe", tmp_path / "raw")
    assert ran.exit_code == 2 and "is no file and no folder" in ran.stderr
    write(tmp_path / "two/a/x.png", b"1")
    write(tmp_path / "two/a.unpacked/x.png", b"2")
    ran = adopted("bus-b", tmp_path / "two", tmp_path / "raw")
    assert ran.exit_code == 1 and "would lie at one place" in ran.stderr
    write(tmp_path / "raw/bus-b/fetch.lock.json", json.dumps({
        "slug": "hc18", "kind": "zenodo", "ids": {}, "licence": None, "accepted": None, "files": [], "whole": False,
        "format": 1,
    }).encode())  # fmt: skip
    ran = adopted("bus-b", tmp_path / "published/bus-b", tmp_path / "raw")
    assert ran.exit_code == 1 and "is hc18's" in ran.stderr


@pytest.mark.parametrize("slug", ["cardiacudc", "echocp"])
def test_volumes_are_adopted_by_the_card(slug: str, published: Callable[[str], sites.Files], tmp_path: Path) -> None:
    published(slug)
    ran = adopted(slug, tmp_path / "published" / slug, tmp_path / "raw")
    assert ran.exit_code == 0 and ids(slug, tmp_path / "raw") == declared(slug), ran.stderr


@pytest.mark.parametrize("step", ["replace", "rename"])
def test_an_adoption_that_is_stopped_loses_nothing(
    step: str, published: Callable[[str], sites.Files], tmp_path: Path
) -> None:
    published("bus-b")
    origin, root = tmp_path / "published/bus-b", tmp_path / "raw"
    assert adopted("bus-b", origin, root).exit_code == 0
    whole = {path: path.read_bytes() for path in root.rglob("*.png")}
    for at in range(1, 9):
        sorted(whole)[0].unlink(missing_ok=True)
        with dies_at(Path, step, at, error=KeyboardInterrupt):
            adopted("bus-b", origin, root)
        there = {path.read_bytes() for path in root.rglob("*.png")}
        assert there >= {data for _, data in sorted(whole.items())[1:]}
        more = () if at % 2 else ("--from", origin)  # what is at hand mends it without a person, too
        ran = fetch("bus-b", "--root", root, "--accept-licence", *more)
        if not more and "a person brought it" in ran.stderr:
            ran = adopted("bus-b", origin, root)
        assert ran.exit_code == 0, ran.stderr
        assert {path: path.read_bytes() for path in root.rglob("*.png")} == whole
        assert openus("verify-raw", root / "bus-b").exit_code == 0


def test_what_a_killed_adoption_left_is_not_fetched(site: Callable[..., sites.Files], tmp_path: Path) -> None:
    site("hc18")
    write(tmp_path / "raw/hc18/.fetching/adopted/other.zip", b"half a download")
    assert fetch("hc18", "--root", tmp_path / "raw").exit_code == 0
    assert ids("hc18", tmp_path / "raw") == declared("hc18")


@pytest.mark.usefixtures("blues_and_its_mirror")
def test_what_had_begun_to_come_from_one_place_comes_from_another(tmp_path: Path) -> None:
    args = ("blues", "--accept-licence", "--root", tmp_path / "raw")
    interrupted(*args)
    assert fetch(*args, "--mirror").exit_code == 0
    assert ids("blues", tmp_path / "raw") == declared("blues")
    ran = adopted("blues", tmp_path / "raw/blues", tmp_path / "mine")  # which is mended from its mirror, too
    assert ran.exit_code == 0
    next(path for path in sorted((tmp_path / "mine").rglob("*.mp4"))).unlink()
    ran = fetch("blues", "--accept-licence", "--root", tmp_path / "mine", "--mirror")
    assert ran.exit_code == 0, ran.stderr


def test_a_disk_that_cannot_lock_is_told(
    site: Callable[..., sites.Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("hc18")
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    ran = fetch("hc18", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "can't be locked" in ran.stderr and not (tmp_path / "raw/hc18").exists()


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


def test_hidden_files_of_a_listing_do_not_come(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    files = site("aul")
    sites.serve(server, sources.load("aul").card, {**files, "sub/.DS_Store": b"x", "__MACOSX/._a": b"x"})
    for _ in range(2):
        ran = fetch("aul", "--root", tmp_path / "raw")
        assert ran.exit_code == 0, ran.stderr
    assert openus("verify-raw", tmp_path / "raw/aul").exit_code == 0
    assert not list((tmp_path / "raw").rglob(".DS_Store"))
