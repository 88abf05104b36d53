"""Stanford AIMI: the files behind the link that a person got, a shared access signature (SAS) of Azure Blob Storage.

Facts: learn.microsoft.com, Blob service REST API (List Blobs, Get Blob, error codes, "Create a service SAS"); links of
AIMI's portal in public code: of a container (`sr=c`, `sp=rl`) or of one blob (`sr=b`, `sp=r`), good for 30 days.
The link's whole query is the secret: it is bound to the client, and no address that is returned holds it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client
from openus.fetch.content import page_title

VARIABLE = "OPENUS_AIMI_SAS_URL"
MOST_PAGES = 1000
"""Of a listing, each of 5000 blobs."""


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The blobs of the container, or the one blob, that the link in the environment variable OPENUS_AIMI_SAS_URL opens.

    `access.ids["aimi_container"]` names the container that is due; a later edition's (`name-2`) is taken too.

    Raises FetchError without a link; for one that is none, is of another container, or has died; for a container that
    is empty, gone or not to be listed; for a listing that is none or has no end.
    """
    link = os.environ.get(VARIABLE, "").strip().strip("\"'")
    new = f"Take a new link from {access.url} and set {VARIABLE} to it."
    if not link:
        raise FetchError(f"{access.url} gives its files to those who have a link.", new)
    container, blob, query = _parts(link, new)
    due, came = access.ids.get("aimi_container"), container.rpartition("/")[2]
    if due and came != due and not came.startswith(f"{due}-"):
        raise FetchError(f"The link in {VARIABLE} is of {came}; {due} is due.", new)
    client.bind_query(container, query)
    if blob:
        return [RemoteFile(unquote(blob), f"{container}/{blob}", archive=kind(unquote(blob)))]
    files, marker = [], ""
    for _ in range(MOST_PAGES):
        root = _page(client, f"{container}?restype=container&comp=list&maxresults=5000{marker}", new)
        files += [_file(container, one, new) for one in root.iterfind("Blobs/Blob") if not _is_folder(one)]
        following = root.findtext("NextMarker")
        if not following:
            break
        marker = f"&marker={quote(following, safe='')}"
    else:
        raise FetchError(f"The listing of {container} has no end.", new)
    if not files:
        raise FetchError(f"{container} holds no files.", new)
    return files


def _parts(link: str, new: str) -> tuple[str, str, str]:
    """(the container's address, the blob or "", the query). Raises FetchError, which does not tell the link."""
    try:
        parts = urlsplit(link)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        place = f"https://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        query = {}
    if "sig" not in query or not re.fullmatch(r"[!-~]+", link) or parts.scheme != "https" or not parts.hostname:
        raise FetchError(
            f"{VARIABLE} holds no link to a container (https://….blob.core.windows.net/NAME?sv=…&sig=…).", new
        )
    container, _, blob = parts.path.strip("/").partition("/")
    if not container:
        raise FetchError(f"The link in {VARIABLE} names no container.", new)
    end = query.get("se", "")
    with contextlib.suppress(ValueError):  # else the site will tell
        dies = datetime.fromisoformat(end)
        if (dies if dies.tzinfo else dies.replace(tzinfo=UTC)) <= datetime.now(UTC):
            raise FetchError(f"The link in {VARIABLE} has expired on {end}.", new)
    return f"{place}/{container}", blob, parts.query


def _page(client: Client, url: str, new: str) -> ElementTree.Element:
    try:
        text = client.text(url)  # may begin with a byte order mark
    except FetchError as error:
        if re.search(r" answers 40[1349]\b", error.message):
            hint = f"The link may have died, or allow no listing (it needs sp=rl). {new}"
            raise FetchError(error.message, hint, renewable=error.renewable) from error
        raise
    try:
        root = None if "<!doctype" in text[:1024].lower() else ElementTree.fromstring(text)
    except ElementTree.ParseError:
        root = None
    if root is None or root.tag != "EnumerationResults":
        raise FetchError(f"{url} gave {page_title(text.encode()) or 'something else'} where a listing is due.", new)
    return root


def _is_folder(blob: ElementTree.Element) -> bool:
    """Whether it only marks a folder, as hierarchical accounts and their tools keep them."""
    return blob.findtext("Properties/ResourceType") == "directory" or (blob.findtext("Name") or "").endswith("/")


def _file(container: str, blob: ElementTree.Element, new: str) -> RemoteFile:
    name, size = blob.findtext("Name"), blob.findtext("Properties/Content-Length") or ""
    if not name or not size.isdecimal():
        raise FetchError(f"{container} lists a file without name or size: {(name or '')[:100]!r}.", new)
    if blob.find("Name[@Encoded='true']") is not None:  # where XML cannot hold the name
        name = unquote(name)
    return RemoteFile(name, f"{container}/{quote(name)}", int(size), md5=_md5(blob), archive=kind(name))


def _md5(blob: ElementTree.Element) -> str | None:
    """Of the whole blob; often absent for what came in blocks."""
    try:
        raw = base64.b64decode(blob.findtext("Properties/Content-MD5") or "", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == 16 else None
