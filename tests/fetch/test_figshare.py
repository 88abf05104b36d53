"""figshare's API v2 as its own documentation writes it (ArticleComplete, PublicFile), served from here."""

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
from openus.fetch.figshare import resolve

DATA = b"PK\x03\x04" + bytes(range(256)) * 40
MD5 = hashlib.md5(DATA).hexdigest()
PAGE_URL = "https://figshare.com/articles/dataset/A/77"
ACCESS = Access("figshare", PAGE_URL, {"article": "77"})
PINNED = Access("figshare", PAGE_URL, {"article": "77", "version": "2", "doi": "10.6084/m9.figshare.77"})
CHALLENGE = Reply(202, b"", {"x-amzn-waf-action": "challenge"})
S3 = "https://s3-eu-west-1.amazonaws.com/pfigshare-u-files"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, waits: list[float]) -> Iterator[Client]:
    sites = {
        "https://api.figshare.com": "/api",
        "https://ndownloader.figshare.com": "/nd",
        "https://s3-eu-west-1.amazonaws.com": "/s3",
    }
    with Client(mirrors={site: server.url + path for site, path in sites.items()}, sleep=waits.append) as one:
        yield one


def row(number: int, name: str = "a.zip", **other: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "size": len(DATA),
        "is_link_only": False,
        "download_url": f"https://figshare.com/ndownloader/files/{number}",
        "supplied_md5": MD5,
        "computed_md5": MD5,
        "mimetype": "application/zip",
    } | other


def article(files: list[Any], **other: Any) -> dict[str, Any]:
    return {
        "id": 77,
        "title": "A",
        "doi": "10.6084/m9.figshare.77.v3",
        "url_public_html": PAGE_URL,
        "version": 3,
        "license": {"value": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
        "size": len(DATA) * len(files),
        "status": "public",
        "is_public": True,
        "is_embargoed": False,
        "embargo_title": "",
        "embargo_reason": "",
        "is_confidential": False,
        "confidential_reason": "",
        "is_metadata_record": False,
        "metadata_reason": "",
        "has_linked_file": False,
        "download_disabled": False,
        "files": files[:10],
        "folder_structure": {},
    } | other


def serve(server: Server, files: list[Any], base: str = "/api/v2/articles/77", **other: Any) -> None:
    """An article, its files by 10 unless asked for more, as the true routes do, and every way to the bytes."""

    def listing(request: Request) -> Reply:
        page, size = int(request.query.get("page", 1)), int(request.query.get("page_size", 10))
        if size > 1000 or page > 5000:
            return Reply(422, b'{"message": "page_size is too large", "code": "UnprocessableEntity"}')
        return Reply(body=json.dumps(files[(page - 1) * size : page * size]).encode())

    signed = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=10&X-Amz-Signature=f00d"

    def leads(request: Request) -> Reply:
        return Reply(302, b"", {"Location": f"{S3}/{request.path.rpartition('/')[2]}/a.zip{signed}"})

    server.route(base, Reply(body=json.dumps(article(files, **other)).encode()))
    server.route(f"{base}/files", listing)
    server.route(r"/nd/files/\d+", leads)
    server.route(r"/api/v2/file/download/\d+", leads)
    server.route(r"/s3/pfigshare-u-files/\d+/a.zip", lambda request: ranged(request, DATA))


def refused(client: Client, access: Access = ACCESS) -> FetchError:
    with pytest.raises(FetchError) as caught:
        resolve(access, client)
    assert caught.value.hint
    return caught.value


def test_files_come_with_folders_sizes_and_checksums(server: Server, client: Client) -> None:
    serve(
        server,
        [
            row(1),
            row(2),
            row(3, "b.TAR.GZ", supplied_md5=""),
            row(4, "notes.txt", computed_md5="", supplied_md5=MD5.upper()),
            row(5, "c.csv", computed_md5="", supplied_md5=""),
        ],
        folder_structure={"2": "Test Folder/inner/", "5": ""},
    )
    start = "https://ndownloader.figshare.com/files"
    assert resolve(ACCESS, client) == [
        RemoteFile("a.zip", f"{start}/1", len(DATA), md5=MD5, archive="zip"),
        RemoteFile("Test Folder/inner/a.zip", f"{start}/2", len(DATA), md5=MD5, archive="zip"),
        RemoteFile("b.TAR.GZ", f"{start}/3", len(DATA), md5=MD5, archive="tar.gz"),
        RemoteFile("notes.txt", f"{start}/4", len(DATA), md5=MD5),
        RemoteFile("c.csv", f"{start}/5", len(DATA)),
    ]
    assert all(request.headers["user-agent"].startswith("openus/") for request in server.asked)


def test_a_file_is_brought_and_resumed_at_a_new_signed_address(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server, [row(1)])
    (file,) = resolve(ACCESS, client)
    assert "X-Amz" not in str(file)
    assert server.asked[-1].headers["range"] == "bytes=0-0"  # all that resolving brings of it
    server.route(
        r"/s3/.*", once(lambda request: ranged(request, DATA, cut=5000), lambda request: ranged(request, DATA))
    )
    server.asked.clear()
    received = download(client, file, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert received.md5 == MD5
    assert [request.path for request in server.asked] == ["/nd/files/1", "/s3/pfigshare-u-files/1/a.zip"] * 2
    assert server.asked[-1].headers["range"] == "bytes=5000-"


def test_all_pages_of_a_long_listing(server: Server, client: Client, waits: list[float]) -> None:
    serve(server, [row(number, f"{number}.png") for number in range(1, 2006)])
    assert [file.name for file in resolve(ACCESS, client)] == [f"{number}.png" for number in range(1, 2006)]
    assert [request.query["page"] for request in server.asked if request.path.endswith("/77/files")] == ["1", "2", "3"]
    assert waits == [1.0, 1.0]  # no more than one request a second


def test_a_listing_that_ends_with_a_full_page(server: Server, client: Client) -> None:
    serve(server, [row(number, f"{number}.png") for number in range(1, 1001)])
    assert len(resolve(ACCESS, client)) == 1000


def test_a_listing_without_an_end(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openus.fetch.figshare.PAGE", 2)
    monkeypatch.setattr("openus.fetch.figshare.MOST_PAGES", 3)
    serve(server, [row(1)])
    server.route("/api/v2/articles/77/files", json.dumps([row(1), row(2)]).encode())
    assert "more than 6 files" in refused(client).message
    assert sum(request.path.endswith("/files") for request in server.asked) == 3


def test_a_pinned_version_is_the_one_that_is_listed(server: Server, client: Client) -> None:
    serve(server, [row(9, "new.zip")])
    serve(server, [row(1, "old.zip")], "/api/v2/articles/77/versions/2", version=2)
    assert [file.name for file in resolve(PINNED, client)] == ["old.zip"]
    assert [file.name for file in resolve(ACCESS, client)] == ["new.zip"]
    serve(server, [row(1, "old.zip")], "/api/v2/articles/77/versions/2", version=3)
    assert "(version 2) came as version 3" in refused(client, PINNED).message


def test_only_the_file_that_the_card_names(server: Server, client: Client) -> None:
    access = Access("figshare", PAGE_URL, {"article": "77", "file": "1002"})
    rows = [row(number, f"{number}.zip", is_link_only=number == 5) for number in range(1, 1010)]
    serve(server, rows)
    assert [(file.name, file.url) for file in resolve(access, client)] == [
        ("1002.zip", "https://ndownloader.figshare.com/files/1002")
    ]
    serve(server, rows[:3])
    error = refused(client, access)
    assert "no file 1002" in error.message and "3 (3.zip)" in error.message


@pytest.mark.parametrize("blocked", [CHALLENGE, Reply(403, b"<html><title>403 Forbidden</title>nginx</html>")])
def test_the_api_brings_the_files_where_the_direct_way_is_shut(
    server: Server, client: Client, waits: list[float], tmp_path: Path, blocked: Reply
) -> None:
    serve(server, [row(1), row(2, "b.zip")])
    server.route(r"/nd/files/\d+", blocked)
    files = resolve(ACCESS, client)
    assert [file.url for file in files] == [f"https://api.figshare.com/v2/file/download/{number}" for number in (1, 2)]
    assert sum(request.path.startswith("/nd") for request in server.asked) == 1
    assert not waits
    download(client, files[0], tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_both_ways_shut(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server, [row(1)])
    server.route(r"/nd/files/\d+", CHALLENGE)
    server.route(r"/api/v2/file/download/\d+", CHALLENGE)
    with pytest.raises(FetchError, match="202 with a challenge") as caught:
        download(client, resolve(ACCESS, client)[0], tmp_path)
    assert "by hand" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_listing_without_files_says_why(server: Server, client: Client) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"is_embargoed": True, "embargo_date": "2031-02-03"}, "under embargo until 2031-02-03", "Try again then"),
        ({"is_embargoed": True, "embargo_reason": "not complete"}, "(not complete)", "Try again then"),
        ({"is_confidential": True, "confidential_reason": "need to"}, "confidential (need to)", "Ask the authors"),
        ({"is_metadata_record": True, "metadata_reason": "hosted elsewhere"}, "(hosted elsewhere)", PAGE_URL),
        ({}, "article 77 has no files", PAGE_URL),
    ]
    for about, words, hint in cases:
        serve(server, [], **about)
        error = refused(client)
        assert words in error.message and hint in error.hint


def test_downloads_that_are_switched_off(server: Server, client: Client) -> None:
    serve(server, [row(1)], download_disabled=True)
    assert "switched downloads off" in refused(client).message


def test_a_file_that_is_only_linked(server: Server, client: Client) -> None:
    linked = row(2, "elsewhere.zip", is_link_only=True, computed_md5="", size=0, download_url="https://example.org/x")
    serve(server, [row(1), linked])
    assert "does not hold elsewhere.zip" in refused(client).message
    assert not any(request.path.startswith("/nd") for request in server.asked)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, {"message": "Entity not found: ArticleDOI", "code": "EntityNotFound"}, "404 Not Found: Entity not found"),
        (403, {"message": "You do not have access", "code": "Forbidden"}, "403 Forbidden: You do not have access"),
        (400, {"message": "Invalid article id", "code": "InvalidPathParam"}, "400 Bad Request: Invalid article id"),
    ],
)
def test_an_article_that_is_not_given(server: Server, client: Client, status: int, body: Any, words: str) -> None:
    serve(server, [row(1)])
    for path in "/api/v2/articles/77/files", "/api/v2/articles/77":
        server.route(path, Reply(status, json.dumps(body).encode()))
        assert words in refused(client).message


def test_a_challenge_in_place_of_the_api(server: Server, client: Client) -> None:
    server.route("/api/v2/articles/77", CHALLENGE)
    assert "challenge that only a browser passes" in refused(client).message


def test_articles_of_other_shapes(server: Server, client: Client) -> None:
    for body in [], None, "text", {"message": "Internal", "code": 1}:
        server.route("/api/v2/articles/77", json.dumps(body).encode())
        assert "article 77" in refused(client).message


def test_listings_of_other_shapes(server: Server, client: Client) -> None:
    serve(server, [row(1)])
    rows = ["a.zip", [], None, row(1) | {"id": "1"}, row(1) | {"name": None}, row(1) | {"size": "7"}, {"id": 1}]
    for body in {"message": "Too busy", "code": 1}, None, *([row(2), odd] for odd in rows):
        server.route("/api/v2/articles/77/files", json.dumps(body).encode())
        assert "article 77" in refused(client).message
    server.route("/api/v2/articles/77/files", b'{"message": "Too busy", "code": 1}')
    assert "Too busy" in refused(client).message


def test_folders_and_checksums_of_other_shapes_count_as_none(server: Server, client: Client) -> None:
    for odd in [], None, "x", {"1": None}, {"7": "x"}:
        serve(server, [row(1, computed_md5=7, supplied_md5=None)], folder_structure=odd)
        assert resolve(ACCESS, client) == [
            RemoteFile("a.zip", "https://ndownloader.figshare.com/files/1", len(DATA), archive="zip")
        ]
