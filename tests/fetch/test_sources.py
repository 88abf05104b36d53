"""Every source, from a server of its site's shape to a corpus, under the terms that it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import commands
import pytest
import sites
from commands import BY_HAND, SLUGS, card_of, declared, fetch, ids
from conftest import openus
from layouts import write
from server import Reply, Server

from openus import sources
from openus.fetch import listing
from openus.fetch.archive import unpack_all

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


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
