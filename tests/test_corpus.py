"""What a finished corpus of the sample holds: every file accounted for, what was planted found, nobody's name."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from built import by_path, rows_of
from conftest import openus

from openus import manifest
from openus.dedup.fingerprint import phash, thumbnail
from openus.sample import PLANTED
from openus.shards.read import decoded, picture_bytes
from openus.storage import walk


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
