"""A container of Azure Blob Storage by a shared access signature, as Stanford AIMI hands it out: valid for 30 days.

List Blobs, 5,000 a page (learn.microsoft.com/rest/api/storageservices/list-blobs). The whole query of the link is a
secret: it is read from the environment, and no address that leaves this module holds it.
"""

from __future__ import annotations

import base64
import binascii
import os
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, urlsplit
from xml.parsers import expat

from openus.data import Access, RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch.archive import kind
from openus.fetch.client import Client

VARIABLE = "OPENUS_AIMI_SAS_URL"
_NEW = f"Open the data set's page, accept its agreement again, and put the new link into {VARIABLE}."


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The blobs of the container whose link stands in OPENUS_AIMI_SAS_URL. MD5 where Azure knows it.

    Raises UsageError where the variable holds no such link, FetchError where it has expired or lists nothing.
    """
    link = urlsplit(os.environ.get(VARIABLE, "").strip())
    query = parse_qs(link.query)
    if link.scheme != "https" or not link.hostname or "sig" not in query or link.path.strip("/").count("/") > 0:
        raise UsageError(f"{VARIABLE} holds no link to a container (https://….blob.core.windows.net/NAME?sv=…&sig=…).")
    until = query.get("se", [""])[0]
    try:
        expired = datetime.fromisoformat(until.replace("Z", "+00:00")).astimezone(UTC) < datetime.now(UTC)
    except ValueError:
        expired = False
    if expired:
        raise FetchError(f"The link in {VARIABLE} has expired on {until}.", _NEW)
    base = f"https://{link.netloc}{link.path.rstrip('/')}"
    client.bind_query(base, link.query)
    files: list[RemoteFile] = []
    marker = ""
    while True:
        try:
            text = client.text(f"{base}?restype=container&comp=list" + (f"&marker={quote(marker)}" if marker else ""))
        except FetchError as error:
            raise FetchError(error.message, _NEW) from error
        blobs, marker = _page(text)
        files += [_file(blob, base) for blob in blobs]
        if not marker:
            break
    if not files:
        raise FetchError(f"The container of {VARIABLE} is empty, or its link may not list it.", _NEW)
    return files


def _page(text: str) -> tuple[list[dict[str, str]], str]:
    """(name, Content-Length, Content-MD5 of each blob; the marker of the next page). Entities are not expanded."""
    blobs: list[dict[str, str]] = []
    path: list[str] = []
    marker = ""
    parser = expat.ParserCreate()

    def start(name: str, _: object) -> None:
        path.append(name)
        if name == "Blob":
            blobs.append({})

    def inside(data: str) -> None:
        nonlocal marker
        if path[-1] == "NextMarker":
            marker += data
        elif "Blob" in path and path[-1] in ("Name", "Content-Length", "Content-MD5"):
            blobs[-1][path[-1]] = blobs[-1].get(path[-1], "") + data

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, lambda _: path.pop()
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = inside, refuse
    try:
        parser.Parse(text.lstrip("\ufeff"), True)
    except (expat.ExpatError, ValueError, IndexError) as error:
        raise FetchError("Azure gave no listing of the container.", _NEW) from error
    return blobs, marker.strip()


def _file(blob: dict[str, str], base: str) -> RemoteFile:
    name, size, md5 = blob.get("Name", ""), blob.get("Content-Length", ""), blob.get("Content-MD5", "")
    try:
        known = base64.b64decode(md5, validate=True).hex() if md5 else ""
    except binascii.Error:
        known = ""
    return RemoteFile(
        name,
        f"{base}/{quote(name)}",
        int(size) if size.isdecimal() else None,
        md5=known if len(known) == 32 else None,
        archive=kind(name),
    )
