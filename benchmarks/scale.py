"""Time and memory of `decide` and `pack` on a large corpus: made-up frames, multiplied from a real staging folder.

    python benchmarks/scale.py --staging corpus.staging --frames 100000 [--exact-only]

Each frame has the columns of a real one, pixels of its own (a thumbnail of two real ones, warped and mixed) and one
in a hundred is a warped copy of one before it. Half of them are stills, half stand in clips of 50; a fiftieth is
held out. The pictures' bytes are 2 kB of noise, for pack only copies them. The work is done in a new process, whose
peak memory is shown after each pass.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openus import manifest, sources
from openus.build import Curated, decide, pack
from openus.build.staging import ITEMS, STAGED, Segments, unit_key
from openus.dedup import align
from openus.params import Params

HELD_OUT = "bus-bra"
SOURCES = ("busi", "hc18", "ddti", "stu-hospital", "blues")
STAGED_NAMES, ITEM_NAMES = ({name for name, _, _ in columns} for columns in (STAGED, ITEMS))
NOBODY = dict.fromkeys(("patient_id", "study_id", "video_id", "header_patient", "header_study", "carries"))
CLIP = 50
NOISE = 2048
"""Bytes of a picture."""
AT_ONCE = 2048
SEGMENT = 8 << 20
"""Bytes of a segment's pictures: about as many frames as there are in 64 MiB of real ones."""


def real_rows(staging: Path) -> list[dict[str, Any]]:
    """Rows of real frames, each with its item under `item`."""
    found = []
    for folder in sorted(path for path in staging.iterdir() if path.is_dir()):
        items = {item["unit"]: item for item in manifest.read(folder / "items.parquet").to_pylist()}
        for part in Segments(folder).parts(items.keys()):
            for row in part.to_pylist():
                if row["thumb"] is not None and row["quality"] is None and row["selection"] == "keep":
                    found.append(row | {"item": items[row["unit"]]})
    return found


def thumbnails(real: NDArray[np.uint8], count: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Each two real ones warped and laid on each other; one in a hundred a warped copy of an earlier one."""
    earlier = np.zeros((0, 64, 64), np.uint8)
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        warped = warp(real[rng.integers(0, len(real), 2 * size)], 0.15, rng)
        some = np.maximum(warped[:size], warped[size:])
        if len(earlier):
            copies = warp(earlier[rng.integers(0, len(earlier), size // 100)], 0.05, rng)
            some[: len(copies)] = np.clip(copies + rng.normal(0, 2, copies.shape), 0, 255)
        earlier = some.astype(np.uint8)
        yield from earlier


def warp(thumbs: NDArray[np.uint8], most: float, rng: np.random.Generator) -> NDArray[np.float32]:
    params = np.tile(np.array(align.IDENTITY, np.float32), (len(thumbs), 1))
    params += rng.uniform(-most, most, params.shape).astype(np.float32)
    return align.warp(thumbs.astype(np.float32), params)[0]


def make(staging: Path, real: list[dict[str, Any]], frames: int) -> None:
    """Write a staging folder of `frames` frames."""
    rng = np.random.default_rng(0)
    thumbs = thumbnails(np.stack([np.frombuffer(row["thumb"], np.uint8).reshape(64, 64) for row in real]), frames, rng)
    for slug in (HELD_OUT, *SOURCES):
        segments, items = Segments(staging / slug, max_bytes=SEGMENT), []
        segments.clean()
        count = frames // 50 if slug == HELD_OUT else (frames - frames // 50) // len(SOURCES)
        while count > 0:
            path = f"{len(items):08}.bin"
            unit = unit_key(path, None, hashlib.sha256(path.encode()).hexdigest(), slug)
            size = min(count, CLIP if len(items) % (CLIP + 1) == 0 else 1)
            like = real[rng.integers(0, len(real))]
            rows = [
                {name: value for name, value in (like | NOBODY).items() if name in STAGED_NAMES}
                | {"unit": unit, "position": number, "frame_index": number if size > 1 else None, "repeats": None}
                | {"pixel_sha256": rng.bytes(32).hex(), "thumb": next(thumbs).tobytes(), "extension": "jpg"}
                for number in range(size)
            ]
            segments.append(unit, rows, [rng.bytes(NOISE) for _ in rows])
            item = {name: value for name, value in (like["item"] | NOBODY).items() if name in ITEM_NAMES}
            items.append(item | {"id": path, "path": path, "unit": unit, "content_sha256": "0" * 64})
            count -= size
        segments.commit()
        manifest.write(manifest.table(items, ITEMS), staging / slug / "items.parquet")
        (staging / slug / "curated.json").write_text(json.dumps(asdict(Curated(slug, files_taken=len(items)))))


def work(staging: Path, near: bool) -> None:
    """decide and pack, with what they took."""
    params = Params()
    params = replace(params, dedup=replace(params.dedup, near=near))
    chosen = [sources.load(slug) for slug in (HELD_OUT, *SOURCES)]
    began = time.monotonic()
    decisions = decide(chosen, staging, params)
    print(f"decide  {time.monotonic() - began:7.0f} s, peak {peak():7.0f} MiB", flush=True)
    began = time.monotonic()
    packed = pack(decisions, staging, staging.with_name("out"), 0, params.shards)
    print(f"pack    {time.monotonic() - began:7.0f} s, peak {peak():7.0f} MiB")
    print(f"{decisions.table.num_rows} rows, {packed.samples} kept")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--staging", type=Path, required=True, help="of a build of real files")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--exact-only", action="store_true", help="without the search for near duplicates")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.staging, not args.exact_only)
        return
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary, "staging")
        make(staging, real_rows(args.staging), args.frames)
        words = [sys.executable, __file__, "--staging", str(staging), "--worker"]
        subprocess.run(words + ["--exact-only"] * args.exact_only, check=True)


if __name__ == "__main__":
    main()
