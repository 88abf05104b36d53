"""Frames per second of our per-file work beside the bare decode → resize → encode loop, in one run, on one core.

    python benchmarks/pipeline.py --real ../shared/real [--repeat 3]

The peer is what a person writes in ten lines of OpenCV: read a picture or clip, gray, shrink to 512, JPEG 95; no
crop, no fingerprint, no checks. Ours is `openus.build.stage.stage_file`, the whole of a worker's work. Both run over
the same files in turns, in this process, on one thread; the best of the repeats counts. `every frame` also encodes
what selection drops, as the peer does.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from openus.build import salt_from
from openus.build.stage import Task, stage_file
from openus.params import Params

GROUPS = {
    "stills (busi, bus-bra, hc18, ddti, mmotu)": ["busi", "bus-bra", "hc18", "ddti", "mmotu-2d"],
    "clips (blues, pocus)": ["blues", "pocus"],
}


def files(real: Path, slugs: list[str]) -> list[tuple[Path, str]]:
    """(root, path) of what the sources take."""
    from openus import sources

    found = []
    for slug in slugs:
        root = real / "sources" / slug
        found += [(root, item.path) for item in sources.load(slug).items(root)]
    return found


def shrink_and_encode(picture: cv2.typing.MatLike) -> None:
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    scale = 512 / max(gray.shape)
    if scale < 1:
        size = round(gray.shape[1] * scale), round(gray.shape[0] * scale)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 95])


def bare(root: Path, path: str) -> int:
    name = str(root / path)
    if path.lower().endswith((".png", ".jpg")):
        picture = cv2.imread(name, cv2.IMREAD_COLOR)
        assert picture is not None
        shrink_and_encode(picture)
        return 1
    clip = cv2.VideoCapture(name)
    count = 0
    while True:
        found, picture = clip.read()
        if not found:
            return count
        shrink_and_encode(picture)
        count += 1


def ours(every_frame: bool) -> Callable[[Path, str], int]:
    params = Params()

    def run(root: Path, path: str) -> int:
        done = stage_file(Task(root, path, None, params, "benchmark", salt_from({}), every_frame))
        return len(done.rows)

    return run


def seconds(work: Callable[[Path, str], int], given: list[tuple[Path, str]]) -> tuple[float, int]:
    began = time.process_time()
    frames = sum(work(root, path) for root, path in given)
    return time.process_time() - began, frames


def peak_memory(real: Path) -> None:
    """Peak resident memory of a whole build of the clips, parent and workers, in its own processes."""
    command = (
        "import resource, sys, tempfile; from pathlib import Path; from click.testing import CliRunner;"
        "from openus.cli import main;"
        "out = tempfile.mkdtemp();"
        f"words = ['build-shards', 'blues', 'pocus', '--root', {str(real / 'sources')!r}, '--out', out + '/o'];"
        "assert CliRunner().invoke(main, words).exit_code == 0;"
        "used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)];"
        "print(*used)"
    )
    ran = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    parent, worker = (int(word) / 1024 for word in ran.stdout.split())
    print(f"peak memory of a build of all clips: parent {parent:.0f} MiB, largest worker {worker:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for title, slugs in GROUPS.items():
        given = files(args.real, slugs)
        works = {"bare loop": bare, "ours": ours(False), "ours, every frame": ours(True)}
        best: dict[str, float] = {}
        counts: dict[str, int] = {}
        for _ in range(args.repeat):
            for name, work in works.items():
                took, counts[name] = seconds(work, given)
                best[name] = min(best.get(name, took), took)
        print(title)
        base = counts["bare loop"] / best["bare loop"]
        for name, took in best.items():
            rate = counts[name] / took
            print(f"  {name:20} {counts[name]:6} frames  {rate:7.1f} frames/s  ratio {rate / base:.2f}")
    peak_memory(args.real)
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
