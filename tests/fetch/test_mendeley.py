"""Mendeley Data to the last byte: pages that the site cuts, pinned versions, S3 behind a redirect, hostile listings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server, ranged

from openus.data import Access
from openus.errors import FetchError
from openus.fetch.client import USER_AGENT, Client
from openus.fetch.download import download
from openus.fetch.mendeley import resolve

SITE = "https://data.mendeley.com"
S3 = "https://prod-dcd-datasets-public-files-eu-west-1.s3.eu-west-1.amazonaws.com"
ACCESS = Access(kind="mendeley", url=f"{SITE}/datasets/7fvgj4jsp7/1", ids={"dataset": "7fvgj4jsp7", "version": "1"})
API = "/md/public-api/datasets/7fvgj4jsp7"
DATA = b"PK\x03\x04" + b"z" * 9000


@pytest.fixture
def bucket() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        one.route(f"{API}/snapshot/1", answer({"name": "x", "doi": "10.17632/7fvgj4jsp7.1"}))
        one.route(f"{API}/folders/1", answer([]))
        yield one


@pytest.fixture
def client(server: Server, bucket: Server) -> Iterator[Client]:
    with Client({SITE: f"{server.url}/md", S3: f"{bucket.url}/s3"}, sleep=lambda _: None) as one:
        yield one


def answer(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def row(name: str, one: str = "u1", data: bytes = DATA, **more: Any) -> dict[str, Any]:
    details = {
        "id": f"c-{one}", "sha256_hash": hashlib.sha256(data).hexdigest(), "content_type": "application/zip",
        "size": len(data), "created_date": "2025-01-01T00:00:00Z", "download_expiry_time": "2126-01-01T00:00:00Z",
        "download_url": f"{SITE}/public-files/datasets/7fvgj4jsp7/files/{one}/file_downloaded",
    }  # fmt: skip
    base = {"filename": name, "id": one, "size": len(data), "status": "COMPLETED", "content_details": details}
    return base | more


def listing(server: Server, rows: list[dict[str, Any]], most: int = 1000, folder: str = "root") -> None:
    def page(request: Request) -> Reply:
        if request.query["version"] != "1" or request.query["folder_id"] != folder:
            return answer([])
        start = int(request.query["$start"])
        return answer(rows[start : start + min(most, int(request.query["$limit"]))])

    server.route(f"{API}/files", page)


def refused(client: Client, access: Access = ACCESS) -> FetchError:
    with pytest.raises(FetchError) as error:
        resolve(access, client)
    assert error.value.hint
    return error.value


def test_a_file_in_a_folder_comes_from_the_bucket_by_the_address_that_does_not_die(
    server: Server, bucket: Server, client: Client, tmp_path: Path
) -> None:
    server.route(f"{API}/folders/1", answer([{"id": "f1", "name": "BUS-UCLM"}]))
    listing(server, [row("BUS-UCLM.zip")], folder="f1")
    server.route(
        "/md/public-files/datasets/7fvgj4jsp7/files/u1/file_downloaded", Reply(302, b"", {"Location": f"{S3}/u1"})
    )
    bucket.route("/s3/u1", lambda request: ranged(request, DATA))
    (file,) = resolve(ACCESS, client)
    assert (file.name, file.size_bytes, file.archive) == ("BUS-UCLM/BUS-UCLM.zip", len(DATA), "zip")
    assert file.url == f"{SITE}/public-files/datasets/7fvgj4jsp7/files/u1/file_downloaded"
    assert download(client, file, tmp_path).sha256 == file.sha256 == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / file.name).read_bytes() == DATA
    assert {request.headers["user-agent"] for request in server.asked + bucket.asked} == {USER_AGENT}


def test_bytes_that_are_not_those_of_the_listing_are_refused(
    server: Server, bucket: Server, client: Client, tmp_path: Path
) -> None:
    listing(server, [row("a.zip")])
    server.route("/md/public-files/.*", Reply(302, b"", {"Location": f"{S3}/u1"}))
    bucket.route("/s3/u1", lambda request: ranged(request, DATA[:-1] + b"!"))
    (file,) = resolve(ACCESS, client)
    with pytest.raises(FetchError, match="SHA-256"):
        download(client, file, tmp_path)


@pytest.mark.parametrize(("count", "most"), [(230, 100), (200, 100), (27, 25), (1000, 1000), (3, 1000)])
def test_all_files_are_listed_though_the_site_cuts_pages_shorter_than_asked(
    count: int, most: int, server: Server, client: Client
) -> None:
    listing(server, [row(f"{n}.png", f"u{n}") for n in range(count)], most)
    assert [file.name for file in resolve(ACCESS, client)] == [f"{n}.png" for n in range(count)]


def test_a_site_that_ignores_where_a_page_starts_is_asked_no_more_than_twice(server: Server, client: Client) -> None:
    server.route(f"{API}/files", answer([row(f"{n}.png", f"u{n}") for n in range(1000)]))
    assert len(resolve(ACCESS, client)) == 1000
    assert len([request for request in server.asked if request.path == f"{API}/files"]) == 2


def test_only_the_version_of_the_card_is_asked_for(server: Server, client: Client) -> None:
    listing(server, [row("a.zip")])
    assert len(resolve(ACCESS, client)) == 1
    assert [request.path for request in server.asked[:2]] == [f"{API}/snapshot/1", f"{API}/folders/1"]
    assert [request.query["version"] for request in server.asked[2:]] == ["1"]
    server.route(f"{API}/snapshot/1", answer({"name": "x", "version": 1}))
    assert len(resolve(ACCESS, client)) == 1
    server.route(f"{API}/snapshot/1", answer({"name": "x", "version": 2}))
    assert "version 1: the site gave version 2" in refused(client).message


def test_a_folder_id_is_no_part_of_the_query(server: Server, client: Client) -> None:
    server.route(f"{API}/folders/1", answer([{"id": "f&version=2", "name": "x"}]))
    listing(server, [row("a.zip")], folder="f&version=2")
    assert [file.name for file in resolve(ACCESS, client)] == ["x/a.zip"]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ([{"name": "x"}], "a folder without id or name"),
        ([{"id": "f1"}], "a folder without id or name"),
        ([{"id": "f1", "name": "x", "parent_id": "f1"}], "within each other"),
        (["f1"], "no list"),
        (None, "no list"),
    ],
)
def test_folders_that_are_none(folders: Any, said: str, server: Server, client: Client) -> None:
    server.route(f"{API}/folders/1", answer(folders))
    assert said in refused(client).message


@pytest.mark.parametrize(
    "odd",
    [{"filename": None}, {"content_details": None}, {"content_details": {"size": 3}}, {"content_details": [1]}],
)
def test_rows_that_are_none(odd: dict[str, Any], server: Server, client: Client) -> None:
    listing(server, [row("a.zip") | odd])
    assert "without name or address" in refused(client).message


def test_odd_values_are_left_out_and_hostile_names_are_passed_on_to_be_checked(server: Server, client: Client) -> None:
    server.route(f"{API}/folders/1", answer([{"id": "f1", "name": "..", "parent_id": ["no", "id"]}]))
    odd = row("../x.zip")
    odd["content_details"] |= {"size": "9", "sha256_hash": 5}
    listing(server, [odd], folder="f1")
    (file,) = resolve(ACCESS, client)
    assert (file.name, file.size_bytes, file.sha256) == ("../../x.zip", None, None)


def test_a_page_in_place_of_the_listing_and_a_block(server: Server, client: Client) -> None:
    server.route(
        f"{API}/files", Reply(200, b"<!DOCTYPE html><title>Just a moment...</title>", {"Content-Type": "text/html"})
    )
    assert "Just a moment" in refused(client).message
    server.route(f"{API}/files", Reply(403, b"<html><title>Attention Required! | Cloudflare</title>"))
    assert "403" in refused(client).message
    server.route(f"{API}/files", Reply(404, b'{"message": "Dataset not found"}'))
    assert "404 Not Found: Dataset not found" in refused(client).message


def test_one_file_of_many_by_its_id_or_an_error(server: Server, client: Client) -> None:
    listing(server, [row("a.zip", "u1"), row("b.zip", "u2")])
    one = Access(kind="mendeley", url=ACCESS.url, ids={**ACCESS.ids, "file": "u2"})
    assert [file.name for file in resolve(one, client)] == ["b.zip"]
    none = Access(kind="mendeley", url=ACCESS.url, ids={**ACCESS.ids, "file": "u3"})
    assert "has no file u3" in refused(client, none).message
    listing(server, [])
    assert "has no files" in refused(client).message


def test_a_file_that_is_not_ready(server: Server, client: Client) -> None:
    listing(server, [row("a.zip", status="UPLOADING")])
    assert "a.zip is not ready (UPLOADING)" in refused(client).message
