"""Mendeley Data, EPrints and Girder, from servers in their shapes, good and bad."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sites
from server import Reply, Request, Server, once

from openus import sources
from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch import eprints, girder, mendeley
from openus.fetch.client import Client
from openus.fetch.download import download

MENDELEY = Access(
    kind="mendeley", url="https://data.mendeley.com/datasets/abc/2", ids={"dataset": "abc", "version": "2"}
)
LUSS = sources.load("luss-phantom").card.access
CAMUS = sources.load("camus").card.access
MD = "https://data.mendeley.com"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("GIRDER_API_KEY", raising=False)
    with Server() as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    hosts = {
        MD: "/md", "https://archive.researchdata.leeds.ac.uk": "/ep",
        "https://humanheart-project.creatis.insa-lyon.fr": "/gi",
    }  # fmt: skip
    with Client({host: server.url + place for host, place in hosts.items()}, sleep=lambda _: None) as one:
        yield one


def answer(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


# Mendeley


def row(name: str, number: int = 1, **more: Any) -> dict[str, Any]:
    details = {
        "sha256_hash": "a" * 64, "size": 9, "content_type": "application/zip",
        "download_url": f"{MD}/public-files/datasets/abc/files/f{number}/file_downloaded",
    }  # fmt: skip
    return {"filename": name, "id": f"f{number}", "size": 9, "status": "COMPLETED", "content_details": details} | more


def serve(server: Server, folders: list[dict[str, Any]], rows: dict[str, list[dict[str, Any]]]) -> None:
    server.route("/md/public-api/datasets/abc/snapshot/2", answer({"name": "x"}))
    server.route("/md/public-api/datasets/abc/folders/2", answer(folders))

    def page(request: Request) -> Reply:
        found = rows.get(request.query["folder_id"], []) if request.query["version"] == "2" else []
        start, limit = int(request.query["$start"]), int(request.query["$limit"])
        return answer(found[start : start + limit])

    server.route("/md/public-api/datasets/abc/files", page)


def test_mendeley_lists_folders_within_folders_and_all_pages(server: Server, client: Client) -> None:
    many = [row(f"{n}.png", n) for n in range(2300)]
    folders = [{"id": "b", "name": "inner", "parent_id": "a"}, {"id": "a", "name": "outer"}]
    serve(server, folders, {"root": [row("a.zip")], "a": [row("é x.zip")], "b": many})
    files = mendeley.resolve(MENDELEY, client)
    assert {file.name for file in files} == {"a.zip", "outer/é x.zip"} | {f"outer/inner/{n}.png" for n in range(2300)}
    assert files[0] == RemoteFile(
        "a.zip", f"{MD}/public-files/datasets/abc/files/f1/file_downloaded", 9, sha256="a" * 64, archive="zip"
    )


def test_mendeley_takes_the_one_file_that_is_asked_for(server: Server, client: Client) -> None:
    serve(server, [], {"root": [row("a.zip", 1), row("b.zip", 2)]})
    one = Access(kind="mendeley", url=MENDELEY.url, ids={**MENDELEY.ids, "file": "f2"})
    assert [file.name for file in mendeley.resolve(one, client)] == ["b.zip"]
    none = Access(kind="mendeley", url=MENDELEY.url, ids={**MENDELEY.ids, "file": "f3"})
    with pytest.raises(FetchError, match="has no file f3"):
        mendeley.resolve(none, client)


BAD: dict[str, tuple[Callable[[Server], None], str]] = {
    "no such version": (lambda s: s.route("/md/.*snapshot.*", Reply(404, b'{"message":"Not found"}')), "404"),
    "a page": (lambda s: s.route("/md/.*snapshot.*", Reply(200, b"<html><title>Just a moment...</title>")), "a moment"),
    "no list": (lambda s: serve(s, {"error": 1}, {}), "no list of files"),  # type: ignore[arg-type]
    "nothing": (lambda s: serve(s, [], {}), "has no files"),
    "a circle": (
        lambda s: serve(
            s, [{"id": "a", "name": "x", "parent_id": "b"}, {"id": "b", "name": "y", "parent_id": "a"}], {}
        ),
        "within each other",
    ),
    "not ready": (lambda s: serve(s, [], {"root": [row("a.zip", status="UPLOADING")]}), "a.zip is not ready"),
    "odd row": (lambda s: serve(s, [], {"root": [{"filename": 3}]}), "without name or address"),
    "blocked": (lambda s: s.route("/md/.*", Reply(403, b"<html><title>Attention Required!</title>")), "Attention"),
}


@pytest.mark.parametrize("what", BAD)
def test_mendeley_tells_what_is_wrong(what: str, server: Server, client: Client) -> None:
    make, said = BAD[what]
    make(server)
    with pytest.raises(FetchError) as error:
        mendeley.resolve(MENDELEY, client)
    assert said in error.value.message and error.value.hint


# EPrints


def record(*documents: dict[str, Any], **more: Any) -> Reply:
    return answer({"eprintid": 1263, "eprint_status": "archive", "documents": list(documents)} | more)


def document(position: int, name: str, **more: Any) -> dict[str, Any]:
    file = {"filename": name, "filesize": 3, "hash": "b" * 32, "hash_type": "MD5"}
    return {"pos": position, "main": name, "security": "public", "files": [file]} | more


EXPORT = "/ep/cgi/export/eprint/1263/JSON/.*"


def test_eprints_lists_public_documents_only(server: Server, client: Client) -> None:
    thumbnail = document(3, "preview.jpg", relation=[{"type": "http://eprints.org/relation/isVolatileVersionOf"}])
    server.route(
        EXPORT,
        record(document(1, "a b.zip"), document(2, "c.zip", security="staffonly"), thumbnail, document(4, "d.m")),
    )
    base = "https://archive.researchdata.leeds.ac.uk/1263"
    assert eprints.resolve(LUSS, client) == [
        RemoteFile("a b.zip", f"{base}/1/a%20b.zip", 3, md5="b" * 32, archive="zip"),
        RemoteFile("d.m", f"{base}/4/d.m", 3, md5="b" * 32),
    ]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(410, b"<html><title>Withdrawn</title>"), "410"),
        (Reply(200, b"<!DOCTYPE html><title>Login</title>"), "a page 'Login'"),
        (answer([]), "gave no record"),
        (record(eprint_status="deletion"), "is deletion"),
        (record(document(1, "a.zip", security="validuser")), "no public files; 1 are not public"),
        (record({"pos": "1", "files": [], "security": "public"}), "without position or files"),
        (record(document(1, "a.zip", files=[{}])), "a file without a name"),
    ],
)
def test_eprints_tells_what_is_wrong(reply: Reply, said: str, server: Server, client: Client) -> None:
    server.route(EXPORT, reply)
    with pytest.raises(FetchError) as error:
        eprints.resolve(LUSS, client)
    assert said in error.value.message and error.value.hint


# Girder


API = "/gi/database/api/v1"
COLLECTION = CAMUS.ids["collection"]


def zip_now(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_girder_gives_a_zip_without_length_whose_end_is_looked_for(
    server: Server, client: Client, tmp_path: Path
) -> None:
    server.route(f"{API}/collection/{COLLECTION}", answer({"_id": COLLECTION, "name": "CAMUS"}))
    data = zip_now({"a.txt": b"x" * 9000})
    cut = Reply(200, data, {"Content-Type": "application/zip"}, length=None, cut=5000)  # a proxy that drops framing
    whole = Reply(200, data, {"Content-Type": "application/zip"}, chunked=True)
    server.route(f"{API}/collection/{COLLECTION}/download", once(cut, whole, times=2))
    (file,) = girder.resolve(CAMUS, client)
    assert (file.name, file.size_bytes, file.sha256) == ("CAMUS.zip", None, None)
    download(client, file, tmp_path)
    assert (tmp_path / "CAMUS.zip").read_bytes() == data
    assert [request.headers.get("range") for request in server.asked[1:]] == [None] * 3


def test_girder_takes_a_key_and_keeps_it_to_itself(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIRDER_API_KEY", "s3cret/key")
    server.route(f"{API}/api_key/token", answer({"authToken": {"token": "t0ken"}}), method="POST")
    server.route(f"{API}/collection/{COLLECTION}", answer({"_id": COLLECTION, "name": "CAMUS"}))
    girder.resolve(CAMUS, client)
    assert server.asked[0].query["key"] == "s3cret/key"
    assert server.asked[1].headers["girder-token"] == "t0ken" and "key" not in server.asked[1].query
    server.route(f"{API}/api_key/token", Reply(400, b'{"message":"Invalid API key.","type":"rest"}'), method="POST")
    with pytest.raises(FetchError, match="Invalid API key") as error:
        girder.resolve(CAMUS, client)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401, b'{"message":"Read access denied for collection","type":"access"}'), "Read access denied"),
        (Reply(400, b'{"message":"Invalid ObjectId: x","type":"rest"}'), "Invalid ObjectId"),
        (answer({"_id": "other"}), "gave no collection"),
        (Reply(200, b"<html><title>Girder</title>"), "a page 'Girder'"),
    ],
)
def test_girder_tells_what_is_wrong(reply: Reply, said: str, server: Server, client: Client) -> None:
    server.route(f"{API}/collection/{COLLECTION}", reply)
    with pytest.raises(FetchError) as error:
        girder.resolve(CAMUS, client)
    assert said in error.value.message and error.value.hint


def test_the_sites_of_the_tests_hold_what_the_resolvers_ask(server: Server) -> None:
    for slug in ("camus", "luss-phantom", "bus-uc"):
        card = sources.load(slug).card
        mirrors = sites.serve(server, card, {"a.zip": zip_now({"1.txt": b"1"})})
        with Client(mirrors) as other:
            module = {"girder": girder, "eprints": eprints, "mendeley": mendeley}[card.access.kind]
            assert len(module.resolve(card.access, other)) == 1
