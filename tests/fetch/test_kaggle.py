"""Kaggle, from a server in the shape of its REST routes, good and bad."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Reply, Server, ranged

from openus.data import Access
from openus.errors import FetchError
from openus.fetch.client import Client
from openus.fetch.download import download
from openus.fetch.kaggle import credentials, resolve

DATASET = Access(kind="kaggle-dataset", url="https://www.kaggle.com/datasets/me/set", ids={"kaggle": "me/set"})
COMPETITION = Access(kind="kaggle-competition", url="https://www.kaggle.com/c/nerve", ids={"competition": "nerve"})
LISTING = {"datasetFiles": [{"name": "a.png", "totalBytes": 3}], "errorMessage": "", "nextPageToken": ""}
ZIP = b"PK\x03\x04" + bytes(4000)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kaggle").mkdir()
    return tmp_path / ".kaggle"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client({"https://www.kaggle.com": f"{server.url}/kg"}, sleep=lambda _: None) as one:
        yield one


def answer(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def basic(user: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


def test_credentials_in_the_official_order(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert credentials() == {}
    (home / "kaggle.json").write_text('{"username": "u", "key": "k"}')
    assert credentials() == basic("u", "k")
    other = tmp_path / "other"
    other.mkdir()
    (other / "kaggle.json").write_text('{"username": "v", "key": "l"}')
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(other))
    assert credentials() == basic("v", "l")
    monkeypatch.setenv("KAGGLE_USERNAME", "e")
    assert credentials() == basic("v", "l")  # half a pair is none
    monkeypatch.setenv("KAGGLE_KEY", "m")
    assert credentials() == basic("e", "m")
    (home / "access_token.txt").write_text("second\n")
    assert credentials() == {"Authorization": "Bearer second"}
    (home / "access_token").write_text("first\n")
    assert credentials() == {"Authorization": "Bearer first"}
    (tmp_path / "token").write_text(" of a file \n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(tmp_path / "token"))
    assert credentials() == {"Authorization": "Bearer of a file"}
    monkeypatch.setenv("KAGGLE_API_TOKEN", "itself")
    assert credentials() == {"Authorization": "Bearer itself"}


@pytest.mark.parametrize("text", ["{", "[]", '{"username": 3}', "\xff"])
def test_a_damaged_file_of_credentials_is_none(text: str, home: Path) -> None:
    (home / "kaggle.json").write_bytes(text.encode("latin-1"))
    assert credentials() == {}


def test_a_public_set_comes_without_an_account(server: Server, client: Client, tmp_path: Path) -> None:
    with Server() as store:
        server.route("/kg/api/v1/datasets/list/me/set", answer(LISTING))
        place = f"{store.url}/kaggle-data-sets/archive.zip?X-Goog-Signature=s1gned"
        server.route("/kg/api/v1/datasets/download/me/set", Reply(302, b"", {"Location": place}))
        store.route("/kaggle-data-sets/archive.zip", lambda request: ranged(request, ZIP))
        (file,) = resolve(DATASET, client)
        assert (file.name, file.archive) == ("set.zip", "zip")
        assert file.url == "https://www.kaggle.com/api/v1/datasets/download/me/set"
        download(client, file, tmp_path)
        assert (tmp_path / "set.zip").read_bytes() == ZIP
        assert all("authorization" not in request.headers for request in server.asked)


def test_the_token_goes_to_kaggle_alone(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    with Server() as store:
        server.route("/kg/api/v1/competitions/data/list/nerve", answer({"files": [{"name": "a"}], "nextPageToken": ""}))
        place = f"{store.url}/x.zip?X-Goog-Signature=s1gned"
        server.route("/kg/api/v1/competitions/data/download-all/nerve", Reply(302, b"", {"Location": place}))
        store.route("/x.zip", lambda request: ranged(request, ZIP))
        (file,) = resolve(COMPETITION, client)
        download(client, file, tmp_path)
        assert {request.headers["authorization"] for request in server.asked} == {"Bearer t0ken"}
        assert all("authorization" not in request.headers for request in store.asked)


def test_a_competition_needs_an_account(client: Client, server: Server) -> None:
    with pytest.raises(FetchError, match="with an account only") as error:
        resolve(COMPETITION, client)
    assert "KAGGLE_API_TOKEN" in error.value.hint and server.asked == []


RULES = {"code": 403, "message": "You must accept this competition's rules before you'll be able to download files."}


@pytest.mark.parametrize(
    ("reply", "said", "hint"),
    [
        (answer(RULES, 403), "must accept this competition's rules", "competitions/nerve/rules"),
        (answer(RULES), "must accept this competition's rules", "competitions/nerve/rules"),  # within a 200
        (
            answer({"code": 401, "message": "Unauthorized access"}, 401),
            "Unauthorized access",
            "does not take the token",
        ),
        (
            answer({"code": 403, "message": "Required permission 'competitions.get' was not satisfied"}, 403),
            "was not satisfied",
            "does not take the token",
        ),
        (answer({"code": 404, "message": "Not found"}, 404), "404", ""),
        (Reply(200, b"<!DOCTYPE html><title>Kaggle: Sign in</title>"), "a page 'Kaggle: Sign in'", ""),
        (answer({"files": []}), "lists no files", ""),
        (answer({"files": "x"}), "lists no files", ""),
        (answer([1]), "gave no listing", ""),
    ],
)
def test_what_stands_in_the_way_is_told(
    reply: Reply, said: str, hint: str, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    server.route("/kg/api/v1/competitions/data/list/nerve", reply)
    with pytest.raises(FetchError) as error:
        resolve(COMPETITION, client)
    assert said in error.value.message and hint in error.value.hint and error.value.hint
    assert "t0ken" not in str(error.value)
