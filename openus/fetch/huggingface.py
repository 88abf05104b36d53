"""Hugging Face: the files of one commit of a data set, with sizes and SHA-256 or git's SHA-1.

Facts: huggingface_hub 2.4.0 (`hf_api.py`: revision and tree routes; `_pagination.py`: Link header; `_http.py`: what
its error headers mean; `_auth.py`, `constants.py`: where a token stands). Files of LFS come from other hosts, by
addresses that are signed. Of a gated data set the listing is public and the files are not.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openus.data import Access, RemoteFile
from openus.errors import FetchError, UsageError
from openus.fetch.address import redacted
from openus.fetch.archive import kind
from openus.fetch.client import MOST_TEXT, Answer, Client

SITE = "https://huggingface.co"
MOST_PAGES = 1000
"""Of a listing, each of 1000 entries."""


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The files of the data set `access.ids["huggingface"]` (owner/name), at the commit that its revision is today.

    `ids["huggingface_revision"]` names a branch, a tag or a commit, `main` without it. What the Hub itself keeps in
    names that begin with a dot is left out.

    Raises FetchError for a data set that is missing, private, closed, gated or empty, for a revision that is not there,
    and for a listing that is none or has no end; UsageError for a token that cannot be read.
    """
    repo, revision = access.ids["huggingface"], access.ids.get("huggingface_revision", "main")
    page, key = f"{SITE}/datasets/{repo}", token()
    if key:
        client.bind(SITE, {"Authorization": f"Bearer {key}"})
    about, _ = _asked(client, f"{SITE}/api/datasets/{repo}/revision/{quote(revision, safe='')}", page, bool(key))
    commit = about.get("sha") if isinstance(about, dict) else None
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise FetchError(f"The Hub told no commit of {repo} at {revision}.", f"Look at {page} in a browser.")
    if re.fullmatch(r"[0-9a-f]{40}", revision) and commit != revision:
        raise FetchError(f"The Hub gave commit {commit} of {repo} where {revision} is due.", f"Look at {page}.")
    if about.get("disabled") is True:
        raise FetchError(f"The Hub has closed {repo}.", f"Look at {page} in a browser.")
    files, at = [], f"{SITE}/api/datasets/{repo}/tree/{commit}?recursive=true&expand=false"
    for _ in range(MOST_PAGES):
        rows, following = _asked(client, at, page, bool(key))
        if not isinstance(rows, list):
            raise FetchError(f"The Hub gave no listing of {repo}.", f"Look at {page} in a browser.")
        files += [_file(page, commit, row) for row in rows if not _left_out(row)]
        if following is None:
            break
        at = following
    else:
        raise FetchError(f"The Hub's listing of {repo} has no end.", f"Look at {page} in a browser.")
    if not files:
        raise FetchError(f"{repo} has no files at {revision}.", f"Look at {page} in a browser.")
    if about.get("gated"):  # "auto" or "manual", else False
        one = next((str(file.url) for file in files if file.size_bytes), str(files[0].url))

        def touch() -> None:
            with _opened(client, one, page, bool(key), {"Range": "bytes=0-0"}):
                pass

        client.patiently(redacted(one), touch)
    return files


def _left_out(row: Any) -> bool:
    return isinstance(row, dict) and (row.get("type") == "directory" or str(row.get("path")).startswith("."))


def _file(page: str, commit: str, row: Any) -> RemoteFile:
    base = f"{page}/resolve/{commit}"
    match row:
        case {"type": "file", "path": str(path), "lfs": {"oid": str(oid), "size": int(size)}} if _hex(oid, 64):
            return RemoteFile(path, f"{base}/{quote(path)}", size, sha256=oid, archive=kind(path))
        case {"type": "file", "path": str(path), "size": int(size), "oid": str(oid)} if (
            _hex(oid, 40) and row.get("lfs") is None
        ):
            return RemoteFile(path, f"{base}/{quote(path)}", size, git_sha1=oid, archive=kind(path))
    raise FetchError(f"The Hub lists a file without name, size or hash: {str(row)[:100]}.", f"Look at {page}.")


def _hex(text: str, length: int) -> bool:
    return re.fullmatch(rf"[0-9a-f]{{{length}}}", text) is not None


def _asked(client: Client, url: str, page: str, known: bool) -> tuple[Any, str | None]:
    """The JSON that `url` gives, and the address of the next page (Link: RFC 8288), if any."""

    def attempt() -> tuple[bytes, str]:
        with _opened(client, url, page, known, {"Accept": "application/json"}) as answer:
            data = bytearray()
            for chunk in answer.chunks:
                data += chunk
                if len(data) > MOST_TEXT:
                    raise FetchError(f"{redacted(url)} gives more than {MOST_TEXT >> 20} MiB of text.")
            return bytes(data), answer.headers.get("link", "")

    data, links = client.patiently(redacted(url), attempt)
    following = re.search(r'<([^<>]+)>\s*;\s*rel="?next\b', links)
    try:
        return json.loads(data), following and following[1]
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{redacted(url)} gave no JSON where a listing is due.", f"Look at {page}.") from error


@contextlib.contextmanager
def _opened(client: Client, url: str, page: str, known: bool, headers: dict[str, str]) -> Iterator[Answer]:
    """The answer of `url`, which is a good one. Raises FetchError with what the Hub's headers say of an error."""
    with client.open(url, headers=headers) as answer:
        code, said = answer.headers.get("x-error-code"), answer.headers.get("x-error-message", "")[:200].rstrip(".")
        try:
            client.expect(answer, url)
        except FetchError as error:
            hint = error.hint
            if code == "GatedRepo":  # with 401 or 403, as with a token that is not good
                hint = f"Accept its terms at {page} in a browser, and set HF_TOKEN to a token of that account."
            elif code == "RevisionNotFound":
                hint = f"Look which there are: {page}/commits."
            elif code == "RepoNotFound" or answer.status == 401:  # 401 for what is not there, too
                token = "or the token that was found is not good for it" if known else "and then HF_TOKEN must be set"
                hint = f"It is not there, or private, {token}: look at {page} in a browser."
            more = f" ({said})" if said and said not in error.message else ""
            raise FetchError(f"{error.message.rstrip('.')}{more}.", hint, renewable=error.renewable) from error
        yield answer


def token() -> str | None:
    """The token of the first place that has one, in the Hub's own order.

    HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH, else `token` in HF_HOME, else in
    ~/.cache/huggingface (XDG_CACHE_HOME); none at all where HF_HUB_DISABLE_IMPLICIT_TOKEN is set. Raises UsageError.
    """
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if key := os.environ.get(name, "").strip():
            return key
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    path = Path(os.path.expandvars(os.environ.get("HF_TOKEN_PATH") or f"{home}/token")).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read.", "It should hold your token for the Hugging Face Hub.") from error
