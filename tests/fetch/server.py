"""A small web server on a real socket that can behave as badly as the sites do (facts: docs/fetch.md)."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Request:
    """What a client asked. Header names in lower case."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Reply:
    """What it gets. The body goes out with its length unless told otherwise."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = -1
    """Content-Length: -1 the true one, None none at all (and the connection closes at the end)."""
    chunked: bool = False
    cut: int | None = None
    """Close the connection after so many bytes of the body."""
    drip_s: float = 0.0
    """Pause before each byte."""
    stall_s: float = 0.0
    """Pause before the last byte."""
    pause_s: float = 0.0
    """Pause before each 64 KiB."""


Handler = Callable[[Request], Reply]


class Server:
    """Serves what is routed; notes all that was asked. Use as a context manager."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self._routes: list[tuple[str, str, Handler]] = []
        outer = self

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer on a kept connection waits 40 ms

            def _any(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_HEAD = _any  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                pass

        class _Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # clients that leave early are what is tested

        self._httpd = _Quiet(("127.0.0.1", 0), _Handler)
        self._httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._httpd.server_address[1]}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def route(self, path: str, handler: Handler | Reply | bytes, method: str = "GET") -> None:
        """Answer requests whose whole path fits the pattern `path`; the latest route counts."""
        if isinstance(handler, bytes):
            handler = Reply(body=handler)
        if isinstance(handler, Reply):
            reply = handler
            handler = lambda _: reply  # noqa: E731
        self._routes.insert(0, (method, path, handler))

    def file(self, path: str, data: bytes, **how: object) -> None:
        """Serve `data` with ranges, as a good server does (`how`: see `ranged`)."""
        self.route(re.escape(path), lambda request: ranged(request, data, **how))  # type: ignore[arg-type]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        request = Request(
            handler.command,
            unquote(parts.path),
            {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            {name.lower(): value for name, value in handler.headers.items()},
            body,
        )
        self.asked.append(request)
        found = next((h for m, p, h in self._routes if m == request.method and re.fullmatch(p, request.path)), None)
        reply = found(request) if found else Reply(404, b'{"message": "Not Found"}')
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            _send(handler, reply)


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    elif reply.length is not None:
        handler.send_header("Content-Length", str(len(reply.body) if reply.length == -1 else reply.length))
    if reply.length is None or reply.cut is not None:
        handler.close_connection = True
        handler.send_header("Connection", "close")
    handler.end_headers()
    if handler.command == "HEAD" or reply.status in (204, 304):
        return
    body = reply.body if reply.cut is None else reply.body[: reply.cut]
    for piece in _pieces(body, reply):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked else piece)
        handler.wfile.flush()
    if reply.chunked and reply.cut is None:
        handler.wfile.write(b"0\r\n\r\n")
    if len(body) < len(reply.body) or reply.length not in (None, -1):
        handler.close_connection = True


def _pieces(body: bytes, reply: Reply) -> Iterator[bytes]:
    if reply.drip_s:
        for at in range(len(body)):
            time.sleep(reply.drip_s)
            yield body[at : at + 1]
    elif reply.stall_s and body:
        yield body[:-1]
        time.sleep(reply.stall_s)
        yield body[-1:]
    else:
        for at in range(0, len(body), 1 << 16):
            time.sleep(reply.pause_s)
            yield body[at : at + (1 << 16)]


def ranged(
    request: Request,
    data: bytes,
    *,
    etag: str | None = '"v1"',
    modified: str | None = None,
    headers: Mapping[str, str] | None = None,
    cut: int | None = None,
) -> Reply:
    """A whole file or the part of it that is asked for (RFC 9110 14)."""
    told = dict(headers or {}) | {"Accept-Ranges": "bytes"}
    if etag:
        told["ETag"] = etag
    if modified:
        told["Last-Modified"] = modified
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    unless = request.headers.get("if-range")
    if wanted is None or (unless is not None and unless not in (etag, modified)):
        return Reply(200, data, told, cut=cut)
    begin = int(wanted[1])
    if begin >= len(data):
        return Reply(416, b"", told | {"Content-Range": f"bytes */{len(data)}"})
    end = min(int(wanted[2] or len(data) - 1), len(data) - 1)
    told["Content-Range"] = f"bytes {begin}-{end}/{len(data)}"
    return Reply(206, data[begin : end + 1], told, cut=cut)


def once(first: Handler | Reply, then: Handler | Reply, times: int = 1) -> Handler:
    """`first` for the first `times` requests, `then` for all others."""
    left = [times]

    def handle(request: Request) -> Reply:
        left[0] -= 1
        chosen = first if left[0] >= 0 else then
        return chosen if isinstance(chosen, Reply) else chosen(request)

    return handle
