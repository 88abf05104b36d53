"""Kaggle: the one zip of a data set or a competition, by the REST routes that its own clients declare.

Facts: kagglesdk 0.1.38 (routes, `kaggle_env.py`, errors within a 200), kaggle 2.2.5 (order of credentials), kagglehub
1.0.3 (the version is asked for and named, public data sets need no login, `x-goog-hash`). A download route leads to
Google Cloud Storage, by an address that is signed for days. No listing tells a checksum; the store does at times.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from openus.data import Access, RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch.address import redacted
from openus.fetch.client import Client
from openus.fetch.content import SNIFF, check_beginning

SITE = "https://www.kaggle.com"
API = f"{SITE}/api/v1"
_SETTINGS = f"{SITE}/settings"
_LOGIN = f"Make a token at {_SETTINGS} and set KAGGLE_API_TOKEN to it (docs/fetch.md)."


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The zip of the data set `access.ids["kaggle"]` (owner/name), or of the competition `ids["competition"]`.

    `ids["kaggle_version"]` pins a data set's version, else the newest of today is named in the address. Size and MD5
    are the store's, of which only the first bytes are asked for: a listing is given where a download is refused
    (Kaggle/kaggle-cli#87: before the rules are accepted).

    Raises FetchError for a competition without login, a login that is refused, rules that were not accepted, a name or
    version that is not there, an error or a page under status 200; UsageError for credentials that cannot be read.
    """
    login, place = credentials()
    if login:
        client.bind(API, login)
    if access.kind == "kaggle-competition":
        slug = access.ids["competition"]
        page, start = f"{SITE}/competitions/{slug}", f"{API}/competitions/data/download-all/{slug}"
        if not login:
            raise FetchError(f"Kaggle gives the competition {slug} to nobody without a login.", _LOGIN)
        with _advice(page, place):
            _asked(client, f"{API}/competitions/data/list/{slug}")  # may be empty for one that has data
    else:
        owner, _, slug = access.ids["kaggle"].partition("/")
        page, start = f"{SITE}/datasets/{owner}/{slug}", f"{API}/datasets/download/{owner}/{slug}"
        with _advice(page, place):
            newest = _asked(client, f"{API}/datasets/view/{owner}/{slug}").get("currentVersionNumber")
        if type(newest) is not int:
            raise FetchError(f"Kaggle tells no version of {owner}/{slug}.", f"Look at {page} in a browser.")
        version = access.ids.get("kaggle_version", str(newest))
        if not version.isdecimal() or not 1 <= int(version) <= newest:
            raise FetchError(
                f"Kaggle has no version {version} of {owner}/{slug}: its newest is {newest}.", f"Look at {page}."
            )
        start += f"?datasetVersionNumber={version}"
    with _advice(page, place):
        return [_begun(client, RemoteFile(f"{slug}.zip", start, archive="zip"))]


def _asked(client: Client, url: str) -> dict[str, Any]:
    """The object that a route gives. Kaggle's errors may come under status 200 (kaggle_http_client.py)."""
    got = client.json(url)
    if not isinstance(got, dict):
        raise FetchError(f"{redacted(url)} gave something else than is due: {str(got)[:100]!r}.")
    inner = got["error"] if isinstance(got.get("error"), dict) else got  # seen both ways
    code, said = inner.get("code"), " ".join(str(inner.get("message") or got.get("errorMessage") or "").split())[:200]
    if (isinstance(code, int) and code >= 400) or got.get("errorMessage"):
        raise FetchError(f"{redacted(url)} answers 200 with an error within: {code or ''} {said.rstrip('.')}.")
    return got


def _begun(client: Client, file: RemoteFile) -> RemoteFile:
    """`file` as the store tells it: size and MD5. Raises FetchError where its first bytes are something else."""
    url = str(file.url)

    def attempt() -> RemoteFile:
        with client.open(url, headers={"Range": f"bytes=0-{SNIFF - 1}"}) as answer:
            client.expect(answer, url)
            head = b""
            for chunk in answer.chunks:
                head += chunk
                if len(head) >= SNIFF:
                    break
            check_beginning(file, head, redacted(answer.url))
            size = re.fullmatch(r"bytes 0-\d+/(\d+)", answer.headers.get("content-range", ""))
            md5 = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", answer.headers.get("x-goog-hash", ""))
        return replace(
            file, size_bytes=int(size[1]) if size else None, md5=base64.b64decode(md5[1]).hex() if md5 else None
        )

    return client.patiently(redacted(url), attempt)


@contextlib.contextmanager
def _advice(page: str, place: str | None) -> Iterator[None]:
    """Give what is raised within a hint that fits Kaggle."""
    try:
        yield
    except FetchError as error:
        said, hint = error.message, error.hint or f"Look at {page} in a browser."
        code = re.search(r"(?:answers|within:) (4\d\d)\b(?! with)", said)
        if re.search(r"(?i)accept.*\brules\b|competitions\.participate", said):
            hint = f"Accept them once, in a browser (no program can): {page}/rules."
        elif place is None and ((code and code[1] in ("401", "403")) or " gave a page" in said or " gave JSON" in said):
            hint = f"It wants a login, or is not there: look at {page} in a browser. {_LOGIN}"
        elif code and code[1] == "401":
            hint = f"Kaggle does not take the login of {place}: make a new token at {_SETTINGS}."
        elif code and code[1] in ("403", "404"):  # 403 for names that are not there, too: Kaggle/kaggle-cli#448
            hint = f"Look whether {page} opens in a browser, for the account of {place or 'nobody'}."
        raise FetchError(said, hint, renewable=error.renewable) from error


def credentials() -> tuple[Mapping[str, str], str | None]:
    """The headers of the first login that is found, in Kaggle's own order, and where it was; nothing without any.

    KAGGLE_API_TOKEN (itself, or the path of a file), ~/.kaggle/access_token, access_token.txt, KAGGLE_USERNAME with
    KAGGLE_KEY, kaggle.json in KAGGLE_CONFIG_DIR, else in ~/.kaggle, else in ~/.config/kaggle. What its OAuth login
    keeps in credentials.json lasts for hours and is not read. Raises UsageError for a file that cannot be read.
    """
    home, token, place = Path.home() / ".kaggle", os.environ.get("KAGGLE_API_TOKEN", "").strip(), "KAGGLE_API_TOKEN"
    with contextlib.suppress(OSError):  # a token may be too long for a name
        if token and Path(token).is_file():
            token = _kept(Path(token))
    for name in ("access_token", "access_token.txt"):
        if not token:
            token, place = _kept(home / name), str(home / name)
    if token:
        return {"Authorization": f"Bearer {token}"}, place
    user, key, place = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY"), "KAGGLE_USERNAME and KAGGLE_KEY"
    if not (user and key):
        above = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        folder = os.environ.get("KAGGLE_CONFIG_DIR") or (home if home.exists() else Path(above) / "kaggle")
        place = str(Path(folder) / "kaggle.json")
        text = _kept(Path(place))
        if not text:
            return {}, None
        try:
            kept = json.loads(text)
            user, key = kept["username"], kept["key"]
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{place} is no JSON with username and key.", f"Get a new one at {_SETTINGS}.") from error
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"}, place


def _kept(path: Path) -> str:
    """What stands in a file, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read.", "It should hold your login for Kaggle.") from error
