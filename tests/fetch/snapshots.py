"""STU-Hospital as git, codeload and Git LFS give it: what the tests of GitHub share."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server

from openus.data import Access, RemoteFile
from openus.fetch.archive import unpack
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.github import resolve

SHA = "ba4a898d6c42fdfb5aa2b122742fd4cf6195349b"
REPO = "xbhlk/STU-Hospital"
TOP = f"STU-Hospital-{SHA}"
TOKEN = "ghp_sEcReT0123"
OBJECT = b"GIF89a" + bytes(range(256)) * 9
OID = hashlib.sha256(OBJECT).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(OBJECT)}\n".encode()
FILES = {"Hospital/Test_Image_1.png": b"\x89PNG\r\n\x1a\n1", "Hospital/clip ä.gif": POINTER, "run.sh": b""}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("GH_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Server() as one:
        yield one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, waits: list[float]) -> Iterator[Client]:
    sites = {
        "https://api.github.com": "/api",
        "https://codeload.github.com": "/code",
        "https://github.com": "/web",
        "https://github-cloud.githubusercontent.com": "/cloud",
    }
    with Client({site: server.url + place for site, place in sites.items()}, sleep=waits.append) as one:
        yield one


def access(**ids: str) -> Access:
    return Access("github", f"https://github.com/{REPO}", {"repo": REPO, **ids})


PINNED = access(commit=SHA, branch="master")


def sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def blob(path: str, data: bytes = b"", mode: str = "100644") -> dict[str, Any]:
    url = f"https://api.github.com/repos/{REPO}/git/blobs/{sha1(data)}"
    return {"path": path, "mode": mode, "type": "blob", "sha": sha1(data), "size": len(data), "url": url}


def folder(path: str, sha: str) -> dict[str, Any]:
    url = f"https://api.github.com/repos/{REPO}/git/trees/{sha}"
    return {"path": path, "mode": "040000", "type": "tree", "sha": sha, "url": url}


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    told = {"Content-Type": "application/json; charset=utf-8", **headers}
    return Reply(status, json.dumps(body).encode(), told)


def tree(*entries: Any, repo: str = REPO, truncated: Any = False) -> Reply:
    url = f"https://api.github.com/repos/{repo}/git/trees/{SHA}"
    return as_json({"sha": SHA, "url": url, "tree": list(entries), "truncated": truncated})


def serve_tree(server: Server, reply: Any, sha: str = SHA, repo: str = REPO) -> None:
    server.route(f"/api/repos/{repo}/git/trees/{sha}", reply)


def serve_snapshot(server: Server, files: dict[str, bytes] = FILES) -> None:
    """STU-Hospital as git and codeload give it: a pinned tree, and a zip that has no length."""
    entries = [blob(path, data, "100755" if path == "run.sh" else "100644") for path, data in FILES.items()]
    serve_tree(server, tree(folder("Hospital", "e" * 40), *entries))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.comment = SHA.encode()  # git archive writes the commit there
        zipped.writestr(f"{TOP}/", b"")
        for path, data in files.items():
            zipped.writestr(f"{TOP}/{path}", data)
    server.route(f"/code/{REPO}/zip/{SHA}", Reply(body=packed.getvalue(), chunked=True, headers={"ETag": '"a"'}))


CLOUD = "https://github-cloud.githubusercontent.com/alambic/media/1/ab/cd/{}?X-Amz-Expires=3600&X-Amz-Signature=f00"


def serve_objects(
    server: Server, *, href: str = CLOUD, header: Any = None, known: dict[str, bytes] | None = None
) -> None:
    """A batch API that knows `known`, and storage that wants the header which the API told."""
    known = {OID: OBJECT} if known is None else known

    def batch(asked: Request) -> Reply:
        wanted = json.loads(asked.body)
        listed = []
        for one in wanted["objects"]:
            action = {"href": href.format(one["oid"]), "expires_in": 3600, "expires_at": "2026-11-27T18:00:00Z"}
            if header is not None:
                action["header"] = header
            if one["oid"] in known:
                listed.append({**one, "authenticated": True, "actions": {"download": action}})
            else:
                listed.append({**one, "error": {"code": 404, "message": "Object does not exist on the server"}})
        return as_json({"transfer": "basic", "objects": listed, "hash_algo": "sha256"})

    server.route(f"/web/{REPO}\\.git/info/lfs/objects/batch", batch, "POST")
    for oid, data in known.items():
        server.file(f"/cloud/alambic/media/1/ab/cd/{oid}", data)


def unpacked(client: Client, tmp_path: Path) -> tuple[RemoteFile, Path]:
    (file,) = resolve(PINNED, client)
    download(client, file, tmp_path)
    inside = tmp_path / f"{file.name}.unpacked"
    unpack(tmp_path / file.name, inside)
    return file, inside
