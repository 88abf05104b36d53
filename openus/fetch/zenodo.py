"""Zenodo: the files of one version of a record, with sizes and MD5.

Facts: zenodo/zenodo-rdm, site/zenodo_rdm/legacy/serializers/schemas (`zenodojson.py`, `common.py`) for the fields,
inveniosoftware/invenio-rdm-records for the redirect of a concept and the 410 of a deleted record, developers.zenodo.org
for the token. Only MD5 is told; the bytes come from Zenodo itself, without a redirect.
"""

from __future__ import annotations

import os
import re
from typing import Any

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client

SITE = "https://zenodo.org"


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The files of the record `access.ids["record"]`, which must be the id of a version.

    A token in the environment variable ZENODO_TOKEN (Zenodo names none itself) opens what its owner may see.

    Raises FetchError for a record that is deleted, unknown or closed, one without files or with files kept back, an id
    that stands for all versions (its newest would come, whichever that is today), and a listing that is none.
    """
    token = os.environ.get("ZENODO_TOKEN", "").strip()
    if token:
        client.bind(SITE, {"Authorization": f"Bearer {token}"})
    wanted = access.ids["record"]
    record = client.json(f"{SITE}/api/records/{wanted}")
    if not isinstance(record, dict) or not isinstance(record.get("files", []), list):
        raise FetchError(f"Zenodo gave no record and no list of files for {wanted}.", _LOOK.format(wanted))
    came = str(record.get("id"))
    if came != wanted:  # a concept leads to its newest version
        raise FetchError(
            f"Zenodo's {wanted} is no version of a record: it leads to {came}.",
            "Look which version is meant, and name that one in the card.",
        )
    if not record.get("files"):
        raise _without_files(wanted, record.get("metadata"), bool(token))
    return [_file(wanted, entry) for entry in record["files"]]


_LOOK = f"Look at {SITE}/records/{{}} in a browser."


def _without_files(wanted: str, metadata: Any, token: bool) -> FetchError:
    """Why no file is listed: restricted ones are left out of the answer, which is 200 all the same."""
    told = metadata if isinstance(metadata, dict) else {}
    right = told.get("access_right")
    if right == "embargoed":
        until = told.get("embargo_date") or "a day that it does not tell"
        return FetchError(f"Zenodo keeps the files of {wanted} back until {until} (embargo).", "Try again then.")
    if right in ("restricted", "closed"):
        return FetchError(
            f"Zenodo keeps the files of {wanted} from the public ({right}).",
            "Its owners did not let the account of ZENODO_TOKEN in: ask them on the record's page."
            if token
            else f"Ask for access at {SITE}/records/{wanted}; then set ZENODO_TOKEN to a token of your account.",
        )
    return FetchError(f"Zenodo's record {wanted} has no files ({right or 'access unknown'}).", _LOOK.format(wanted))


def _file(wanted: str, entry: Any) -> RemoteFile:
    match entry:
        case {"key": str(name), "size": int(size), "links": {"self": str(url)}}:
            # the prefix `md5:` was missing for a week of October 2023, and may be again
            md5 = re.fullmatch(r"(?:md5:)?([0-9a-fA-F]{32})", str(entry.get("checksum")))
            archive = kind(name)
            return RemoteFile(name, url, size, md5=md5 and md5[1].lower(), archive=archive)
    raise FetchError(
        f"Zenodo lists a file of {wanted} without name, size or address: {str(entry)[:100]}.", _LOOK.format(wanted)
    )
