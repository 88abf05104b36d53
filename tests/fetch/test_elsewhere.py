"""A source that comes from another place than its own site: a mirror, or a container to which a person has a link."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import commands
import pytest
import sites
from commands import adopted, declared, fetch, ids, interrupted
from server import Server

from openus import sources
from openus.fetch import listing

server, no_account, published = commands.server, commands.no_account, commands.published


@pytest.fixture
def blues_and_its_mirror(
    server: Server, published: Callable[[str], sites.Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both places give the source's published files."""
    copy, files = listing.elsewhere(sources.load("blues"), mirror=True), published("blues")
    mirrors = {**sites.serve(server, copy.card, files), **sites.serve(server, sources.load("blues").card, files)}
    monkeypatch.setenv("OPENUS_MIRRORS", json.dumps(mirrors))


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
