"""Batches: the same bytes whoever loads them, and one sentence where they cannot be loaded."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toy
from toy import BATCH, make_steps

from model.augment import SampleRandom, mask_noise, mask_words
from model.data import Pictures, PretrainDataset, loader, read_pictures
from model.params import AugmentParams
from openus.errors import CorpusError, OpenusError

ROOT = Path(__file__).parents[2]

pictures = toy.pictures


def make_dataset(pictures: Pictures, seed: int = 0, channels: int = 1) -> PretrainDataset:
    return PretrainDataset(pictures, AugmentParams(), size=32, channels=channels, patches=16, seed=seed)


def batches(pictures: Pictures, workers: int, **changed: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    found = loader(make_dataset(pictures), make_steps(pictures, **changed), workers=workers)
    return [(images.numpy().copy(), noise.numpy().copy()) for images, noise in found]


def equal(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.fixture(scope="module")
def alone(pictures: Pictures) -> list[tuple[np.ndarray, np.ndarray]]:
    return batches(pictures, 0, total=30)


def test_batches_have_the_shapes_and_kinds_said(alone: list[tuple[np.ndarray, np.ndarray]]) -> None:
    images, noise = alone[0]
    assert images.shape == (4, 1, 32, 32) and images.dtype == np.uint8
    assert noise.shape == (4, 16) and noise.dtype == np.float32
    assert len(alone) == 60 and len({images.tobytes() for images, _ in alone}) == 60


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_no_byte(pictures: Pictures, alone: list[tuple[np.ndarray, np.ndarray]], workers: int) -> None:
    assert equal(batches(pictures, workers, total=30), alone)


def test_a_batch_holds_until_the_next_is_asked_for(
    pictures: Pictures, alone: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Workers run ahead of a slow consumer, and write into the same memory in turn."""
    found = []
    batches = loader(make_dataset(pictures), make_steps(pictures, total=30), workers=2)
    for images, noise in batches:
        time.sleep(0.01)
        found.append((images.numpy().copy(), noise.numpy().copy()))
    assert equal(found, alone)
    stopped = iter(batches)
    for _ in range(3):
        next(stopped)
    again = [(images.numpy().copy(), noise.numpy().copy()) for images, noise in batches]
    assert equal(again, alone), "a pass that was broken off leaves nothing"
    assert next(stopped, None) is None, "it has ended: its memory was taken"


def test_the_number_of_processes_changes_no_byte(
    pictures: Pictures, alone: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    parts = [batches(pictures, 0, total=30, rank=rank, world=2) for rank in range(2)]
    assert equal([micro for together in zip(*parts, strict=True) for micro in together], alone)


def test_a_resumed_loader_gives_the_tail(pictures: Pictures, alone: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert equal(batches(pictures, 1, total=30, start=23), alone[46:])


def test_the_seed_changes_crop_and_mask(pictures: Pictures) -> None:
    first, second, same = (make_dataset(pictures, seed)[5, 0, 0] for seed in (0, 1, 0))
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    other = make_dataset(pictures)[5, 1, 0]
    assert not torch.equal(first[0], other[0]) and not torch.equal(first[1], other[1])


def test_masks_share_no_words_with_crops(pictures: Pictures) -> None:
    dataset = make_dataset(pictures)
    masks, views = (SampleRandom(0, purpose, mask_words(dataset.patches)) for purpose in ("mask", "view"))
    found = dataset[5, 1, 7][1].numpy()
    assert np.array_equal(found, mask_noise(masks.words(1, 7), dataset.patches))
    assert not np.array_equal(found, mask_noise(views.words(1, 7), dataset.patches))


def test_three_channels(pictures: Pictures) -> None:
    gray = int(np.flatnonzero(pictures.channels == 1)[0])
    images, noise = make_dataset(pictures, channels=3)[gray, 0, 0]
    assert images.shape == (3, 32, 32) and torch.equal(images[0], images[2])
    alone, noise_alone = make_dataset(pictures)[gray, 0, 0]
    assert torch.equal(images[:1], alone) and torch.equal(noise, noise_alone)
    steps = make_steps(pictures, total=2)
    both = [list(loader(make_dataset(pictures, channels=3), steps, workers=n)) for n in (0, 1)]
    assert both[0][0][0].shape == (4, 3, 32, 32)
    assert all(torch.equal(a, b) for x, y in zip(*both, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_torch_draws_nothing_for_loading(pictures: Pictures, workers: int) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for _ in loader(make_dataset(pictures), make_steps(pictures, total=1), workers=workers):
        pass
    assert torch.equal(torch.get_rng_state(), before)


def damage(copy: Path, pictures: Pictures, row: int) -> None:
    with (copy / pictures.shard[row]).open("r+b") as file:
        file.seek(int(pictures.offset[row]))
        file.write(bytes(int(pictures.size[row])))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_one_sentence_that_names_it(copy: Path, workers: int) -> None:
    pictures = read_pictures(copy, role="pretrain")
    row = 3
    damage(copy, pictures, row)
    steps = make_steps(pictures, power=1.0, total=len(pictures) // BATCH + 1)
    with pytest.raises(CorpusError) as error:
        for _ in loader(make_dataset(pictures), steps, workers=workers):
            pass
    assert error.value.message == (
        f"The picture {pictures.key[row]} in {pictures.shard[row]} cannot be read: its bytes are no picture."
    )
    assert "verify" in error.value.hint


def test_a_worker_that_is_killed_is_one_sentence(pictures: Pictures) -> None:
    others = {child.pid for child in multiprocessing.active_children()}
    found = iter(loader(make_dataset(pictures), make_steps(pictures, total=10_000), workers=1))
    next(found)
    for child in multiprocessing.active_children():
        if child.pid not in others:
            child.kill()
    with pytest.raises(OpenusError, match="A process that loads pictures died"):
        for _ in found:
            pass


@pytest.mark.parametrize(("end", "code"), [("1 / 0", 1), ("sys.exit(0)", 0), ("os.kill(os.getpid(), 9)", -9)])
def test_a_process_that_ends_in_the_middle_of_a_pass_ends_its_workers(
    corpus: Path, tmp_path: Path, end: str, code: int
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing, os, sys
from pathlib import Path
from model.data import PretrainDataset, Steps, loader, read_pictures
from model.params import AugmentParams

if __name__ == "__main__":
    pictures = read_pictures(Path({str(corpus)!r}), role="pretrain")
    dataset = PretrainDataset(pictures, AugmentParams(), size=32, channels=1, patches=16, seed=0)
    steps = Steps(pictures.groups("source"), power=0.5, size=64, seed=0, batch=4, micro_batch=4, start=0, total=9999)
    batches = iter(loader(dataset, steps, workers=2))
    next(batches)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    {end}
""")
    done = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code
    workers = [int(number) for number in done.stdout.split()]
    assert len(workers) == 2
    for _ in range(100):
        if not any(alive(worker) for worker in workers):
            break
        time.sleep(0.1)
    assert not any(alive(worker) for worker in workers)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class Stuck(PretrainDataset):
    """Its first batches take longer than torch waits for a worker to end."""

    def fill(self, indices: list[Any], images: Any, noise: Any) -> None:
        if indices[0][1:] > (0, 3):
            time.sleep(60)
        super().fill(indices, images, noise)


def test_a_stuck_worker_writes_no_more_once_its_pass_is_closed(pictures: Pictures) -> None:
    others = {child.pid for child in multiprocessing.active_children()}
    stuck = Stuck(pictures, AugmentParams(), size=32, channels=1, patches=16, seed=0)
    found = iter(loader(stuck, make_steps(pictures), workers=1))
    next(found)
    found.close()
    assert {child.pid for child in multiprocessing.active_children()} <= others


class Broken(PretrainDataset):
    def fill(self, indices: list[Any], images: Any, noise: Any) -> None:
        raise RuntimeError("boom")


def test_a_fault_of_the_program_is_not_told_as_a_lack_of_memory(pictures: Pictures) -> None:
    broken = Broken(pictures, AugmentParams(), size=32, channels=1, patches=16, seed=0)
    with pytest.raises(RuntimeError, match="boom"):
        next(iter(loader(broken, make_steps(pictures), workers=1)))


def test_too_little_shared_memory_is_one_sentence(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: torch.Tensor) -> None:
        raise RuntimeError("unable to resize file </torch_1> to the right size: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(OpenusError, match="MiB of shared memory"):
        loader(make_dataset(pictures), make_steps(pictures), workers=1)


# ---- the documented alternative


def plain(corpus: Path, size: int) -> Iterator[tuple[str, torch.Tensor]]:
    """docs/training.md shows this pipeline."""
    import webdataset

    def decode(sample: dict[str, Any]) -> tuple[str, torch.Tensor]:
        content = np.frombuffer(sample.get("jpg") or sample["png"], np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
        return sample["__key__"], torch.from_numpy(cv2.resize(picture, (size, size)))[None]

    urls = sorted(str(path) for path in (corpus / "shards").glob("pretrain-*.tar"))
    dataset = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(1000, seed=0).map(decode)
    for keys, images in webdataset.WebLoader(dataset.batched(64, partial=True), batch_size=None, num_workers=0):
        yield from zip(keys, images, strict=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves shards open
def test_a_plain_webdataset_pipeline_yields_the_same_pictures(pictures: Pictures) -> None:
    found = dict(plain(pictures.corpus, 32))
    assert sorted(found) == pictures.key.tolist()
    assert all(image.shape == (1, 32, 32) for image in found.values())
