"""`openus fetch` of a source of several files, killed at random moments, over and over, and then run to its end.

    PYTHONPATH=tests:tests/sources:tests/fetch python benchmarks/fetch_kills.py [--kills 100] [--seed 1]

A local server in Zenodo's shape gives HC18 in miniature, its archives made some megabytes large and sent slowly. After
each kill the next run must ask for each file that was on its way from the byte at which it stopped; when a round has
come to its end, its files must be those that were published, with nothing left over. Rounds follow until so many kills
were made.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import miniature
import sites
from layouts import layouts
from server import Reply, Request, Server

from openus import sources
from openus.fetch.lock import differences, read

# The card of the miniature: the same, but for the checksums of the real files.
COMMAND = """
from dataclasses import replace
from openus.sources import hc18
hc18.CARD = replace(hc18.CARD, files=tuple(replace(f, size_bytes=None, md5=None, sha256=None) for f in hc18.CARD.files))
from openus.cli import main
main()
"""


def slowed(server: Server) -> None:
    """Let each answer of the server take its time."""
    for number, (method, path, handler) in enumerate(server._routes):

        def slow(request: Request, handler: object = handler) -> Reply:
            reply: Reply = handler(request)  # type: ignore[operator]
            return replace(reply, pause_s=0.01)

        server._routes[number] = (method, path, slow)


def enlarged(archive: bytes, filler: bytes) -> bytes:
    """A zip with one more member."""
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as both:
        both.writestr("filler.txt", filler)
    return out.getvalue()


def main() -> None:
    """Print what came of it; exit 1 with the first thing that is wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    chance = random.Random(asked.seed)
    kills = rounds = resumed = 0
    with tempfile.TemporaryDirectory() as name, Server() as server:
        folder = Path(name)
        miniature.write(layouts()["hc18"], folder / "published")
        files = sites.uploaded(folder / "published")
        for path, data in files.items():
            if path.endswith(".zip"):
                files[path] = enlarged(data, random.Random(path).randbytes(6_000_000))
        card = sources.load("hc18").card
        mirrors = sites.serve(server, card, files)
        slowed(server)
        environment = os.environ | {"OPENUS_MIRRORS": json.dumps(mirrors)}
        while kills < asked.kills:
            rounds += 1
            root = folder / f"raw{rounds}"
            while True:
                here = {path.name[1:-8]: path.stat().st_size for path in root.rglob(".*.partial")}
                server.asked.clear()
                command = [sys.executable, "-c", COMMAND, "fetch", "hc18", "--root", str(root)]
                child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
                began = time.monotonic()
                limit = 0.4 + chance.random() * 1.2
                while child.poll() is None and time.monotonic() - began < limit:
                    time.sleep(0.01)
                killed = child.poll() is None and kills < asked.kills
                if killed:
                    os.kill(child.pid, signal.SIGKILL)
                    kills += 1
                _, errors = child.communicate()
                for request in [one for one in server.asked if one.path.endswith("/content")]:
                    file = request.path.split("/")[-2]
                    begin = int(request.headers.get("range", "bytes=0-")[6:-1])
                    if begin != here.pop(file, 0):
                        raise SystemExit(f"{file} was asked for from {begin}, not from where it stopped")
                    resumed += begin > 0
                if not killed:
                    if child.returncode:
                        raise SystemExit(errors.decode())
                    break
            lock = read(root / "hc18")
            assert lock is not None
            wrong = differences(root / "hc18", lock)
            left = [path.name for path in root.rglob(".*")]
            if wrong or left:
                raise SystemExit(f"round {rounds}: {wrong} {left}")
    print(f"{kills} kills in {rounds} rounds, {resumed} files gone on with from where they stopped: all whole")


if __name__ == "__main__":
    main()
