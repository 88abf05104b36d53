"""A fetch or adoption that breaks off, is interrupted or killed: what came stays, and the next run goes on with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import commands
import pytest
import sites
from commands import adopted, card_of, declared, fetch, ids, interrupted
from conftest import openus
from layouts import write
from server import Reply, Request, Server, ranged
from test_deaths import dies_at

server, no_account, published, site = commands.server, commands.no_account, commands.published, commands.site


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
