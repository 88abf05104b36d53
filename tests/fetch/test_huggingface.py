"""The Hub's routes as huggingface_hub reads them, and the host that its large files lie on, served from here."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server, once, ranged

from openus.data import Access, RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.huggingface import resolve, token

SHA = "0123456789abcdef0123456789abcdef01234567"
PAGE = "https://huggingface.co/datasets/me/scans"
ACCESS = Access("huggingface", PAGE, {"huggingface": "me/scans"})
CDN = "https://cas-bridge.xethub.hf.co"
LARGE = b"PK\x03\x04" + bytes(range(256)) * 40
SMALL = b"id,label\n1,2\n"


def pinned(revision: str) -> Access:
    return Access("huggingface", PAGE, {"huggingface": "me/scans", "huggingface_revision": revision})


def git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME",
                 "HF_HUB_DISABLE_IMPLICIT_TOKEN"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def cdn() -> Iterator[Server]:
    with Server() as one:
        one.file("/xet-bridge-us/1/f00d", LARGE)
        yield one


@pytest.fixture
def client(server: Server, cdn: Server) -> Iterator[Client]:
    with Client(mirrors={"https://huggingface.co": f"{server.url}/hf", CDN: cdn.url}, sleep=lambda _: None) as one:
        yield one


def said(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), {name.replace("_", "-"): text for name, text in headers.items()})


def about(**other: Any) -> dict[str, Any]:
    return {
        "_id": "66",
        "id": "me/scans",
        "author": "me",
        "sha": SHA,
        "lastModified": "2025-01-01T00:00:00.000Z",
        "private": False,
        "gated": False,
        "disabled": False,
        "cardData": {"license": "cc-by-4.0"},
        "siblings": [{"rfilename": "README.md"}],
    } | other


def small(path: str, data: bytes = SMALL, **other: Any) -> dict[str, Any]:
    return {"type": "file", "oid": git(data), "size": len(data), "path": path} | other


def large(path: str, data: bytes = LARGE) -> dict[str, Any]:
    lfs = {"oid": sha256(data), "size": len(data), "pointerSize": 132}
    return {"type": "file", "oid": "b" * 40, "size": len(data), "lfs": lfs, "xetHash": "c" * 64, "path": path}


FOLDER = {"type": "directory", "oid": "d" * 40, "size": 0, "path": "a b"}
ROWS = [small(".gitattributes"), FOLDER, small("a b/labels#1.csv"), large("a b/scans.zip")]


def serve(server: Server, rows: list[Any] = ROWS, page: int = 1000, revision: str = "main", **other: Any) -> None:
    def tree(request: Request) -> Reply:
        begin = int(request.query.get("cursor", 0))
        there = f"https://huggingface.co/api/datasets/me/scans/tree/{SHA}?recursive=true&cursor={begin + page}"
        more = {"Link": f'<{there}>; rel="next"'} if begin + page < len(rows) else {}
        return said(rows[begin : begin + page], **more)

    signed = f"{CDN}/xet-bridge-us/1/f00d?X-Amz-Expires=3600&X-Amz-Signature=s1gned&Key-Pair-Id=K1"
    server.route(f"/hf/api/datasets/me/scans/revision/{revision}", said(about(**other)))
    server.route(f"/hf/api/datasets/me/scans/tree/{SHA}", tree)
    server.route(f"/hf/datasets/me/scans/resolve/{SHA}/.*[.]zip", Reply(302, b"", {"Location": signed}))
    server.route(f"/hf/datasets/me/scans/resolve/{SHA}/.*[.]csv", lambda request: ranged(request, SMALL))


def refused(client: Client, access: Access = ACCESS) -> FetchError:
    with pytest.raises(FetchError) as caught:
        resolve(access, client)
    assert caught.value.hint
    return caught.value


def test_files_come_with_their_hashes_at_one_commit(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server)
    files = resolve(ACCESS, client)
    base = f"{PAGE}/resolve/{SHA}/a%20b"
    assert files == [
        RemoteFile("a b/labels#1.csv", f"{base}/labels%231.csv", len(SMALL), git_sha1=git(SMALL)),
        RemoteFile("a b/scans.zip", f"{base}/scans.zip", len(LARGE), sha256=sha256(LARGE), archive="zip"),
    ]
    for file in files:
        download(client, file, tmp_path)
    assert (tmp_path / "a b/labels#1.csv").read_bytes() == SMALL
    assert (tmp_path / "a b/scans.zip").read_bytes() == LARGE
    assert not any("authorization" in request.headers for request in server.asked)
    assert not any("/resolve/main" in request.path for request in server.asked)


def test_damage_is_seen(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server, [small("labels.csv", SMALL[::-1])])
    with pytest.raises(FetchError, match="git SHA-1"):
        download(client, resolve(ACCESS, client)[0], tmp_path)
    serve(server, [large("scans.zip", LARGE[::-1])])
    with pytest.raises(FetchError, match="SHA-256"):
        download(client, resolve(ACCESS, client)[0], tmp_path)


def test_all_pages_of_a_listing(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, [small(f"{number}.csv") for number in range(7)], page=2)
    assert [file.name for file in resolve(ACCESS, client)] == [f"{number}.csv" for number in range(7)]
    first, *others = [request.query for request in server.asked if "/tree/" in request.path]
    assert first == {"recursive": "true", "expand": "false"}
    assert [query["cursor"] for query in others] == ["2", "4", "6"]
    monkeypatch.setattr("openus.fetch.huggingface.MOST_PAGES", 3)
    assert "has no end" in refused(client).message
    loop = said([small("1.csv")], Link=f'<https://huggingface.co/api/datasets/me/scans/tree/{SHA}>; rel="next"')
    server.route(f"/hf/api/datasets/me/scans/tree/{SHA}", loop)
    assert "has no end" in refused(client).message
    for link in '<ftp://a.org/x>; rel="next"', '<http://[>; rel="next"':
        server.route(f"/hf/api/datasets/me/scans/tree/{SHA}", said([small("1.csv")], Link=link))
        assert "no web address" in refused(client).message


def test_the_revision_that_is_named_is_listed(server: Server, client: Client) -> None:
    serve(server, revision="refs/convert/parquet")
    assert f"/resolve/{SHA}/" in str(resolve(pinned("refs/convert/parquet"), client)[0].url)
    serve(server, revision=SHA)
    assert len(resolve(pinned(SHA), client)) == 2
    serve(server, revision=SHA, sha="e" * 40)
    error = refused(client, pinned(SHA))
    assert f"gave commit {'e' * 40}" in error.message and f"{SHA} is due" in error.message
    gone = said({"error": "Invalid rev id: v9"}, 404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
    server.route("/hf/api/datasets/me/scans/revision/v9", gone)
    error = refused(client, pinned("v9"))
    assert "404 Not Found: Invalid rev id" in error.message and f"{PAGE}/commits" in error.hint


def test_a_data_set_that_is_missing_or_private(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "Invalid username or password."
    server.route("/hf/api/.*", said({"error": message}, 401, X_Error_Message=message))  # also where there is none
    error = refused(client)
    assert "401 Unauthorized: Invalid username or password." in error.message
    assert "not there, or private, and then HF_TOKEN must be set" in error.hint and PAGE in error.hint
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    server.route("/hf/api/.*", said({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound"))
    error = refused(client)
    assert "404 Not Found: Repository not found" in error.message and "token that was found" in error.hint


def test_a_gated_data_set_is_told_before_the_download(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its listing is public; its files are not, and a token that is not good makes no difference."""
    text = "Access to dataset me/scans is restricted. You must have access to it and be authenticated to access it."

    def gate(request: Request) -> Reply:
        if request.headers.get("authorization") == "Bearer hf_good":
            return ranged(request, SMALL)
        return Reply(401, text.encode(), {"X-Error-Code": "GatedRepo", "X-Error-Message": text})

    for key, gated in ("", "auto"), ("hf_bad", "manual"):
        serve(server, [small("none.csv", b""), small("labels.csv")], gated=gated)
        server.route(f"/hf/datasets/me/scans/resolve/{SHA}/labels.csv", gate)
        monkeypatch.setenv("HF_TOKEN", key)
        error = refused(client)
        assert "401 Unauthorized (Access to dataset me/scans is restricted" in error.message
        assert f"Accept its terms at {PAGE}" in error.hint and "hf_bad" not in str(error)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert len(resolve(ACCESS, client)) == 2
    assert server.asked[-1].headers["range"] == "bytes=0-0"


def test_a_data_set_that_is_closed(server: Server, client: Client) -> None:
    serve(server, disabled=True)
    assert "has closed me/scans" in refused(client).message
    server.route("/hf/api/.*", Reply(403, b"", {"X-Error-Message": "Access to this resource is disabled."}))
    assert "403 Forbidden (Access to this resource is disabled)." in refused(client).message


def test_a_data_set_without_files(server: Server, client: Client) -> None:
    for rows in [], [small(".gitattributes"), FOLDER]:
        serve(server, rows)
        assert "me/scans has no files at main" in refused(client).message


def test_a_busy_hub_is_waited_for(server: Server, client: Client) -> None:
    serve(server, [small("1.csv")], gated="auto")
    busy = Reply(429, b"", {"Retry-After": "1"})
    server.route(f"/hf/api/datasets/me/scans/tree/{SHA}", once(busy, said([small("1.csv")])))
    server.route(f"/hf/datasets/me/scans/resolve/{SHA}/1.csv", once(busy, Reply(200, SMALL)))
    assert len(resolve(ACCESS, client)) == 1
    assert len(server.asked) == 5


def test_answers_of_other_shapes(server: Server, client: Client) -> None:
    serve(server)
    tree, revision = f"/hf/api/datasets/me/scans/tree/{SHA}", "/hf/api/datasets/me/scans/revision/main"
    odd = [None, 1, "a", [], {}, small("a") | {"size": "1"}, small("a") | {"oid": None}, small("a") | {"oid": "x" * 40},
           small("a") | {"path": 3}, small("a") | {"lfs": {"oid": "e" * 40, "size": 1}}, small("a") | {"lfs": []},
           small("a") | {"type": "link"}, large("a") | {"lfs": {"size": 1}}]  # fmt: skip
    for row in odd:
        server.route(tree, said([small("1.csv"), row]))
        assert "without name, size or hash" in refused(client).message
    for body in {}, None, "x", {"error": "x"}:
        server.route(tree, said(body))
        assert "no listing of me/scans" in refused(client).message
    for body in [], None, "x", {}, about(sha=None), about(sha="main"), about(sha=[]):
        server.route(revision, said(body))
        assert "no commit of me/scans" in refused(client).message
    server.route(revision, Reply(200, b"<html><title>Sign in</title>"))
    assert "no JSON where a listing is due" in refused(client).message


# tokens


def test_the_token_goes_to_the_hub_and_to_nobody_else(
    server: Server,
    cdn: Server,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    serve(server)
    files = resolve(ACCESS, client)
    download(client, files[1], tmp_path)
    assert {request.headers.get("authorization") for request in server.asked} == {"Bearer hf_s3cret"}
    assert cdn.asked and not any("authorization" in request.headers for request in cdn.asked)
    server.route("/hf/api/.*", said({"error": "Invalid credentials in Authorization header"}, 401))
    assert "hf_s3cret" not in str(refused(client)) + str(files) + caplog.text


def test_tokens_are_looked_for_in_the_hubs_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last place to the first: each goes before those that were filled already."""
    assert token() is None

    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f" {text}\n")

    write(home / ".cache/huggingface/token", "t1")
    assert token() == "t1"
    for name, path, inside in (
        ("XDG_CACHE_HOME", tmp_path / "xdg", "huggingface/token"),
        ("HF_HOME", tmp_path / "hf", "token"),
        ("HF_TOKEN_PATH", tmp_path / "kept", ""),
    ):
        monkeypatch.setenv(name, str(path))
        write(path / inside, f"in {name}")
        assert token() == f"in {name}"
    monkeypatch.setenv("HF_TOKEN_PATH", "$HF_HOME/token")
    assert token() == "in HF_HOME"
    monkeypatch.setenv("HF_TOKEN_PATH", "~/.cache/huggingface/token")
    assert token() == "t1"
    for name in "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN":
        monkeypatch.setenv(name, f"in {name}\n")
        assert token() == f"in {name}"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert token() is None


def test_a_token_that_cannot_be_read(home: Path) -> None:
    (home / ".cache/huggingface/token").mkdir(parents=True)
    with pytest.raises(UsageError, match="token cannot be read"):
        token()
