"""figshare (API v2): the files of an article, with sizes and MD5.

Facts: digital-science/figshare-user-documentation, swagger_documentation/docs (`paths/v2.0`, `components/v2.0/
schemas.yaml`: ArticleComplete, ProjectArticle, PublicFile), and issues that docs/fetch.md names. The list inside an
article ends after ten files, so its own route is asked, page by page; it tells no total. Names have no folder and may
repeat: `folder_structure` tells the folder by the file's id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client, Transient

API = "https://api.figshare.com/v2"
DIRECT = "https://ndownloader.figshare.com/files"
"""Leads to a signed address of S3 that dies in 10 s. `figshare.com/ndownloader/…`, which listings name at times, is
never asked: its firewall wants a browser."""
PAGE = 1000
"""Files of a page, the most that are given; 10 without asking."""
MOST_PAGES = 100


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The files of `access.ids["article"]`.

    `ids["version"]` pins a version, else the newest is listed; `ids["file"]` leaves only the file of that id.

    Raises FetchError for an article that is deleted, private, embargoed, confidential, without files, or closed for
    downloads; for a file that is not there or only linked to; for another version than asked; for a listing that is
    none.
    """
    ids = access.ids
    version, wanted = ids.get("version"), ids.get("file")
    base = f"{API}/articles/{ids['article']}" + (f"/versions/{version}" if version else "")
    what = f"figshare's article {ids['article']}" + (f" (version {version})" if version else "")
    look = f"Look at {access.url} in a browser."
    about = client.json(base)
    if not isinstance(about, dict) or "id" not in about:
        raise FetchError(f"{what}: the site gave something else, {_said(about)}.", look)
    if version and str(about.get("version")) != version:
        raise FetchError(f"{what} came as version {about.get('version')}.", look)
    if about.get("download_disabled") is True:
        raise FetchError(f"{what}: its owner has switched downloads off.", "Ask the authors for it.")
    rows = _rows(client, f"{base}/files", what, look)
    if not rows:
        raise _without_files(what, about, look)
    taken = [row for row in rows if wanted in (None, str(row["id"]))]
    if not taken:
        there = ", ".join(f"{row['id']} ({row['name']})" for row in rows[:5])
        raise FetchError(f"{what} has no file {wanted}; it has {there}.", f"It may be of another version. {look}")
    linked = next((row["name"] for row in taken if row.get("is_link_only")), None)
    if linked is not None:
        raise FetchError(f"{what} does not hold {linked}, but links to another site.", f"Get it from there. {look}")
    folders = about.get("folder_structure")
    start = _start(client, taken[0]["id"])
    return [_file(row, folders if isinstance(folders, dict) else {}, start) for row in taken]


def _rows(client: Client, url: str, what: str, look: str) -> list[dict[str, Any]]:
    """All rows of a listing: it ends with the first page that is not full."""
    rows: list[dict[str, Any]] = []
    for page in range(1, MOST_PAGES + 1):
        if page > 1:
            client.pause(1.0)  # figshare asks for no more than one request a second
        got = client.json(f"{url}?page={page}&page_size={PAGE}")
        if not isinstance(got, list):
            raise FetchError(f"{what}: the site gave no list of files, {_said(got)}.", look)
        for row in got:
            match row:
                case {"id": int(), "name": str(), "size": int()}:
                    rows.append(row)
                case _:
                    raise FetchError(f"{what} lists a file without id, name or size: {_said(row)}.", look)
        if len(got) < PAGE:
            return rows
    raise FetchError(f"{what} lists more than {MOST_PAGES * PAGE:,} files.", look)


def _said(answer: Any) -> str:
    text = answer["message"] if isinstance(answer, dict) and answer.get("message") else answer
    return f"but {str(text)[:100]!r}"


def _without_files(what: str, about: Mapping[str, Any], look: str) -> FetchError:
    if about.get("is_embargoed"):
        until = about.get("embargo_date") or "a day that it does not tell"
        return FetchError(
            f"{what} is under embargo until {until}{_reason(about, 'embargo_reason')}.", "Try again then."
        )
    if about.get("is_confidential"):
        return FetchError(f"{what} is confidential{_reason(about, 'confidential_reason')}.", "Ask the authors for it.")
    if about.get("is_metadata_record"):
        return FetchError(f"{what} only describes its files{_reason(about, 'metadata_reason')}.", look)
    return FetchError(f"{what} has no files.", look)


def _reason(about: Mapping[str, Any], name: str) -> str:
    return f" ({str(about[name])[:100]})" if about.get(name) else ""


def _start(client: Client, number: int) -> str:
    """The route that files are asked from.

    All direct addresses of an article were seen to answer 403 while the API went on (cosmoimd/real-colon-dataset#3),
    so one byte is asked for first. The API's own route leads to S3 too.
    """
    url = f"{DIRECT}/{number}"
    try:
        with client.open(url, headers={"Range": "bytes=0-0"}) as answer:
            client.expect(answer, url)
    except (FetchError, Transient):
        return f"{API}/file/download"
    return DIRECT


def _file(row: Mapping[str, Any], folders: Mapping[str, Any], start: str) -> RemoteFile:
    number, name = row["id"], row["name"]
    folder = str(folders.get(str(number)) or "").strip("/")
    md5 = str(row.get("computed_md5") or row.get("supplied_md5")).lower()
    return RemoteFile(
        f"{folder}/{name}" if folder else name,
        f"{start}/{number}",
        row["size"],
        md5=md5 if re.fullmatch(r"[0-9a-f]{32}", md5) else None,
        archive=kind(name),
    )
