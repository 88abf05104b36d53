"""Samples per second of our loader beside bare JPEG decoding, plain webdataset and PNG files, in one run.

    python benchmarks/loader.py --corpus corpus [--workers 1 2] [--repeat 15]

    bare         cv2.imdecode, gray, of the same bytes in memory in shuffled order; nothing else is done
    ours         model.data.loader: read, decode, augment, mask noise, batch; in the middle of a long pass
    webdataset   a pipeline over the same pictures: shuffle(1000), cv2.imdecode, the same augmentation, batched
    png          a torch DataLoader over a folder of the same pictures as PNG: cv2.imread, the same augmentation

All on the same number of processes, which are in the middle of their work when the clock starts and when it stops;
only the peers' pipelines fill anew in each pass. Rounds are interleaved, so that what else the machine does meets all
alike; medians over the rounds count, of the rates and of the ratios to bare in the same round. Processor time is that
of all processes together: what a sample costs, also on a machine that others use.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import webdataset
from interval import median_interval
from torch.utils.data import DataLoader, Dataset

from model.augment import WORDS, SampleRandom, draw_views, uniform
from model.data import PREFETCH, Pictures, PretrainDataset, Shards, Steps, loader, read_pictures
from model.params import AugmentParams

BATCH = 64
LEAST = 3000
"""Pictures a round: of a small corpus several passes."""
PATCHES = 196
AUGMENT = AugmentParams()
GRAY = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION

Round = Callable[[], Iterator[int]]
"""Yields numbers of pictures as they are done, and a 0 when the clock is to start and when it is to stop."""


def settle(_: int = 0) -> None:
    """In each worker: OpenCV on one thread, as in ours."""
    cv2.setNumThreads(1)


def chosen(corpus: Path, least: int) -> Pictures:
    """What all contenders work on."""
    pictures = read_pictures(corpus, role="pretrain")
    return pictures.take(np.minimum(pictures.width, pictures.height) >= least)


def passes(pictures: Pictures) -> int:
    return -(-LEAST // len(pictures))


# ---- bare

_held: list[bytes] = []


def hold(corpus: Path, least: int) -> None:
    settle()
    pictures = chosen(corpus, least)
    shards = Shards(pictures)
    _held[:] = [shards.read(row) for row in range(len(pictures))]


def decode_held(rows: list[int]) -> int:
    for row in rows:
        cv2.imdecode(np.frombuffer(_held[row], np.uint8), GRAY)
    return len(rows)


def bare(corpus: Path, least: int, pictures: Pictures, workers: int) -> Round:
    pool = get_context("forkserver").Pool(workers, hold, (corpus, least))
    order = random.Random(0).sample(range(len(pictures)), len(pictures))
    parts = [order[at : at + BATCH] for at in range(0, len(order), BATCH)] * passes(pictures)
    ahead = 2 * workers

    def work() -> Iterator[int]:
        done = pool.imap_unordered(decode_held, parts[:ahead] + parts + parts[:ahead])
        for _ in range(ahead):
            next(done)
        yield 0
        yield from islice(done, len(parts))
        yield 0
        yield from done

    return work


# ---- ours


def ours(pictures: Pictures, workers: int, size: int) -> Round:
    dataset = PretrainDataset(pictures, AUGMENT, size=size, channels=1, patches=PATCHES, seed=0)
    count, ahead = len(pictures) * passes(pictures) // BATCH, 2 * PREFETCH * workers
    steps = Steps(pictures.groups("source"), power=1.0, size=len(pictures), seed=0, batch=BATCH, micro_batch=BATCH,
                  start=0, total=count + 2 * ahead)  # fmt: skip
    batches = loader(dataset, steps, workers=workers)

    def work() -> Iterator[int]:
        """Workers end with their pass, so each round starts new ones. The clock runs from batch to batch: as many are
        ready when it starts as when it stops."""
        found = iter(batches)
        for _ in range(ahead):
            next(found)
        yield 0
        yield from (len(images) for images, _ in islice(found, count))
        yield 0
        found.close()

    return work


# ---- peers


class Augment:
    """Bytes or pixels to (picture, noise): crop, flip and noise as in ours, as one writes them for one picture."""

    def __init__(self, size: int) -> None:
        self.size, self.random, self.noise = size, random.Random(0), np.random.default_rng(0)

    def __call__(self, picture: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        x, y, w, h = self.box(picture.shape[1], picture.shape[0])
        shown = cv2.resize(picture[y : y + h, x : x + w], (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        if self.random.random() < AUGMENT.flip_horizontal:
            shown = cv2.flip(shown, 1)
        return shown, self.noise.random(PATCHES, np.float32)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """RandomResizedCrop; where ten tries fail, the picture's largest centred square."""
        (small, large), (narrow, wide) = AUGMENT.crop_area, AUGMENT.crop_ratio
        for _ in range(10):
            area = width * height * self.random.uniform(small, large)
            ratio = math.exp(self.random.uniform(math.log(narrow), math.log(wide)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return self.random.randrange(width - w + 1), self.random.randrange(height - h + 1), w, h
        side = min(width, height)
        return (width - side) // 2, (height - side) // 2, side, side

    def sample(self, sample: dict[str, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        content = sample.get("jpg") or sample["png"]
        return self(cv2.imdecode(np.frombuffer(content, np.uint8), GRAY))


def write_shards(pictures: Pictures, folder: Path, count: int) -> list[str]:
    """The same pictures in `count` tars: webdataset gives each process whole shards, and the corpus may have one."""
    shards = Shards(pictures)
    order = random.Random(1).sample(range(len(pictures)), len(pictures))
    paths = [folder / f"{number:03}.tar" for number in range(count)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as tar:
            for row in order[number::count]:
                content = shards.read(row)
                suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
                member = tarfile.TarInfo(f"{pictures.key[row]}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return [str(path) for path in paths]


def plain_webdataset(pictures: Pictures, urls: list[str], workers: int, size: int) -> Round:
    pipeline = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(1000)
    pipeline = pipeline.map(Augment(size).sample).batched(BATCH)
    batches = DataLoader(pipeline, batch_size=None, num_workers=workers, persistent_workers=True, prefetch_factor=4,
                         worker_init_fn=settle, multiprocessing_context="forkserver")  # fmt: skip
    return lambda: chain([0], (len(images) for _ in range(passes(pictures)) for images, _ in batches))


class PngFolder(Dataset[Any]):
    def __init__(self, folder: Path, size: int) -> None:
        self.paths, self.augment = [str(path) for path in sorted(folder.iterdir())], Augment(size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> Any:
        return self.augment(cv2.imread(self.paths[at], GRAY))


def write_png(pictures: Pictures, folder: Path) -> None:
    shards = Shards(pictures)
    for row in range(len(pictures)):
        cv2.imwrite(str(folder / f"{pictures.key[row]}.png"), shards.picture(row, 1))


def png(pictures: Pictures, folder: Path, workers: int, size: int) -> Round:
    batches = DataLoader(PngFolder(folder, size), batch_size=BATCH, shuffle=True, num_workers=workers,
                         persistent_workers=True, prefetch_factor=4, worker_init_fn=settle,
                         multiprocessing_context="forkserver")  # fmt: skip
    return lambda: chain([0], (len(images) for _ in range(passes(pictures)) for images, _ in batches))


# ---- the run


def processor_seconds() -> float:
    """Of this process and its living children, whoever else is on the machine (Linux)."""
    total = time.process_time()
    for child in active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def rounds(contenders: dict[str, Round], repeat: int) -> dict[str, list[tuple[float, float]]]:
    """(seconds, processor seconds) a sample of each round, after one round that warms up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(repeat + 1):
        for name, work in contenders.items():
            done = work()
            next(done)
            began, used = time.perf_counter(), processor_seconds()
            count = 0
            while some := next(done, 0):
                count += some
            ended, spent = time.perf_counter(), processor_seconds()
            if number:
                found[name].append(((ended - began) / count, (spent - used) / count))
            for _ in done:  # what was ahead
                pass
    return found


def show_rounds(found: dict[str, list[tuple[float, float]]]) -> None:
    """Medians, and those of the ratios to bare in the same round with their 95 % intervals."""
    for name, values in found.items():
        wall, used = (statistics.median(column) for column in zip(*values, strict=True))
        ratios = [
            median_interval([at_bare / taken for at_bare, taken in zip(a, b, strict=True)])
            for a, b in zip(zip(*found["bare"], strict=True), zip(*values, strict=True), strict=True)
        ]
        by_wall, by_used = (f"{middle:.2f} ({low:.2f}–{high:.2f})" for low, middle, high in ratios)
        print(f"  {name:12} {1 / wall:6.0f} samples/s, {by_wall} of bare;  "
              f"{used * 1e6:5.0f} µs of processor time a sample, {by_used} of bare")  # fmt: skip


def parts(pictures: Pictures, size: int, repeat: int) -> dict[str, list[float]]:
    """Seconds a sample in one process, pass by pass: ours, and what of it no loader on OpenCV can do without.

    Contenders take turns batch by batch, each with another batch than the others.
    """
    dataset = PretrainDataset(pictures, AUGMENT, size=size, channels=1, patches=PATCHES, seed=0)
    shards = Shards(pictures)
    rows = random.Random(0).sample(range(len(pictures)), len(pictures))
    held = [shards.read(row) for row in range(len(pictures))]
    words = SampleRandom(0, "view", WORDS).batch([1] * len(pictures), range(len(pictures)))
    views = draw_views(pictures.width, pictures.height, AUGMENT, uniform(words))
    images, noise = (memory.numpy() for memory in dataset.room(8, BATCH))

    def bare(some: list[int], _: int) -> None:
        for row in some:
            cv2.imdecode(np.frombuffer(held[row], np.uint8), GRAY)

    def decoded(some: list[int], _: int) -> None:
        for _top in shards.pictures(some, 1, [views[row].rows for row in some]):
            pass

    def resized(some: list[int], at: int) -> None:
        tops = shards.pictures(some, 1, [views[row].rows for row in some])
        for row, out in zip(some, images[at // BATCH % 8], strict=True):
            _, x, y, w, h, *_ = views[row]
            cv2.resize(next(tops)[y : y + h, x : x + w], (size, size), dst=out, interpolation=cv2.INTER_LINEAR)

    def ours(some: list[int], at: int) -> None:
        place = at // BATCH % 8
        dataset.fill([(row, 0, at + number) for number, row in enumerate(some)], images[place], noise[place])

    contenders = {"bare": bare, "read, decoded to the crop's end": decoded, "and resized": resized, "ours": ours}
    starts = range(0, len(rows) - BATCH + 1, BATCH)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(repeat + 1):
        order = random.Random(number).sample(starts, len(starts))
        taken = dict.fromkeys(contenders, 0.0)
        for turn in range(len(order)):
            names = list(contenders)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:  # none is always first
                at = order[(turn + names.index(name) * len(order) // len(names)) % len(order)]
                began = time.perf_counter()
                contenders[name](rows[at : at + BATCH], at)
                taken[name] += time.perf_counter() - began
        for name, seconds in taken.items():
            if number:
                found[name].append(seconds / (len(order) * BATCH))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--only", nargs="*", default=["ours", "webdataset", "png"], help="beside bare")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--least", type=int, default=0, help="only pictures with so many pixels on each side")
    args = parser.parse_args()
    settle()
    torch.set_num_threads(1)
    pictures = chosen(args.corpus, args.least)
    print(f"{len(pictures)} pictures, {pictures.width.mean():.0f} × {pictures.height.mean():.0f} pixels and "
          f"{pictures.size.mean() / 1000:.0f} kB on average, to {args.size} × {args.size}")  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary, name) for name in ("png", "tar")]
        for folder in folders:
            folder.mkdir()
        urls: list[str] = []
        if "png" in args.only:
            write_png(pictures, folders[0])
        if "webdataset" in args.only:
            urls = write_shards(pictures, folders[1], 16)
        for workers in args.workers:
            contenders: dict[str, Callable[[], Round]] = {
                "bare": lambda: bare(args.corpus, args.least, pictures, workers),  # noqa: B023 - called within the loop
                "ours": lambda: ours(pictures, workers, args.size),  # noqa: B023
                "webdataset": lambda: plain_webdataset(pictures, urls, workers, args.size),  # noqa: B023
                "png": lambda: png(pictures, folders[0], workers, args.size),  # noqa: B023
            }
            print(f"{workers} worker{'s' * (workers > 1)}")
            show_rounds(rounds({name: contenders[name]() for name in ("bare", *args.only)}, args.repeat))
    print("one process")
    found = parts(pictures, args.size, args.repeat)
    for name, values in found.items():
        low, middle, high = median_interval(
            [at_bare / taken for at_bare, taken in zip(found["bare"], values, strict=True)]
        )
        print(f"  {name:32} {statistics.median(values) * 1e6:6.1f} µs, {middle:.2f} ({low:.2f}–{high:.2f}) of bare")


if __name__ == "__main__":
    main()
