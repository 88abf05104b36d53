"""Snapshots of GitHub and objects of Git LFS, from servers that answer as docs.github.com and git-lfs tell."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Request, Server, once

from openus.data import Access, RemoteFile
from openus.errors import FetchError, OpenusError, UsageError
from openus.fetch.archive import unpack
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.github import differing, objects, pointers, resolve
from openus.sources import load, slugs

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


def unpacked(client: Client, tmp_path: Path) -> tuple[RemoteFile, Path]:
    (file,) = resolve(PINNED, client)
    download(client, file, tmp_path)
    inside = tmp_path / f"{file.name}.unpacked"
    unpack(tmp_path / file.name, inside)
    return file, inside


def failure(client: Client, wanted: Access = PINNED) -> str:
    with pytest.raises(FetchError) as caught:
        resolve(wanted, client)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def test_a_pinned_snapshot_comes_and_is_what_git_has(server: Server, client: Client, tmp_path: Path) -> None:
    serve_snapshot(server)
    file, inside = unpacked(client, tmp_path)
    url = f"https://codeload.github.com/{REPO}/zip/{SHA}"
    members = {f"{TOP}/{path}": sha1(data) for path, data in FILES.items()}
    assert file == RemoteFile(f"{TOP}.zip", url, archive="zip", members=members)
    assert differing(inside, file.members) == []
    asked, _ = server.asked
    assert (asked.path, asked.query) == (f"/api/repos/{REPO}/git/trees/{SHA}", {"recursive": "1"})
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"
    assert "authorization" not in asked.headers


def test_files_that_are_missing_or_others_are_told(server: Server, client: Client, tmp_path: Path) -> None:
    serve_snapshot(server, {"Hospital/Test_Image_1.png": b"\x89PNG\r\n\x1a\n2", "Hospital/clip ä.gif": POINTER})
    file, inside = unpacked(client, tmp_path)
    assert differing(inside, file.members) == [f"{TOP}/Hospital/Test_Image_1.png", f"{TOP}/run.sh"]


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../outside", "link", "in/outside", "", "a\0b"])
@pytest.mark.parametrize("look", [differing, pointers])
def test_no_path_leaves_the_folder(tmp_path: Path, path: str, look: Any) -> None:
    (tmp_path / "outside").write_bytes(POINTER)
    (tmp_path / "f").mkdir()
    (tmp_path / "f/link").symlink_to("../outside")
    (tmp_path / "f/in").symlink_to("..")
    with pytest.raises(FetchError, match="leaves"):
        look(tmp_path / "f", {path: sha1(POINTER)})


def test_links_and_submodules_are_no_members(server: Server, client: Client) -> None:
    submodule = {"path": "lib", "mode": "160000", "type": "commit", "sha": "c" * 40}
    serve_tree(server, tree(blob("a.png"), blob("latest", b"a.png", "120000"), submodule))
    assert resolve(PINNED, client)[0].members == {f"{TOP}/a.png": sha1(b"")}


@pytest.mark.parametrize(
    ("ids", "ref"),
    [({}, "HEAD"), ({"branch": "fix/it"}, "heads/fix/it"), ({"commit": "BA4A898", "branch": "master"}, "ba4a898")],
)
def test_what_names_no_commit_is_resolved_to_one(server: Server, client: Client, ids: dict[str, str], ref: str) -> None:
    serve_snapshot(server)
    url = f"https://api.github.com/repos/{REPO}/commits/{SHA}"
    server.route(f"/api/repos/{REPO}/commits/{ref}", as_json({"sha": SHA, "url": url, "commit": {}}))
    (file,) = resolve(access(**ids), client)
    assert (file.name, file.url) == (f"{TOP}.zip", f"https://codeload.github.com/{REPO}/zip/{SHA}")


def test_a_short_commit_that_becomes_another_is_refused(server: Server, client: Client) -> None:
    for body in ({"sha": "c" * 40}, {"sha": None}, {"sha": SHA[:39]}, [], {}, "x"):
        server.route(f"/api/repos/{REPO}/commits/ba4a898", as_json(body))
        assert f"no commit for ba4a898 of {REPO}" in failure(client, access(commit="ba4a898"))


def test_ids_that_can_be_none_are_not_asked_for(server: Server, client: Client) -> None:
    for ids in ({"repo": "x"}, {"repo": "a/b/c"}, {"repo": ""}, {"commit": "main"}, {"commit": "abc"}):
        assert "no repository and commit" in failure(client, access(**ids))
    assert server.asked == []


def test_a_tree_that_is_cut_is_walked(server: Server, client: Client) -> None:
    big, small, deep = "1" * 40, "2" * 40, "3" * 40
    answers = {  # (recursive, as it is)
        SHA: (tree(blob("a"), truncated=True), tree(blob("a"), folder("big", big), folder("small", small))),
        big: (tree(folder("deep", deep), truncated=None), tree(folder("deep", deep), blob("b"))),
        small: (tree(folder("in", "4" * 40), blob("in/c")), Reply(500)),
        deep: (tree(blob("d")), Reply(500)),
    }
    for sha, (recursive, flat) in answers.items():
        serve_tree(server, lambda asked, of=(recursive, flat): of[0] if "recursive" in asked.query else of[1], sha)
    (file,) = resolve(PINNED, client)
    assert set(file.members) == {f"{TOP}/{path}" for path in ("a", "big/b", "big/deep/d", "small/in/c")}
    serve_tree(server, tree(folder("deep", deep), truncated=True), big)
    assert "part of xbhlk/STU-Hospital's folder 'big/' only" in failure(client)


def test_a_renamed_repository_is_followed(server: Server, client: Client) -> None:
    there = f"https://api.github.com/repositories/99/git/trees/{SHA}?recursive=1"
    serve_tree(server, Reply(301, b"{}", {"Location": there}))
    server.route(f"/api/repositories/99/git/trees/{SHA}", tree(blob("a"), repo="xbhlk/STU-New"))
    (file,) = resolve(PINNED, client)
    assert file.url == f"https://codeload.github.com/xbhlk/STU-New/zip/{SHA}"
    assert (file.name, list(file.members)) == (f"STU-New-{SHA}.zip", [f"STU-New-{SHA}/a"])


BAD_ENTRIES: list[Any] = [
    blob("../x"), blob("/x"), blob("a//b"), blob("."), blob(""), blob("a\0b"), blob("\ud800"), blob("a/" * 3000),
    blob("x/" * 2100 + "x"), blob("x") | {"path": 7}, blob("x") | {"sha": "main"}, blob("x") | {"sha": None},
    blob("x") | {"type": "tag"}, folder("..", "1" * 40), {"path": "x"}, {}, [], None, "x",
]  # fmt: skip


def test_entries_that_are_no_file_are_refused(server: Server, client: Client) -> None:
    for entry in BAD_ENTRIES:
        serve_tree(server, tree(blob("good"), entry))
        assert "which is no " in failure(client)


def test_a_listing_that_is_none_is_told(server: Server, client: Client) -> None:
    for body in ([], {}, {"tree": None, "truncated": False}, {"tree": []}, "x", 1, None):
        serve_tree(server, as_json(body))
        assert "gave no tree" in failure(client)


def test_an_empty_tree_is_told(server: Server, client: Client) -> None:
    serve_tree(server, tree())
    assert "holds no file" in failure(client)


def test_what_github_says_is_passed_on(server: Server, client: Client) -> None:
    said = {
        404: "Not Found",  # private ones too
        401: "Bad credentials",
        409: "Git Repository is empty.",
        422: "No commit found for SHA: ba4a898",
        451: "Repository access blocked",
        403: "Resource not accessible by personal access token",
    }
    for status, message in said.items():
        docs = "https://docs.github.com/rest/git/trees#get-a-tree"
        serve_tree(server, as_json({"message": message, "documentation_url": docs, "status": str(status)}, status))
        found = failure(client)
        assert f"/repos/{REPO}/git/trees/{SHA}" in found
        assert f"answers {status}" in found
        assert message.rstrip(".") in found


def test_a_page_in_place_of_a_listing_is_told(server: Server, client: Client) -> None:
    serve_tree(server, b"<!DOCTYPE html><html><title>Unicorn! &middot; GitHub</title></html>")
    assert "Unicorn" in failure(client)


def test_a_limit_is_waited_for_or_told(server: Server, client: Client, waits: list[float]) -> None:
    body = {"message": "API rate limit exceeded for 1.2.3.4. (But here's the good news: …)", "documentation_url": "…"}

    def limited(seconds: int) -> Reply:
        reset = str(int(time.time()) + seconds)
        return as_json(body, 403, **{"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset})

    serve_tree(server, once(limited(100), tree(blob("a"))))
    assert resolve(PINNED, client)
    assert 90 < waits[0] <= 100
    serve_tree(server, limited(3000))
    assert "a token raises that limit" in failure(client)


@pytest.mark.parametrize("name", ["GH_TOKEN", "GITHUB_TOKEN"])
def test_the_token_goes_to_github_alone(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "another")  # gh looks at GH_TOKEN first
    monkeypatch.setenv(name, f" {TOKEN}\n")
    serve_snapshot(server)
    with Server() as other:
        other.file("/object", OBJECT)
        serve_objects(server, href=f"{other.url}/object", header={})
        _, inside = unpacked(client, tmp_path)
        (file,) = objects(REPO, {"a.gif": (OID, len(OBJECT))}, client)
        download(client, file, inside)
        server.route(f"/code/{REPO}/zip/{SHA}", Reply(302, b"", {"Location": f"{other.url}/object"}))
        download(client, replace(resolve(PINNED, client)[0], archive=None, name="b.gif"), inside)
        assert len(other.asked) == 2
        assert not any("authorization" in asked.headers or TOKEN in str(asked) for asked in other.asked)
    api, code, lfs = (asked.headers["authorization"] for asked in server.asked[:3])
    assert api == code == f"Bearer {TOKEN}"
    assert lfs == "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    serve_tree(server, as_json({"message": "Bad credentials"}, 401))
    assert "Bad credentials" in failure(client)


def test_a_token_that_can_be_none_is_not_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for rest in ("\nX-Evil: 1", " x", "ä"):
        monkeypatch.setenv("GH_TOKEN", TOKEN + rest)
        for ask in (lambda: resolve(PINNED, client), lambda: objects(REPO, {"a": (OID, 1)}, client)):
            with pytest.raises(UsageError, match="GH_TOKEN") as caught:
                ask()
            assert TOKEN not in str(caught.value)


def test_the_cards_of_github_can_be_resolved(server: Server, client: Client) -> None:
    cards = [card for slug in slugs() if (card := load(slug).card).access.kind == "github"]
    assert len(cards) >= 5
    for card in cards:
        repo, sha = card.access.ids["repo"], card.access.ids.get("commit", SHA)
        server.route(f"/api/repos/{repo}/commits/HEAD", as_json({"sha": sha}))
        serve_tree(server, tree(blob("a"), repo=repo), sha, repo)
        (file,) = resolve(card.access, client)
        assert file.url == f"https://codeload.github.com/{repo}/zip/{sha}"


# Git LFS

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


def lfs_failure(client: Client, wanted: dict[str, tuple[str, int]] | None = None) -> FetchError:
    with pytest.raises(FetchError) as caught:
        objects(REPO, wanted or {"a.gif": (OID, len(OBJECT))}, client)
    return caught.value


def test_objects_take_the_place_of_their_pointers(server: Server, client: Client, tmp_path: Path) -> None:
    serve_snapshot(server)
    serve_objects(server, header={"Authorization": "RemoteAuth xyz"})
    file, inside = unpacked(client, tmp_path)
    path = f"{TOP}/Hospital/clip ä.gif"
    wanted = pointers(inside, file.members)
    assert wanted == {path: (OID, len(OBJECT))}
    (due,) = objects(REPO, wanted, client)
    assert due == RemoteFile(path, CLOUD.format(OID), len(OBJECT), sha256=OID)
    download(client, due, inside)
    assert (inside / path).read_bytes() == OBJECT
    assert pointers(inside, file.members) == {}
    assert differing(inside, file.members) == [path]
    _, _, asked, came = server.asked
    assert asked.headers["accept"] == asked.headers["content-type"] == "application/vnd.git-lfs+json"
    assert json.loads(asked.body) == {
        "operation": "download",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "objects": [{"oid": OID, "size": len(OBJECT)}],
    }
    assert came.headers["authorization"] == "RemoteAuth xyz"
    assert came.query["X-Amz-Signature"] == "f00"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (POINTER, True),
        (POINTER.replace(b"git-lfs.", b"hawser."), True),
        (POINTER[:-1], True),
        (POINTER + b"more\n", False),
        (POINTER.replace(OID.encode(), b"x" * 64), False),
        (POINTER.replace(b"version ", b"# version "), False),
        (POINTER + b"\n" * 1024, False),
        (b"", False),
    ],
)
def test_what_a_pointer_is(tmp_path: Path, text: bytes, is_one: bool) -> None:
    (tmp_path / "a").write_bytes(text)
    assert pointers(tmp_path, ["a", "missing"]) == ({"a": (OID, len(OBJECT))} if is_one else {})


def test_a_pointer_with_an_extension_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(POINTER.replace(b"oid", b"ext-0-foo sha256:" + b"1" * 64 + b"\noid"))
    with pytest.raises(FetchError, match="a wants an extension"):
        pointers(tmp_path, ["a"])


def test_a_hundred_objects_at_most_are_asked_for_at_once(server: Server, client: Client) -> None:
    oids = [f"{n:064x}" for n in range(205)]
    serve_objects(server, known=dict.fromkeys(oids, b""))
    wanted = {f"{n}.png": (oid, 1) for n, oid in enumerate(oids)} | {"twin.png": (oids[0], 1)}
    listed = objects(REPO, wanted, client)
    assert [len(json.loads(asked.body)["objects"]) for asked in server.asked] == [100, 100, 5]
    assert {file.name: (file.sha256, file.size_bytes) for file in listed} == wanted
    assert all(file.url == CLOUD.format(file.sha256) for file in listed)
    assert objects(REPO, {}, client) == []


def test_the_own_token_does_not_go_where_an_object_lies(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    own = f"https://github.com/{REPO}.git/info/lfs/objects/{{}}"
    server.file(f"/web/{REPO}.git/info/lfs/objects/{OID}", OBJECT)
    for header in (None, {}, {"X-Own": "1"}):
        serve_objects(server, href=own, header=header)
        (due,) = objects(REPO, {f"{header}.gif": (OID, len(OBJECT))}, client)
        objects(REPO, {}, client)  # asked again, as for a renewed address
        download(client, due, tmp_path)
        assert "authorization" not in server.asked[-1].headers
        assert server.asked[-1].headers.get("x-own") == (header or {}).get("X-Own")


def test_an_object_that_is_not_there_is_told(server: Server, client: Client) -> None:
    serve_objects(server)
    error = lfs_failure(client, {"a.gif": (OID, len(OBJECT)), "b.gif": ("0" * 64, 1)})
    assert f"does not give {'0' * 64}: 404 Object does not exist on the server" in error.message


SPENT = "This repository exceeded its LFS budget. The account responsible for the budget should increase it."
OLD = "This repository is over its data quota. Account responsible for LFS bandwidth should purchase more data packs."


def test_a_spent_budget_is_told(server: Server, client: Client) -> None:
    for status, said in [(200, SPENT), (200, OLD), (403, SPENT), (403, OLD), (509, SPENT)]:
        body: Any = {"message": said, "documentation_url": "https://docs.github.com", "request_id": "1"}
        if status == 200:
            body = {"objects": [{"oid": OID, "size": 1, "error": {"code": 509, "message": said}}]}
        server.route(f"/web/{REPO}\\.git/info/lfs/objects/batch", as_json(body, status), "POST")
        error = lfs_failure(client)
        assert said[:40] in error.message
        assert "next month" in error.hint
    assert len(server.asked) == 5


def test_other_refusals_are_passed_on(server: Server, client: Client) -> None:
    answers = [(401, "Credentials needed"), (404, "Not Found"), (422, "Invalid"), (501, "Not Implemented")]
    for status, said in answers:
        header = {"LFS-Authenticate": 'Basic realm="Git LFS"'}
        server.route("/web/.*", as_json({"message": said}, status, **header), "POST")
        error = lfs_failure(client)
        assert f"answers {status}" in error.message
        assert said in error.message
        assert "next month" not in error.hint


GOOD = {"oid": OID, "size": 1, "actions": {"download": {"href": CLOUD}}}


BAD_BATCHES: list[tuple[Any, str]] = [
    ([], "no list of objects"),
    ({}, "no list of objects"),
    ({"objects": {}}, "no list of objects"),
    ({"objects": [GOOD], "transfer": "multipart-basic"}, "no list of objects"),
    ({"objects": []}, "tells nothing of a.gif"),
    ({"objects": [GOOD | {"oid": "1" * 64}]}, "tells nothing of a.gif"),
    *(
        ({"objects": [entry]}, "without an address")
        for entry in (
            None, {}, {"oid": OID}, {"oid": 7, "actions": {}}, {"oid": OID, "actions": None},
            {"oid": OID, "actions": {"download": {}}}, {"oid": OID, "actions": {"download": {"href": None}}},
            {"oid": OID, "actions": {"download": {"href": "/relative"}}},
            {"oid": OID, "actions": {"download": {"href": "file:///etc/passwd"}}},
            {"oid": OID, "actions": {"download": {"href": CLOUD, "header": ["x"]}}},
            {"oid": OID, "actions": {"download": {"href": CLOUD, "header": {"A": 1}}}},
            {"oid": OID, "actions": {"download": {"href": CLOUD, "header": {"A": "x\r\nB: y"}}}},
            {"oid": OID, "actions": {"download": {"href": CLOUD, "header": {"A b": "x"}}}},
        )
    ),
    ({"objects": [{"oid": OID, "error": {}}]}, "does not give"),
    ({"objects": [{"oid": OID, "error": None}]}, "without an address"),
]  # fmt: skip


def test_batches_that_are_none_are_told(server: Server, client: Client) -> None:
    for body, what in BAD_BATCHES:
        server.route("/web/.*", as_json(body), "POST")
        assert what in lfs_failure(client).message


def test_a_wrong_object_is_not_kept(server: Server, client: Client, tmp_path: Path) -> None:
    serve_objects(server, known={OID: OBJECT[::-1]})
    (due,) = objects(REPO, {"a.gif": (OID, len(OBJECT))}, client)
    with pytest.raises(OpenusError, match="SHA-256"):
        download(client, due, tmp_path)
    assert not (tmp_path / "a.gif").exists()
