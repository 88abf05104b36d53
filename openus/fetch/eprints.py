"""EPrints 3 repositories (Leeds): the JSON export of a record names its documents and their files.

Facts: eprints/eprints3.4, `cgi/export` (the last part of the address is any name), `Plugin/Export/JSON.pm` (a field
that is not set is left out; whatever looks like a number becomes one, a hash of digits too) and `DataObj/File.pm`
(`hash_type` is MD5 or SHA-256). A new version of a record is a record of its own.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The public files of the record `ids["eprint"]` at the host of `access.url`.

    An address is `/<eprint>/<position>/<name>`. MD5 or SHA-256 where the repository filled it in. Raises FetchError for
    a record that is withdrawn or another one, one without public files, and an export that is none.
    """
    number, site = access.ids["eprint"], "https://" + urlsplit(access.url).netloc
    look = f"Look at {site}/{number}/ in a browser."
    record = client.json(f"{site}/cgi/export/eprint/{number}/JSON/eprint-{number}.js")
    documents = record.get("documents", []) if isinstance(record, dict) else None
    if not isinstance(documents, list) or str(record.get("eprintid")) != number:
        raise FetchError(f"{site} gave no record {number}.", look)
    if record.get("eprint_status") not in (None, "archive"):
        raise FetchError(f"{site}: record {number} is {record['eprint_status']}, not published.", look)
    files: list[RemoteFile] = []
    closed, ends = 0, set()
    for document in documents:
        match document:
            case {"pos": int(position), "files": list(rows), "security": "public"}:
                if not _is_preview(document):
                    files += [_file(row, f"{site}/{number}/{position}", look) for row in rows]
            case {"security": str(kept)} if kept != "public":
                closed += 1
                ends |= {str(document["date_embargo"])} if document.get("date_embargo") else set()
            case _:
                raise FetchError(f"{site} lists a document of {number} without position or files.", look)
    if not files:
        why = f"; {closed} are not public" if closed else ""
        why += f" (embargo until {min(ends)})" if ends else ""
        raise FetchError(f"{site}: record {number} has no public files{why}.", look)
    return files


def _is_preview(document: dict[str, Any]) -> bool:
    """A thumbnail that the repository made of another document."""
    return "isVolatileVersionOf" in str(document.get("relation", ""))


def _file(row: Any, base: str, look: str) -> RemoteFile:
    match row:
        case {"filename": str(name)}:
            size, kept, told = row.get("filesize"), row.get("hash"), row.get("hash_type")
            return RemoteFile(
                name,
                f"{base}/{quote(name)}",
                size if isinstance(size, int) else None,
                md5=kept if isinstance(kept, str) and len(kept) == 32 and told == "MD5" else None,
                sha256=kept if isinstance(kept, str) and len(kept) == 64 and told == "SHA-256" else None,
                archive=kind(name),
            )
    raise FetchError(f"{base} lists a file without a name.", look)
