"""Hugging Face Hub: the tree of a data set at one commit, as the Hub's own client asks for it (huggingface_hub 2.4.0).

Objects of Git LFS and Xet are told by SHA-256, small files by git's SHA-1: every file is verified.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.archive import kind
from openus.fetch.client import Client

SITE = "https://huggingface.co"
_LOOK = "Look at {} in a browser; where its terms are to be accepted, do that there and set HF_TOKEN."


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The files of the data set `ids["huggingface"]` (owner/name) at `ids["huggingface_revision"]`, else its newest.

    Whatever is asked for, addresses name the commit that it stands for today. Raises FetchError for a data set that is
    gated, private or not there (the Hub answers 401 for all three to who is not logged in), and for a listing that is
    none.
    """
    repo = access.ids["huggingface"]
    page = f"{SITE}/datasets/{repo}"
    token = _token()
    if token:
        client.bind(SITE, {"Authorization": f"Bearer {token}"})
    revision = access.ids.get("huggingface_revision", "main")
    try:
        about = client.json(f"{SITE}/api/datasets/{repo}/revision/{quote(revision, safe='')}")
    except FetchError as error:
        raise FetchError(error.message, _LOOK.format(page)) from error
    commit = about.get("sha") if isinstance(about, dict) else None
    if not isinstance(commit, str) or len(commit) != 40:
        raise FetchError(f"Hugging Face gave no commit for {repo}.", _LOOK.format(page))
    rows: list[Any] = []
    url: str | None = f"{SITE}/api/datasets/{repo}/tree/{commit}?recursive=1"
    while url is not None:
        more, url = client.json_page(url)
        if not isinstance(more, list):
            raise FetchError(f"Hugging Face gave no list of files for {repo}.", _LOOK.format(page))
        rows += more
    files = [_file(row, f"{page}/resolve/{commit}", repo) for row in rows if _is_file(row)]
    if not files:
        raise FetchError(f"Hugging Face lists no files of {repo}.", _LOOK.format(page))
    return files


def _is_file(row: Any) -> bool:
    return not (isinstance(row, dict) and row.get("type") == "directory") and not str(row.get("path")).startswith(".")


def _file(row: Any, base: str, repo: str) -> RemoteFile:
    match row:
        case {"path": str(path), "size": int(size), "lfs": {"oid": str(sha256)}}:
            return RemoteFile(path, f"{base}/{quote(path)}", size, sha256=sha256, archive=kind(path))
        case {"path": str(path), "size": int(size), "oid": str(sha1)}:
            return RemoteFile(path, f"{base}/{quote(path)}", size, git_sha1=sha1, archive=kind(path))
    raise FetchError(f"Hugging Face lists a file of {repo} without path or size.", _LOOK.format(f"{SITE}/{repo}"))


def _token() -> str:
    """HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH, else $HF_HOME/token; empty without any."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if held := os.environ.get(name, "").strip():
            return held
    home = os.environ.get("HF_HOME") or str(Path.home() / ".cache" / "huggingface")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Path(os.environ.get("HF_TOKEN_PATH") or f"{home}/token").read_text(encoding="utf-8").strip()
    return ""
