"""EPrints to the last byte, and what its exporter does to values: left out where unset, numbers where they look so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Server

from openus import sources
from openus.errors import FetchError
from openus.fetch.client import USER_AGENT, Client
from openus.fetch.download import download
from openus.fetch.eprints import resolve

SITE = "https://archive.researchdata.leeds.ac.uk"
ACCESS = sources.load("luss-phantom").card.access
DATA = b"PK\x03\x04" + b"z" * 5000
EXPORT = "/ep/cgi/export/eprint/1263/JSON/.*"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client({SITE: f"{server.url}/ep"}, sleep=lambda _: None) as one:
        yield one


def record(*files: dict[str, Any], **more: Any) -> Reply:
    """Each file in a document of its own, as the site's JSON export tells them."""
    documents = [
        {
            "docid": 4320 + position, "pos": position, "main": file["filename"], "format": "archive",
            "mime_type": "application/zip", "security": "public", "license": "cc_by_4", "eprintid": 1263,
            "uri": f"{SITE}/id/document/{4320 + position}", "files": [file],
        }
        for position, file in enumerate(files, 1)
    ]  # fmt: skip
    whole = {"eprintid": 1263, "title": "x", "eprint_status": "archive", "documents": documents} | more
    return Reply(200, json.dumps(whole).encode(), {"Content-Type": "application/json; charset=utf-8"})


def file(name: str, **more: Any) -> dict[str, Any]:
    known = {"hash": hashlib.md5(DATA).hexdigest(), "hash_type": "MD5", "filesize": len(DATA)}
    return {"fileid": 9, "filename": name, "mime_type": "application/zip", "uri": f"{SITE}/id/file/9"} | known | more


def refused(client: Client) -> FetchError:
    with pytest.raises(FetchError) as error:
        resolve(ACCESS, client)
    assert error.value.hint
    return error.value


def test_a_document_comes_verified(server: Server, client: Client, tmp_path: Path) -> None:
    server.route(EXPORT, record(file("read me.txt", filesize=3), file("LUS model & more.zip")))
    server.file("/ep/1263/2/LUS model & more.zip", DATA)
    _, wanted = resolve(ACCESS, client)
    assert wanted.url == f"{SITE}/1263/2/LUS%20model%20%26%20more.zip"
    assert (wanted.size_bytes, wanted.archive, wanted.md5) == (len(DATA), "zip", hashlib.md5(DATA).hexdigest())
    assert download(client, wanted, tmp_path).size_bytes == len(DATA)
    assert (tmp_path / wanted.name).read_bytes() == DATA
    assert {request.headers["user-agent"] for request in server.asked} == {USER_AGENT}


def test_files_in_folders_of_a_document_keep_them(server: Server, client: Client) -> None:
    server.route(EXPORT, record(file("train/images/a#1.png")))
    (one,) = resolve(ACCESS, client)
    assert (one.name, one.url) == ("train/images/a#1.png", f"{SITE}/1263/1/train/images/a%231.png")


def test_a_login_page_in_place_of_a_file_is_told(server: Server, client: Client, tmp_path: Path) -> None:
    server.route(EXPORT, record(file("a.zip")))
    page = b"<!DOCTYPE html><html><title>Login - Research Data Leeds</title>"
    server.route("/ep/1263/1/a.zip", Reply(200, page + b" " * (len(DATA) - len(page)), {"Content-Type": "text/html"}))
    (one,) = resolve(ACCESS, client)
    with pytest.raises(FetchError, match="Login - Research Data Leeds"):
        download(client, one, tmp_path)


def test_hashes_are_taken_by_their_kind(server: Server, client: Client) -> None:
    sha = hashlib.sha256(DATA).hexdigest()
    server.route(
        EXPORT,
        record(
            file("a", hash=sha, hash_type="SHA-256"),
            file("b", hash=12345678901234567890123456789012),  # all digits: the exporter made a number of it
            file("c", hash="f" * 32, hash_type="SHA-256"),
            {"filename": "d", "filesize": "12"},
        ),
    )
    assert [(one.md5, one.sha256) for one in resolve(ACCESS, client)] == [(None, sha), (None, None)] + [
        (None, None)
    ] * 2
    assert resolve(ACCESS, client)[3].size_bytes is None


def test_a_record_without_documents_has_no_such_key(server: Server, client: Client) -> None:
    server.route(EXPORT, Reply(200, b'{"eprintid": 1263, "eprint_status": "archive"}'))
    assert "record 1263 has no public files" in refused(client).message


def test_an_embargo_is_told_with_its_end(server: Server, client: Client) -> None:
    closed = {"pos": 1, "security": "staffonly", "date_embargo": "2027-03-01", "files": [file("a.zip")]}
    server.route(EXPORT, record(documents=[closed, {"pos": 2, "security": "validuser"}]))
    assert "2 are not public (embargo until 2027-03-01)" in refused(client).message


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (record(eprintid=1264), "gave no record 1263"),
        (record(documents={"1": {}}), "gave no record 1263"),
        (record(documents=["a.zip"]), "without position or files"),
        (record(eprint_status="buffer"), "1263 is buffer, not published"),
        (record(file("a"), documents=[{"pos": 1, "security": "public", "files": ["a.zip"]}]), "without a name"),
        (record({"filename": 1}), "without a name"),
        (Reply(404, b"<html><title>Page not found</title>"), "404 Not Found: a page 'Page not found'"),
        (Reply(410, b"<html><title>Item withdrawn</title>"), "410 Gone: a page 'Item withdrawn'"),
        (Reply(401, b""), "401"),
        (Reply(200, b"cb({});"), "no JSON"),
        (Reply(200, b""), "no JSON"),
    ],
)
def test_what_is_wrong_is_told(reply: Reply, said: str, server: Server, client: Client) -> None:
    server.route(EXPORT, reply)
    assert said in refused(client).message


def test_what_the_repository_made_of_a_document_is_left_out(server: Server, client: Client) -> None:
    relation = [{"type": "http://eprints.org/relation/isVolatileVersionOf", "uri": f"{SITE}/id/document/4321"}]
    preview = {"pos": 2, "security": "public", "relation": relation, "files": [file("preview.jpg")]}
    server.route(EXPORT, record(documents=[{"pos": 1, "security": "public", "files": [file("a.zip")]}, preview]))
    assert [one.name for one in resolve(ACCESS, client)] == ["a.zip"]
