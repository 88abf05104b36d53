"""Zenodo's record as its serializer writes it (zenodo-rdm, zenodojson.py), with its addresses, served from here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server, once, ranged

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.zenodo import resolve

DATA = b"PK\x03\x04" + bytes(range(256)) * 40
MD5 = hashlib.md5(DATA).hexdigest()
ACCESS = Access("zenodo", "https://zenodo.org/records/12345", {"record": "12345"})
TOKEN = "zt-secret-4711"
RATES = {"X-RateLimit-Limit": "133", "X-RateLimit-Remaining": "132", "Retry-After": "59"}
"""On every answer, 200 too."""


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZENODO_TOKEN", raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(mirrors={"https://zenodo.org": server.url + "/zenodo"}, sleep=lambda _: None) as one:
        yield one


def entry(key: str = "a.zip", data: bytes = DATA, **other: Any) -> dict[str, Any]:
    quoted = key.replace(" ", "%20")
    return {
        "id": "9c1f1e2d-0000-4000-8000-000000000001",
        "key": key,
        "size": len(data),
        "checksum": f"md5:{hashlib.md5(data).hexdigest()}",
        "links": {"self": f"https://zenodo.org/api/records/12345/files/{quoted}/content"},
    } | other


def record(*files: Any, number: int = 12345, **metadata: Any) -> dict[str, Any]:
    return {
        "created": "2024-03-04T17:00:52.979185+00:00",
        "modified": "2024-03-04T17:00:53.1+00:00",
        "id": number,
        "conceptrecid": "12344",
        "doi": f"10.5281/zenodo.{number}",
        "metadata": {
            "title": "A set",
            "access_right": "open",
            "license": {"id": "cc-by-4.0"},
            "relations": {
                "version": [{"index": 0, "is_last": False, "parent": {"pid_type": "recid", "pid_value": "12344"}}]
            },
        }
        | metadata,
        "links": {"self": f"https://zenodo.org/api/records/{number}"},
        "recid": str(number),
        "files": list(files),
        "state": "done",
        "submitted": True,
    }


def serve(server: Server, body: Any, number: int = 12345, status: int = 200) -> None:
    server.route(f"/zenodo/api/records/{number}", Reply(status, json.dumps(body).encode(), RATES))


def refused(client: Client) -> FetchError:
    with pytest.raises(FetchError) as caught:
        resolve(ACCESS, client)
    assert caught.value.hint
    return caught.value


def test_files_come_with_names_sizes_and_checksums(server: Server, client: Client) -> None:
    serve(
        server,
        record(
            entry(), entry("project/a table.tar.gz"), entry("Read me.TXT", checksum=MD5), entry("b.RAR", checksum="")
        ),
    )
    start = "https://zenodo.org/api/records/12345/files"
    assert resolve(ACCESS, client) == [
        RemoteFile("a.zip", f"{start}/a.zip/content", len(DATA), md5=MD5, archive="zip"),
        RemoteFile(
            "project/a table.tar.gz", f"{start}/project/a%20table.tar.gz/content", len(DATA), MD5, archive="tar.gz"
        ),
        RemoteFile("Read me.TXT", f"{start}/Read%20me.TXT/content", len(DATA), MD5),
        RemoteFile("b.RAR", f"{start}/b.RAR/content", len(DATA), archive="rar"),
    ]
    assert len(server.asked) == 1
    assert server.asked[0].headers["user-agent"].startswith("openus/")
    assert "authorization" not in server.asked[0].headers


def test_a_file_is_brought_and_resumed(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server, record(entry("project/a set.zip")))
    modified = "Fri, 01 Mar 2024 10:00:00 GMT"

    def bytes_of(request: Request, cut: int | None = None) -> Reply:
        return ranged(request, DATA, etag=None, modified=modified, headers=RATES, cut=cut)

    server.route(
        "/zenodo/api/records/12345/files/project/a set.zip/content", once(lambda r: bytes_of(r, 5000), bytes_of)
    )
    (file,) = resolve(ACCESS, client)
    received = download(client, file, tmp_path)
    assert (tmp_path / "project" / "a set.zip").read_bytes() == DATA
    assert received.md5 == MD5
    assert server.asked[-1].headers["range"] == "bytes=5000-"
    assert server.asked[-1].headers["if-range"] == modified


def test_changed_bytes_are_refused(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server, record(entry()))
    server.file("/zenodo/api/records/12345/files/a.zip/content", DATA[:-1] + b"!")
    with pytest.raises(FetchError, match=MD5):
        download(client, resolve(ACCESS, client)[0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_id_of_all_versions_is_refused(server: Server, client: Client) -> None:
    serve(server, record(entry(), number=23456), 23456)
    server.route("/zenodo/api/records/12345", Reply(302, b"", {"Location": "https://zenodo.org/api/records/23456"}))
    error = refused(client)
    assert "12345 is no version" in error.message and "23456" in error.message


@pytest.mark.parametrize(
    ("metadata", "words", "hint"),
    [
        ({"access_right": "restricted"}, "from the public (restricted)", "set ZENODO_TOKEN"),
        ({"access_right": "embargoed", "embargo_date": "2031-02-03"}, "until 2031-02-03", "Try again then"),
        ({"access_right": "embargoed"}, "(embargo)", "Try again then"),
        ({"access_right": "open"}, "has no files (open)", "records/12345"),
        ({"access_right": None}, "has no files (access unknown)", "records/12345"),
    ],
)
def test_a_listing_without_files_says_why(
    server: Server, client: Client, metadata: dict[str, Any], words: str, hint: str
) -> None:
    serve(server, record(**metadata))
    error = refused(client)
    assert words in error.message and hint in error.hint


def test_a_token_that_does_not_open_restricted_files(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
    body = record(access_right="restricted")
    del body["files"]
    serve(server, body)
    error = refused(client)
    assert "did not let the account of ZENODO_TOKEN in" in error.hint and TOKEN not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, {"status": 404, "message": "The persistent identifier does not exist."}, "404 Not Found: The persistent"),
        (410, {"status": 410, "message": "Record deleted", "tombstone": {}}, "410 Gone: Record deleted"),
        (403, {"status": 403, "message": "Permission denied."}, "403 Forbidden: Permission denied"),
        (429, {"status": 429, "message": "133 per 1 minute"}, "429 Too Many Requests"),
    ],
)
def test_a_record_that_is_not_given(server: Server, client: Client, status: int, body: Any, words: str) -> None:
    serve(server, body, status=status)
    assert words in refused(client).message


def test_the_page_for_blocked_networks(server: Server, client: Client, tmp_path: Path) -> None:
    page = (
        b"<html><head><title>403 Forbidden</title></head><body>Access to this resource has been blocked</body></html>"
    )
    blocked = Reply(403, page, {"Content-Type": "application/octet-stream"})
    serve(server, record(entry()))
    server.route("/zenodo/api/records/12345/files/a.zip/content", blocked)
    with pytest.raises(FetchError, match="403 Forbidden"):
        download(client, resolve(ACCESS, client)[0], tmp_path)
    assert not list(tmp_path.iterdir())
    server.route("/zenodo/api/records/12345", blocked)
    assert "403 Forbidden" in refused(client).message


def test_a_limit_is_waited_for(server: Server) -> None:
    waits: list[float] = []
    full = Reply(429, b'{"status": 429, "message": "133 per 1 minute"}', {"Retry-After": "41"})
    server.route("/zenodo/api/records/12345", once(full, Reply(200, json.dumps(record(entry())).encode(), RATES)))
    with Client(mirrors={"https://zenodo.org": server.url + "/zenodo"}, sleep=waits.append) as client:
        assert len(resolve(ACCESS, client)) == 1
    assert waits == [41.0]


def test_answers_of_other_shapes(server: Server, client: Client) -> None:
    address = {"self": "https://zenodo.org/a"}
    entries = [
        None,
        "a.zip",
        {"filename": "a.zip"},
        {"key": None, "size": 1, "links": address},
        {"key": "a.zip", "size": "1", "links": address},
        {"key": "a.zip", "size": 1, "links": []},
        {"key": "a.zip", "size": 1, "links": {"self": 7}},
    ]
    records = [
        *(record() | {"files": odd} for odd in ({"a.zip": 1}, 7)),
        record() | {"metadata": ["open"]},
        record(entry()) | {"id": None},
    ]
    for body in [], None, "text", {}, *records, *(record(entry(), odd) for odd in entries):
        serve(server, body)
        assert "12345" in refused(client).message


def test_a_page_under_status_200(server: Server, client: Client) -> None:
    server.route("/zenodo/api/records/12345", b"<!DOCTYPE html><title>Zenodo is down</title>")
    assert "Zenodo is down" in refused(client).message


def test_the_token_goes_to_zenodo_and_nowhere_else(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENODO_TOKEN", f" {TOKEN}\n")
    path = "/zenodo/api/records/12345/files/a.zip/content"

    def gate(request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(403, b'{"status": 403, "message": "Permission denied."}')
        if request.path != path:
            return Reply(body=json.dumps(record(entry(), access_right="restricted")).encode())
        return Reply(302, b"", {"Location": f"{other.url}/bytes"})

    server.route("/zenodo/api/records/12345", gate)
    server.route(path, gate)
    with Server() as other:
        other.file("/bytes", DATA)
        (file,) = resolve(ACCESS, client)
        assert TOKEN not in str(file)
        download(client, file, tmp_path)
        assert [request.path for request in other.asked] == ["/bytes"]
        assert not any(TOKEN in str(request) for request in other.asked)
    assert not any(TOKEN in request.path or TOKEN in str(request.query) for request in server.asked)
    monkeypatch.setenv("ZENODO_TOKEN", "another")
    error = refused(client)
    assert "Permission denied" in error.message
    assert "another" not in str(error) and TOKEN not in str(error)
