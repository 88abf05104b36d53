"""EPrints 3 repositories (Leeds): the JSON export of a record names its documents and their files."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The public files of the record `ids["eprint"]` at the host of `access.url`.

    An address is `/<eprint>/<position>/<name>`. MD5 where the repository filled it in. Raises FetchError for a record
    that is withdrawn, one without public files, and an export that is none.
    """
    number, site = access.ids["eprint"], "https://" + urlsplit(access.url).netloc
    look = f"Look at {site}/{number}/ in a browser."
    record = client.json(f"{site}/cgi/export/eprint/{number}/JSON/eprint-{number}.js")
    documents = record.get("documents") if isinstance(record, dict) else None
    if not isinstance(documents, list):
        raise FetchError(f"{site} gave no record {number}.", look)
    if record.get("eprint_status") not in (None, "archive"):
        raise FetchError(f"{site}: record {number} is {record['eprint_status']}, not published.", look)
    files, closed = [], 0
    for document in documents:
        match document:
            case {"pos": int(position), "files": list(rows), "security": "public"}:
                if not _is_preview(document):
                    files += [_file(row, f"{site}/{number}/{position}", look) for row in rows]
            case {"security": str(kept)} if kept != "public":
                closed += 1
            case _:
                raise FetchError(f"{site} lists a document of {number} without position or files.", look)
    if not files:
        why = f"; {closed} are not public" if closed else ""
        raise FetchError(f"{site}: record {number} has no public files{why}.", look)
    return files


def _is_preview(document: dict[str, Any]) -> bool:
    """A thumbnail that the repository made of another document."""
    return "isVolatileVersionOf" in str(document.get("relation", ""))


def _file(row: Any, base: str, look: str) -> RemoteFile:
    match row:
        case {"filename": str(name)}:
            size, md5 = row.get("filesize"), row.get("hash") if row.get("hash_type") == "MD5" else None
            return RemoteFile(
                name,
                f"{base}/{quote(name)}",
                size if isinstance(size, int) else None,
                md5=md5 if isinstance(md5, str) and len(md5) == 32 else None,
                archive=kind(name),
            )
    raise FetchError(f"{base} lists a file without a name.", look)
