"""The main job on the synthetic corpus: accounting, dropping, determinism, resuming."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import openus, sample_words

from openus import manifest
from openus.build import identity
from openus.build.decide import DECIDED, _follow_clips
from openus.build.staging import ITEMS, STAGED
from openus.data import Item, Reading
from openus.dedup.fingerprint import phash, thumbnail
from openus.sample import PLANTED
from openus.shards.read import decoded, picture_bytes
from openus.storage import walk


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    return manifest.read(corpus / "manifest.parquet").to_pylist()


def by_path(corpus: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by the path of their file below the sample."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(corpus):
        folder = f"_local/{row['source'][6:]}" if row["source"].startswith("local-") else row["source"]
        found.setdefault(f"{folder}/{row['raw_path']}", []).append(row)
    return found


def content(corpus: Path) -> dict[str, bytes]:
    """All that must be equal in two builds of the same."""
    names = ["manifest.parquet", "rejected.parquet", *(f"shards/{p.name}" for p in (corpus / "shards").iterdir())]
    return {name: (corpus / name).read_bytes() for name in sorted(names)}


def folder_of(slug: str, sample: Path) -> Path:
    return sample / "_local" / slug[6:] if slug.startswith("local-") else sample / slug


def test_every_frame_and_every_file_is_accounted_for(sample: Path, corpus: Path) -> None:
    build = json.loads((corpus / "build.json").read_text())
    rows = Counter(row["source"] for row in rows_of(corpus))
    rejected = Counter(row["source"] for row in manifest.read(corpus / "rejected.parquet").to_pylist())
    assert set(build["sources"]) == {"bus-bra", "busi", "hc18", "blues", "pocus"} | {
        f"local-{name}" for name in ("dicom", "volumes", "ward")
    }
    for slug, count in build["sources"].items():
        assert count["seen"] == rows[slug] + rejected[slug]
        assert count["seen"] == count["kept"] + sum(count["dropped"].values()) + count["rejected"]
        files = count["files"]
        total = files["taken"] + files["rejected"] + sum(files["ignored"].values())
        assert total == len(walk(folder_of(slug, sample))[0])


def test_verify_is_clean_and_only_kept_rows_have_bytes(corpus: Path) -> None:
    ran = openus("verify", corpus, "--json")
    kept = [row for row in rows_of(corpus) if row["status"] == "kept"]
    assert ran.exit_code == 0
    assert ran.json["ok"] and ran.json["samples"] == len(kept) and ran.json["errors"] == []
    for row in rows_of(corpus):
        assert (row["status"] == "kept") == (row["shard"] is not None) == (row["drop_reason"] is None)
        assert (row["leak_reason"] is not None) == (row["drop_reason"] == "leakage")


def test_frames_are_compared_as_they_are_stored(corpus: Path) -> None:
    """The gate sees what is stored: of a pair at the verdict the build must not think otherwise."""
    thumbs = {}
    for file in corpus.with_name(f"{corpus.name}.staging").rglob("segment-*.parquet"):
        staged = manifest.read(file).select(["sha256", "thumb"]).to_pylist()
        thumbs.update({row["sha256"]: row["thumb"] for row in staged})
    for row in rows_of(corpus):
        if row["status"] == "kept":
            picture = decoded(picture_bytes(corpus, row["shard"], row["offset"], row["size"]))
            assert picture is not None
            thumb = thumbnail(picture)
            assert (row["phash"], thumbs[row["sha256"]]) == (f"{phash(thumb):016x}", thumb.tobytes())


def test_what_was_planted_is_found(corpus: Path) -> None:
    rows = by_path(corpus)
    for a, b in PLANTED.exact:
        reasons = {rows[path][0]["drop_reason"] for path in (a, b)}
        assert reasons == {None, "exact-duplicate"} and rows[a][0]["cluster"] == rows[b][0]["cluster"] is not None
    for a, b in PLANTED.near:
        assert (rows[a][0]["drop_reason"], rows[b][0]["drop_reason"]) == (None, "near-duplicate")
        assert rows[b][0]["duplicate_of"] == rows[a][0]["key"]
    for mine, held_out in PLANTED.leaks:
        assert rows[mine][0]["drop_reason"] == "leakage"
        assert rows[mine][0]["duplicate_of"] == rows[held_out][0]["key"]
    for path, frames in PLANTED.blank.items():
        assert {row["frame_index"] for row in rows[path] if row["drop_reason"] == "blank"} == set(frames)
    for path, frames in PLANTED.held.items():
        assert {row["frame_index"] for row in rows[path] if row["drop_reason"] == "redundant-frame"} >= set(frames)
    rejected = {
        f"_local/{row['source'][6:]}/{row['path']}"
        for row in manifest.read(corpus / "rejected.parquet").to_pylist()
        if row["source"].startswith("local-")
    }
    assert rejected == set(PLANTED.rejected)
    patients = {row["patient_id"] for path in PLANTED.one_patient for row in rows[path]}
    assert len(patients) == 1 and None not in patients


def test_dropped_frames_name_a_kept_one_and_blank_frames_link_nobody(corpus: Path) -> None:
    rows = {row["key"]: row for row in rows_of(corpus)}
    for row in rows.values():
        if row["drop_reason"] in ("exact-duplicate", "near-duplicate", "redundant-frame"):
            assert rows[row["duplicate_of"]]["status"] == "kept"
        if row["drop_reason"] == "blank":
            assert row["cluster"] is None and row["duplicate_of"] is None
    assert {row["status"] for row in rows.values() if row["role"] == "held-out"} == {"kept"}


def test_no_held_out_source_in_a_pretrain_shard(corpus: Path) -> None:
    for row in rows_of(corpus):
        if row["shard"]:
            assert row["shard"].startswith(f"shards/{row['role']}-")
    assert {row["source"] for row in rows_of(corpus) if row["role"] == "held-out"} == {"bus-bra"}


def test_samples_say_no_path_and_no_name_of_an_own_archive(corpus: Path) -> None:
    from openus.shards.read import samples

    seen = 0
    for shard in sorted((corpus / "shards").glob("pretrain-*.tar")):
        for sample in samples(shard):
            assert sample.meta is not None and sample.meta["key"] == sample.key
            if sample.meta["source"].startswith("local-"):
                seen += 1
                text = json.dumps(sample.meta)
                assert "raw_path" not in sample.meta and "SYNTHETIC" not in text and "/" not in text.replace("A/", "")
            else:
                assert sample.meta["raw_path"]
    assert seen


def test_others_read_it_without_our_code(corpus: Path) -> None:
    import duckdb
    import pandas as pd
    import pyarrow.parquet as pq

    path = str(corpus / "manifest.parquet")
    kept = int((pd.read_parquet(path)["status"] == "kept").sum())
    query = f"select count(*) from '{path}' where status = 'kept'"
    with duckdb.connect() as database:
        row = database.execute(query).fetchone()
    assert row == (kept,)
    fields = pq.read_schema(path)
    assert fields.names[: len(manifest.COLUMNS)] == [name for name, _, _ in manifest.COLUMNS]
    assert all(field.metadata[b"meaning"] for field in fields)


def test_bytes_do_not_depend_on_workers(sample: Path, corpus: Path, tmp_path: Path) -> None:
    assert openus("build-shards", *sample_words(sample), "--out", tmp_path / "o", "--workers", 1).exit_code == 0
    assert content(tmp_path / "o") == content(corpus)


def test_a_second_run_decodes_nothing_and_changes_nothing(sample: Path, corpus: Path) -> None:
    before = content(corpus)
    ran = openus("build-shards", *sample_words(sample), "--out", corpus, "--json")
    assert ran.exit_code == 0
    stage = ran.json["stages"]["curate"]
    assert (stage["decoded_files"], stage["decoded_frames"]) == (0, 0) and stage["reused_files"] > 50
    assert content(corpus) == before


def test_the_seed_orders_shards_and_nothing_else(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words, "--seed", 1).exit_code == 0
    one = content(tmp_path / "o")
    assert openus(*words, "--seed", 2).exit_code == 0
    two = content(tmp_path / "o")
    assert one["shards/pretrain-000000.tar"] != two["shards/pretrain-000000.tar"]
    assert len(one["shards/pretrain-000000.tar"]) == len(two["shards/pretrain-000000.tar"])


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


def test_a_source_named_twice_is_built_once(sample: Path, tmp_path: Path) -> None:
    ran = openus("build-shards", "busi", "busi", "--root", sample, "--out", tmp_path / "o", "--json")
    assert ran.exit_code == 0 and ran.json["sources"]["busi"]["files"]["taken"] == 12
    assert openus("verify", tmp_path / "o").exit_code == 0


def test_a_unit_that_is_staged_twice_counts_once(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    before = content(tmp_path / "o")
    (segment,) = (tmp_path / "o.staging" / "busi").glob("segment-*.parquet")
    for suffix in (".parquet", ".tar"):
        shutil.copy(segment.with_suffix(suffix), segment.with_name(f"segment-copy{suffix}"))
    assert openus(*words).exit_code == 0
    assert content(tmp_path / "o") == before


def test_the_manifest_is_sorted_by_key_whatever_the_order_of_sources(sample: Path, tmp_path: Path) -> None:
    for name, slugs in (("a", ("busi", "hc18")), ("b", ("hc18", "busi"))):
        assert openus("build-shards", *slugs, "--root", sample, "--out", tmp_path / name).exit_code == 0
    keys = [row["key"] for row in rows_of(tmp_path / "a")]
    assert keys == sorted(keys)
    assert content(tmp_path / "a") == content(tmp_path / "b")


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


def test_keys_do_not_depend_on_a_wrapping_folder(sample: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "blues", tmp_path / "raw" / "blues" / "COVID-BLUES-main")
    assert openus("build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "o").exit_code == 0
    keys = {row["key"] for row in rows_of(tmp_path / "o")}
    assert keys == {row["key"] for row in rows_of(corpus) if row["source"] == "blues"}


def test_a_clip_that_runs_in_a_loop_is_kept_once(tmp_path: Path) -> None:
    from PIL import Image

    raw = tmp_path / "raw"
    raw.mkdir()
    noise = np.random.default_rng(0)
    frames = [Image.fromarray(noise.integers(0, 255, (96, 96), np.uint8).repeat(2, 0).repeat(2, 1)) for _ in range(4)]
    frames[0].save(raw / "loop.gif", save_all=True, append_images=[*frames[1:], *frames], duration=50, loop=0)
    assert openus("build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o").exit_code == 0
    rows = rows_of(tmp_path / "o")
    kept = [row["pixel_sha256"] for row in rows if row["status"] == "kept"]
    assert len(rows) == 8 and len(set(kept)) == len(kept) == 4
    assert Counter(row["drop_reason"] for row in rows) == {None: 4, "redundant-frame": 4}


def test_held_out_overrides_roles(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("held_out: [blues]")
    words = ["build-shards", "blues", "bus-bra", "--root", sample, "--out", tmp_path / "o", "--params"]
    assert openus(*words, tmp_path / "p.yaml").exit_code == 0
    rows = rows_of(tmp_path / "o")
    assert {(row["source"], row["role"]) for row in rows} == {("blues", "held-out"), ("bus-bra", "pretrain")}
    blues = [row for row in rows if row["source"] == "blues"]
    assert {row["status"] for row in blues} == {"kept"}  # blank and repeated frames too: flags, never dropped
    assert sum(row["quality"] == "blank" for row in blues) == 4


def test_a_source_that_is_held_out_later_has_every_frame(sample: Path, tmp_path: Path) -> None:
    """Frames that selection dropped were not encoded: what is staged for pre-training does not do."""
    words = ["build-shards", "blues", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    assert {row["status"] for row in rows_of(tmp_path / "o")} == {"kept", "dropped"}
    (tmp_path / "p.yaml").write_text("held_out: [blues]")
    ran = openus(*words, "--params", tmp_path / "p.yaml")
    assert ran.exit_code == 0, ran.stderr
    assert {row["status"] for row in rows_of(tmp_path / "o")} == {"kept"}


@pytest.mark.parametrize("free", ["a", "b"])
def test_of_two_equal_pictures_the_one_under_freer_terms_stays(tmp_path: Path, free: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96), np.uint8)
    for name in "ab":
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "x.png"), picture)
    terms = ", ".join(f"{name}: {{redistribution: {str(name == free).lower()}}}" for name in "ab")
    (tmp_path / "p.yaml").write_text(f"local: {{{terms}}}")
    words = [word for name in "ab" for word in ("--local", f"{name}={tmp_path / name}")]
    assert openus("build-shards", *words, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o").exit_code == 0
    kept = [row for row in rows_of(tmp_path / "o") if row["status"] == "kept"]
    assert [row["source"] for row in kept] == [f"local-{free}"]


def test_a_larger_picture_goes_before_freer_terms(tmp_path: Path) -> None:
    small = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (160, 160), np.uint8), (0, 0), 2)
    small = cv2.normalize(small, None, 0, 255, cv2.NORM_MINMAX)
    for name, scale in (("large", 3), ("free", 2)):
        (tmp_path / name).mkdir()
        picture = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / name / "x.png"), picture)
    (tmp_path / "p.yaml").write_text("local: {large: {redistribution: false}, free: {redistribution: true}}")
    words = [word for name in ("large", "free") for word in ("--local", f"{name}={tmp_path / name}")]
    assert openus("build-shards", *words, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o").exit_code == 0
    assert {row["source"]: row["drop_reason"] for row in rows_of(tmp_path / "o")} == {
        "local-large": None,
        "local-free": "near-duplicate",
    }


def test_a_persons_word_goes_before_the_measured_one(sample: Path, corpus: Path, tmp_path: Path) -> None:
    rows = by_path(corpus)
    (a, b), *_ = PLANTED.near
    other = "busi/Dataset_BUSI_with_GT/normal/normal (1).png"
    (tmp_path / "adjudicated.csv").write_text(
        f"a,b,verdict\n{rows[a][0]['key']},{rows[b][0]['key']},different\n"
        f"{rows[other][0]['key']},{rows[a][0]['key']},same\n"
    )
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words, "--adjudicated", tmp_path / "adjudicated.csv").exit_code == 0
    found = by_path(tmp_path / "o")
    assert found[b][0]["status"] == "kept"
    assert {found[a][0]["drop_reason"], found[other][0]["drop_reason"]} == {None, "near-duplicate"}


def test_patients_hash_under_the_callers_key(sample: Path, corpus: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENUS_SALT", "a hospital's secret")
    ward = sample / "_local" / "ward"
    ran = openus("build-shards", "--local", f"ward={ward}", "--out", tmp_path / "o")
    assert ran.exit_code == 0 and "OPENUS_SALT" not in ran.stderr
    mine = {row["patient_id"] for row in rows_of(tmp_path / "o") if row["patient_id"]}
    theirs = {row["patient_id"] for row in rows_of(corpus) if row["source"] == "local-ward" and row["patient_id"]}
    assert mine and theirs and not mine & theirs
    build = json.loads((tmp_path / "o" / "build.json").read_text())
    assert build["salt"] == identity.salt_from({"OPENUS_SALT": "a hospital's secret"}).fingerprint
    assert "secret" not in (tmp_path / "o" / "build.json").read_text()


def test_another_key_hashes_own_archives_anew_and_costs_published_sources_nothing(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = sample / "_local" / "dicom"
    words = ["build-shards", "busi", "--root", sample, "--local", f"dicom={archive}", "--out", tmp_path / "o", "--json"]
    found = []
    for key in ("one", "another"):
        monkeypatch.setenv("OPENUS_SALT", key)
        ran = openus(*words)
        assert ran.exit_code == 0, ran.stderr
        found.append({row["patient_id"] for row in rows_of(tmp_path / "o") if row["patient_id"]})
    assert found[0] and not found[0] & found[1]
    assert ran.json["stages"]["curate"]["reused_files"] == ran.json["sources"]["busi"]["files"]["taken"] == 12


def test_a_pattern_goes_before_the_header_in_telling_the_patient(sample: Path, tmp_path: Path) -> None:
    archive = sample / "_local" / "dicom"
    (tmp_path / "p.yaml").write_text("local: {dicom: {pattern: '(?P<patient>P1)/'}}")
    patients = []
    for words in ([], ["--params", tmp_path / "p.yaml"]):
        assert openus("build-shards", "--local", f"dicom={archive}", "--out", tmp_path / "o", *words).exit_code == 0
        patients.append({row["raw_path"]: row["patient_id"] for row in rows_of(tmp_path / "o")})
    told = identity.ids("local-dicom", Item(id="x", path="x", patient="P1"), identity.DEFAULT).patient
    below = {path for path in patients[0] if path.startswith("P1/")}
    assert below and all(patients[0][path] not in (None, told) for path in below)
    assert patients[1] == {path: told if path in below else patient for path, patient in patients[0].items()}


def test_archives_curated_under_two_keys_are_not_decided_together(sample: Path, tmp_path: Path) -> None:
    from openus import engine
    from openus.build import Salt, curate, decide
    from openus.errors import CorpusError
    from openus.params import LocalParams, Params
    from openus.sources import local

    chosen = [local.source(name, LocalParams()) for name in ("dicom", "ward")]
    with engine.local(1) as run:
        for source, key in zip(chosen, (b"one", b"another"), strict=True):
            folder = sample / "_local" / source.card.name
            curate(source, folder, tmp_path, Params(), salt=Salt(key, is_default=False), run=run)
    with pytest.raises(CorpusError, match="different OPENUS_SALT keys"):
        decide(chosen, tmp_path, Params())


def test_a_staging_folder_is_used_by_one_build(sample: Path, tmp_path: Path) -> None:
    from openus.build.staging import locked

    for held in ("o", "s"):
        with locked(tmp_path / held):
            words = ["busi", "--root", sample, "--out", tmp_path / "o", "--staging", tmp_path / "s"]
            ran = openus("build-shards", *words)
        assert ran.exit_code == 1 and f"{tmp_path / held} is in use by another build." in ran.stderr


def test_archives_in_a_folder_of_ones_own_are_told(tmp_path: Path, sample: Path) -> None:
    shutil.copytree(sample / "_local" / "ward", tmp_path / "ward")
    (tmp_path / "ward" / "older.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    ran = openus("build-shards", "--local", f"ward={tmp_path / 'ward'}", "--out", tmp_path / "o")
    assert ran.exit_code == 0 and "local-ward: archives lie there unopened (1)" in ran.stderr
    told = json.loads((tmp_path / "o/build.json").read_text())["sources"]["local-ward"]["files"]["ignored"]
    assert told["archive"] == 1


def test_what_a_redundant_frame_repeats_is_followed_as_the_frames_were_read() -> None:
    """Keys are in the order of the frames in the file; a Reading may take them in another."""

    def frame(number: int, position: int, repeats: int | None, reason: str | None) -> dict[str, Any]:
        told = None if repeats is None else ("unit", repeats)
        row = {"key": f"k{number}", "_unit": ("unit", position), "repeats": told, "duplicate_of": None}
        return row | {"drop_reason": reason}

    rows = [frame(0, 2, 1, "redundant-frame"), frame(1, 1, 0, "redundant-frame"), frame(2, 0, None, None)]
    _follow_clips(rows)
    assert [row["duplicate_of"] for row in rows] == ["k2", "k2", None]


def test_a_source_without_pictures_is_zeros_unless_it_was_named(tmp_path: Path, sample: Path) -> None:
    (tmp_path / "raw" / "kidneyus" / "labels").mkdir(parents=True)
    (tmp_path / "raw" / "kidneyus" / "kidneyUS_images_14_june_2022.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    (tmp_path / "raw" / "no-such-source").mkdir()
    ran = openus("build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "o", "--json")
    assert ran.exit_code == 0 and ran.json["sources"]["kidneyus"]["seen"] == 0
    assert "no-such-source" in ran.stderr and "kidneyus" in ran.stderr
    assert "Archives lie there (1): unpack them first." in ran.stderr
    assert openus("verify", tmp_path / "o").exit_code == 0
    assert openus("build-shards", "kidneyus", "--root", tmp_path / "raw", "--out", tmp_path / "o").exit_code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["busii", "--root", "{sample}"], 2, "busi"),
        (["--out", "{tmp}/o"], 2, "--root"),
        (["ccaui", "--root", "{sample}"], 1, "openus info ccaui"),
        (["--root", "{tmp}/nowhere"], 2, "nowhere"),
        (["--local", "Ward={sample}"], 2, "Ward"),
        (["--local", "ward"], 2, "NAME=PATH"),
        (["--local", "ward={tmp}/nowhere"], 2, "nowhere"),
        (["--root", "{sample}", "--params", "{tmp}/none.yaml"], 2, "none.yaml"),
    ],
)
def test_wrong_use_is_one_sentence(sample: Path, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    filled = [word.format(sample=sample, tmp=tmp_path) for word in words]
    out = [] if "--out" in filled else ["--out", tmp_path / "o"]
    ran = openus("build-shards", *filled, *out)
    assert ran.exit_code == code, ran.stderr
    assert said in ran.stderr and "Traceback" not in ran.stderr
    assert not (tmp_path / "o" / "manifest.parquet").exists()


def test_a_foreign_folder_is_not_overwritten(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "o" / "shards").mkdir(parents=True)
    (tmp_path / "o" / "shards" / "mine.tar").write_text("mine")
    assert openus("build-shards", "busi", "--root", sample, "--out", tmp_path / "o").exit_code == 2
    assert (tmp_path / "o" / "shards" / "mine.tar").read_text() == "mine"


def test_a_corpus_does_not_go_among_the_raw_folders(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "hc18", tmp_path / "raw/hc18")
    for out, staging in (("raw", "s"), ("raw/hc18/o", "s"), ("o", "raw")):
        ran = openus(
            "build-shards", "--root", tmp_path / "raw", "--out", tmp_path / out, "--staging", tmp_path / staging
        )
        assert ran.exit_code == 2 and "Write the corpus elsewhere" in ran.stderr
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) == sorted(
        ["raw", "hc18", *(path.name for path in (sample / "hc18").rglob("*") if path.is_dir())]
    )
    for _ in range(2):  # beside them it may lie, and is no raw folder then
        ran = openus("build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "raw/o")
        assert ran.exit_code == 0 and "names no source" not in ran.stderr


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="needs a folder in which nobody can write")
def test_a_folder_that_cannot_be_written_is_told_before_the_work(sample: Path, tmp_path: Path) -> None:
    words = ["--root", sample, "--out", "/proc/self/fdinfo", "--staging", tmp_path / "s"]
    ran = openus("build-shards", "hc18", *words)
    assert ran.exit_code == 2 and "Name a folder that can be written" in ran.stderr
    assert not (tmp_path / "s").exists()


def test_shards_that_lie_elsewhere_behind_a_link_are_not_replaced(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    (tmp_path / "o" / "shards").rename(tmp_path / "elsewhere")
    (tmp_path / "o" / "shards").symlink_to(tmp_path / "elsewhere")
    ran = openus(*words)
    assert ran.exit_code == 2 and "not as a build leaves them" in ran.stderr
    assert openus("verify", tmp_path / "o").exit_code == 0


@pytest.mark.parametrize("columns", [STAGED, ITEMS, DECIDED], ids=["staged", "items", "decided"])
def test_every_column_on_the_way_has_a_name_of_its_own_and_a_meaning(columns: tuple[tuple[str, str, str], ...]) -> None:
    assert all(meaning for _, _, meaning in columns)
    assert len({name for name, _, _ in columns}) == len(columns)


def test_what_a_person_may_not_have_meant_is_said(sample: Path, tmp_path: Path) -> None:
    """A pattern that fits nothing, a list that overrides an archive's role, terms that nobody states."""
    ward = sample / "_local" / "ward"
    (tmp_path / "p.yaml").write_text(
        "held_out: [bus-bra]\nlocal: {ward: {role: held-out, pattern: 'PAT(?P<patient>\\d+)/'}}\n"
    )
    words = ["busi", "--root", sample, "--local", f"ward={ward}", "--params", tmp_path / "p.yaml"]
    ran = openus("build-shards", *words, "--out", tmp_path / "o")
    assert ran.exit_code == 0
    assert re.search(r"local\.ward\.pattern fits 0 of \d+ files \(not .+\)", ran.stderr)
    assert "local-ward is trained on: `held_out` in the parameters does not name it." in ran.stderr
    assert "whether what is made of busi, local-ward may be passed on is not known" in ran.stderr
    told = json.loads((tmp_path / "o/build.json").read_text())
    assert told["terms_unknown"] == ["busi", "local-ward"] and told["local_use_only"] == []


def test_a_benchmark_without_its_tables_is_said_to_have_no_labels(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "bus-bra", tmp_path / "raw" / "bus-bra")
    ran = openus("build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "o")
    assert ran.exit_code == 0 and "no picture has a label" not in ran.stderr
    for table in (tmp_path / "raw").rglob("*.csv"):
        table.unlink()
    ran = openus("build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "o")
    assert ran.exit_code == 0 and "bus-bra: no picture has a label" in ran.stderr
