"""What came of a file before it broke off: the rest comes behind it, no byte twice, and two states are never joined."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import downloads
import pytest
from downloads import DATA, HALF, SHA256, left, partial, wanted
from server import Reply, Request, Server, once, ranged

from openus.data import RemoteFile
from openus.errors import FetchError
from openus.fetch.client import Client
from openus.fetch.download import download

server, waits, client = downloads.server, downloads.waits, downloads.client

CUTS = {
    "with a length": lambda request: ranged(request, DATA, cut=HALF),
    "chunked": lambda _: Reply(200, DATA, {"ETag": '"v1"'}, chunked=True, cut=HALF),
    "without a length": lambda _: Reply(200, DATA, length=None, cut=HALF),
    "after a longer length than there is": lambda _: Reply(200, DATA[:HALF], {"ETag": '"v1"'}, length=len(DATA)),
}


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_transfer_goes_on_or_begins_anew(how: str, server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", once(CUTS[how], lambda request: ranged(request, DATA)))
    archive = {"archive": "zip"} if how == "without a length" else {}
    assert download(client, wanted(server, **archive), tmp_path).sha256 == SHA256
    again = server.asked[1].headers.get("range")
    if how == "without a length":
        assert again is None  # whether the file is the same, nobody can say
    else:
        assert again == f"bytes={HALF}-" and server.asked[1].headers["if-range"] == '"v1"'
    assert left(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("validator", [{"etag": '"v1"'}, {"etag": None, "modified": "Fri, 27 Nov 2026 10:00:00 GMT"}])
def test_the_next_run_goes_on_behind_the_last_byte(
    validator: dict[str, str], server: Server, client: Client, tmp_path: Path
) -> None:
    partial(server, client, tmp_path, **validator)
    server.file("/a.zip", DATA, **validator)
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert [request.headers.get("range") for request in server.asked] == [f"bytes={HALF}-"]


NEW = b"PK\x03\x04" + random.Random(2).randbytes(len(DATA) - 4)


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: ranged(request, NEW, etag='"v2"'),  # If-Range does not fit: the whole file
        lambda _: Reply(200, NEW),  # no ranges at all
        lambda _: Reply(206, NEW, {"Content-Range": f"bytes 0-{len(NEW) - 1}/{len(NEW)}"}),  # Girder's
        once(  # another total
            lambda r: Reply(206, NEW[HALF:], {"Content-Range": f"bytes {HALF}-{len(NEW) + 9}/{len(NEW) + 10}"}),
            lambda _: Reply(200, NEW),
        ),
        once(  # another begin
            lambda r: Reply(206, NEW[3:], {"Content-Range": f"bytes 3-{len(NEW) - 1}/{len(NEW)}"}),
            lambda _: Reply(200, NEW),
        ),
        once(lambda _: Reply(416, b"", {"Content-Range": "bytes */17"}), lambda _: Reply(200, NEW)),
        once(
            lambda r: Reply(206, b"", {"Content-Range": f"bytes {HALF}-{HALF - 1}/{len(NEW)}"}),
            lambda _: Reply(200, NEW),
        ),
    ],
)
def test_a_file_that_changed_meanwhile_is_never_joined_of_two(
    answer: object, server: Server, client: Client, tmp_path: Path
) -> None:
    partial(server, client, tmp_path)
    server.route("/a.zip", answer)  # type: ignore[arg-type]
    download(client, wanted(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == NEW and left(tmp_path) == ["a.zip"]


def test_a_page_in_place_of_the_rest_costs_nothing_of_what_came(server: Server, client: Client, tmp_path: Path) -> None:
    partial(server, client, tmp_path)
    server.route("/a.zip", Reply(200, b"<html><title>Quota exceeded</title>"))
    with pytest.raises(FetchError, match="a page 'Quota exceeded'"):
        download(client, wanted(server, size_bytes=len(DATA)), tmp_path)
    assert (tmp_path / ".a.zip.partial").stat().st_size == HALF
    server.file("/a.zip", DATA)
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert server.asked[-1].headers["range"] == f"bytes={HALF}-"


def test_a_server_that_ignores_if_range_is_found_out_by_the_checksum(
    server: Server, client: Client, tmp_path: Path
) -> None:
    partial(server, client, tmp_path)

    def lying(request: Request) -> Reply:
        begin = int(request.headers.get("range", "bytes=0-")[6:-1])
        head = {"Content-Range": f"bytes {begin}-{len(NEW) - 1}/{len(NEW)}"} if begin else {}
        return Reply(206 if begin else 200, NEW[begin:], head)

    server.route("/a.zip", lying)
    download(client, wanted(server, sha256=hashlib.sha256(NEW).hexdigest()), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == NEW


def test_a_part_that_says_it_is_of_another_state_is_not_joined(server: Server, client: Client, tmp_path: Path) -> None:
    partial(server, client, tmp_path)
    server.route(
        "/a.zip",
        lambda request: ranged(Request("GET", "", {}, {**request.headers, "if-range": '"v2"'}), NEW, etag='"v2"'),
    )
    download(client, wanted(server), tmp_path)  # it ignores If-Range, and nobody told a checksum
    assert (tmp_path / "a.zip").read_bytes() == NEW


def test_all_that_was_missing_is_nothing(server: Server, client: Client, tmp_path: Path) -> None:
    partial(server, client, tmp_path)
    (tmp_path / ".a.zip.partial").write_bytes(DATA)
    server.file("/a.zip", DATA)
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert server.asked == []  # all of the bytes that were told are here


def test_what_was_left_of_another_address_is_not_gone_on_with(server: Server, client: Client, tmp_path: Path) -> None:
    partial(server, client, tmp_path)
    server.file("/b.zip", DATA)
    download(client, RemoteFile("a.zip", url=f"{server.url}/b.zip"), tmp_path)
    assert server.asked[0].headers.get("range") is None and left(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_relative_redirects_are_followed_with_the_range(
    status: int, server: Server, client: Client, tmp_path: Path
) -> None:
    partial(server, client, tmp_path)
    server.route("/a.zip", Reply(status, b"", {"Location": "../there/b.zip"}))
    server.file("/there/b.zip", DATA)
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert server.asked[-1].headers["range"] == f"bytes={HALF}-"


def test_a_disk_that_fills_up_keeps_what_came(server: Server, client: Client, tmp_path: Path) -> None:
    big = tmp_path / "small"
    big.mkdir()
    server.file("/a.zip", DATA)
    code = (
        "import resource, signal, sys; from pathlib import Path; from openus.fetch.client import Client;"
        "from openus.fetch.download import download; from openus.data import RemoteFile;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "download(Client(mirrors={}), RemoteFile('a.zip', url=sys.argv[1]), Path(sys.argv[2]))"
    )
    call = [sys.executable, "-c", code, f"{server.url}/a.zip", str(big)]
    ran = subprocess.run(call, check=False, capture_output=True, text=True)
    assert "could not be written" in ran.stderr and (big / ".a.zip.partial").stat().st_size == 300_000
    server.asked.clear()
    assert download(client, wanted(server), big).sha256 == SHA256
    assert server.asked[0].headers["range"] == "bytes=300000-"


KILLED = """
import sys
from pathlib import Path
from openus.data import RemoteFile
from openus.fetch.client import Client
from openus.fetch.download import download
url, folder, sha256 = sys.argv[1:]
for name in ("a.zip", "b.zip"):
    if not (Path(folder) / name).exists():
        download(Client(mirrors={}), RemoteFile(name, url=f"{url}/{name}", sha256=sha256), Path(folder))
"""


def test_notes_that_a_killed_run_was_writing_do_not_stay(server: Server, tmp_path: Path) -> None:
    server.file("/a.zip", DATA)
    (tmp_path / ".a.zip.partial.json.part").write_bytes(b"{")
    with Client({}) as client:
        download(client, RemoteFile("a.zip", f"{server.url}/a.zip"), tmp_path)
    assert left(tmp_path) == ["a.zip"]


def test_a_killed_download_goes_on_and_fetches_no_byte_twice(server: Server, tmp_path: Path) -> None:
    for name in ("/a.zip", "/b.zip"):
        server.route(name, lambda request: replace(ranged(request, DATA), pause_s=0.02))
    chance, kills = random.Random(7), 0
    while "b.zip" not in left(tmp_path):
        here = {path.name[1:6]: path.stat().st_size for path in tmp_path.glob(".*.partial")}
        server.asked.clear()
        child = subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(tmp_path), SHA256])
        while not server.asked and child.poll() is None:
            time.sleep(0.005)
        if not server.asked:  # it only had to finish what was here
            continue
        first = server.asked[0]
        begin = int(first.headers.get("range", "bytes=0-")[6:-1])
        assert begin == here.get(first.path[1:], 0)
        time.sleep(chance.random() * 0.15)
        if child.poll() is None and kills < 12:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.wait()
        time.sleep(0.1)  # the last request of the killed one may still be on its way to the server
    # A kill between the renaming and the removal of the notes leaves these: `fetch` removes its whole working folder.
    done = [name for name in left(tmp_path) if not name.endswith(".partial.json")]
    assert done == ["a.zip", "b.zip"] and kills > 3
    assert all((tmp_path / name).read_bytes() == DATA for name in done)
