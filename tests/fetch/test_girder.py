"""Girder's zip made on the fly: other bytes each time, cut without a word, and a key that nobody else may see."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server

from openus import sources
from openus.errors import FetchError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.girder import resolve

ACCESS = sources.load("camus").card.access
SITE = "https://humanheart-project.creatis.insa-lyon.fr"
COLLECTION = ACCESS.ids["collection"]
API = "/gi/database/api/v1"
KEY, TOKEN = "K3y/s3cret+&=", "t0kenOfSixtyFour"


@pytest.fixture
def other() -> Iterator[Server]:
    """A place that must never see a secret."""
    with Server() as one:
        yield one
        assert not any("girder-token" in request.headers or request.query for request in one.asked)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("GIRDER_API_KEY", raising=False)
    with Server() as one:
        about = {
            "_id": COLLECTION, "_modelType": "collection", "name": "CAMUS", "description": "", "public": True,
            "created": "2022-11-15T00:00:00+00:00", "updated": "2022-11-15T00:00:00+00:00", "size": 9, "meta": {},
        }  # fmt: skip
        one.route(f"{API}/collection/{COLLECTION}", answer(about))
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client({SITE: f"{server.url}/gi"}, sleep=lambda _: None) as one:
        yield one


@pytest.fixture
def key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIRDER_API_KEY", f" {KEY}\n")
    told = {"user": {"_id": "5"}, "authToken": {"token": TOKEN, "expires": "2027-01-01", "scope": ["core.data.read"]}}
    server.route(f"{API}/api_key/token", answer(told), method="POST")


def answer(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def zip_of(hour: int) -> bytes:
    """As ziputil.py makes it: stored, the time of now."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("CAMUS/a.txt", (2026, 11, 27, hour, 0, 0)), b"x" * 7000)
    return out.getvalue()


def serve_zip(server: Server, **how: Any) -> None:
    headers = {"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="CAMUS.zip"'}
    hours = iter(range(24))
    server.route(
        f"{API}/collection/{COLLECTION}/download",
        lambda _: Reply(200, zip_of(next(hours)), headers, **{"chunked": True, **how}),
    )


def no_secret(error: FetchError) -> FetchError:
    seen = f"{error} {error.hint} {error!r} {error.__cause__}"
    assert not any(secret in seen for secret in (KEY, "K3y", "s3cret", TOKEN))
    assert error.hint
    return error


def refused(client: Client) -> FetchError:
    with pytest.raises(FetchError) as error:
        resolve(ACCESS, client)
    return no_secret(error.value)


def test_anybody_gets_the_zip_and_nothing_is_told_of_it_before(server: Server, client: Client, tmp_path: Path) -> None:
    serve_zip(server)
    (file,) = resolve(ACCESS, client)
    assert (file.name, file.archive) == ("CAMUS.zip", "zip")
    assert (file.size_bytes, file.md5, file.sha256) == (None, None, None)
    assert file.url == f"{SITE}/database/api/v1/collection/{COLLECTION}/download"
    first, second = (download(client, file, tmp_path / place) for place in "ab")
    assert first.sha256 != second.sha256
    assert zipfile.ZipFile(tmp_path / "b/CAMUS.zip").testzip() is None
    assert not any("girder-token" in request.headers for request in server.asked)


def test_a_zip_that_stops_short_is_never_taken(server: Server, client: Client, tmp_path: Path) -> None:
    (file,) = resolve(ACCESS, client)
    for how in ({"cut": 4000}, {"cut": 4000, "chunked": False, "length": None}):
        serve_zip(server, **how)
        with pytest.raises(FetchError, match="broke off"):
            download(client, file, tmp_path)
        assert not (tmp_path / file.name).exists()


@pytest.mark.usefixtures("key")
def test_the_token_of_a_key_goes_with_every_request_but_the_first(
    server: Server, client: Client, tmp_path: Path
) -> None:
    serve_zip(server)
    (file,) = resolve(ACCESS, client)
    download(client, file, tmp_path)
    login, *rest = server.asked
    assert (login.method, login.path, login.query) == ("POST", f"{API}/api_key/token", {"key": KEY})
    assert [request.headers["girder-token"] for request in rest] == [TOKEN, TOKEN]
    assert not any(request.query for request in rest)
    assert TOKEN not in str(file) and KEY not in str(file)


@pytest.mark.usefixtures("key")
def test_the_token_does_not_follow_to_another_site(
    server: Server, other: Server, client: Client, tmp_path: Path
) -> None:
    """As with files that lie on S3, or links of the collection's owner."""
    other.route("/zip", Reply(200, zip_of(1), {"Content-Type": "application/zip"}))
    server.route(f"{API}/collection/{COLLECTION}/download", Reply(303, b"", {"Location": f"{other.url}/zip"}))
    (file,) = resolve(ACCESS, client)
    download(client, file, tmp_path)
    assert len(other.asked) == 1


@pytest.mark.usefixtures("key")
def test_the_key_does_not_follow_to_another_site(server: Server, other: Server, client: Client) -> None:
    server.route(f"{API}/api_key/token", Reply(307, b"", {"Location": f"{other.url}/token"}), method="POST")
    assert "404" in refused(client).message
    assert [request.path for request in other.asked] == ["/token"]


@pytest.mark.usefixtures("key")
def test_a_key_that_is_not_taken(server: Server, client: Client) -> None:
    body = b'{"message": "Invalid API key.", "type": "validation"}'
    server.route(f"{API}/api_key/token", Reply(400, body), method="POST")
    error = refused(client)
    assert "400 Bad Request: Invalid API key" in error.message and "GIRDER_API_KEY" in error.hint


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("told", [{}, [], {"authToken": None}, {"authToken": {"token": 5}}])
def test_a_login_without_a_token(told: Any, server: Server, client: Client) -> None:
    server.route(f"{API}/api_key/token", answer(told), method="POST")
    assert "GIRDER_API_KEY" in refused(client).message


@pytest.mark.usefixtures("key")
def test_a_busy_server_is_not_the_fault_of_the_key(server: Server, client: Client) -> None:
    server.route(f"{API}/api_key/token", Reply(502, b"<html><title>Bad Gateway</title>"), method="POST")
    error = refused(client)
    assert "502" in error.message and "GIRDER_API_KEY" not in error.hint
    assert len(server.asked) == client.patience.tries


@pytest.mark.usefixtures("key")
def test_a_key_that_opens_nothing_is_told_by_the_site(server: Server, client: Client) -> None:
    denied = b'{"message": "Read access denied for collection (user 5).", "type": "access"}'

    def reply(request: Request) -> Reply:
        return Reply(403 if request.headers.get("girder-token") == TOKEN else 401, denied)

    server.route(f"{API}/collection/{COLLECTION}", reply)
    assert "403 Forbidden: Read access denied" in refused(client).message


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(400, b'{"message": "Invalid collection id (x).", "type": "rest"}'), "Invalid collection id"),
        (Reply(400, b'{"message": "No matching route for \\"GET x\\"", "type": "rest"}'), "No matching route"),
        (Reply(500, b'{"type": "internal", "message": "An unexpected error occurred"}'), "500 Internal Server Error"),
        (Reply(200, b"[]"), "gave no collection"),
        (Reply(200, b'{"_id": "6373703d73e9f0047faa1bc9", "name": "ACDC"}'), "gave no collection"),
        (Reply(200, b"null"), "gave no collection"),
        (Reply(200, b"<!DOCTYPE html><title>Girder</title>"), "a page 'Girder'"),
    ],
)
def test_what_is_wrong_is_told(reply: Reply, said: str, server: Server, client: Client) -> None:
    server.route(f"{API}/collection/{COLLECTION}", reply)
    assert said in refused(client).message


@pytest.mark.parametrize(("name", "due"), [(None, COLLECTION), ("", COLLECTION), ("../x", "../x"), (5, COLLECTION)])
def test_a_name_is_passed_on_to_be_checked_or_made(name: Any, due: str, server: Server, client: Client) -> None:
    server.route(f"{API}/collection/{COLLECTION}", answer({"_id": COLLECTION, "name": name}))
    assert [file.name for file in resolve(ACCESS, client)] == [f"{due}.zip"]


def test_a_json_error_in_place_of_the_zip(server: Server, client: Client, tmp_path: Path) -> None:
    server.route(f"{API}/collection/{COLLECTION}/download", Reply(200, b'{"message": "Disk full", "type": "internal"}'))
    (file,) = resolve(ACCESS, client)
    with pytest.raises(FetchError, match="Disk full"):
        download(client, file, tmp_path)
