"""Kaggle's REST routes with the fields that kagglesdk names, and Google's store behind them, served from here."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server, once, ranged

from openus.data import Access, RemoteFile
from openus.errors import FetchError, OpenusError, UsageError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.kaggle import credentials, resolve

DATASET = Access("kaggle-dataset", "https://www.kaggle.com/datasets/me/scans", {"kaggle": "me/scans"})
PINNED = Access("kaggle-dataset", DATASET.url, {"kaggle": "me/scans", "kaggle_version": "2"})
CONTEST = Access("kaggle-competition", "https://www.kaggle.com/competitions/nerves/data", {"competition": "nerves"})
API = "https://www.kaggle.com/api/v1"
SIGNED = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=kgl&X-Goog-Expires=259200&X-Goog-Signature=s1gned"
RULES = {"code": 403, "message": "You must accept this competition's rules before you'll be able to download files."}


def bundle() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("a/1.png", bytes(range(256)) * 40)
    return out.getvalue()


DATA = bundle()
MD5 = hashlib.md5(DATA).digest()
HASHES = {"x-goog-hash": f"crc32c=n03x6A==,md5={base64.b64encode(MD5).decode()}"}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.kaggle").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def store() -> Iterator[Server]:
    with Server() as one:
        one.file("/kaggle-data-sets/1/3/bundle/archive.zip", DATA, headers=HASHES)
        yield one


@pytest.fixture
def client(server: Server, store: Server) -> Iterator[Client]:
    sites = {"https://www.kaggle.com": f"{server.url}/kg", "https://storage.googleapis.com": store.url}
    with Client(mirrors=sites, sleep=lambda _: None) as one:
        yield one


def said(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def view(**other: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "ref": "me/scans",
        "title": "Scans",
        "ownerName": "Me",
        "ownerRef": "me",
        "totalBytes": 12345,
        "lastUpdated": "2024-05-01T10:00:00.000Z",
        "licenseName": "CC0-1.0",
        "isPrivate": False,
        "currentVersionNumber": 3,
        "versions": [{"versionNumber": 3, "status": "Ready"}],
        "files": [],
    } | other


def serve(server: Server) -> None:
    place = f"https://storage.googleapis.com/kaggle-data-sets/1/3/bundle/archive.zip?{SIGNED}"
    leads = Reply(302, b"", {"Location": place})
    server.route("/kg/api/v1/datasets/view/me/scans", said(view()))
    server.route("/kg/api/v1/datasets/download/me/scans", leads)
    server.route("/kg/api/v1/competitions/data/list/nerves", said({"files": [], "nextPageToken": ""}))
    server.route("/kg/api/v1/competitions/data/download-all/nerves", leads)


def refused(client: Client, access: Access = DATASET) -> FetchError:
    with pytest.raises(FetchError) as caught:
        resolve(access, client)
    assert caught.value.hint
    return caught.value


def test_a_public_data_set_comes_without_a_login(server: Server, store: Server, client: Client, tmp_path: Path) -> None:
    serve(server)
    (file,) = resolve(DATASET, client)
    url = f"{API}/datasets/download/me/scans?datasetVersionNumber=3"
    assert file == RemoteFile("scans.zip", url, len(DATA), md5=MD5.hex(), archive="zip")
    assert store.asked[-1].headers["range"] == "bytes=0-1023"  # all that resolving brings of it
    store.route(
        "/kaggle.*", once(lambda request: ranged(request, DATA, cut=5000), lambda request: ranged(request, DATA))
    )
    server.asked.clear()
    assert download(client, file, tmp_path).md5 == MD5.hex()
    assert (tmp_path / "scans.zip").read_bytes() == DATA
    assert [request.path for request in server.asked] == ["/kg/api/v1/datasets/download/me/scans"] * 2
    assert store.asked[-1].headers["range"] == "bytes=5000-"
    assert not any("authorization" in request.headers for request in server.asked + store.asked)


def test_a_store_that_tells_neither_hash_nor_size(server: Server, store: Server, client: Client) -> None:
    serve(server)
    for headers in {"x-goog-hash": "crc32c=n03x6A=="}, {"x-goog-hash": "md5=short, crc32c=n03x6A=="}, {}:
        store.route("/kaggle.*", Reply(200, DATA, dict(headers), length=None))  # a range that is ignored
        (file,) = resolve(DATASET, client)
        assert (file.md5, file.size_bytes) == (None, None)


def test_the_pinned_version_is_asked_for(server: Server, client: Client) -> None:
    serve(server)
    (file,) = resolve(PINNED, client)
    assert file.url == f"{API}/datasets/download/me/scans?datasetVersionNumber=2"
    assert server.asked[-1].query == {"datasetVersionNumber": "2"}
    server.route("/kg/api/v1/datasets/view/me/scans", said(view(currentVersionNumber=1)))
    assert "no version 2 of me/scans: its newest is 1" in refused(client, PINNED).message
    for odd in "0", "latest", "-1":
        access = Access("kaggle-dataset", DATASET.url, {"kaggle": "me/scans", "kaggle_version": odd})
        assert f"no version {odd}" in refused(client, access).message


def test_a_competition_comes_with_a_login_that_no_other_site_gets(
    server: Server, store: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(server)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    (file,) = resolve(CONTEST, client)
    assert (file.name, file.url) == ("nerves.zip", f"{API}/competitions/data/download-all/nerves")
    download(client, file, tmp_path)
    assert (tmp_path / "nerves.zip").read_bytes() == DATA
    assert {request.headers.get("authorization") for request in server.asked} == {"Bearer t0ken"}
    assert store.asked and not any("authorization" in request.headers for request in store.asked)


def test_a_competition_without_a_login_is_not_even_asked_for(server: Server, client: Client) -> None:
    serve(server)
    error = refused(client, CONTEST)
    assert "competition nerves to nobody without a login" in error.message and "KAGGLE_API_TOKEN" in error.hint
    assert server.asked == []


@pytest.mark.parametrize(
    ("body", "words", "hint"),
    [
        (RULES, "must accept this competition's rules", "https://www.kaggle.com/competitions/nerves/rules"),
        ({"code": 403, "message": "Permission 'competitions.participate' was denied"}, "participate", "nerves/rules"),
        (
            {"code": 403, "message": "Required permission 'competitions.get' was not satisfied"},
            "competitions.get",
            "Look whether https://www.kaggle.com/competitions/nerves opens",
        ),
        ({"code": 404, "message": "Not found"}, "404", "Look whether https://www.kaggle.com/competitions/nerves opens"),
        ({"code": 401, "message": "Unauthorized"}, "401", "does not take the login of KAGGLE_API_TOKEN"),
    ],
)
def test_what_stands_before_a_competition_is_told_before_the_download(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, body: Any, words: str, hint: str
) -> None:
    serve(server)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    for route in "list", "download-all":
        for status in body["code"], 200:  # Kaggle's errors come either way
            serve(server)
            server.route(f"/kg/api/v1/competitions/data/{route}/nerves", said(body, status))
            error = refused(client, CONTEST)
            assert body["message"] in error.message and "t0ken" not in str(error)
            if status != 200 or route == "list":
                assert words in error.message and hint in error.hint


@pytest.mark.parametrize("code", [401, 403])
def test_a_data_set_that_wants_a_login(server: Server, client: Client, code: int) -> None:
    body = {"code": code, "message": "Permission 'datasets.get' was denied"}
    replies = said(body, code), said(body), said({"error": body | {"status": "PERMISSION_DENIED"}}, code)
    for route, reply in product(("view", "download"), replies):
        serve(server)
        server.route(f"/kg/api/v1/datasets/{route}/me/scans", reply)
        error = refused(client)
        assert "datasets.get" in error.message
        assert "wants a login, or is not there" in error.hint and "KAGGLE_API_TOKEN" in error.hint


def test_a_data_set_that_is_not_there(server: Server, client: Client) -> None:
    serve(server)
    server.route("/kg/api/v1/datasets/view/me/scans", said({"code": 404, "message": "Dataset not found"}, 404))
    error = refused(client)
    assert "404 Not Found: Dataset not found" in error.message
    assert "Look whether https://www.kaggle.com/datasets/me/scans opens" in error.hint


def test_a_login_page_under_status_200(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<!DOCTYPE html><html><head><title>Login | Kaggle</title></head></html>"
    for route, words in ("download", "in place of scans.zip"), ("view", "where a listing is due"):
        serve(server)
        server.route(f"/kg/api/v1/datasets/{route}/me/scans", Reply(200, page, {"Content-Type": "text/html"}))
        error = refused(client)
        assert "gave a page 'Login | Kaggle'" in error.message and words in error.message
        assert "KAGGLE_API_TOKEN" in error.hint
    server.route("/kg/api/v1/datasets/view/me/scans", Reply(403, page))
    assert "block this network" not in refused(client).message


def test_a_store_that_refuses_or_gives_something_else(server: Server, store: Server, client: Client) -> None:
    serve(server)
    xml = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>Invalid argument.</Message></Error>"
    for reply, words in (
        (Reply(400, xml), "400 Bad Request: a page 'ExpiredToken'"),
        (Reply(200, b"\x1f\x8b" + bytes(50)), "no zip"),
        (Reply(200, b""), "empty file"),
    ):
        store.route("/kaggle.*", reply)
        error = refused(client)
        assert words in error.message and "s1gned" not in str(error)


def test_answers_of_other_shapes(server: Server, client: Client) -> None:
    serve(server)
    for body in [], None, "x", view(currentVersionNumber=None), view(currentVersionNumber="3"), {}, {"error": {}}:
        server.route("/kg/api/v1/datasets/view/me/scans", said(body))
        assert "Kaggle" in refused(client).message or "something else" in refused(client).message
    server.route("/kg/api/v1/datasets/view/me/scans", said(view(errorMessage="Try later.")))
    assert "Try later" in refused(client).message


def test_a_busy_site_is_waited_for(server: Server, client: Client) -> None:
    serve(server)
    server.route("/kg/api/v1/datasets/view/me/scans", once(Reply(429, b"", {"Retry-After": "1"}), said(view())))
    server.route(
        "/kg/api/v1/datasets/download/me/scans",
        once(
            Reply(503),
            Reply(302, b"", {"Location": "https://storage.googleapis.com/kaggle-data-sets/1/3/bundle/archive.zip"}),
        ),
    )
    assert resolve(DATASET, client)[0].size_bytes == len(DATA)


# logins


def basic(user: str, key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"}


def test_logins_are_looked_for_in_kaggles_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last place to the first: each goes before those that were filled already."""
    assert credentials() == ({}, None)
    kept = home / ".kaggle"

    def write(path: Path, text: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    place = write(kept / "kaggle.json", '{"username": "u1", "key": "k1"}')
    assert credentials() == (basic("u1", "k1"), place)
    place = write(tmp_path / "conf/kaggle.json", '{"username": "u2", "key": "k2"}')
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "conf"))
    assert credentials() == (basic("u2", "k2"), place)
    monkeypatch.setenv("KAGGLE_USERNAME", "u3")
    assert credentials() == (basic("u2", "k2"), place)  # half a login is none
    monkeypatch.setenv("KAGGLE_KEY", "k3")
    assert credentials() == (basic("u3", "k3"), "KAGGLE_USERNAME and KAGGLE_KEY")
    for name in "access_token.txt", "access_token":
        place = write(kept / name, f"in {name}\n")
        assert credentials() == ({"Authorization": f"Bearer in {name}"}, place)
    monkeypatch.setenv("KAGGLE_API_TOKEN", write(tmp_path / "elsewhere", "in a file\n"))
    assert credentials() == ({"Authorization": "Bearer in a file"}, "KAGGLE_API_TOKEN")
    for token in "KGAT_" + "x" * 5000, "KGAT_1":
        monkeypatch.setenv("KAGGLE_API_TOKEN", f" {token}\n")
        assert credentials() == ({"Authorization": f"Bearer {token}"}, "KAGGLE_API_TOKEN")


def test_the_other_folder_of_kaggles_client(home: Path) -> None:
    (home / ".kaggle").rmdir()
    (home / ".config/kaggle").mkdir(parents=True)
    (home / ".config/kaggle/kaggle.json").write_text('{"username": "u", "key": "k"}')
    assert credentials()[0] == basic("u", "k")
    (home / ".kaggle").mkdir()
    assert credentials() == ({}, None)


def test_logins_that_cannot_be_read(home: Path, monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    for text in "{", "[]", "{}", '"s3cret"', '{"username": "s3cret"}':
        (home / ".kaggle/kaggle.json").write_text(text)
        with pytest.raises(UsageError, match=r"kaggle\.json is no JSON with username and key") as caught:
            resolve(DATASET, client)
        assert "s3cret" not in str(caught.value)
    (home / ".kaggle/access_token").mkdir()
    with pytest.raises(UsageError, match="access_token cannot be read"):
        credentials()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "two\nlines")
    with pytest.raises(UsageError, match="letters that no token has"):
        resolve(DATASET, client)


def test_no_message_tells_the_login(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "s3cret")
    header = basic("me", "s3cret")["Authorization"]

    def answer(request: Request) -> Reply:
        assert request.headers["authorization"] == header
        return said({"code": 401, "message": "Unauthorized"}, 401)

    server.route("/kg/api/v1/.*", answer)
    for access in DATASET, CONTEST:
        with pytest.raises(OpenusError) as caught:
            resolve(access, client)
        assert "the login of KAGGLE_USERNAME and KAGGLE_KEY" in caught.value.hint
        assert "s3cret" not in str(caught.value) and header[6:] not in str(caught.value)
    assert "s3cret" not in caplog.text and header[6:] not in caplog.text
