"""A container of Azure Blob Storage as its REST reference shows it, which gives nothing without the link's query."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from server import Reply, Request, Server, once, ranged

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.azure import VARIABLE, resolve
from openus.fetch.client import Client
from openus.fetch.download import download

PORTAL = "https://stanfordaimi.azurewebsites.net/datasets/834e1cd1"
ACCESS = Access("form", PORTAL, {"aimi_container": "echonetdynamic"}, gated="application")
BASE = "https://aimistanforddatasets01.blob.core.windows.net/echonetdynamic-2"
SIG = "c2Vj+mV0/A=="
DATA = b"PK\x03\x04" + bytes(range(256)) * 40
MD5 = hashlib.md5(DATA).digest()


def link(base: str = BASE, days: float = 20, **other: str) -> str:
    now = datetime.now(UTC)
    times = {"st": now - timedelta(1), "se": now + timedelta(days)}
    query = {"sv": "2019-02-02", "sr": "c", "sig": SIG, "sp": "rl"}
    query |= {name: f"{time:%Y-%m-%dT%H:%M:%SZ}" for name, time in times.items()} | other
    return f"{base}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv(VARIABLE, link())
    with Client(mirrors={BASE.rpartition("/")[0]: f"{server.url}/az"}, sleep=lambda _: None) as one:
        yield one


def blob(name: str, data: bytes = DATA, md5: str | None = None, **other: str) -> str:
    told = base64.b64encode(hashlib.md5(data).digest()).decode() if md5 is None else md5
    more = "".join(f"<{key}>{value}</{key}>" for key, value in other.items())
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>Thu, 01 Jul 2021 10:44:59 GMT</Creation-Time>"
        f"<Last-Modified>Thu, 01 Jul 2021 10:44:59 GMT</Last-Modified><Etag>0x8D93C7D4629C227</Etag>{more}"
        f"<Content-Length>{len(data)}</Content-Length><Content-Type>application/zip</Content-Type><Content-Encoding />"
        f"<Content-MD5>{told}</Content-MD5><BlobType>BlockBlob</BlobType></Properties></Blob>"
    )


def page(blobs: list[str], following: str = "") -> Reply:
    text = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults '
        f'ServiceEndpoint="https://aimistanforddatasets01.blob.core.windows.net/" ContainerName="echonetdynamic-2">'
        f"<MaxResults>5000</MaxResults><Blobs>{''.join(blobs)}</Blobs>"
        + (f"<NextMarker>{escape(following)}</NextMarker>" if following else "<NextMarker />")
    )
    return Reply(200, f"{text}</EnumerationResults>".encode(), {"Content-Type": "application/xml"})


def error(code: str, status: int) -> Reply:
    text = f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>No.\nRequestId:1</Message>'
    detail = "<AuthenticationErrorDetail>Signature not valid in the specified time frame</AuthenticationErrorDetail>"
    return Reply(status, f"{text}{detail}</Error>".encode(), {"Content-Type": "application/xml"})


def signed(reply: Reply) -> Any:
    """`reply`, for those who send the whole of the link's query."""

    def handle(request: Request) -> Reply:
        if request.query.get("sig") != SIG or not {"sv", "sr", "se", "st", "sp"} <= request.query.keys():
            return error("ResourceNotFound", 404)
        return ranged(request, reply.body) if reply.body == DATA else reply

    return handle


def serve(server: Server, blobs: list[str]) -> None:
    server.route("/az/echonetdynamic-2", signed(page(blobs)))
    server.route("/az/echonetdynamic-2/.*", signed(Reply(200, DATA)))


def refused(client: Client, access: Access = ACCESS) -> FetchError:
    with pytest.raises(FetchError) as caught:
        resolve(access, client)
    assert PORTAL in caught.value.hint and VARIABLE in caught.value.hint
    for secret in SIG, quote(SIG, safe=""), "sig=c":
        assert secret not in str(caught.value)
    return caught.value


def test_blobs_come_and_no_address_holds_the_secret(server: Server, client: Client, tmp_path: Path) -> None:
    serve(server, [blob("EchoNet-Dynamic.zip"), blob("a b/ä & #1.csv", md5=""), blob("b.csv", md5="no MD5")])
    files = resolve(ACCESS, client)
    assert files == [
        RemoteFile("EchoNet-Dynamic.zip", f"{BASE}/EchoNet-Dynamic.zip", len(DATA), md5=MD5.hex(), archive="zip"),
        RemoteFile("a b/ä & #1.csv", f"{BASE}/a%20b/%C3%A4%20%26%20%231.csv", len(DATA)),
        RemoteFile("b.csv", f"{BASE}/b.csv", len(DATA)),
    ]
    query = server.asked[0].query
    assert (query["restype"], query["comp"], query["maxresults"]) == ("container", "list", "5000")
    server.route(
        "/az/.*/EchoNet.*", once(lambda request: ranged(request, DATA, cut=5000), lambda request: ranged(request, DATA))
    )
    for file in files[:2]:
        download(client, file, tmp_path)
    assert (tmp_path / "EchoNet-Dynamic.zip").read_bytes() == (tmp_path / "a b/ä & #1.csv").read_bytes() == DATA
    assert "range" in server.asked[-2].headers and all(request.query["sig"] == SIG for request in server.asked)


def test_all_pages_of_a_listing(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    markers = {"": "2!8!MDAw&/=", "2!8!MDAw&/=": "third", "third": ""}

    def listing(request: Request) -> Reply:
        marker = request.query.get("marker", "")
        return page([blob(f"{len(marker)}.csv")], markers[marker])

    server.route("/az/echonetdynamic-2", listing)
    assert [file.name for file in resolve(ACCESS, client)] == ["0.csv", "11.csv", "5.csv"]
    server.route("/az/echonetdynamic-2", page([blob("1.csv")], "again"))
    monkeypatch.setattr("openus.fetch.azure.MOST_PAGES", 3)
    assert "has no end" in refused(client).message


def test_folders_are_no_files(server: Server, client: Client) -> None:
    serve(server, [blob("a", b"", ResourceType="directory"), blob("b/", b""), blob("a/1.csv")])
    assert [file.name for file in resolve(ACCESS, client)] == ["a/1.csv"]
    serve(server, [blob("a%EF%BF%BE.csv").replace("<Name>", '<Name Encoded="true">')])
    assert [file.name for file in resolve(ACCESS, client)] == ["a\ufffe.csv"]


def test_a_link_of_one_blob_is_not_listed(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve(server, [])
    monkeypatch.setenv(VARIABLE, link(f"{BASE}/a%20b/EchoNet-Dynamic.zip", sr="b", sp="r"))
    files = resolve(ACCESS, client)
    assert files == [RemoteFile("a b/EchoNet-Dynamic.zip", f"{BASE}/a%20b/EchoNet-Dynamic.zip", archive="zip")]
    assert server.asked == []
    download(client, files[0], tmp_path)
    assert (tmp_path / "a b/EchoNet-Dynamic.zip").read_bytes() == DATA


def test_without_a_link(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in "", "  ":
        monkeypatch.setenv(VARIABLE, value)
        assert "to those who have a link" in refused(client).message
    monkeypatch.delenv(VARIABLE)
    assert "to those who have a link" in refused(client).message


def test_what_is_no_link(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = link().partition("?")[2]
    for value in PORTAL, BASE, bare, link().replace("https", "http"), f"https://?{bare}", f"https://[/c?{bare}",\
            f"https://a:b/c?{bare}", link() + " --recursive", link() + "ä":  # fmt: skip
        monkeypatch.setenv(VARIABLE, value)
        assert "holds no link to a container" in refused(client).message
    monkeypatch.setenv(VARIABLE, f"https://a.blob.core.windows.net/?{bare}")
    assert "names no container" in refused(client).message
    assert server.asked == []
    serve(server, [blob("a.csv")])
    monkeypatch.setenv(VARIABLE, f' "{link()}"\n')  # as people paste it
    assert len(resolve(ACCESS, client)) == 1


def test_a_link_that_died_is_not_asked(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, [blob("a.csv")])
    for value in link(days=-0.1), link(se="2024-01-20T12:33:37Z"), link(se="2024-01-20"):
        monkeypatch.setenv(VARIABLE, value)
        assert "has expired on 20" in refused(client).message
    assert server.asked == []
    monkeypatch.setenv(VARIABLE, link(se="tomorrow"))  # the site shall say
    assert len(resolve(ACCESS, client)) == 1


def test_a_link_of_another_container(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    other = BASE.replace("echonetdynamic-2", "echonetlvh")
    for name in "echonetlvh", "echonetdynamics":
        monkeypatch.setenv(VARIABLE, link(BASE.replace("echonetdynamic-2", name)))
        assert f"is of {name}; echonetdynamic is due" in refused(client).message
    assert server.asked == []
    monkeypatch.setenv(VARIABLE, link(other))
    server.route("/az/echonetlvh", signed(page([blob("a.csv")])))
    for ids in {"aimi_container": "echonetlvh"}, {}:
        assert [file.url for file in resolve(Access("form", PORTAL, ids), client)] == [f"{other}/a.csv"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AuthenticationFailed", 403),
        ("AuthorizationPermissionMismatch", 403),
        ("ContainerNotFound", 404),
        ("PublicAccessNotPermitted", 409),
    ],
)
def test_what_the_site_refuses(server: Server, client: Client, code: str, status: int) -> None:
    server.route("/az/.*", error(code, status))
    caught = refused(client)
    assert f"answers {status}" in caught.message and code in caught.message
    assert "may have died, or allow no listing" in caught.hint


def test_a_busy_site_is_waited_for(server: Server, client: Client) -> None:
    server.route("/az/.*", once(error("ServerBusy", 503), page([blob("a.csv")])))
    assert len(resolve(ACCESS, client)) == 1


def test_listings_of_other_shapes(server: Server, client: Client) -> None:
    for body, words in (
        (b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>", "a page 'Sign in'"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><EnumerationResults/>', "a page"),
        (b"<html><title>Proxy</title><br></html>", "a page 'Proxy'"),
        (b'<?xml version="1.0"?><Error><Code>Odd</Code></Error>', "a page 'Odd'"),
        (b'{"files": []}', "something else"),
        (b"", "something else"),
    ):
        server.route("/az/.*", body)
        assert f"gave {words}" in refused(client).message
    for odd in (
        "<Blob/>",
        "<Blob><Name>a.csv</Name></Blob>",
        "<Blob><Name>a.csv</Name><Properties><Content-Length>-1</Content-Length></Properties></Blob>",
        "<Blob><Name/><Properties><Content-Length>1</Content-Length></Properties></Blob>",
    ):
        server.route("/az/.*", page([blob("b.csv"), odd]))
        assert "without name or size" in refused(client).message
    server.route("/az/.*", page([]))
    assert "holds no files" in refused(client).message


def test_no_other_site_and_no_log_gets_the_secret(
    server: Server, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "openus")
    serve(server, [blob("EchoNet-Dynamic.zip")])
    (file,) = resolve(ACCESS, client)
    with Server() as other:
        other.file("/x.zip", DATA)
        server.route("/az/.*/.*zip", Reply(302, b"", {"Location": f"{other.url}/x.zip"}))
        download(client, file, tmp_path)
        assert [request.query for request in other.asked] == [{}]
    server.route("/az/.*/.*zip", error("AuthenticationFailed", 403))
    with pytest.raises(FetchError, match="AuthenticationFailed") as caught:
        download(client, file, tmp_path)
    for secret in SIG, quote(SIG, safe=""):
        assert secret not in str(caught.value) + caplog.text + str(file)
