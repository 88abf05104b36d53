"""Megabytes per second and memory of one download on loopback: ours, curl, and pooch, in one run.

    python benchmarks/fetch.py [--mib 1024] [--repeat 5] [--folder /tmp]

    ours        openus.fetch.download: resumable, SHA-256 while it streams, fsync, rename
    curl+sum    curl -o, then sha256sum: what a careful shell script does
    curl        curl -o alone: nothing is verified
    pooch       pooch.retrieve with known_hash (SHA-256): verified, not resumable; left out where it is not installed

Each client is a process of its own; its wall time counts from its start to its end (ours and pooch's with the start of
Python), its memory is the peak resident set. Rounds are interleaved; medians count. The server sends a file that was
read before, so that the disk is met by the writer alone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OURS = """
import sys
from pathlib import Path
from openus.data import RemoteFile
from openus.fetch.client import Client
from openus.fetch.download import download
url, folder, sha256 = sys.argv[1:]
with Client(mirrors={}) as client:
    download(client, RemoteFile("big.bin", url=url, sha256=sha256), Path(folder))
"""
POOCH = """
import sys
import pooch
url, folder, sha256 = sys.argv[1:]
pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname="big.bin", path=folder)
"""


def serve(path: Path) -> str:
    """A server of one file, ranges and all; returns its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.send_header("ETag", '"1"')
            self.end_headers()
            with path.open("rb") as file:
                self.connection.sendfile(file)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/big.bin"


def timed(command: list[str]) -> tuple[float, float]:
    """(seconds, peak MiB) of a process."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[:3]} ended with {child.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mib", type=int, default=1024)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        source, digest = folder / "source.bin", hashlib.sha256()
        with source.open("wb") as file:
            for _ in range(asked.mib):
                block = os.urandom(1 << 20)
                digest.update(block)
                file.write(block)
        url, out, sha256 = serve(source), folder / "out", digest.hexdigest()
        target = str(out / "big.bin")
        ways = {
            "ours": [[sys.executable, "-c", OURS, url, str(out), sha256]],
            "curl+sum": [["curl", "-s", "-o", target, url], ["sha256sum", target]],
            "curl": [["curl", "-s", "-o", target, url]],
        }
        if importlib.util.find_spec("pooch"):
            ways["pooch"] = [[sys.executable, "-c", POOCH, url, str(out), sha256]]
        times: dict[str, list[float]] = {way: [] for way in ways}
        peaks: dict[str, float] = dict.fromkeys(ways, 0.0)
        for _ in range(asked.repeat):
            for way, commands in ways.items():
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                took = [timed(command) for command in commands]
                times[way].append(sum(seconds for seconds, _ in took))
                peaks[way] = max(peaks[way], *(peak for _, peak in took))
        ours = statistics.median(times["ours"])
        print(
            f"{asked.mib} MiB, {asked.repeat} rounds\n\n| client | MiB/s | its time over ours | peak MiB |\n"
            "|---|---:|---:|---:|"
        )
        for way, seconds in times.items():
            median = statistics.median(seconds)
            print(f"| {way} | {asked.mib / median:.0f} | {median / ours:.2f} | {peaks[way]:.0f} |")


if __name__ == "__main__":
    main()
