"""One file, from servers that behave and from servers that do what sites were seen to do."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from pathlib import Path

import downloads
import pytest
from downloads import DATA, HALF, SHA256, left, wanted
from server import Reply, Server, once, ranged

from openus.data import RemoteFile
from openus.errors import FetchError
from openus.fetch.checksums import git_sha1
from openus.fetch.client import Client, RetryPolicy
from openus.fetch.download import download

server, waits, client = downloads.server, downloads.waits, downloads.client


def test_a_file_comes_whole_and_nothing_else_stays(server: Server, client: Client, tmp_path: Path) -> None:
    server.file("/a.zip", DATA)
    md5, git = hashlib.md5(DATA).hexdigest(), hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
    seen = []
    file = wanted(server, size_bytes=len(DATA), md5=md5.upper(), sha256=SHA256, git_sha1=git)
    received = download(client, file, tmp_path, seen.append)
    assert (tmp_path / "a.zip").read_bytes() == DATA and left(tmp_path) == ["a.zip"]
    assert (received.size_bytes, received.sha256, received.md5, received.git_sha1) == (len(DATA), SHA256, md5, git)
    assert sum(seen) == len(DATA) and git_sha1(tmp_path / "a.zip") == git
    assert server.asked[0].headers["user-agent"].startswith("openus/")
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_it_gives_up_after_tries_that_bring_nothing(
    server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    server.route("/a.zip", Reply(500, b"<html>oops"))
    with pytest.raises(FetchError, match=r"a\.zip from http.*answers 500 Internal Server Error \(6 times\)"):
        download(client, wanted(server), tmp_path)
    assert len(waits) == 5 and waits == sorted(waits) and waits[-1] > 4
    assert left(tmp_path) == []


def test_bytes_that_come_again_are_no_progress(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(200, DATA, cut=HALF))  # no ranges, no validator, always cut at the same place
    with pytest.raises(FetchError, match="broke off"):
        download(client, wanted(server), tmp_path)
    assert 6 <= len(server.asked) <= 8


def test_progress_renews_patience(server: Server, client: Client, waits: list[float], tmp_path: Path) -> None:
    step = len(DATA) // 20
    server.route("/a.zip", lambda request: ranged(request, DATA, cut=step))
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert len(waits) >= 19 and max(waits) <= 1.0


@pytest.mark.parametrize("asked", ["7", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_site_that_asks_to_wait_is_waited_for(
    status: int, asked: str, server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    text = asked if asked == "7" else time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 9))
    server.route("/a.zip", once(Reply(status, b"", {"Retry-After": text}), lambda request: ranged(request, DATA)))
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert len(waits) == 1 and 6.0 <= waits[0] <= 9.0


def test_retry_after_on_a_good_answer_is_no_request_to_wait(
    server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    server.file("/a.zip", DATA, headers={"Retry-After": "60"})  # Zenodo's
    download(client, wanted(server), tmp_path)
    assert waits == []


def test_a_wait_of_hours_is_told(server: Server, client: Client, waits: list[float], tmp_path: Path) -> None:
    server.route("/a.zip", Reply(429, b"", {"Retry-After": "7200"}))
    with pytest.raises(FetchError, match="asks to wait 7200 s"):
        download(client, wanted(server), tmp_path)
    assert waits == []


def test_a_wait_ends_when_the_work_is_to_stop(server: Server, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(429, b"", {"Retry-After": "600"}))
    with Client(mirrors={}) as client:
        threading.Timer(0.3, client.stop.set).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            download(client, wanted(server), tmp_path)
        assert time.monotonic() - began < 5


PAGES = {
    "login": (b"<!DOCTYPE html><html><head><title>Sign in</title>", "a page 'Sign in' in place of a.zip"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>x', "a page 'AccessDenied'"),
    "json": (b'{"code":403,"message":"You must accept this competition\'s rules"}', "accept this competition's rules"),
    "empty": (b"", "an empty file"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "the pointer of Git LFS"),
    "else": (b"Rar!\x1a\x07\x01\0" + bytes(3000), "which is no zip"),
}


@pytest.mark.parametrize("what", PAGES)
def test_what_comes_under_200_and_is_not_the_file_is_told(
    what: str, server: Server, client: Client, tmp_path: Path
) -> None:
    body, said = PAGES[what]
    server.route("/a.zip", Reply(200, body, {"Content-Type": "application/octet-stream"}))
    with pytest.raises(FetchError, match=r"a\.zip") as error:
        download(client, wanted(server), tmp_path)
    assert said in error.value.message and error.value.hint and error.value.renewable
    assert left(tmp_path) == []


def test_a_challenge_for_browsers_is_told(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(202, b"", {"x-amzn-waf-action": "challenge"}))
    with pytest.raises(FetchError, match="answers 202 with a challenge that only a browser passes"):
        download(client, wanted(server), tmp_path)
    assert len(server.asked) == 1 and left(tmp_path) == []


@pytest.mark.parametrize(("status", "hint"), [(401, "login"), (403, "terms"), (404, "source's page"), (410, "newer")])
def test_a_refusal_is_not_asked_again(status: int, hint: str, server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(status, b'{"status":1,"message":"The record has been deleted."}'))
    with pytest.raises(FetchError, match=f"answers {status} .*: The record has been deleted") as error:
        download(client, wanted(server), tmp_path)
    assert hint in error.value.hint and len(server.asked) == 1


def test_wrong_bytes_are_not_kept(server: Server, client: Client, tmp_path: Path) -> None:
    server.file("/a.zip", DATA[:-1] + b"x")
    with pytest.raises(FetchError, match=f"arrived with SHA-256 .*; {SHA256} is due"):
        download(client, wanted(server, sha256=SHA256), tmp_path)
    assert left(tmp_path) == []


def test_a_wrong_size_is_told_before_a_byte_is_kept(server: Server, client: Client, tmp_path: Path) -> None:
    server.file("/a.zip", DATA)
    with pytest.raises(FetchError, match="has 700,026 bytes; 7 are due"):
        download(client, wanted(server, size_bytes=7), tmp_path)
    assert left(tmp_path) == []


def test_an_answer_without_a_length_is_held_to_the_listing(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(200, DATA * 3, chunked=True))
    with pytest.raises(FetchError, match="sends more bytes than it told"):
        download(client, wanted(server, size_bytes=len(DATA)), tmp_path)
    server.route("/a.zip", once(Reply(200, DATA, {"ETag": '"v1"'}, length=None, cut=HALF), lambda r: ranged(r, DATA)))
    assert download(client, wanted(server, size_bytes=len(DATA)), tmp_path).sha256 == SHA256
    assert server.asked[-1].headers["range"] == f"bytes={HALF}-"


def test_what_was_packed_unasked_is_refused(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/t.csv", Reply(200, b"\x1f\x8b...", {"Content-Encoding": "gzip"}))
    with pytest.raises(FetchError, match=r"gives t\.csv packed"):
        download(client, wanted(server, "t.csv"), tmp_path)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(206, DATA, {"Content-Range": "bytes 0-" + "9" * 5000 + "/*"}),
        Reply(403, b'{"message": "x"}', {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 5000}),
        Reply(429, b"", {"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"}),
        Reply(302, b"", {"Location": "http://[::1/x"}),
        Reply(302, b"", {"Location": "http://a:99999/x"}),
        Reply(302, b"", {"Location": "https://a.org/x/%2e%2e/y"}),
        Reply(404, b"<title>" * 20_000),
    ],
)
def test_nonsense_is_one_sentence(reply: Reply, server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", reply)
    with pytest.raises(FetchError):
        download(client, wanted(server), tmp_path)


def test_a_stall_and_a_drip_end(server: Server, tmp_path: Path) -> None:
    patience = RetryPolicy(tries=2, first_wait_s=0, timeout_s=0.3, window_s=0.2, slowest_bytes_s=1000)
    server.route("/a.zip", Reply(200, DATA[:2000], stall_s=1.0))
    server.route("/b.zip", Reply(200, DATA[:2000], drip_s=0.01))
    with Client(mirrors={}, patience=patience) as hasty:
        with pytest.raises(FetchError, match=r"a\.zip .*broke off"):
            download(hasty, wanted(server), tmp_path)
        with pytest.raises(FetchError, match=r"b\.zip .*drips"):
            download(hasty, wanted(server, "b.zip"), tmp_path)


def test_nobody_there_is_told(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no answer"):
        download(client, RemoteFile("a.zip", url="http://127.0.0.1:9/a.zip"), tmp_path)


def test_a_full_disk_is_told_before_the_download(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.file("/a.zip", DATA)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(FetchError, match="has 1 bytes free; 700,026 are to come"):
        download(client, wanted(server), tmp_path)
    assert left(tmp_path) == []
