"""Addresses: what of one may be told, where it lies, which mirror stands in for it, whether it can be asked at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from openus.errors import UsageError

SECRET_WORDS = frozenset(
    "access_token token key sig se sp sv st skoid googleaccessid signature policy key-pair-id passcode tempauth "
    "authkey uuid pwd code sas at context private_link api_key resourcekey".split()
)
"""Names in a query that sign or identify, in lower case; `X-Amz-…` and `X-Goog-…` are too."""


def mirrors() -> dict[str, str]:
    """Site -> base URL, of the environment variable OPENUS_MIRRORS: JSON, or the path of a JSON file.

    Raises UsageError where it is neither, or where a site or base is no http(s) address.
    """
    text = os.environ.get("OPENUS_MIRRORS", "").strip()
    if not text:
        return {}
    try:
        told = json.loads(text if text.startswith("{") else Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"OPENUS_MIRRORS is no JSON and no JSON file: {error}.") from error
    if not isinstance(told, dict) or not all(isinstance(base, str) for base in told.values()):
        raise UsageError(
            "OPENUS_MIRRORS must map sites to base URLs.", 'As in {"https://zenodo.org": "http://mirror/z"}.'
        )
    for number, addresses in enumerate(told.items(), start=1):
        if not all(map(is_address, addresses)):  # which may hold a password
            raise UsageError(f"OPENUS_MIRRORS: entry {number} has something that is no http(s) address.")
    return {site.rstrip("/"): base.rstrip("/") for site, base in told.items()}


def redacted(url: str) -> str:
    """`url` as it may stand in a log, an error or a lock file: no user, no part of the query that signs or identifies.

    >>> redacted("https://me:pw@a.org/x.zip?download=1&X-Amz-Signature=f00&sig=1")
    'https://a.org/x.zip?download=1'
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return f"an address that is none ({parts.scheme[:20]})"
        urlencode(parse_qsl(parts.query))
    except ValueError:
        return "an address that is none"
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if not _secret(name)]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, urlencode(query), ""))


def _secret(name: str) -> bool:
    lower = name.lower()
    if re.search("token|secret|passw|auth|key|sig|credential|jwt", lower):
        return True
    return lower in SECRET_WORDS or lower.startswith(("x-amz-", "x-goog-"))


def origin(url: str) -> str:
    """Scheme, host and port, the default port left out, in lower case.

    >>> origin("HTTPS://Zenodo.org:443/a")
    'https://zenodo.org'
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    default = {"http": 80, "https": 443}.get(scheme)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def below(url: str, base: str) -> bool:
    """Whether `url` is `base` or lies below it, by origin and whole parts of the path.

    >>> below("https://a.org/x/1", "https://a.org/x"), below("https://a.org/xy", "https://a.org/x")
    (True, False)
    >>> below("https://a.org.evil.net/x", "https://a.org")
    False
    """
    root, path = urlsplit(base).path.rstrip("/"), urlsplit(url).path
    return origin(url) == origin(base) and (path == root or path.startswith(root + "/"))


def is_address(url: str) -> bool:
    """Whether it can be asked: http(s), a host, a port that is one, no `..` that would leave a mirror's path."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        steps = parts.path.lower().replace("%2e", ".").split("/")
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and ".." not in steps
    return False


def joined(here: str, place: str) -> str:
    """The address that `place`, told by the one at `here`, means; itself where it can mean none."""
    try:
        return urljoin(here, place)
    except ValueError:
        return place
