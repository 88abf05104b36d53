"""One HTTP client for all sites: redirects by hand, mirrors, secrets bound to their site, waiting as a site asks.

What it has to stand comes from what sites were seen to do: see docs/fetch.md. A resolver asks it for JSON or text, the
downloader for a stream. No message of it holds a secret: addresses are told without the parts of a query that sign
(`openus.fetch.address`).
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import httpx2

from openus import __version__
from openus.errors import FetchError, UsageError
from openus.fetch.address import below, is_address, joined, mirrors, origin, redacted
from openus.fetch.content import message, page_title

T = TypeVar("T")

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log whole addresses, signatures and all

USER_AGENT = f"openus/{__version__} (ultrasound dataset curation toolkit)"
"""Own, because sites turn default ones away."""

BY_HAND = "Get it by hand, as `openus info` tells, and adopt it with --from."
"""What to do where no program gets further."""

MOST_REDIRECTS = 10
MOST_TEXT = 64 << 20
"""Bytes of a JSON or HTML answer."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait for a site."""

    tries: int = 6
    """Attempts in a row that bring no byte."""
    first_wait_s: float = 1.0
    """Before the second attempt; it doubles from there, with jitter."""
    longest_wait_s: float = 60.0
    longest_asked_s: float = 900.0
    """Longest `Retry-After` that is waited for; a longer one is told and ends the attempt."""
    timeout_s: float = 60.0
    """Without an answer or a byte."""
    slowest_bytes_s: float = 512.0
    """Slower than this over `window_s` counts as a stall."""
    window_s: float = 120.0


class Transient(Exception):
    """An answer, or none, after which the same request may succeed. Never leaves this package."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass
class Answer:
    """A response whose body has not been read."""

    url: str
    """Where it came from, after redirects and mirrors."""
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    chunks: Iterator[bytes]


@dataclass
class Client:
    """What resolvers and the downloader speak through. Threads may share it."""

    mirrors: Mapping[str, str] = field(default_factory=mirrors)
    patience: RetryPolicy = RetryPolicy()
    sleep: Callable[[float], None] | None = None
    """In place of waiting, for tests."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Once set, waits end and downloads stop, in all threads, by KeyboardInterrupt; all that came is kept."""

    def __post_init__(self) -> None:
        try:
            self._http = httpx2.Client(follow_redirects=False, timeout=self.patience.timeout_s)
        except (OSError, ValueError, httpx2.InvalidURL) as error:
            raise UsageError(
                "The proxies or certificates that the environment names cannot be used.",
                "Look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE.",
            ) from error
        self._secrets: list[tuple[str, dict[str, str]]] = []
        self._queries: list[tuple[str, str]] = []
        self._cookies: dict[str, dict[str, str]] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pause(self, seconds: float) -> None:
        """Wait. Raises KeyboardInterrupt as soon as `stop` is set."""
        if self.sleep is not None:
            self.sleep(seconds)
        elif self.stop.wait(seconds):
            raise KeyboardInterrupt

    def bind(self, base: str, headers: Mapping[str, str]) -> None:
        """Send `headers`, which hold a secret, with every request to `base` or below it, and to nobody else.

        Where a mirror stands in for `base`, it gets them: whoever set it chose whom to trust.
        """
        headers = {name: value.strip() for name, value in headers.items()}
        if any(not value.isascii() or not value.isprintable() for value in headers.values()):
            raise UsageError(
                f"The secret for {redacted(base)} holds letters that no token has.", "Look at how it was set."
            )
        with self._guard:
            self._secrets.insert(0, (self.mapped(base), dict(headers)))

    def bind_query(self, base: str, query: str) -> None:
        """Append `query`, a secret, to every request to `base` or below it. No message and no file tells it."""
        with self._guard:
            self._queries.insert(0, (self.mapped(base), query))

    def mapped(self, url: str) -> str:
        """The address on the mirror, where one is set for a beginning of `url`; the longest counts."""
        site = max((site for site in self.mirrors if below(url, site)), key=len, default=None)
        if site is None:
            return url
        base, parts = urlsplit(self.mirrors[site]), urlsplit(url)
        rest = parts.path[len(urlsplit(site).path) :]
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + rest, parts.query, parts.fragment))

    def json(self, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The JSON that `url` gives (POST where there is a `body`). Raises FetchError, also for a page in its stead."""
        accept = {"Accept": "application/json", **(headers or {})}
        return _parsed(url, self.text(url, headers=accept, body=body))

    def text(self, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> str:
        """The text that `url` gives, of at most 64 MiB. Raises FetchError."""

        def attempt() -> str:
            with self.open(url, headers=headers, body=body) as answer:
                self.expect(answer, url)
                data = bytearray()
                for chunk in answer.chunks:
                    data += chunk
                    if len(data) > MOST_TEXT:
                        raise FetchError(f"{redacted(url)} gives more than {MOST_TEXT >> 20} MiB of text.")
                return bytes(data).decode("utf-8", "replace")

        return self.patiently(redacted(url), attempt)

    def patiently(self, what: str, attempt: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
        """`attempt()` until it succeeds, waiting between, as long as `patience` lasts. Raises FetchError.

        reached: how far it is by now; the count of tries begins anew with each that comes further than all before.
        """
        failed, furthest = 0, reached()
        while True:
            try:
                return attempt()
            except Transient as error:
                failed = 1 if reached() > furthest else failed + 1
                furthest = max(furthest, reached())
                if failed >= self.patience.tries:
                    raise FetchError(f"{what}: {error} ({failed} times).", "Try again later.") from error
                wait = min(self.patience.first_wait_s * 2 ** (failed - 1), self.patience.longest_wait_s)
                wait *= random.uniform(0.5, 1.0)
                if error.after_s is not None:
                    if error.after_s > self.patience.longest_asked_s:
                        raise FetchError(
                            f"{what}: {error}; the site asks to wait {error.after_s:.0f} s.", "Try again then."
                        ) from error
                    wait = max(wait, error.after_s)
                self.pause(wait)

    @contextlib.contextmanager
    def open(
        self, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None, method: str | None = None
    ) -> Iterator[Answer]:
        """The answer of `url`, redirects followed, whatever its status. Raises FetchError, or Transient inside."""
        method = method or ("GET" if body is None else "POST")
        here = self._place(url, url)
        for _ in range(MOST_REDIRECTS + 1):
            sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept-Language": "en", **(headers or {})}
            sent |= self._bound(here)
            content = None
            if body is not None:
                content = json.dumps(body).encode()
                sent.setdefault("Content-Type", "application/json")
            with self._sent(method, self._signed(here), sent, content) as response:
                self._keep_cookies(here, response)
                place = response.headers.get("location")
                if response.status_code not in (301, 302, 303, 307, 308) or not place:
                    found = {name.lower(): value for name, value in response.headers.items()}
                    yield Answer(here, response.status_code, found, _chunks(response, self.patience))
                    return
            there = self._place(joined(here, place), url)
            if here.startswith("https:") and there.startswith("http:"):
                raise FetchError(f"{redacted(url)} leads from https to {redacted(there)}.", "That is refused.")
            if response.status_code == 303 or (response.status_code in (301, 302) and method == "POST"):
                method, body = "GET", None
            here = there
        raise FetchError(f"{redacted(url)} leads from address to address, more than {MOST_REDIRECTS} times.")

    def _place(self, url: str, asked: str) -> str:
        """The address on the mirror of `url`, which may be anything: a site told it. Raises FetchError."""
        if is_address(url):
            return self.mapped(url)
        to = "" if url == asked else f" leads to {redacted(url)}, which"
        raise FetchError(f"{redacted(asked)}{to} is no web address.", BY_HAND)

    def expect(self, answer: Answer, url: str) -> None:
        """Nothing, where `answer` is 200 or 206. Raises Transient where the same may work later, else FetchError."""
        status, headers = answer.status, answer.headers
        if status in (200, 206) and headers.get("x-amzn-waf-action") is None:
            return
        where, limit = redacted(url), headers.get("x-ratelimit-remaining")
        phrase = httpx2.codes.get_reason_phrase(status)
        if status in (429, 503):
            raise Transient(f"answers {status} {phrase}", _retry_after(headers))
        if status in (408, 500, 502, 504):
            raise Transient(f"answers {status} {phrase}")
        if headers.get("x-amzn-waf-action") is not None or headers.get("cf-mitigated") is not None:
            raise FetchError(
                f"{where} answers {status} with a challenge that only a browser passes.", BY_HAND, renewable=True
            )
        head = b""
        with contextlib.suppress(Transient):
            for chunk in answer.chunks:
                head += chunk
                if len(head) >= 4096:
                    break
        said, page = (self._hidden(text) for text in (message(head), page_title(head)))
        if status == 403 and (limit == "0" or re.search("(?i)rate limit", said or "")):  # GitHub's
            reset = headers.get("x-ratelimit-reset", "")
            after = (
                max(1.0, int(reset) - time.time())
                if re.fullmatch("[0-9]{1,12}", reset) and limit == "0"
                else _retry_after(headers)
            )
            raise Transient("has no requests left for now (403); a token raises that limit", after)
        if page is not None and status == 403:
            raise FetchError(
                f"{where} answers 403 with {page}.", "It may block this network: try later, or by hand.", renewable=True
            )
        said = said or page
        raise FetchError(
            f"{where} answers {status} {phrase}".rstrip() + (f": {said}" if said else "") + ".",
            _HINTS.get(status, BY_HAND),
            renewable=status in (400, 401, 403, 404, 410),
        )

    def _hidden(self, text: str | None) -> str | None:
        """What a site says, without the secrets that it may say back to us."""
        if text is None:
            return None
        with self._guard:
            held = [value for _, headers in self._secrets for value in headers.values()]
            held += [value for _, query in self._queries for _, value in parse_qsl(query)]
        for secret in sorted(
            {word for value in held for word in value.split() if len(word) > 5}, key=len, reverse=True
        ):
            text = text.replace(secret, "***")
        return text

    def _signed(self, here: str) -> str:
        with self._guard:
            query = next((query for base, query in self._queries if below(here, base)), None)
        return here if query is None else f"{here}{'&' if urlsplit(here).query else '?'}{query}"

    def _bound(self, here: str) -> dict[str, str]:
        with self._guard:
            secret = next((headers for base, headers in self._secrets if below(here, base)), {})
            cookies = self._cookies.get(origin(here), {})
        jar = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        return {**jar, **secret}

    def _keep_cookies(self, here: str, response: httpx2.Response) -> None:
        """By origin, port and all: the library's own jar knows hosts only."""
        lines = [
            line.partition(";")[0].partition("=") for line in response.headers.get_list("set-cookie") if line.isascii()
        ]
        self._http.cookies.clear()
        if lines:
            with self._guard:
                self._cookies.setdefault(origin(here), {}).update({name.strip(): value for name, _, value in lines})

    @contextlib.contextmanager
    def _sent(self, method: str, url: str, headers: dict[str, str], content: bytes | None) -> Iterator[httpx2.Response]:
        try:
            request = self._http.build_request(method, url, headers=headers, content=content)
            response = self._http.send(request, stream=True)
        except (httpx2.TransportError, httpx2.InvalidURL, ssl.SSLError, ValueError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise FetchError(
                    f"{redacted(url)}: the site's certificate does not hold ({error}).",
                    "Look at it in a browser; adopt the files with --from where you trust them.",
                ) from error
            if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError)):
                raise FetchError(f"{redacted(url)} is no address that can be asked.") from error
            raise Transient(f"no answer ({_reason(error)})") from error
        try:
            yield response
        finally:
            response.close()


def name_of(answer: Answer) -> str | None:
    """The file name of an answer's Content-Disposition (RFC 6266: `filename*` first), without any folder."""
    header = answer.headers.get("content-disposition", "")
    found = re.search(r"filename\*\s*=\s*(?:UTF-8|utf-8)''([^;]+)", header)
    name = unquote(found[1]) if found else None
    if name is None and (found := re.search(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]+))', header)):
        name = (found[1] or found[2] or "").strip()
    return re.split(r"[/\\]", name)[-1] or None if name else None


def _parsed(url: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = page_title(text.encode()) or "no JSON"
        raise FetchError(f"{redacted(url)} gave {what} where a listing is due.", BY_HAND, renewable=True) from error


def _chunks(response: httpx2.Response, patience: RetryPolicy) -> Iterator[bytes]:
    """The raw bytes of a body. Raises Transient where it is cut, stalls, or drips."""
    since, came = time.monotonic(), 0
    try:
        for chunk in response.iter_raw():
            yield chunk
            came += len(chunk)
            passed = time.monotonic() - since
            if passed > patience.window_s:
                if came / passed < patience.slowest_bytes_s:
                    raise Transient(f"the transfer drips ({came / passed:.0f} bytes/s)")
                since, came = time.monotonic(), 0
    except httpx2.TransportError as error:
        raise Transient(f"the transfer broke off ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` (RFC 9110 10.2.3: seconds or a date), None without one."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


_HINTS = {
    401: "It wants a login: docs/fetch.md tells where each site's token is read from.",
    403: "It does not let you in: accept its terms in a browser, or check the token.",
    404: "It is not there any more, or never was: look at the source's page.",
    410: "It was deleted: look at the source's page for a newer version.",
}
