"""Addresses: where redirects and mirrors lead, and that a secret stays with its site and is told to nobody."""

from __future__ import annotations

from pathlib import Path

import downloads
import pytest
from downloads import DATA, wanted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server import Reply, Server

from openus.data import RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch import client as clients
from openus.fetch.address import below, mirrors, redacted
from openus.fetch.client import Client, name_of
from openus.fetch.download import download

server, waits, client = downloads.server, downloads.waits, downloads.client


def test_secrets_stay_with_their_site(server: Server, client: Client, tmp_path: Path) -> None:
    with Server() as store:
        store.file("/a.zip", DATA)
        place = f"{store.url}/a.zip?X-Amz-Signature=s3cret&X-Amz-Expires=10"
        server.route("/a.zip", Reply(302, b"", {"Location": place, "Set-Cookie": "session=c00kie; Path=/"}))
        client.bind(server.url, {"Authorization": "Bearer t0ken"})
        download(client, wanted(server), tmp_path)
        download(client, wanted(server), tmp_path / "again")
        assert {request.headers.get("authorization") for request in server.asked} == {"Bearer t0ken"}
        assert server.asked[1].headers["cookie"] == "session=c00kie"
        for request in store.asked:
            assert not {"authorization", "cookie"} & set(request.headers)
            assert request.query["X-Amz-Signature"] == "s3cret"
        store.route("/a.zip", Reply(403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"))
        with pytest.raises(FetchError) as error:
            download(client, wanted(server), tmp_path / "third")
        assert "s3cret" not in str(error.value) and "t0ken" not in str(error.value) and error.value.renewable


def test_a_secret_that_a_site_says_back_is_not_told(server: Server, client: Client, tmp_path: Path) -> None:
    client.bind(server.url, {"Authorization": "Bearer s3cret-token "})
    client.bind_query(f"{server.url}/b", "sig=s1gned%2Fvalue")
    server.route("/a.zip", Reply(401, b'{"message": "bad token Bearer s3cret-token \\u001b]0;x"}'))
    server.route("/b/a.zip", Reply(403, b"<html><title>sig=s1gned/value refused</title>"))
    for path in ("/a.zip", "/b/a.zip"):
        with pytest.raises(FetchError, match=r"\*\*\*") as error:
            download(client, RemoteFile("a.zip", url=server.url + path), tmp_path)
        assert "s3cret" not in str(error.value) and "s1gned" not in str(error.value) and "\x1b" not in str(error.value)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=20))
def test_no_secret_of_a_query_is_told(secret: str) -> None:
    for name in ("X-Amz-Signature", "sig", "access_token", "X-Goog-Credential", "uuid", "tempauth"):
        assert (
            redacted(f"https://a.org/p/x.zip?download=1&{name}={secret}&id=3")
            == "https://a.org/p/x.zip?download=1&id=3"
        )
    assert redacted(f"https://me:{secret}@a.org/x") == "https://a.org/x"


def test_a_circle_and_a_way_out_of_the_web_end(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/a.zip", Reply(302, b"", {"Location": "/a.zip"}))
    with pytest.raises(FetchError, match="more than 10 times"):
        download(client, wanted(server), tmp_path)
    server.route("/a.zip", Reply(302, b"", {"Location": "file:///etc/passwd"}))
    with pytest.raises(FetchError, match="no web address"):
        download(client, wanted(server), tmp_path)


def test_a_mirror_stands_in_for_a_site_also_in_redirects(server: Server, tmp_path: Path) -> None:
    server.route("/z/records/1/a.zip", Reply(302, b"", {"Location": "https://store.example/x/a.zip?sig=1"}))
    server.file("/s/a.zip", DATA)
    mirrors = {"https://zenodo.org": f"{server.url}/z", "https://store.example/x": f"{server.url}/s"}
    with Client(mirrors=mirrors) as client:
        client.bind("https://zenodo.org", {"Authorization": "Bearer t"})
        download(client, RemoteFile("a.zip", url="https://zenodo.org/records/1/a.zip"), tmp_path)
        assert client.mapped("https://store.example/xy") == "https://store.example/xy"
        assert client.mapped("https://zenodo.org.evil.net/a") == "https://zenodo.org.evil.net/a"
    assert [request.headers.get("authorization") for request in server.asked] == ["Bearer t", None]


def test_mirrors_come_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENUS_MIRRORS", '{"https://zenodo.org/": "http://m.example/z/"}')
    assert mirrors() == {"https://zenodo.org": "http://m.example/z"}
    (tmp_path / "m.json").write_text('{"https://a.org": "http://b.org"}')
    monkeypatch.setenv("OPENUS_MIRRORS", str(tmp_path / "m.json"))
    assert mirrors() == {"https://a.org": "http://b.org"}
    for wrong in (
        "{",
        '{"https://a.org": "http://[::1"}',
        '{"https://a.org:99999": "http://b"}',
        str(tmp_path / "none.json"),
        '["x"]',
        '{"https://a.org": 1}',
        '{"a.org": "http://b.org"}',
    ):
        monkeypatch.setenv("OPENUS_MIRRORS", wrong)
        with pytest.raises(UsageError, match="OPENUS_MIRRORS"):
            mirrors()


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4), st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3)
)
def test_an_address_is_below_another_by_whole_parts(path: list[str], base: list[str]) -> None:
    url, root = "https://x.org/" + "/".join(path), "https://x.org/" + "/".join(base)
    assert below(url, root) == ((path or [""])[: len(base)] == base)


def test_names_of_content_disposition() -> None:
    def name(header: str) -> str | None:
        return name_of(clients.Answer("", 200, {"content-disposition": header}, iter(())))

    assert name("attachment; filename=\"x.zip\"; filename*=UTF-8''%C3%A9.zip") == "é.zip"
    assert name('attachment; filename="../../x.zip"') == "x.zip"
    assert name("attachment; filename=x.zip") == "x.zip"
    assert name("inline") is None
