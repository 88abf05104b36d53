"""Snapshots of GitHub, from a server that answers as docs.github.com tells."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import snapshots
from server import Reply, Server, once
from snapshots import (
    FILES,
    OBJECT,
    OID,
    PINNED,
    POINTER,
    REPO,
    SHA,
    TOKEN,
    TOP,
    access,
    as_json,
    blob,
    folder,
    serve_objects,
    serve_snapshot,
    serve_tree,
    sha1,
    tree,
    unpacked,
)

from openus.data import Access, RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.github import differing, objects, pointers, resolve
from openus.sources import load, slugs

server, waits, client = snapshots.server, snapshots.waits, snapshots.client


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
