"""Google Drive, by pages as it was seen to send them, and by gdown where it is installed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from server import Reply, Request, Server, once, ranged

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch import gdrive
from openus.fetch.address import redacted
from openus.fetch.client import Client, RetryPolicy
from openus.fetch.download import download

ID = "1reHyY5eTZ5uePXMVMzFOq5j3eFOSp50F"
TOP = "1TG9Bq-OaKkMXV2s42f_oZJdoTOfIAZLi"
DATA = b"PK\x03\x04" + bytes(range(256)) * 40
HOSTS = {"drive": "drive", "user": "drive.usercontent", "docs": "docs", "accounts": "accounts"}
USER = "https://drive.usercontent.google.com/download"
SECRET = "99b6f2ce-1412-4b1d-a5c0-000000000001"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Server, Client]]:
    with Server() as one, Client(places(one), RetryPolicy(tries=3), lambda _: None) as speaker:
        yield one, speaker


def places(server: Server) -> dict[str, str]:
    return {f"https://{host}.google.com": f"{server.url}/{place}" for place, host in HOSTS.items()}


@pytest.fixture
def server(running: tuple[Server, Client]) -> Server:
    running[0].asked.clear()
    running[0].route(".*", Reply(404))  # over all that earlier tests routed
    return running[0]


@pytest.fixture
def client(running: tuple[Server, Client]) -> Client:
    running[1]._cookies.clear()
    return running[1]


def access(**ids: str) -> Access:
    return Access(kind="gdrive", url="https://example.org/data", ids=ids, steps=("Look at the Kaggle copy.",))


def html(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), {"Content-Type": "text/html; charset=utf-8"})


def attachment(name: str) -> dict[str, str]:
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
    }


def sends(name: str, data: bytes = DATA) -> Reply:
    return Reply(200, data, attachment(name))


def moved(address: str, **cookie: str) -> Reply:
    return Reply(303, b"", {"Location": address, **cookie})


HEAD = "<!DOCTYPE html><html><head><title>Google Drive - {}</title><style>p{{color:#222}}</style></head><body>"
WARNING = (
    HEAD.format("Virus scan warning")
    + '<p class="uc-warning-caption">Google Drive can\'t scan this file for viruses.</p>'
    f'<p class="uc-warning-subcaption"><span class="uc-name-size"><a href="/open?id={ID}">a.zip</a> (1.3G)</span> is '
    "too large for Google to scan for viruses. Would you still like to download this file?</p>"
    '{}<input type="hidden" name="x" value="1"></body></html>'
)
FORM = (
    '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get"><input type="submit" '
    'id="uc-download-link" class="goog-inline-block jfk-button jfk-button-action" value="Download anyway"/>'
    f'<input type="hidden" name="id" value="{ID}"><input type="hidden" name="export" value="download">'
    '<input type="hidden" name="authuser" value="0"><input type="hidden" name="confirm" value="t">'
    f'<input type="hidden" name="uuid" value="{SECRET}"><input type="hidden" name="at" value="APvzH3r:17000"></form>'
)
POSTED = (
    f'<form id="download-form" action="https://docs.google.com/uc?export=download&amp;id={ID}&amp;confirm=t&amp;'
    f'uuid={SECRET}" method="post"><input type="submit" value="Download anyway"/></form>'
)
LINK = f'<a id="uc-download-link" href="/uc?export=download&amp;confirm=Wd0_&amp;id={ID}">Download anyway</a>'
SCRIPT = (
    f'<script>x={{"downloadUrl":"{USER}?id\\u003d{ID}\\u0026export\\u003ddownload\\u0026confirm\\u003dt"}}</script>'
)
VARIANTS = {
    "form": (FORM, f"{USER}?id={ID}&export=download&authuser=0&confirm=t&uuid={SECRET}&at=APvzH3r%3A17000"),
    "posted form": (POSTED, f"https://docs.google.com/uc?export=download&id={ID}&confirm=t&uuid={SECRET}"),
    "link": (LINK, f"https://docs.google.com/uc?export=download&confirm=Wd0_&id={ID}"),
    "script": (SCRIPT, f"{USER}?id={ID}&export=download&confirm=t"),
}
QUOTA = (
    HEAD.format("Quota exceeded") + '<p class="uc-error-caption">Sorry, you can\'t view or download this file at this '
    'time.</p><p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try '
    "accessing the file again later.</p></body></html>"
)


def refused(client: Client, **ids: str) -> str:
    with pytest.raises(FetchError) as caught:
        gdrive.resolve(access(**(ids or {"file": ID})), client)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_small_file_is_named_and_sized_by_its_answer(server: Server, client: Client, tmp_path: Path) -> None:
    server.route("/drive/uc", moved(f"{USER}?id={ID}&export=download"))
    server.route("/user/download", lambda request: ranged(request, DATA, headers=attachment("Thyroid Dataset.zip")))
    (file,) = gdrive.resolve(access(file=ID, code="github.com/a/b"), client)
    start = f"https://drive.google.com/uc?id={ID}&export=download"
    assert file == RemoteFile("Thyroid Dataset.zip", start, len(DATA), archive="zip")
    assert (
        server.asked[0].query == {"id": ID, "export": "download"} and server.asked[0].headers["accept-language"] == "en"
    )
    download(client, file, tmp_path)
    assert (tmp_path / "Thyroid Dataset.zip").read_bytes() == DATA


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_page_before_a_large_file_is_confirmed(variant: str, server: Server, client: Client, tmp_path: Path) -> None:
    markup, address = VARIANTS[variant]
    cookie = {"Content-Type": "text/html", "Set-Cookie": "NID=511; Domain=.google.com"}
    server.route("/drive/uc", Reply(200, WARNING.replace("{}", markup).encode(), cookie))

    def confirmed(request: Request) -> Reply:
        due = {"authuser": "0", "at": "APvzH3r:17000", "uuid": SECRET} if variant == "form" else {}
        assert due.items() <= request.query.items() and request.query["id"] == ID and request.query["confirm"]
        return ranged(request, DATA, headers=attachment("größe 1.zip"))

    server.route("/user/download|/docs/uc", confirmed)
    (file,) = gdrive.resolve(access(drive_file=ID), client)
    assert (file.name, file.url, file.size_bytes, file.archive) == ("größe 1.zip", address, len(DATA), "zip")
    assert SECRET not in redacted(str(file.url)) and "APvz" not in redacted(str(file.url))
    download(client, file, tmp_path)
    assert (tmp_path / file.name).read_bytes() == DATA


def test_no_body_of_a_file_is_waited_for(server: Server, client: Client) -> None:
    server.route("/drive/uc", Reply(200, DATA, attachment("a.zip"), drip_s=0.2))
    assert gdrive.resolve(access(file=ID), client)[0].size_bytes == len(DATA)
    server.route("/drive/uc", Reply(200, DATA, {"Content-Type": "application/zip"}, drip_s=0.2))
    assert "nothing came in its place ('')" in refused(client)


def test_only_the_ids_of_files_are_asked(server: Server, client: Client) -> None:
    server.route("/drive/uc", lambda request: sends(f"{request.query['id'][:4]}.zip"))
    ids = {
        "file": "1r3UNudTpPJyO1kJdVfQqPsBDduAWp2iS",
        "gdrive_segmentation": "1r3UNudTpPJyO1kJdVfQqPsBDduAWp2iS",
        "gdrive_localization": "1C3NgTmC8gBNG8mL632Oz2i1j156zhSXk",
        "gdrive_localization_readme_2024": "1r-r0dcXePMyXiXuVEUhtUgARw-Ktp_O1",
        "repacked_637_drive": "1wwlsEhwfSyvQsJBRjeDLhUjqZh8eaH2R",
        "figshare_copy_file": "44222642",
        "repo": "HEPIUSLAB/ultrasound_spinal_cord_dataset",
    }
    assert [file.name for file in gdrive.resolve(access(**ids), client)] == ["1r3U.zip", "1C3N.zip"]
    assert len(server.asked) == 2


def test_what_is_not_on_drive_is_said_to_be_elsewhere(server: Server, client: Client) -> None:
    said = refused(client, repacked_637_drive=ID, original_kaggle_copy="a/b")
    assert "no copy of what https://example.org/data gives. Look at the Kaggle copy." in said and server.asked == []
    assert "'inside Drive file' is no id of Google Drive" in refused(client, file="inside Drive file")


REFUSALS = {
    "quota": (html(QUOTA), "its quota is used up. Try again in a day"),
    "quota in other words": (html(HEAD.format("x").replace(" - x", " – Cuota excedida")), "its quota is used up"),
    "quota under 403": (html(QUOTA, 403), "its quota is used up"),
    "infected": (
        html(HEAD.format("Infected file") + '<p class="uc-error-caption">Sorry, this file is infected with a virus.</p>'
             '<p class="uc-error-subcaption">Only the owner is allowed to download infected files.</p>'),
        "is infected with a virus",
    ),
    "no downloads": (html("<html><title>403</title><p>This file cannot be downloaded by the user.", 403), "its owner"),
    "no access": (html("<html><title>Google Drive: Access denied</title><p>You need access</p>", 403), "is not public"),
    "another 403": (html("<html><title>Error 403 (Forbidden)!!1</title>", 403), "a page 'Error 403 (Forb"),
    "login": (Reply(401, b"<html>"), "is not public: Google wants a login. Ask its owner"),
    "gone": (html("<html><title>Error 404 (Not Found)!!1</title>", 404), "is gone (404)"),
    "a robot": (html("<html>but your computer or network may be sending automated queries.", 429), "for a robot"),
    "a robot under 503": (html("<html>unusual traffic from your computer network", 503), "for a robot"),
    "too fast": (html("<html>Rate limit", 429), "answers 429 Too Many Requests (3 times)"),
    "down": (html("<html>Unavailable", 503), "answers 503 Service Unavailable (3 times)"),
    "another page": (html("<html><title>News</title><script>'You need access'</script>"), "a page 'News' came"),
    "bytes without a name": (Reply(200, DATA, {"Content-Type": "application/zip"}), "nothing came in its place"),
    "no name": (Reply(200, DATA, {"Content-Disposition": "attachment"}), "comes without a name"),
    "endless": (html(WARNING.replace("{}", LINK)), "one page after the other"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_stands_in_for_a_file_is_named(case: str, server: Server, client: Client) -> None:
    reply, words = REFUSALS[case]
    server.route("/drive/uc|/docs/uc", reply)
    said = refused(client)
    assert words in said and (ID in said)


def test_a_login_page_under_status_200_is_no_file(server: Server, client: Client) -> None:
    server.route("/drive/uc", moved("https://accounts.google.com/ServiceLogin?service=wise&continue=x"))
    server.route("/accounts/ServiceLogin", html("<html><title>Google Drive: Sign-in</title>" + FORM))
    assert "is not public: Google wants a login" in refused(client)


def test_a_quota_page_after_the_form_is_named(server: Server, client: Client) -> None:
    server.route("/drive/uc", html(WARNING.replace("{}", FORM)))
    server.route("/user/download", html(QUOTA))
    assert "its quota is used up" in refused(client)


EVIL = [
    "https://evil.example/download",
    "https://google.com.evil.example/download",
    "https://evilgoogle.com/download",
    "https://google.com@evil.example/download",
    "https://evil.example\\@drive.google.com/download",
    "https://evil.example/\\.google.com/",
    "http://drive.google.com/download",
    "//evil.example/download",
    "https://[::1/download",
    "javascript:alert(1)",
    "",
]


@pytest.mark.parametrize("address", EVIL)
def test_a_form_leads_to_google_and_nowhere_else(address: str, server: Server, client: Client) -> None:
    form = FORM.replace(USER, address)
    server.route("/drive/uc", html(WARNING.replace("{}", form)))
    assert "which is not Google's" in refused(client)
    script = f'<script>x={{"downloadUrl":"{address or "x"}?uuid={SECRET}"}}</script>'
    server.route("/drive/uc", html(WARNING.replace("{}", script)))
    assert "which is not Google's" in refused(client)
    assert len(server.asked) == 2


def test_a_mirror_itself_is_no_host_of_google(server: Server, client: Client) -> None:
    server.route("/drive/uc", html(WARNING.replace("{}", FORM.replace(USER, f"{server.url}/user/download"))))
    assert "which is not Google's" in refused(client)


@pytest.mark.parametrize(("kind", "suffix"), [("document", "docx"), ("spreadsheets", "xlsx"), ("presentation", "pptx")])
def test_a_document_of_googles_own_is_exported(kind: str, suffix: str, server: Server, client: Client) -> None:
    server.route("/drive/uc", html("<html><title>Error 500 (Server Error)!!1</title>", 500))
    server.route("/drive/open", moved(f"https://docs.google.com/{kind}/d/{ID}/edit?usp=drivesdk"))
    server.route(f"/docs/{kind}/d/{ID}/edit", html("<html><title>Splits - Google Docs</title>"))
    export = Reply(200, b"PK\x03\x04", attachment(f"Splits.{suffix}"), chunked=True)
    server.route(f"/docs/{kind}/d/{ID}/export", export)
    (file,) = gdrive.resolve(access(file=ID), client)
    address = f"https://docs.google.com/{kind}/d/{ID}/export?format={suffix}"
    assert file == RemoteFile(f"Splits.{suffix}", address)
    server.route(f"/docs/{kind}/d/{ID}/export", html(f"<html><title>Sorry</title><p>{kind}"))
    assert "a page 'Sorry' came" in refused(client)


def test_a_500_that_passes_is_waited_for(server: Server, client: Client) -> None:
    server.route("/drive/open", html("<html><title>a.zip - Google Drive</title>"))
    server.route("/drive/uc", once(html("<html>", 500), sends("a.zip"), times=2))
    assert gdrive.resolve(access(file=ID), client)[0].name == "a.zip"
    server.route("/drive/uc", html("<html>", 500))
    assert "answers 500 Internal Server Error (3 times)" in refused(client)


def test_cookies_stay_with_the_host_that_set_them(server: Server) -> None:
    with Server() as other, Client(mirrors=places(server) | {USER: f"{other.url}/download"}) as client:
        other.route("/download", sends("a.zip"))
        page = WARNING.replace("{}", FORM).encode()
        server.route("/drive/uc", Reply(200, page, {"Content-Type": "text/html", "Set-Cookie": "NID=511; Path=/"}))
        for _ in range(2):
            gdrive.resolve(access(file=ID), client)
        assert server.asked[1].headers["cookie"] == "NID=511"
        assert all("cookie" not in request.headers for request in other.asked)


def entry(one: str, title: str, kind: str = "file") -> str:
    href = {
        "file": f"https://drive.google.com/file/d/{one}/view?usp=drive_web",
        "folder": f"https://drive.google.com/drive/folders/{one}",
    }.get(kind, f"https://docs.google.com/{kind}/d/{one}/edit?usp=drive_web")
    return (
        f'<div class="flip-entry" id="entry-{one}"><div class="flip-entry-info"><a href="{href}" target="_blank">'
        f'<div class="flip-entry-list-icon"><img src="https://x/i.png" alt="a > b"/></div>'
        f'<div class="flip-entry-title">{title}</div></a></div>'
        '<div class="flip-entry-last-modified"><div>3:17 am</div></div></div>'
    )


def view(*entries: str) -> Reply:
    inside = f'<div class="flip-entries">{"".join(entries)}</div>'
    return html(f"<!DOCTYPE html><html><head><title>usd514-db</title></head><body>{inside}</body></html>")


def numbered(number: int) -> str:
    return f"1{number:032d}"


def folders(server: Server, pages: dict[str, Reply]) -> None:
    server.route("/drive/embeddedfolderview", lambda request: pages.get(request.query["id"], html("<html>", 404)))


SUB, DEEP, ZIP = numbered(901), numbered(902), numbered(903)


def test_a_folder_is_listed_with_all_below_it(
    server: Server, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = [entry(numbered(n), f"{n:03d}.jpg") for n in range(120)]
    top = [entry(SUB, "images", "folder"), entry(numbered(920), "list.txt"), entry(numbered(910), "Notes", "document")]
    deep = [
        entry(ZIP, "OTU_2d.zip"),
        entry(TOP, "back", "folder"),
        entry(numbered(911), "a&amp;b / c\\d &lt;1&gt;.nii.gz"),
        entry(SUB, "x", "folder"),
    ]
    pages = {
        TOP: view(*top, entry(numbered(912), ".DS_Store")),
        SUB: view(*pictures, entry(DEEP, "more ", "folder"), entry(numbered(0), "000.jpg")),
        DEEP: view(*deep),
    }
    folders(server, pages)
    server.route("/drive/uc", html(WARNING.replace("{}", FORM.replace(ID, ZIP))))
    server.route("/user/download", lambda request: sends("other.zip" if request.query["id"] == ZIP else "000.jpg"))
    with caplog.at_level(logging.WARNING, "openus.fetch.gdrive"):
        files = {file.name: file for file in gdrive.resolve(access(folder=TOP, code="a/b"), client)}
    assert len(files) == 123 and list(files)[:2] == ["list.txt", "images/000.jpg"]
    assert files["images/119.jpg"] == RemoteFile(
        "images/119.jpg", f"{USER}?id={numbered(119)}&export=download&confirm=t"
    )
    assert files["images/more/a&b _ c_d <1>.nii.gz"].archive is None
    large = files["images/more/OTU_2d.zip"]
    assert (large.size_bytes, large.archive) == (len(DATA), "zip") and SECRET in str(large.url)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "'Notes' is left out: it is a document of Google's own, not a file.",
        "'.DS_Store' is left out: it is hidden.",
    ]
    assert len(server.asked) == 3 + 2  # folders once each, one archive
    server.route("/user/download", sends("000.jpg", b"\xff\xd8\xff\xe0"))
    assert download(client, files["images/000.jpg"], tmp_path).size_bytes == 4


@pytest.mark.parametrize("title", ["..", ".", " "])
def test_a_name_that_is_none_is_refused(title: str, server: Server, client: Client) -> None:
    folders(server, {TOP: view(entry(numbered(1), title))})
    assert f"holds an entry named {title.strip()!r}, which is refused" in refused(client, folder=TOP)


def test_a_slash_in_a_title_makes_no_folder(server: Server, client: Client) -> None:
    folders(server, {TOP: view(entry(numbered(1), "a/../../b.png"), entry(SUB, "x/y", "folder")), SUB: view()})
    assert [file.name for file in gdrive.resolve(access(folder=TOP), client)] == ["a_.._.._b.png"]


def test_two_files_of_one_name_are_told(server: Server, client: Client) -> None:
    again = view(entry(numbered(1), "a.png"), entry(numbered(1), "a.png"))
    folders(server, {TOP: again})
    assert len(gdrive.resolve(access(folder=TOP), client)) == 1  # one file, linked twice
    folders(server, {TOP: view(entry(numbered(1), "a.png"), entry(numbered(2), "a.png"))})
    assert "more than one file named 'a.png' for https://example.org/data" in refused(client, folder=TOP)
    server.route("/drive/uc", sends("a.zip"))
    assert "more than one file named 'a.zip'" in refused(client, gdrive_a=ID, gdrive_b=TOP)


FOLDER_REFUSALS = {
    "empty": (view(), "holds no file. Look at it in a browser"),
    "gone": (html("<html>", 404), "is gone (404)"),
    "private": (html("<html>", 401), "is not public"),
    "quota": (html(QUOTA), "quota is used up"),
    "another page": (html("<html><title>Google Drive</title>"), "a page 'Google Drive' came in its place"),
    "a file": (sends("a.zip"), "nothing came in its place"),
    "gone below": (view(entry(SUB, "sub", "folder")), "The folder sub/ on Google Drive is gone (404)"),
}


@pytest.mark.parametrize("case", FOLDER_REFUSALS)
def test_a_folder_that_gives_nothing_says_why(case: str, server: Server, client: Client) -> None:
    reply, words = FOLDER_REFUSALS[case]
    folders(server, {TOP: reply})
    assert words in refused(client, folder=TOP)


def test_folders_without_end_end(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdrive, "MOST_FOLDERS", 5)
    following = lambda request: view(entry(str(int(request.query["id"]) + 1), "x", "folder"))  # noqa: E731
    server.route("/drive/embeddedfolderview", following)
    assert "more than 5 others" in refused(client, folder=numbered(1))


def test_a_page_without_end_ends(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdrive, "MOST_PAGE", 1 << 20)
    server.route("/drive/embeddedfolderview", html("x" * (2 << 20)))
    assert "a page of more than 1 MiB" in refused(client, folder=TOP)


def test_what_dies_is_given_anew(server: Server, client: Client, tmp_path: Path) -> None:
    """A confirmed address that died gives a page under status 200, and the next look gives another address."""
    alive = [SECRET]

    def confirmed(request: Request) -> Reply:
        fits = request.query["uuid"] == alive[-1]
        return ranged(request, DATA, headers=attachment("a.zip")) if fits else html(QUOTA)

    server.route("/drive/uc", lambda _: html(WARNING.replace("{}", FORM.replace(SECRET, alive[-1]))))
    server.route("/user/download", confirmed)
    first = gdrive.resolve(access(file=ID), client)[0]
    alive.append("22222222")
    with pytest.raises(FetchError) as caught:
        download(client, first, tmp_path)
    assert caught.value.renewable and SECRET not in str(caught.value)
    second = gdrive.resolve(access(file=ID), client)[0]
    assert first.url != second.url and redacted(str(first.url)) == redacted(str(second.url))
    download(client, second, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA


@pytest.mark.parametrize("variant", VARIANTS)
def test_gdown_goes_to_the_same_address(variant: str) -> None:
    pytest.importorskip("gdown")
    theirs = import_module("gdown.download").get_url_from_gdrive_confirmation
    page = WARNING.replace("{}", VARIANTS[variant][0])
    assert theirs(page) == gdrive._confirmed("x", page) == VARIANTS[variant][1]


def test_gdown_reads_the_same_from_a_folder(server: Server, client: Client) -> None:
    pytest.importorskip("gdown")
    entries = [entry(numbered(n), f"a&amp;b {n}  c&lt;.png ") for n in range(60)]
    page = view(*entries, entry(SUB, "deep", "folder"), entry(DEEP, "Notes", "document"))
    session = SimpleNamespace(get=lambda *_, **__: SimpleNamespace(status_code=200, text=page.body.decode()))
    read = import_module("gdown.download_folder")._parse_embedded_folder_view
    _, theirs = read(sess=session, folder_id=TOP, verify=True, timeout=None)
    folders(server, {TOP: page, SUB: view()})
    ours = gdrive.resolve(access(folder=TOP), client)
    assert [(file.name, str(file.url).split("id=")[1][:33]) for file in ours] == [
        (name, one) for one, name, kind in theirs if kind == "application/octet-stream"
    ]
    assert [kind.rpartition(".")[2] for *_, kind in theirs[60:]] == ["folder", "document"]
