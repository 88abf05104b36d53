"""What a site lists is not believed: names that no folder should hold, other checksums than the card's, files of
something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import commands
import pytest
import sites
from commands import fetch
from conftest import openus
from server import Server

from openus import sources

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


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


def test_two_names_that_some_disks_cannot_tell_apart_are_refused(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("aul")
    sites.serve(server, sources.load("aul").card, {"A.zip": b"PK\x03\x04", "a.zip": b"PK\x03\x04"})
    ran = fetch("aul", "--root", tmp_path / "raw")
    assert ran.exit_code == 1 and "more than once" in ran.stderr


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


def test_what_no_adapter_knows_is_an_error_and_stays(
    site: Callable[..., sites.Files], server: Server, tmp_path: Path
) -> None:
    site("aul")
    sites.serve(server, sources.load("aul").card, {"other.zip": sites.zipped({"holiday.jpg": b"\xff\xd8\xff"})})
    for _ in range(2):
        ran = fetch("aul", "--root", tmp_path / "raw")
        assert ran.exit_code == 1 and "its adapter knows none of it" in ran.stderr
    assert "not received and unpacked to the end" in openus("verify-raw", tmp_path / "raw/aul").stdout
