"""Objects of Git LFS, from servers that answer as git-lfs tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import snapshots
from server import Server
from snapshots import CLOUD, OBJECT, OID, POINTER, REPO, TOKEN, TOP, as_json, serve_objects, serve_snapshot, unpacked

from openus.data import RemoteFile
from openus.errors import FetchError, OpenusError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.github import differing, objects, pointers

server, waits, client = snapshots.server, snapshots.waits, snapshots.client


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
