"""Kaggle, by the REST routes that its clients declare (kagglesdk 0.1.38): the one zip of a data set or competition.

A route answers with a redirect to Google Cloud Storage, signed for days; no listing tells a checksum.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.client import Client

SITE = "https://www.kaggle.com"
_TOKEN = "Make a token at https://www.kaggle.com/settings and set KAGGLE_API_TOKEN (docs/fetch.md)."


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The bundle of the data set `ids["kaggle"]` (owner/name) or of the competition `ids["competition"]`.

    Credentials are looked for as Kaggle's own client does. Public data sets come without; competitions never. The files
    are asked for first, so that what stands in the way is told before the download.

    Raises FetchError without a token, for one that is refused, for rules that were not accepted, and for a slug that
    names nothing.
    """
    headers = credentials()
    if headers:
        client.bind(SITE, headers)
    competition = access.ids.get("competition")
    if competition is not None:
        if not headers:
            raise FetchError(f"Kaggle gives the competition {competition} to people with an account only.", _TOKEN)
        listing, start = f"competitions/data/list/{competition}", f"competitions/data/download-all/{competition}"
        slug, rules = competition, f"{SITE}/competitions/{competition}/rules"
    else:
        owner, _, slug = access.ids["kaggle"].partition("/")
        listing, start = f"datasets/list/{owner}/{slug}", f"datasets/download/{owner}/{slug}"
        rules = f"{SITE}/datasets/{owner}/{slug}"
    told = _told(client, f"{SITE}/api/v1/{listing}", bool(headers), rules)
    rows = told.get("datasetFiles", told.get("files"))
    if not isinstance(rows, list) or not rows:
        raise FetchError(f"Kaggle lists no files of {slug}.", f"Look at {rules} in a browser.")
    return [RemoteFile(f"{slug}.zip", f"{SITE}/api/v1/{start}", archive="zip")]


def _told(client: Client, url: str, known: bool, rules: str) -> dict[str, Any]:
    """The answer; Kaggle's errors come with their status, or within a 200 as `code` and `message`."""
    try:
        told = client.json(url)
    except FetchError as error:
        if "accept" in error.message.lower() and "rules" in error.message.lower():
            raise FetchError(error.message, f"Accept them once, in a browser: {rules}.") from error
        if "401" in error.message or "403" in error.message:
            raise FetchError(error.message, f"Kaggle does not take the token. {_TOKEN}" if known else _TOKEN) from error
        raise
    if not isinstance(told, dict):
        raise FetchError("Kaggle gave no listing.", f"Look at {rules} in a browser.")
    code, said = told.get("code"), told.get("message") or told.get("errorMessage")
    if (isinstance(code, int) and code >= 400) or (said and "datasetFiles" not in told and "files" not in told):
        hint = f"Accept its rules, or look, at {rules}." if known else _TOKEN
        raise FetchError(f"Kaggle answers {code or 'with an error'}: {' '.join(str(said).split())[:200]}", hint)
    return told


def credentials() -> dict[str, str]:
    """The headers of the first credentials found, in the order of Kaggle's client (kaggle_env.py, 2.2.5).

    KAGGLE_API_TOKEN (itself, or the path of a file that holds it), ~/.kaggle/access_token, ~/.kaggle/access_token.txt,
    KAGGLE_USERNAME with KAGGLE_KEY, kaggle.json in KAGGLE_CONFIG_DIR, else in ~/.kaggle. Empty without any.
    """
    home = Path.home() / ".kaggle"
    token = os.environ.get("KAGGLE_API_TOKEN", "").strip()
    with contextlib.suppress(OSError, ValueError):
        if token and Path(token).is_file():
            token = Path(token).read_text(encoding="utf-8").strip()
    for name in ("access_token", "access_token.txt"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            token = token or (home / name).read_text(encoding="utf-8").strip()
    if token:
        return {"Authorization": f"Bearer {token}"}
    user, key = os.environ.get("KAGGLE_USERNAME", "").strip(), os.environ.get("KAGGLE_KEY", "").strip()
    if not (user and key):
        folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            told = json.loads((folder / "kaggle.json").read_text(encoding="utf-8"))
            user, key = str(told.get("username") or ""), str(told.get("key") or "")
    if not (user and key):
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"}
