"""What is staged once is not decoded again, and what has changed is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from built import content, rows_of
from conftest import openus, sample_words

from openus import manifest
from openus.build import identity
from openus.build.load import DECIDED
from openus.build.staging import ITEMS, STAGED
from openus.data import Item, Reading
from openus.storage import walk


def test_segments_of_another_version_are_nobodys(sample: Path, tmp_path: Path) -> None:
    """Staging is never pruned, and its columns may change with STAGING_VERSION."""
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    before = content(tmp_path / "o")
    segment = next((tmp_path / "o.staging" / "busi").glob("segment-*.parquet"))
    rows = manifest.read(segment).drop_columns(["carries", "phash"])
    stale = [unit[:16] + "0" * 16 for unit in rows["unit"].to_pylist()]
    manifest.write(rows.set_column(0, "unit", pa.array(stale)), segment.with_name("segment-0000000000000000.parquet"))
    shutil.copy(segment.with_suffix(".tar"), segment.with_name("segment-0000000000000000.tar"))
    assert openus(*words).exit_code == 0
    assert content(tmp_path / "o") == before


def test_a_second_run_decodes_nothing_and_changes_nothing(sample: Path, corpus: Path) -> None:
    before = content(corpus)
    ran = openus("build-shards", *sample_words(sample), "--out", corpus, "--json")
    assert ran.exit_code == 0
    stage = ran.json["stages"]["curate"]
    assert (stage["decoded_files"], stage["decoded_frames"]) == (0, 0) and stage["reused_files"] > 50
    assert content(corpus) == before


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(sample: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    words = ["build-shards", *sample_words(sample), "--out", str(out), "--workers", "2"]
    command = [sys.executable, "-c", "from openus.cli import main; main()", *words]
    killed = 0
    for wait_for in ("busi/curated.json", "local-dicom/.open.part"):
        running = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        until = time.monotonic() + 120
        while running.poll() is None and time.monotonic() < until:
            if (tmp_path / "o.staging" / wait_for).exists():
                os.killpg(running.pid, signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.005)
        running.wait()
    assert killed, "the build was never caught at work"
    ran = openus(*words, "--json")
    assert ran.exit_code == 0, ran.stderr
    assert ran.json["stages"]["curate"]["reused_files"] > 0
    assert content(out) == content(corpus)
    assert not [path for path in walk(tmp_path)[0] if path.endswith(".part")]


def test_an_interrupted_build_keeps_what_it_had_decoded(sample: Path, tmp_path: Path) -> None:
    from openus import engine, sources
    from openus.build import curate, salt_from
    from openus.params import Params

    def interrupt(slug: str, done: int, total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    source, where, salt = sources.load("busi"), (sample / "busi", tmp_path), salt_from({})
    with pytest.raises(KeyboardInterrupt), engine.local(1) as run:
        curate(source, *where, Params(), salt=salt, run=run, progress=interrupt)
    with engine.local(1) as run:
        assert curate(source, *where, Params(), salt=salt, run=run).reused_files == 3


def test_another_source_costs_only_itself_and_out_holds_the_last_command(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "--root", sample, "--out", tmp_path / "o", "--json"]
    assert openus(*words, "busi").json["stages"]["curate"]["decoded_files"] == 12
    both = openus(*words, "busi", "hc18").json
    assert both["stages"]["curate"]["decoded_files"] == 8 and set(both["sources"]) == {"busi", "hc18"}
    alone = openus(*words, "hc18").json
    assert alone["stages"]["curate"]["decoded_files"] == 0
    assert {row["source"] for row in rows_of(tmp_path / "o")} == {"hc18"}


def test_changed_parameters_decode_again_and_changed_back_do_not(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("sources: {busi: {normalise: {longest_side: 64}}}")
    words = ["build-shards", "busi", "hc18", "--root", sample, "--out", tmp_path / "o", "--json"]
    first = openus(*words).json
    small = openus(*words, "--params", tmp_path / "p.yaml").json
    assert small["stages"]["curate"]["decoded_files"] == first["sources"]["busi"]["files"]["taken"]
    assert all(max(r["width"], r["height"]) <= 64 for r in rows_of(tmp_path / "o") if r["source"] == "busi")
    assert openus(*words).json["stages"]["curate"]["decoded_files"] == 0
    (tmp_path / "p.yaml").write_text("decode: {timeout_s: 900}")
    assert openus(*words, "--params", tmp_path / "p.yaml").json["stages"]["curate"]["decoded_files"] == 0


def test_a_changed_file_is_decoded_again_and_a_touched_one_is_not(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "busi", tmp_path / "raw" / "busi")
    words = ["build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "o", "--json"]
    openus(*words)
    folder = tmp_path / "raw" / "busi" / "Dataset_BUSI_with_GT" / "normal"
    picture = folder / "normal (1).png"
    os.utime(picture, ns=(1, 1))
    assert openus(*words).json["stages"]["curate"]["decoded_files"] == 0
    shutil.copy(folder / "normal (2).png", picture)
    assert openus(*words).json["stages"]["curate"]["decoded_files"] == 1


@pytest.mark.parametrize("changed", ["size", "time"])
def test_a_file_is_taken_for_unchanged_only_where_both_size_and_time_are(tmp_path: Path, changed: str) -> None:
    raw, noise = tmp_path / "raw", np.random.default_rng(0)
    raw.mkdir()
    cv2.imwrite(str(raw / "a.bmp"), noise.integers(0, 255, (96, 96), np.uint8))
    before = (raw / "a.bmp").stat()
    words = ["build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o", "--json"]
    assert openus(*words).json["stages"]["curate"]["decoded_files"] == 1
    side = 96 if changed == "time" else 128
    cv2.imwrite(str(raw / "a.bmp"), noise.integers(0, 255, (side, side), np.uint8))
    if changed == "size":
        os.utime(raw / "a.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ((raw / "a.bmp").stat().st_size != before.st_size) == (changed == "size")
    assert openus(*words).json["stages"]["curate"]["decoded_files"] == 1


def test_what_is_read_in_another_way_is_decoded_again(sample: Path, tmp_path: Path) -> None:
    """An adapter that has learnt how its files lie must not be given what was staged as they lay."""
    from openus import engine, sources
    from openus.build import curate, salt_from
    from openus.params import Params

    source, where = sources.load("busi"), (sample / "busi", tmp_path)
    turned = Reading(turn="rotate-180")
    other = replace(source, items=lambda root: (replace(item, reading=turned) for item in source.items(root)))
    with engine.local(1) as run:
        found = [curate(one, *where, Params(), salt=salt_from({}), run=run) for one in (source, other, source, other)]
    assert [one.decoded_files for one in found] == [12, 12, 0, 0]


def test_a_unit_that_is_staged_twice_counts_once(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    before = content(tmp_path / "o")
    (segment,) = (tmp_path / "o.staging" / "busi").glob("segment-*.parquet")
    for suffix in (".parquet", ".tar"):
        shutil.copy(segment.with_suffix(suffix), segment.with_name(f"segment-copy{suffix}"))
    assert openus(*words).exit_code == 0
    assert content(tmp_path / "o") == before


def test_a_rejection_names_the_first_of_the_wanted_frames_that_did_not_come(tmp_path: Path) -> None:
    from openus.build.stage import Task, stage_file
    from openus.params import Params

    head = "ObjectType = Image\nNDims = 3\nDimSize = 90 80 4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    values = np.random.default_rng(0).integers(0, 255, (4, 80, 90), np.uint8)
    (tmp_path / "x.mha").write_bytes(head.encode() + values.tobytes())
    reading = Reading(frames=(1, 3, 7, 9))
    done = stage_file(Task(tmp_path, "x.mha", None, Params(), "", identity.DEFAULT, False, reading))
    assert [row["frame_index"] for row in done.rows] == [1, 3, 7]
    assert [row.get("error") for row in done.rows] == [None, None, "DecodeError"]


def test_a_file_of_many_items_is_taken_when_one_of_them_has_a_frame(tmp_path: Path) -> None:
    from openus import engine
    from openus.build import curate, salt_from
    from openus.params import LocalParams, Params
    from openus.sources import local

    raw = tmp_path / "raw"
    raw.mkdir()
    head = "ObjectType = Image\nNDims = 3\nDimSize = 90 80 4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    values = np.random.default_rng(0).integers(0, 255, (4, 80, 90), np.uint8)
    (raw / "x.mha").write_bytes(head.encode() + values.tobytes())
    items = [
        Item(id=f"x.mha#{name}", path="x.mha", member=name, reading=Reading(frames=(frame,)))
        for name, frame in (("a", 1), ("b", 99))
    ]
    source = replace(local.source("mine", LocalParams()), items=lambda root: iter(items))
    with engine.local(1) as run:
        found = curate(source, raw, tmp_path / "staging", Params(), salt=salt_from({}), run=run)
    assert (found.files_taken, found.files_rejected, found.decoded_frames) == (1, 0, 1)


@pytest.mark.parametrize("columns", [STAGED, ITEMS, DECIDED], ids=["staged", "items", "decided"])
def test_every_column_on_the_way_has_a_name_of_its_own_and_a_meaning(columns: tuple[tuple[str, str, str], ...]) -> None:
    assert all(meaning for _, _, meaning in columns)
    assert len({name for name, _, _ in columns}) == len(columns)
