"""The main job: the same bytes from any workers and order, and one sentence where it refuses or warns."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from built import content, rows_of
from conftest import openus, sample_words


def test_bytes_do_not_depend_on_workers(sample: Path, corpus: Path, tmp_path: Path) -> None:
    assert openus("build-shards", *sample_words(sample), "--out", tmp_path / "o", "--workers", 1).exit_code == 0
    assert content(tmp_path / "o") == content(corpus)


def test_the_seed_orders_shards_and_nothing_else(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "busi", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words, "--seed", 1).exit_code == 0
    one = content(tmp_path / "o")
    assert openus(*words, "--seed", 2).exit_code == 0
    two = content(tmp_path / "o")
    assert one["shards/pretrain-000000.tar"] != two["shards/pretrain-000000.tar"]
    assert len(one["shards/pretrain-000000.tar"]) == len(two["shards/pretrain-000000.tar"])


def test_the_manifest_is_sorted_by_key_whatever_the_order_of_sources(sample: Path, tmp_path: Path) -> None:
    for name, slugs in (("a", ("busi", "hc18")), ("b", ("hc18", "busi"))):
        assert openus("build-shards", *slugs, "--root", sample, "--out", tmp_path / name).exit_code == 0
    keys = [row["key"] for row in rows_of(tmp_path / "a")]
    assert keys == sorted(keys)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_source_named_twice_is_built_once(sample: Path, tmp_path: Path) -> None:
    ran = openus("build-shards", "busi", "busi", "--root", sample, "--out", tmp_path / "o", "--json")
    assert ran.exit_code == 0 and ran.json["sources"]["busi"]["files"]["taken"] == 12
    assert openus("verify", tmp_path / "o").exit_code == 0


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


def test_a_staging_folder_is_used_by_one_build(sample: Path, tmp_path: Path) -> None:
    from openus.build.staging import locked

    for held in ("o", "s"):
        with locked(tmp_path / held):
            words = ["busi", "--root", sample, "--out", tmp_path / "o", "--staging", tmp_path / "s"]
            ran = openus("build-shards", *words)
        assert ran.exit_code == 1 and f"{tmp_path / held} is in use by another build." in ran.stderr


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


def test_archives_in_a_folder_of_ones_own_are_told(tmp_path: Path, sample: Path) -> None:
    shutil.copytree(sample / "_local" / "ward", tmp_path / "ward")
    (tmp_path / "ward" / "older.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    ran = openus("build-shards", "--local", f"ward={tmp_path / 'ward'}", "--out", tmp_path / "o")
    assert ran.exit_code == 0 and "local-ward: archives lie there unopened (1)" in ran.stderr
    told = json.loads((tmp_path / "o/build.json").read_text())["sources"]["local-ward"]["files"]["ignored"]
    assert told["archive"] == 1


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
