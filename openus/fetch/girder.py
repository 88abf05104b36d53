"""Girder (CAMUS): the zip of a collection, made while it is sent.

Facts: girder/girder, `api/v1/collection.py`, `api/v1/api_key.py`, `utility/ziputil.py`.

It has no length, no ranges and other bytes each time: its own directory and our contents tell whether it is whole.
"""

from __future__ import annotations

import os
from urllib.parse import quote

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.client import Client


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The zip of the collection `ids["collection"]` at the API `ids["girder_api"]`, which tells nothing of it before.

    An API key in GIRDER_API_KEY (as girder-client reads it) becomes a token. Raises FetchError for a collection that is
    not public or not there, and for a key that the server does not take.
    """
    api, collection = access.ids["girder_api"].rstrip("/"), access.ids["collection"]
    key = os.environ.get("GIRDER_API_KEY", "").strip()
    if key:
        client.bind_query(f"{api}/api_key/token", f"key={quote(key)}")
        try:
            told = client.json(f"{api}/api_key/token", body={})
        except FetchError as error:
            if not error.renewable:  # no answer, or it is busy: that is not the key's fault
                raise
            raise FetchError(error.message, "Make a new key at the site for GIRDER_API_KEY, or unset it.") from error
        match told:
            case {"authToken": {"token": str(token)}}:
                client.bind(api, {"Girder-Token": token})
            case _:
                raise FetchError(f"{api} took no token for the key in GIRDER_API_KEY.", "Make a new key at the site.")
    about = client.json(f"{api}/collection/{collection}")
    if not isinstance(about, dict) or about.get("_id") != collection:
        raise FetchError(f"{api} gave no collection {collection}.", f"Look at {access.url} in a browser.")
    name = about.get("name")
    name = name if isinstance(name, str) and name else collection
    return [RemoteFile(f"{name}.zip", f"{api}/collection/{collection}/download", archive="zip")]
