"""Does the duplicate search find what it should, and nothing else? Measured on real files, beside a plain pHash.

    python benchmarks/dedup.py --real FOLDER [--sheets FOLDER] [--rows 10000 50000]

Pictures go through the real decoder and the real normalisation first. Prints recall over `known_pairs.csv` by relation
(all frames of a clip, and only those that selection keeps), recall under transforms, matches that touch BUS-BRA (a set
known to hold no near-duplicate, so each one is false), all other pairs found by source (`--sheets` writes them as
pictures, to be judged by eye), and time and memory of a self-join.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openus import decode, normalise, storage
from openus.data import Frame, Pixels
from openus.dedup import align
from openus.dedup.fingerprint import pixel_sha256, thumbnail
from openus.dedup.search import Fingerprints, matches
from openus.dedup.select import select
from openus.errors import FileError
from openus.params import DecodeParams, DedupParams, NormaliseParams, SelectParams

NOT_PICTURES = (
    "_mask", "/mask_", "/mask/", "kidneyus", "_labels", "/Masks/", "/annotations/", "_tumor", "_other", "_Annotation",
    "Expert mask", "test-mask", "thyroid-mask", "moving_images", "NrrdSample", "MouseLiverRF", "tables/",
)  # fmt: skip


Best = tuple[float, int, int]
"""Score and rows of the best pair of frames of two files."""


@dataclass
class Pictures:
    """Normalised frames as columns: file, pixels, sha, pHash of the whole picture, thumbnail, kept by selection."""

    path: list[str]
    pixels: list[Pixels]
    sha: list[str]
    plain: NDArray[np.uint64]
    prints: Fingerprints
    selected: NDArray[np.bool_]


def normalised(path: Path) -> Iterator[tuple[Frame, Frame]]:
    """(decoded, normalised) frames of a file, all held at once: the files here are small."""
    whole: list[Frame] = []
    with contextlib.suppress(FileError):
        whole.extend(decode.frames(path, DecodeParams()))
    if whole:
        alike = [f.pixels for f in whole if f.pixels.shape[:2] == whole[0].pixels.shape[:2]]
        geometry = normalise.fit(alike, NormaliseParams())
        yield from ((frame, normalise.apply(frame, geometry, NormaliseParams())) for frame in whole)


def load(root: Path) -> Pictures:
    """Every picture of the real files, blank frames left out as `build` leaves them out."""
    names, pixels, sha, thumbs, plain, selected, group = [], [], [], [], [], [], []
    files, _ = storage.walk(root)
    for number, name in enumerate(f for f in files if not any(part in f"/{f}" for part in NOT_PICTURES)):
        first = len(thumbs)
        for raw, frame in normalised(root / name):
            if frame.quality == "blank":
                continue
            names.append(name)
            pixels.append(frame.pixels)
            sha.append(pixel_sha256(raw.pixels))
            thumbs.append(thumbnail(frame.pixels))
            plain.append(plain_phash(frame.pixels))
            group.append(number)
        selected += [d.choice == "keep" for d in select(thumbs[first:], SelectParams())]
    prints = Fingerprints(np.stack(thumbs), sha, np.array(group, np.int64))
    return Pictures(names, pixels, sha, np.array(plain, np.uint64), prints, np.array(selected))


def plain_phash(pixels: Pixels) -> int:
    """The 64-bit pHash as imagehash takes it: of the whole picture, 32 x 32, no content box."""
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    low = cv2.dct(cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[:8, :8]
    return int.from_bytes(np.packbits(low.ravel() > np.median(low)).tobytes(), "big")


def file_pairs(found: Iterator[tuple[int, int, float]], path: list[str]) -> dict[tuple[str, str], Best]:
    """The best pair of frames for each pair of files, both ways round under one name."""
    best: dict[tuple[str, str], Best] = {}
    for i, j, score in found:
        name = (min(path[i], path[j]), max(path[i], path[j]))
        if name not in best or score > best[name][0]:
            best[name] = (score, i, j)
    return best


def ours(pictures: Pictures, rows: NDArray[np.int64]) -> dict[tuple[str, str], Best]:
    """Pairs of files that the search finds among these rows."""
    found = matches(pictures.prints.take(rows), None, DedupParams())
    return file_pairs(((int(rows[m.i]), int(rows[m.j]), m.score) for m in found), pictures.path)


def by_phash(pictures: Pictures, most: int) -> dict[tuple[str, str], Best]:
    """Pairs of files with a pair of frames within `most` bits of plain pHash."""

    def found() -> Iterator[tuple[int, int, float]]:
        for i, value in enumerate(pictures.plain):
            distance = np.bitwise_count(pictures.plain[i + 1 :] ^ value)
            near = (distance <= most) & (pictures.prints.group[i + 1 :] != pictures.prints.group[i])
            yield from ((i, i + 1 + int(j), 1 - int(distance[j]) / 64) for j in np.flatnonzero(near))

    return file_pairs(found(), pictures.path)


def known(root: Path) -> dict[tuple[str, str], str]:
    """known_pairs.csv: pair of files -> relation without its numbers."""
    with (root / "known_pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        (min(r["a"], r["b"]), max(r["a"], r["b"])): " ".join(w for w in r["relation"].split() if not w.isdigit())
        for r in rows
    }


def source(path: str) -> str:
    """The source or archive that a path lies in."""
    return path.split("/")[1]


COPIES = ("busi busi-resized-copy", "hc18 hc18-renumbered", "pocovid-frames pocus", "mmotu-2d ultrasam-mmotu-sample")


def related(a: str, b: str) -> bool:
    """Whether two files lie in one source or in a source and a copy of it."""
    return source(a) == source(b) or " ".join(sorted((source(a), source(b)))) in COPIES


def report_known(title: str, found: dict[tuple[str, str], Best], truth: dict[tuple[str, str], str]) -> None:
    """Recall by relation, misses by name, and what was found beyond."""
    total, hit = Counter(truth.values()), Counter(truth[pair] for pair in truth if pair in found)
    bus_bra = [pair for pair in found if any(source(name) == "bus-bra" for name in pair)]
    beyond = sum(pair not in truth for pair in found)
    print(f"\n== {title}: {sum(hit.values())} of {len(truth)} known pairs")
    strangers = [pair for pair in found if not related(*pair)]
    print(f"   {len(bus_bra)} false pairs with BUS-BRA; {len(strangers)} between sources that share nothing (false)")
    print(f"   {beyond} pairs beyond the known ones")
    for relation in sorted(total):
        print(f"   {hit[relation]:4d} of {total[relation]:4d}  {relation}")
    missed = [pair for pair in sorted(truth) if pair not in found]
    for pair in missed[:20]:
        print("   missed:", *pair, sep="\n      ")
    for pair in bus_bra[:20]:
        print("   false: ", *pair, found[pair][0])


def report_beyond(found: dict[tuple[str, str], Best], truth: dict[tuple[str, str], str]) -> None:
    """Pairs that nobody listed, by source and score."""
    edges = np.array([0.80, 0.82, 0.85, 0.88, 0.91, 0.94, 0.97, 1.001])
    print(f"\n== pairs beyond the known ones, by best score {edges[:-1]}")
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (a, b), (score, _, _) in found.items():
        if (a, b) not in truth:
            scores[min(source(a), source(b)), max(source(a), source(b))].append(score)
    for name in sorted(scores):
        print(f"   {name[0]:20s} {name[1]:20s} {np.histogram(scores[name], edges)[0]}")


def write_sheets(
    folder: Path,
    pictures: Pictures,
    found: dict[tuple[str, str], Best],
    truth: dict[tuple[str, str], str],
) -> None:
    """The pairs beyond the known ones as pictures, lowest scores first, 24 a sheet, by sources."""
    folder.mkdir(parents=True, exist_ok=True)
    sets: dict[str, list[Best]] = defaultdict(list)
    for pair, value in found.items():
        if pair not in truth:
            sets["-".join(sorted(source(name) for name in pair))].append(value)
    for name, values in sets.items():
        values.sort()
        for start in range(0, len(values), 24):
            cells = [_cell(pictures, *value) for value in values[start : start + 24]]
            cells += [np.zeros_like(cells[0])] * (-len(cells) % 4)
            rows = [np.hstack(cells[at : at + 4]) for at in range(0, len(cells), 4)]
            cv2.imwrite(str(folder / f"{name}-{start // 24:02d}.png"), np.vstack(rows))


def _cell(pictures: Pictures, score: float, i: int, j: int, side: int = 150) -> Pixels:
    """Two pictures side by side under their names."""
    cell = np.full((side + 26, 2 * side + 6), 60, np.uint8)
    for at, row in enumerate((i, j)):
        gray = pictures.pixels[row]
        gray = gray if gray.ndim == 2 else cv2.cvtColor(gray, cv2.COLOR_RGB2GRAY)
        scale = side / max(gray.shape)
        small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cell[26 : 26 + small.shape[0], at * side : at * side + small.shape[1]] = small
    for at, row in enumerate((i, j)):
        text = f"{score:.2f} {pictures.path[row][-36:]}"
        cv2.putText(cell, text, (2, 10 + 12 * at), cv2.FONT_HERSHEY_SIMPLEX, 0.33, 255, 1)
    return cell


def _crop(pixels: Pixels, most: float, rng: np.random.Generator) -> Pixels:
    rows, columns = pixels.shape[:2]
    top, bottom, left, right = rng.uniform(0, most, 4)
    return np.ascontiguousarray(
        pixels[int(top * rows) : rows - int(bottom * rows), int(left * columns) : columns - int(right * columns)]
    )


def _resize(pixels: Pixels, scale: float) -> Pixels:
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way)


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_UNCHANGED)


def _gamma(pixels: Pixels, gamma: float) -> Pixels:
    return np.rint(255 * (pixels / 255.0) ** gamma).astype(np.uint8)


def _square(pixels: Pixels) -> Pixels:
    rows, columns = pixels.shape[:2]
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    return cv2.copyMakeBorder(
        pixels, top, side - rows - top, left, side - columns - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )


def _marked(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Two calipers with dotted lines and two lines of text."""
    marked = pixels.copy()
    rows, columns = pixels.shape[:2]
    white = (255, 255, 255)
    for _ in range(2):
        a, b = rng.uniform(0.2, 0.8, (2, 2)) * (columns, rows)
        for end in (a, b):
            cv2.drawMarker(marked, end.astype(int).tolist(), white, cv2.MARKER_CROSS, max(5, columns // 30), 1)
        for at in np.linspace(0, 1, 20):
            cv2.circle(marked, (a + (b - a) * at).astype(int).tolist(), max(1, columns // 400), white, -1)
    cv2.putText(
        marked, "LEFT 12.3 mm", (columns // 20, rows * 19 // 20), 0, columns / 800, white, max(1, columns // 400)
    )
    cv2.putText(marked, "12:03:44", (columns * 7 // 10, rows // 16), 0, columns / 800, white, max(1, columns // 400))
    return marked


Transform = Callable[[Pixels, np.random.Generator], Pixels]
TRANSFORMS: dict[str, Transform] = {
    "resize 0.3": lambda p, _: _resize(p, 0.3),
    "resize 0.6": lambda p, _: _resize(p, 0.6),
    "resize 2": lambda p, _: _resize(p, 2),
    "JPEG q50": lambda p, _: _jpeg(p, 50),
    "JPEG q75": lambda p, _: _jpeg(p, 75),
    "JPEG q95": lambda p, _: _jpeg(p, 95),
    "gamma 0.8": lambda p, _: _gamma(p, 0.8),
    "gamma 1.25": lambda p, _: _gamma(p, 1.25),
    "crop <=5 % a side": lambda p, rng: _crop(p, 0.05, rng),
    "crop <=10 % a side": lambda p, rng: _crop(p, 0.10, rng),
    "mirror": lambda p, _: np.ascontiguousarray(p[:, ::-1]),
    "letterbox": lambda p, _: _square(p),
    "calipers, text": _marked,
    "mirror + JPEG q60": lambda p, _: _jpeg(np.ascontiguousarray(p[:, ::-1]), 60),
    "crop 5 % + gamma": lambda p, rng: _gamma(_crop(p, 0.05, rng), rng.choice([0.8, 1.25])),
    "crop 5 % + mirror": lambda p, rng: np.ascontiguousarray(_crop(p, 0.05, rng)[:, ::-1]),
    "letterbox + resize 0.4": lambda p, _: _resize(_square(p), 0.4),
    "calipers + crop 5 %": lambda p, rng: _crop(_marked(p, rng), 0.05, rng),
    "resize 0.5 + JPEG q60": lambda p, _: _jpeg(_resize(p, 0.5), 60),
}


def report_transforms(pictures: Pictures, count: int = 300) -> None:
    """Recall of a transformed copy among `count` pictures, one of each file, by transform."""
    rng = np.random.default_rng(0)
    originals = [row for row, name in enumerate(pictures.path) if not name.startswith("copies/")]
    middle: dict[str, list[int]] = defaultdict(list)
    for row in originals:
        middle[pictures.path[row]].append(row)
    one_each = np.array([rows[len(rows) // 2] for rows in middle.values()])
    rows = np.sort(rng.permutation(one_each)[:count])
    base = pictures.prints.take(rows)
    peer = pictures.plain[rows]
    print(f"\n== recall of a transformed copy among {len(rows)} pictures: ours, pHash <= 5, pHash <= 10")
    for name, transform in TRANSFORMS.items():
        rng = np.random.default_rng(1)
        copies = [transform(pictures.pixels[row], rng) for row in rows]
        thumbs = np.stack([thumbnail(copy) for copy in copies])
        table = Fingerprints(thumbs, [f"copy {row}" for row in rows], base.group)
        hits = sum(m.i == m.j for m in matches(base, table, DedupParams()))
        distance = np.bitwise_count(peer ^ np.array([plain_phash(copy) for copy in copies], np.uint64))
        shares = [hits / len(rows), *((distance <= most).mean() for most in (5, 10))]
        print(f"   {name:24s} " + " ".join(f"{share:6.1%}" for share in shares), flush=True)


def report_scale(pictures: Pictures, n: int) -> None:
    """Time and memory of a self-join of n made-up thumbnails (two real ones mixed, warped), one in a hundred twice."""
    rng = np.random.default_rng(2)
    real = pictures.prints.thumbs
    thumbs = np.empty((n, *real.shape[1:]), np.uint8)
    for start in range(0, n, 2048):
        size = min(2048, n - start)
        params = np.tile(np.array(align.IDENTITY, np.float32), (2 * size, 1))
        params += rng.uniform(-0.15, 0.15, params.shape).astype(np.float32)
        drawn = real[rng.integers(0, len(real), 2 * size)].astype(np.float32)
        warped, _ = align.warp(drawn, params)
        thumbs[start : start + size] = np.maximum(warped[:size], warped[size:])
    twins = n // 100
    params = np.tile(np.array(align.IDENTITY, np.float32), (twins, 1))
    params += rng.uniform(-0.05, 0.05, params.shape).astype(np.float32)
    warped, _ = align.warp(thumbs[:twins].astype(np.float32), params)
    thumbs[-twins:] = np.clip(warped + rng.normal(0, 2, warped.shape), 0, 255)
    sha = [hashlib.sha256(thumb.tobytes()).hexdigest() for thumb in thumbs]
    prints = Fingerprints(thumbs, sha, np.full(n, -1, np.int64))
    began = time.perf_counter()
    found = {(m.i, m.j) for m in matches(prints, None, DedupParams())}
    wall = time.perf_counter() - began
    hits = sum((row, n - twins + row) in found for row in range(twins))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"   n = {n}: {wall:.1f} s, {hits} of {twins} planted pairs, {len(found)} in all, process peak {peak:.2f} GB",
        flush=True,
    )


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 50_000])
    options = parser.parse_args()
    truth = known(options.real)
    began = time.perf_counter()
    pictures = load(options.real)
    print(
        f"{len(pictures.path)} frames of {len(set(pictures.path))} files, {time.perf_counter() - began:.0f} s to read"
    )
    print(f"selection keeps {pictures.selected.sum()} frames")
    report_transforms(pictures)
    everything = np.arange(len(pictures.path))
    for most in (5, 10):
        report_known(f"plain pHash, Hamming <= {most}", by_phash(pictures, most), truth)
    began = time.perf_counter()
    found = ours(pictures, np.flatnonzero(pictures.selected))
    print(f"\nself-join of the selected frames: {time.perf_counter() - began:.0f} s")
    report_known("ours, selected frames only", found, truth)
    report_beyond(found, truth)
    if options.sheets:
        write_sheets(options.sheets, pictures, found, truth)
    began = time.perf_counter()
    found = ours(pictures, everything)
    print(f"\nself-join of all frames: {time.perf_counter() - began:.0f} s")
    report_known("ours, all frames", found, truth)
    pictures.pixels.clear()
    print("\n== self-join of made-up thumbnails")
    for n in options.rows:
        report_scale(pictures, n)


if __name__ == "__main__":
    main()
