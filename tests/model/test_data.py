"""The pictures of a corpus, the order they are shown in, and the batches they come in."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import pictures as pictures_module
from model.augment import SampleRandom, mask_noise, mask_words
from model.data import (
    Pictures,
    PretrainDataset,
    Shards,
    Steps,
    decode_picture,
    epoch_order,
    loader,
    quotas,
    read_pictures,
    statistics,
)
from model.params import AugmentParams
from openus.errors import CorpusError, OpenusError, UsageError

BATCH = 8
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pictures(corpus: Path) -> Pictures:
    return read_pictures(corpus, role="pretrain")


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    """A corpus that a test may damage."""
    return Path(shutil.copytree(corpus, tmp_path / "copy"))


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    return [row for row in pq.read_table(corpus / "manifest.parquet").to_pylist() if row["status"] == "kept"]


def make_dataset(pictures: Pictures, seed: int = 0, channels: int = 1) -> PretrainDataset:
    return PretrainDataset(pictures, AugmentParams(), size=32, channels=channels, patches=16, seed=seed)


def make_steps(pictures: Pictures, **changed: Any) -> Steps:
    given: dict[str, Any] = {"power": 0.5, "size": len(pictures), "seed": 0, "batch": BATCH, "micro_batch": 4,
                             "start": 0, "total": 5}  # fmt: skip
    return Steps(pictures.groups("source"), **{**given, **changed})


# ---- what a corpus holds


def test_the_kept_rows_come_sorted_by_key(corpus: Path) -> None:
    read = read_pictures(corpus)
    rows = sorted(rows_of(corpus), key=lambda row: row["key"])
    for name in ("key", "source", "role", "anatomy", "patient_id", "cluster", "label", "view", "split", "licence",
                 "shard", "offset", "size", "width", "height", "channels"):  # fmt: skip
        assert getattr(read, name).tolist() == [row[name] for row in rows], name
    assert len(read) == len(rows) and read.corpus == corpus


def test_the_order_of_the_manifest_does_not_matter(copy: Path) -> None:
    keys = read_pictures(copy).key.tolist()
    table = pq.read_table(copy / "manifest.parquet")
    pq.write_table(table.take(np.arange(table.num_rows)[::-1]), copy / "manifest.parquet")
    assert read_pictures(copy).key.tolist() == keys == sorted(keys)


def test_roles_and_sources_are_chosen(corpus: Path) -> None:
    rows = rows_of(corpus)
    for role in ("pretrain", "held-out"):
        assert sorted(r["key"] for r in rows if r["role"] == role) == read_pictures(corpus, role=role).key.tolist()
    source = rows[0]["source"]
    assert set(read_pictures(corpus, sources=[source]).source) == {source}
    with pytest.raises(CorpusError, match="no kept picture with role pretrain from nowhere"):
        read_pictures(corpus, role="pretrain", sources=["nowhere"])


def test_equal_texts_are_one_object(pictures: Pictures) -> None:
    for name in ("source", "shard", "anatomy"):
        column = getattr(pictures, name)
        assert len({id(value) for value in column}) == len(set(column))


def test_groups_and_take(pictures: Pictures) -> None:
    groups = pictures.groups("anatomy")
    assert sorted(np.concatenate(list(groups.values())).tolist()) == list(range(len(pictures)))
    assert list(groups) == sorted(groups)
    for name, rows in groups.items():
        assert {value or "unknown" for value in pictures.anatomy[rows]} == {name}
    assert pictures.take([2, 0]).key.tolist() == [pictures.key[2], pictures.key[0]]
    assert len(pictures.take([])) == 0
    assert len(pictures.take(pictures.source == pictures.source[0])) == Counter(pictures.source)[pictures.source[0]]


def test_every_picture_is_at_its_address(pictures: Pictures) -> None:
    shards = Shards(pictures)
    for row in range(len(pictures)):
        for channels in (1, 3):
            picture = shards.picture(row, channels)
            assert picture.dtype == np.uint8
            shape = (pictures.height[row], pictures.width[row])
            assert picture.shape == (shape if channels == 1 else (*shape, 3))


def test_descriptors_are_few_and_given_back(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_now() -> int:
        """Shards only: other descriptors of this process come and go."""
        return sum(link.resolve().suffix == ".tar" for link in Path("/proc/self/fd").iterdir())

    before, shards = open_now(), Shards(pictures)
    for row in range(len(pictures)):
        shards.read(row)
    assert open_now() == before + len(set(pictures.shard))
    again = pickle.loads(pickle.dumps(shards))
    assert again.read(0) == shards.read(0)
    again.close()
    del shards
    assert open_now() == before

    both = read_pictures(pictures.corpus)
    assert len(set(both.shard)) > 1
    monkeypatch.setattr(pictures_module, "OPEN_SHARDS", 1)
    shards = Shards(both)
    assert [len(shards.read(row)) for row in range(len(both))] == both.size.tolist()
    assert open_now() == before + 1
    shards.close()
    assert open_now() == before


@pytest.mark.parametrize("harm", ["missing", "short", "one byte"])
def test_a_shard_that_is_not_whole_is_named_at_once(copy: Path, harm: str) -> None:
    shard = sorted((copy / "shards").glob("pretrain-*.tar"))[0]
    if harm == "missing":
        shard.unlink()
    elif harm == "one byte":
        within = read_pictures(copy, role="pretrain")
        ends = (within.offset + within.size)[within.shard == f"shards/{shard.name}"]
        os.truncate(shard, int(ends.max()) - 1)
    else:
        os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(CorpusError, match=shard.name) as error:
        read_pictures(copy, role="pretrain")
    assert "Build the corpus again" in error.value.hint
    assert len(read_pictures(copy, role="held-out"))


def test_a_manifest_that_is_not_whole(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not there"):
        read_pictures(tmp_path)
    table = pq.read_table(copy / "manifest.parquet")
    at = next(n for n, row in enumerate(table.to_pylist()) if row["status"] == "kept")
    without = table["shard"].to_pylist()
    without[at] = None
    broken = table.set_column(table.column_names.index("shard"), "shard", pa.array(without, pa.string()))
    pq.write_table(broken, copy / "manifest.parquet")
    with pytest.raises(CorpusError, match=f"{table['key'][at]} has no address"):
        read_pictures(copy)
    for name in ("../elsewhere.tar", "/tmp/x.tar", "shards/../x.tar"):  # what lies elsewhere is not this corpus
        without[at] = name
        broken = table.set_column(table.column_names.index("shard"), "shard", pa.array(without, pa.string()))
        pq.write_table(broken, copy / "manifest.parquet")
        with pytest.raises(CorpusError, match="which is no file of shards/"):
            read_pictures(copy)
    pq.write_table(pa.concat_tables([table, table]), copy / "manifest.parquet")
    with pytest.raises(CorpusError, match="twice"):
        read_pictures(copy)
    pq.write_table(table.drop_columns(["offset"]), copy / "manifest.parquet")
    with pytest.raises(CorpusError, match="offset"):
        read_pictures(copy)


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


def test_another_picture_at_the_address_is_noticed(copy: Path) -> None:
    pictures = read_pictures(copy, role="pretrain")
    content = bytes(cv2.imencode(".png", np.zeros((7, 9), np.uint8))[1])
    with (copy / pictures.shard[0]).open("r+b") as file:
        file.seek(int(pictures.offset[0]))
        file.write(content.ljust(int(pictures.size[0]), b"\0"))
    with pytest.raises(CorpusError, match=f"{pictures.key[0]}.*9 × 7"):
        Shards(pictures).picture(0, 1)


@pytest.mark.parametrize("taller", [20, -20])
def test_another_gray_jpeg_at_the_address_is_noticed(copy: Path, taller: int) -> None:
    """Whatever part of it is looked at."""
    pictures = read_pictures(copy, role="pretrain")
    row = int(np.argmax(pictures.size))
    width, height = int(pictures.width[row]), int(pictures.height[row])
    content = bytes(cv2.imencode(".jpg", np.zeros((height + taller, width), np.uint8))[1])
    with (copy / pictures.shard[row]).open("r+b") as file:
        file.seek(int(pictures.offset[row]))
        file.write(content)
    told = replace(pictures, size=np.where(np.arange(len(pictures)) == row, len(content), pictures.size))
    for top in (None, 9, height - 30, height - 8):
        with pytest.raises(CorpusError, match=f"{pictures.key[row]}.*{width} × {height + taller}"):
            next(Shards(told).pictures(np.array([row]), 1, [top]))


def test_decode_picture_makes_gray_and_rgb() -> None:
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    content = bytes(cv2.imencode(".png", red)[1])
    assert decode_picture(content, 3)[0, 0].tolist() == [255, 0, 0]
    assert decode_picture(content, 1)[0, 0] == 76  # 0.299 · 255
    gray = bytes(cv2.imencode(".png", np.full((4, 5), 9, np.uint8))[1])
    assert decode_picture(gray, 3).tolist() == np.full((4, 5, 3), 9).tolist()
    with pytest.raises(CorpusError, match="no picture"):
        decode_picture(b"nothing", 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_all_pixels(pictures: Pictures, channels: int) -> None:
    shards = Shards(pictures)
    pixels = [shards.picture(row, channels).reshape(-1, channels) for row in range(len(pictures))]
    values = np.concatenate(pixels).astype(np.float64) / 255
    found = statistics(pictures, channels, seed=0)
    assert found.pictures == len(pictures)
    assert np.allclose(found.mean, values.mean(0), atol=1e-6) and np.allclose(found.std, values.std(0), atol=1e-6)


def test_statistics_of_a_part_depend_on_seed_and_keys_alone(pictures: Pictures) -> None:
    backwards = pictures.take(np.arange(len(pictures))[::-1])
    few = statistics(pictures, 1, limit=5, seed=1)
    assert few.pictures == 5 and few == statistics(backwards, 1, limit=5, seed=1)
    assert few != statistics(pictures, 1, limit=5, seed=2)


# ---- the order

group_sizes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 40), min_size=1)


def make_groups(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    ends = np.cumsum([0, *sizes.values()])
    return {name: np.arange(ends[n], ends[n + 1]) for n, name in enumerate(sizes)}


@given(group_sizes, st.floats(0, 1), st.integers(1, 300))
def test_quotas_sum_and_are_near_their_shares(sizes: dict[str, int], power: float, size: int) -> None:
    found = quotas(make_groups(sizes), power, size)
    assert sum(found.values()) == size
    total = sum(n**power for n in sizes.values())
    assert all(abs(found[name] - size * n**power / total) < 1 + 1e-6 for name, n in sizes.items())
    if size >= sum(sizes.values()):
        assert min(found.values()) >= 1
    assert found == quotas(make_groups(dict(reversed(sizes.items()))), power, size)


def test_equal_remainders_go_by_name() -> None:
    assert quotas(make_groups({"c": 5, "a": 5, "b": 5}), 0.5, 11) == {"a": 4, "b": 4, "c": 3}


def test_a_large_source_does_not_drown_a_small_one() -> None:
    groups = make_groups({"clips": 10_000, "stills": 105})
    order = epoch_order(groups, 0.5, 10_105, 0, 0)
    stills = int((order >= 10_000).sum())
    assert stills == round(10_105 * 105**0.5 / (105**0.5 + 100))  # 939 of 10,105 rather than 105
    assert quotas(groups, 1.0, 10_105) == {"clips": 10_000, "stills": 105}
    assert set(quotas(groups, 0.0, 10_106).values()) == {5053}


@given(group_sizes, st.integers(0, 9), st.integers(0, 2**40))
def test_power_1_shows_each_picture_once_an_epoch(sizes: dict[str, int], epoch: int, seed: int) -> None:
    total = sum(sizes.values())
    order = epoch_order(make_groups(sizes), 1.0, total, seed, epoch)
    assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(total))


@settings(max_examples=60)
@given(group_sizes, st.floats(0, 1), st.integers(1, 200), st.integers(1, 12), st.integers(-5, 5))
def test_pictures_of_a_group_are_shown_equally_often(
    sizes: dict[str, int], power: float, size: int, epochs: int, seed: int
) -> None:
    groups = make_groups(sizes)
    shown: Counter[int] = Counter()
    for epoch in range(epochs):
        order = epoch_order(groups, power, size, seed, epoch)
        assert len(order) == size
        shown.update(order.tolist())
    for rows in groups.values():
        counts = [shown[int(row)] for row in rows]
        assert max(counts) - min(counts) <= 1


def test_orders_belong_to_seed_and_epoch_and_never_change() -> None:
    groups = make_groups({"a": 6, "b": 4})
    orders = [tuple(epoch_order(groups, 1.0, 10, *name).tolist()) for name in ((0, 0), (0, 1), (1, 0))]
    assert len(set(orders)) == 3
    assert orders[0] == (4, 5, 8, 9, 3, 7, 0, 2, 1, 6)
    mixed = np.concatenate([epoch_order(make_groups({"a": 500, "b": 500}), 1.0, 1000, 0, n)[:500] for n in range(4)])
    assert 900 < (mixed < 500).sum() < 1100, "groups are mixed within an epoch"


# ---- steps


def taken(steps: Steps) -> list[list[tuple[int, int, int]]]:
    return list(steps)


@pytest.mark.parametrize("size", [12, 13, 3])
def test_steps_walk_through_the_epochs(pictures: Pictures, size: int) -> None:
    """Also where epochs end within a micro-batch, once or more often."""
    micros = taken(make_steps(pictures, size=size, total=6))
    assert {len(micro) for micro in micros} == {4}
    indices = [index for micro in micros for index in micro]
    assert [(epoch, position) for _, epoch, position in indices] == [divmod(n, size) for n in range(6 * BATCH)]
    groups = pictures.groups("source")
    for epoch in range(6 * BATCH // size):
        rows = [row for row, at, _ in indices if at == epoch]
        assert rows == epoch_order(groups, 0.5, size, 0, epoch).tolist()


@pytest.mark.parametrize("world", [2, 4])
def test_micro_batches_are_the_same_for_any_number_of_processes(pictures: Pictures, world: int) -> None:
    one = taken(make_steps(pictures, micro_batch=2))
    parts = [taken(make_steps(pictures, micro_batch=2, rank=rank, world=world)) for rank in range(world)]
    assert [micro for together in zip(*parts, strict=True) for micro in together] == one
    assert all(len(part) == len(make_steps(pictures, micro_batch=2, rank=1, world=world)) for part in parts)


@pytest.mark.parametrize("start", [0, 1, 3, 17, 20])
def test_a_run_goes_on_where_it_stopped(pictures: Pictures, start: int) -> None:
    whole = taken(make_steps(pictures, size=13, total=20))
    assert taken(make_steps(pictures, size=13, total=20, start=start)) == whole[2 * start :]


def test_starting_late_costs_nothing(pictures: Pictures) -> None:
    began = time.perf_counter()
    next(iter(make_steps(pictures, start=10**9, total=10**9 + 1)))
    assert time.perf_counter() - began < 1


def test_a_batch_that_cannot_be_dealt_is_refused(pictures: Pictures) -> None:
    with pytest.raises(UsageError, match=r"8 pictures .* micro-batches of 3"):
        make_steps(pictures, micro_batch=3)
    with pytest.raises(UsageError, match="to 3 processes"):
        make_steps(pictures, micro_batch=4, world=3)


# ---- batches


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
