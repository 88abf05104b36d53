"""The pictures of a corpus: what is known of them, their pixels by address, and what is not as it was built."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy

from model import pictures as pictures_module
from model.pictures import Pictures, Shards, decode_picture, read_pictures, statistics
from openus.errors import CorpusError

pictures = toy.pictures


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    return [row for row in pq.read_table(corpus / "manifest.parquet").to_pylist() if row["status"] == "kept"]


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
