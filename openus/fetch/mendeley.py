"""Mendeley Data: the anonymous web API of its own pages (undocumented; shapes from programs of 2024 to 2026).

A listing tells size and SHA-256 of each file. The zip of a whole data set is built on demand and has no checksum, so
files are taken one by one. Addresses do not die (theirs end in 2126); each leads to S3.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client

SITE = "https://data.mendeley.com"
PAGE = 1000
MOST = 200_000


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The files of version `ids["version"]` of the data set `ids["dataset"]`, with their folders.

    `ids["file"]`, where it stands, leaves only the file of that id.

    Raises FetchError for a data set or version that is not there, another version than the one asked for, a file that
    is not ready, and a listing that is none.
    """
    dataset, version, wanted = access.ids["dataset"], access.ids["version"], access.ids.get("file")
    base = f"{SITE}/public-api/datasets/{dataset}"
    about = client.json(f"{base}/snapshot/{version}")
    what = f"Mendeley's data set {dataset}, version {version}"
    if not isinstance(about, dict):
        raise FetchError(f"{what}: the site gave no data set.", f"Look at {access.url} in a browser.")
    if about.get("version") is not None and str(about["version"]) != version:  # a snapshot need not tell it
        raise FetchError(f"{what}: the site gave version {about['version']}.", f"Look at {access.url} in a browser.")
    folders = _folders(_list(client.json(f"{base}/folders/{version}"), what, access), what, access)
    files = []
    for folder, path in {"root": "", **folders}.items():
        for row in _rows(client, f"{base}/files?folder_id={quote(folder, safe='')}&version={version}", what, access):
            files.append((row, path))
    taken = [_file(row, path, what, access) for row, path in files if wanted in (None, row.get("id"))]
    if not taken:
        lacks = f"no file {wanted}" if wanted else "no files"
        raise FetchError(f"{what} has {lacks}.", f"Look at {access.url} in a browser.")
    return taken


def _rows(client: Client, url: str, what: str, access: Access) -> list[dict[str, Any]]:
    """All pages. The site's own limit is unknown: a page of a round length may be one that it cut."""
    rows: dict[str, dict[str, Any]] = {}
    while True:
        page = _list(client.json(f"{url}&$start={len(rows)}&$limit={PAGE}"), what, access)
        fresh = {key: row for row in page if (key := str(row.get("id") or row)) not in rows}
        rows |= fresh
        if not fresh or len(page) % 5:
            return list(rows.values())
        if len(rows) > MOST:
            raise FetchError(f"{what} lists more than {MOST:,} files in one folder.", f"Look at {access.url}.")


def _folders(rows: list[dict[str, Any]], what: str, access: Access) -> dict[str, str]:
    """Id -> path with a slash at its end. The list is flat, each row names its parent; a circle is an error."""
    look = f"Look at {access.url} in a browser."
    parents: dict[str, tuple[str, str]] = {}
    for row in rows:
        match row:
            case {"id": str(one), "name": str(name)}:
                parents[one] = name, str(row.get("parent_id"))
            case _:
                raise FetchError(f"{what} lists a folder without id or name.", look)
    paths = {}
    for one in parents:
        path, here, seen = "", one, set()
        while here in parents:
            if here in seen:
                raise FetchError(f"{what}: its folders lie within each other.", look)
            seen.add(here)
            name, here = parents[here]
            path = f"{name}/{path}"
        paths[one] = path
    return paths


def _list(answer: Any, what: str, access: Access) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise FetchError(f"{what}: the site gave no list of files.", f"Look at {access.url} in a browser.")
    return answer


def _file(row: dict[str, Any], path: str, what: str, access: Access) -> RemoteFile:
    match row:
        case {"filename": str(name), "content_details": {"download_url": str(url), **details}}:
            pass
        case _:
            raise FetchError(f"{what} lists a file without name or address.", f"Look at {access.url} in a browser.")
    if row.get("status") not in (None, "COMPLETED"):
        raise FetchError(f"{what}: {name} is not ready ({row['status']}).", "Try again later.")
    size, sha256 = details.get("size", row.get("size")), details.get("sha256_hash")
    return RemoteFile(
        path + name,
        url,
        size if isinstance(size, int) else None,
        sha256=sha256 if isinstance(sha256, str) and len(sha256) == 64 else None,
        archive=kind(name),
    )
