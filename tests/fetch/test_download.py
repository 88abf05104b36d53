"""One file, from servers that behave and from servers that do what sites were seen to do."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server import Reply, Request, Server, once, ranged

from openus.data import RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch import client as clients
from openus.fetch.address import below, mirrors, redacted
from openus.fetch.checksums import git_sha1
from openus.fetch.client import Client, RetryPolicy, name_of
from openus.fetch.download import download

DATA = b"PK\x03\x04" + random.Random(1).randbytes(700_000) + b"PK\x05\x06" + bytes(18)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(waits: list[float]) -> Iterator[Client]:
    with Client(mirrors={}, sleep=waits.append) as one:
        yield one


def wanted(server: Server, name: str = "a.zip", **known: object) -> RemoteFile:
    return RemoteFile(name, url=f"{server.url}/{name}", **known)  # type: ignore[arg-type]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


HALF = len(DATA) // 2
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


def partial(server: Server, client: Client, tmp_path: Path, **how: object) -> None:
    """Leave half of the file, as a killed run does."""
    server.route("/a.zip", lambda request: ranged(request, DATA, cut=HALF, **how))  # type: ignore[arg-type]
    with pytest.raises(FetchError), Client(mirrors={}, patience=RetryPolicy(tries=1)) as hasty:
        download(hasty, wanted(server), tmp_path)
    assert left(tmp_path) == [".a.zip.partial", ".a.zip.partial.json"]
    server.asked.clear()


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


def test_a_secret_that_a_site_says_back_is_not_told(server: Server, client: Client, tmp_path: Path) -> None:
    client.bind(server.url, {"Authorization": "Bearer s3cret-token "})
    client.bind_query(f"{server.url}/b", "sig=s1gned%2Fvalue")
    server.route("/a.zip", Reply(401, b'{"message": "bad token Bearer s3cret-token \\u001b]0;x"}'))
    server.route("/b/a.zip", Reply(403, b"<html><title>sig=s1gned/value refused</title>"))
    for path in ("/a.zip", "/b/a.zip"):
        with pytest.raises(FetchError, match=r"\*\*\*") as error:
            download(client, RemoteFile("a.zip", url=server.url + path), tmp_path)
        assert "s3cret" not in str(error.value) and "s1gned" not in str(error.value) and "\x1b" not in str(error.value)


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


# redirects, secrets, mirrors


def test_secrets_stay_with_their_site(server: Server, client: Client, tmp_path: Path) -> None:
    with Server() as store:
        store.file("/a.zip", DATA)
        place = f"{store.url}/a.zip?X-Amz-Signature=s3cret&X-Amz-Expires=10"
        server.route("/a.zip", Reply(302, b"", {"Location": place, "Set-Cookie": "session=c00kie; Path=/"}))
        client.bind(server.url, {"Authorization": "Bearer t0ken"})
        download(client, wanted(server), tmp_path)
        download(client, wanted(server), tmp_path / "again")
        assert {request.headers.get("authorization") for request in server.asked} == {"Bearer t0ken"}
        assert server.asked[1].headers["cookie"] == "session=c00kie"
        for request in store.asked:
            assert not {"authorization", "cookie"} & set(request.headers)
            assert request.query["X-Amz-Signature"] == "s3cret"
        store.route("/a.zip", Reply(403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"))
        with pytest.raises(FetchError) as error:
            download(client, wanted(server), tmp_path / "third")
        assert "s3cret" not in str(error.value) and "t0ken" not in str(error.value) and error.value.renewable


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_relative_redirects_are_followed_with_the_range(
    status: int, server: Server, client: Client, tmp_path: Path
) -> None:
    partial(server, client, tmp_path)
    server.route("/a.zip", Reply(status, b"", {"Location": "../there/b.zip"}))
    server.file("/there/b.zip", DATA)
    assert download(client, wanted(server), tmp_path).sha256 == SHA256
    assert server.asked[-1].headers["range"] == f"bytes={HALF}-"


def test_a_circle_and_a_way_out_of_the_web_end(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(302, b"", {"Location": "/a.zip"}))
    with pytest.raises(FetchError, match="more than 10 times"):
        download(client, wanted(server), tmp_path)
    server.route("/a.zip", Reply(302, b"", {"Location": "file:///etc/passwd"}))
    with pytest.raises(FetchError, match="no web address"):
        download(client, wanted(server), tmp_path)


def test_a_mirror_stands_in_for_a_site_also_in_redirects(server: Server, tmp_path: Path) -> None:
    server.route("/z/records/1/a.zip", Reply(302, b"", {"Location": "https://store.example/x/a.zip?sig=1"}))
    server.file("/s/a.zip", DATA)
    mirrors = {"https://zenodo.org": f"{server.url}/z", "https://store.example/x": f"{server.url}/s"}
    with Client(mirrors=mirrors) as client:
        client.bind("https://zenodo.org", {"Authorization": "Bearer t"})
        download(client, RemoteFile("a.zip", url="https://zenodo.org/records/1/a.zip"), tmp_path)
        assert client.mapped("https://store.example/xy") == "https://store.example/xy"
        assert client.mapped("https://zenodo.org.evil.net/a") == "https://zenodo.org.evil.net/a"
    assert [request.headers.get("authorization") for request in server.asked] == ["Bearer t", None]


def test_mirrors_come_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENUS_MIRRORS", '{"https://zenodo.org/": "http://m.example/z/"}')
    assert mirrors() == {"https://zenodo.org": "http://m.example/z"}
    (tmp_path / "m.json").write_text('{"https://a.org": "http://b.org"}')
    monkeypatch.setenv("OPENUS_MIRRORS", str(tmp_path / "m.json"))
    assert mirrors() == {"https://a.org": "http://b.org"}
    for wrong in (
        "{",
        '{"https://a.org": "http://[::1"}',
        '{"https://a.org:99999": "http://b"}',
        str(tmp_path / "none.json"),
        '["x"]',
        '{"https://a.org": 1}',
        '{"a.org": "http://b.org"}',
    ):
        monkeypatch.setenv("OPENUS_MIRRORS", wrong)
        with pytest.raises(UsageError, match="OPENUS_MIRRORS"):
            mirrors()


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=20))
def test_no_secret_of_a_query_is_told(secret: str) -> None:
    for name in ("X-Amz-Signature", "sig", "access_token", "X-Goog-Credential", "uuid", "tempauth"):
        assert (
            redacted(f"https://a.org/p/x.zip?download=1&{name}={secret}&id=3")
            == "https://a.org/p/x.zip?download=1&id=3"
        )
    assert redacted(f"https://me:{secret}@a.org/x") == "https://a.org/x"


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4), st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3)
)
def test_an_address_is_below_another_by_whole_parts(path: list[str], base: list[str]) -> None:
    url, root = "https://x.org/" + "/".join(path), "https://x.org/" + "/".join(base)
    assert below(url, root) == ((path or [""])[: len(base)] == base)


def test_names_of_content_disposition() -> None:
    def name(header: str) -> str | None:
        return name_of(clients.Answer("", 200, {"content-disposition": header}, iter(())))

    assert name("attachment; filename=\"x.zip\"; filename*=UTF-8''%C3%A9.zip") == "é.zip"
    assert name('attachment; filename="../../x.zip"') == "x.zip"
    assert name("attachment; filename=x.zip") == "x.zip"
    assert name("inline") is None


def test_a_wait_ends_when_the_work_is_to_stop(server: Server, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(429, b"", {"Retry-After": "600"}))
    with Client(mirrors={}) as client:
        threading.Timer(0.3, client.stop.set).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            download(client, wanted(server), tmp_path)
        assert time.monotonic() - began < 5


# kill -9


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
