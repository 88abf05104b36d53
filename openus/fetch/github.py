"""GitHub: the snapshot of one commit, held against git's own hashes, and what Git LFS keeps elsewhere.

The bytes of a snapshot's zip are not stable, the tree in it is: github.blog, 2023-02-21, "Update on the future
stability of source code archives". So the zip has no checksum, but each of its files has git's.

Facts: docs.github.com/rest (commits, git/trees, limits), `gh help environment` for the tokens, git-lfs/git-lfs
docs/spec.md, docs/api/batch.md and basic-transfers.md. That an LFS server takes the token as a password is what
actions/checkout does for all of github.com. That a renamed repository's zip has the new name in it:
buildkite/terminal-to-html#54.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openus.data import Access, Advance, RemoteFile, silent
from openus.errors import FetchError, UsageError
from openus.fetch.archive import UNPACKED, unpack
from openus.fetch.checksums import git_sha1
from openus.fetch.client import Client
from openus.fetch.content import LFS_POINTER
from openus.fetch.download import download
from openus.storage import sha256_file

API, CODE = "https://api.github.com", "https://codeload.github.com"
_AS_JSON = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_LFS = "application/vnd.git-lfs+json"
MOST_OBJECTS = 100
"""Of Git LFS in one call; servers answer 413 to more than they like."""
_LOOK = "Look at https://github.com/{} in a browser."

_POINTER = re.compile(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\n"
    rb"(ext-\d-\S+ \S+\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n?"
)


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The zip of `access.ids["repo"]` (owner/name) at `ids["commit"]`, else at the head of `ids["branch"]` or, without
    both, of the default branch.

    Its `members` are all regular files of git's tree, pointers of Git LFS as such; links and submodules are not among
    them. A renamed repository is followed: the zip and the folder in it bear the new name. A token in GH_TOKEN, else in
    GITHUB_TOKEN, raises the limit of 60 calls an hour; one or two calls are made, more for a tree that GitHub cuts.

    Raises FetchError for a repository or commit that is unknown, hidden, blocked or empty, and for a listing that is
    none; UsageError for a token that can be none.
    """
    repo, commit = access.ids.get("repo", ""), access.ids.get("commit", "").lower()
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or not re.fullmatch(r"(?:[0-9a-f]{4,40})?", commit):
        raise FetchError(f"{repo!r} and {commit!r} are no repository and commit of GitHub.", "Correct the card.")
    _bind(repo, client)
    sha = commit
    if len(commit) < 40:
        branch = access.ids.get("branch")
        ref = commit or (f"heads/{quote(branch)}" if branch else "HEAD")
        told = client.json(f"{API}/repos/{repo}/commits/{ref}", headers=_AS_JSON)
        sha = str(told.get("sha")) if isinstance(told, dict) else ""
        if not _is_sha1(sha) or not sha.startswith(commit):
            raise FetchError(f"GitHub gave no commit for {ref} of {repo}.", _LOOK.format(repo))
    now, files = _files(repo, sha, client)
    if not files:
        raise FetchError(f"The tree of {repo} at {sha} holds no file.", _LOOK.format(repo))
    top = f"{now.partition('/')[2]}-{sha}"
    members = {f"{top}/{path}": sha1 for path, sha1 in files.items()}
    return [RemoteFile(f"{top}.zip", f"{CODE}/{now}/zip/{sha}", archive="zip", members=members)]


def _bind(repo: str, client: Client) -> None:
    token = next((held for name in ("GH_TOKEN", "GITHUB_TOKEN") if (held := os.environ.get(name, "").strip())), None)
    if token is None:
        return
    if not re.fullmatch(r"[!-~]+", token):  # it would fail as a header, in a message that tells it
        raise UsageError("GH_TOKEN or GITHUB_TOKEN holds what no token does: blanks or letters beyond ASCII.")
    for base in (API, CODE):
        client.bind(base, {"Authorization": f"Bearer {token}"})
    password = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    client.bind(_batch_url(repo), {"Authorization": f"Basic {password}"})


def _files(repo: str, sha: str, client: Client) -> tuple[str, dict[str, str]]:
    """(the repository's name of today, path -> git SHA-1 of each regular file)."""
    files: dict[str, str] = {}
    todo = [(sha, "")]
    while todo:
        tree, above = todo.pop()
        url = f"{API}/repos/{repo}/git/trees/{tree}"
        listing = _listing(client, f"{url}?recursive=1", repo)
        cut = listing["truncated"] is not False  # documented for more than 100,000 entries or 7 MB
        if cut:
            listing = _listing(client, url, repo)
            if listing["truncated"] is not False:
                raise FetchError(f"GitHub lists a part of {repo}'s folder {above!r} only.", "Clone it; use --from.")
        if found := re.match(r"https?://.*?/repos/([\w.-]+/[\w.-]+)/", str(listing.get("url"))):
            repo = found[1]
        for entry in listing["tree"]:
            match entry:
                case {"mode": "120000" | "160000"}:  # a link, a submodule
                    continue
                case {"type": "tree" | "blob" as kind, "path": str(name), "sha": str(sha1)} if _is_sha1(sha1):
                    path = above + name
                    if not _is_path(path):
                        raise FetchError(
                            f"GitHub lists {path[:100]!r} in {repo}, which is no path.", _LOOK.format(repo)
                        )
                    if kind == "blob":
                        files[path] = sha1
                    elif cut:
                        todo.append((sha1, f"{path}/"))
                case _:
                    raise FetchError(
                        f"GitHub lists {str(entry)[:100]} in {repo}, which is no file.", _LOOK.format(repo)
                    )
    return repo, files


def _listing(client: Client, url: str, repo: str) -> dict[str, Any]:
    match client.json(url, headers=_AS_JSON):
        case {"tree": list(), "truncated": _} as listing:
            return dict(listing)
    raise FetchError(f"GitHub gave no tree for {url}.", _LOOK.format(repo))


def _is_sha1(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", text) is not None


def _is_path(path: str) -> bool:
    odd = len(path) > 4096 or re.search(r"[\0-\x1f\ud800-\udfff]", path)
    return not odd and not {"", ".", ".."} & set(path.split("/"))


def differing(folder: Path, members: Mapping[str, str]) -> list[str]:
    """Which of `members` (path -> git SHA-1) are missing below the unpacked `folder`, or are not what git has.

    Files that the repository's .gitattributes keep out of archives (`export-ignore`) count as missing, and those that
    they change on the way (`export-subst`, `eol`) as differing: git's tree does not tell. So do objects of Git LFS that
    took their pointers' place.

    Raises FetchError for a path that leaves the folder or leads through a link.
    """
    root = folder.resolve()
    places = ((path, _place(root, path), sha1) for path, sha1 in members.items())
    return [path for path, place, sha1 in places if not place.is_file() or git_sha1(place) != sha1]


def pointers(folder: Path, under: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Which of the files `under` the unpacked `folder` are pointers of Git LFS: path -> (SHA-256, bytes) of its object.

    Raises FetchError for a path that leaves the folder or leads through a link, and for a pointer to an object that
    only an extension of Git LFS can read.
    """
    root, found = folder.resolve(), {}
    for path in under:
        place = _place(root, path)
        if not place.is_file() or place.stat().st_size >= 1024:
            continue
        if pointer := _POINTER.fullmatch(place.read_bytes()):
            if pointer[1]:
                raise FetchError(f"{path} wants an extension of Git LFS.", "Clone it with git lfs; use --from.")
            found[path] = (pointer[2].decode(), int(pointer[3]))
    return found


def _place(root: Path, path: str) -> Path:
    if not _is_path(path) or (root / path).resolve() != root / path:
        raise FetchError(f"{path!r} leaves {root}, or leads through a link.", "Remove that folder and fetch again.")
    return root / path


def commit_of(name: str) -> str | None:
    """The commit of the snapshot `name`, None for another file."""
    found = re.search(r"-([0-9a-f]{40})\.zip$", name)
    return found[1] if found else None


def settle(
    repo: str,
    snapshot: Path,
    members: Mapping[str, str],
    client: Client,
    progress: Advance = silent,
) -> None:
    """Unpack a snapshot, hold it against git's hashes, and put the objects of Git LFS in the place of their pointers.

    To be called before archives within the snapshot are unpacked, and while the snapshot itself is there; a killed run
    is gone on with. Raises FetchError for a file that is not what git has, ArchiveError, and what `objects` raises.
    """
    inside = snapshot.with_name(f"{snapshot.name}{UNPACKED}")
    if not inside.exists():
        unpack(snapshot, inside, progress=progress)
    pointed = pointers(inside, members)
    wrong = [path for path in differing(inside, members) if not _holds_object(inside / path, members[path])]
    if wrong:
        more = f" and {len(wrong) - 1} more are" if len(wrong) > 1 else " is"
        raise FetchError(
            f"{repo}: {wrong[0]}{more} not what git's tree of {commit_of(snapshot.name)} says.",
            f"Remove {inside.parent} and fetch it again; it was damaged on the way.",
        )
    for wanted in objects(repo, pointed, client) if pointed else ():
        download(client, wanted, inside, progress)


def _holds_object(path: Path, sha1: str) -> bool:
    """Whether a file is the object of Git LFS whose pointer has the git SHA-1 `sha1` (git-lfs docs/spec.md)."""
    if not path.is_file():
        return False
    text = f"{LFS_POINTER.decode()}\noid sha256:{sha256_file(path)}\nsize {path.stat().st_size}\n".encode()
    return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest() == sha1


def _batch_url(repo: str) -> str:
    return f"https://github.com/{repo}.git/info/lfs/objects/batch"


def objects(repo: str, wanted: Mapping[str, tuple[str, int]], client: Client) -> list[RemoteFile]:
    """The objects of Git LFS for `wanted` (path -> (SHA-256, bytes), as `pointers` gives it), each under its path.

    Their addresses are signed and live for minutes to hours: ask again for what is left.

    Raises FetchError for an object that the server does not give, for a budget that is spent, and for an answer that is
    no list of objects; UsageError for a token that can be none.
    """
    _bind(repo, client)
    due = [{"oid": oid, "size": size} for oid, size in sorted(set(wanted.values()))]
    found: dict[str, str] = {}
    for at in range(0, len(due), MOST_OBJECTS):
        batch = {"operation": "download", "transfers": ["basic"], "hash_algo": "sha256"}
        body = batch | {"objects": due[at : at + MOST_OBJECTS]}
        try:
            answer = client.json(_batch_url(repo), headers={"Accept": _LFS, "Content-Type": _LFS}, body=body)
        except FetchError as error:
            raise _spent(error.message) or error from error
        listed = answer.get("objects") if isinstance(answer, dict) else None
        if not isinstance(listed, list) or answer.get("transfer", "basic") != "basic":
            raise FetchError(f"Git LFS of {repo} gave no list of objects.", _LOOK.format(repo))
        for one in listed:
            found |= _object(repo, one, client)
    for path, (oid, _) in wanted.items():
        if oid not in found:
            raise FetchError(f"Git LFS of {repo} tells nothing of {path} ({oid}).", _LOOK.format(repo))
    return [RemoteFile(path, found[oid], size, sha256=oid) for path, (oid, size) in wanted.items()]


def _object(repo: str, one: Any, client: Client) -> dict[str, str]:
    """{SHA-256: address}; the headers that go with it are bound to it, and no others then."""
    match one:
        case {"oid": str(oid), "error": {**error}}:  # within an answer 200
            said = " ".join(str(error.get("message")).split())[:200].rstrip(".")
            message = f"Git LFS of {repo} does not give {oid}: {error.get('code')} {said}."
            raise _spent(message) or FetchError(message, f"Its owner did not upload it. {_LOOK.format(repo)}")
        case {"oid": str(oid), "actions": {"download": {"href": str(href), **more}}}:
            headers = more.get("header") or {}
            schemes = ("https://", "http://") if client.mapped(_batch_url(repo)).startswith("http:") else "https://"
            if href.startswith(schemes) and isinstance(headers, dict) and all(map(_is_header, headers.items())):
                client.bind(href, headers)
                return {oid: href}
    raise FetchError(f"Git LFS of {repo} lists an object without an address that can be asked.", _LOOK.format(repo))


def _is_header(pair: tuple[str, object]) -> bool:
    name, value = pair
    plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return plain and re.fullmatch(r"[\w-]+", name, re.ASCII) is not None


def _spent(message: str) -> FetchError | None:
    """The error for the words that GitHub says when nobody pays for more traffic, None for others."""
    if not re.search(r"LFS budget|data quota", message):
        return None
    return FetchError(message, "Nobody can fetch it for now: try next month, or get it elsewhere and use --from.")
