"""Copies of a benchmark in a person's own archive are known by their authors' mark, whatever became of their pixels."""

from __future__ import annotations

import json
from pathlib import Path

import pixels
import pytest
from conftest import openus
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from openus import manifest


def marked(path: Path, name: str, text: str | None, *, late: bool = False) -> None:
    info = PngInfo()
    if text is not None:
        info.add_itxt("Description", text) if late else info.add_text("Description", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.picture(name)).save(path, pnginfo=info)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A benchmark of one picture and an archive of three others, two of which bear the benchmark's mark."""
    marked(tmp_path / "raw/bus-bra/BUSBRA/Images/bus_0001-l.png", "benchmark", "BUS-BRA dataset")
    marked(tmp_path / "mine/a.png", "cut and stretched", "BUS-BRA dataset")
    marked(tmp_path / "mine/b.png", "another", "bus-bra dataset, resized", late=True)
    marked(tmp_path / "mine/c.png", "my own", "my own scan")
    return tmp_path


def rows_of(folders: Path, params: str) -> dict[str, dict[str, object]]:
    (folders / "p.yaml").write_text(params)
    words = ["--root", folders / "raw", "--local", f"mine={folders / 'mine'}", "--params", folders / "p.yaml"]
    ran = openus("build-shards", *words, "--out", folders / "out")
    assert ran.exit_code == 0, ran.stderr
    table = manifest.read(folders / "out/manifest.parquet").to_pylist()
    return {row["raw_path"]: row for row in table if row["source"] == "local-mine"}


def test_a_marked_file_falls_while_its_benchmark_is_held_out(folders: Path) -> None:
    rows = rows_of(folders, "{}")
    assert {name: row["drop_reason"] for name, row in rows.items()} == {
        "a.png": "leakage",
        "b.png": "leakage",
        "c.png": None,
    }
    assert rows["a.png"]["carries"] == "bus-bra" and rows["c.png"]["carries"] is None


def test_a_marked_file_stays_where_its_benchmark_is_trained_on(folders: Path) -> None:
    rows = rows_of(folders, "held_out: []")
    assert {row["drop_reason"] for row in rows.values()} == {None}


def test_a_held_out_archive_of_marked_copies_holds_their_kind_out(folders: Path) -> None:
    marked(folders / "other/d.png", "yet another", "BUS-BRA dataset")
    (folders / "p.yaml").write_text("held_out: [local-other]")
    words = ["--root", folders / "raw", "--local", f"mine={folders / 'mine'}", "--local", f"other={folders / 'other'}"]
    assert openus("build-shards", *words, "--params", folders / "p.yaml", "--out", folders / "out").exit_code == 0
    rows = manifest.read(folders / "out/manifest.parquet").to_pylist()
    reasons = {row["raw_path"].rpartition("/")[2]: row["drop_reason"] for row in rows}
    assert reasons == {
        "bus_0001-l.png": "leakage",
        "a.png": "leakage",
        "b.png": "leakage",
        "c.png": None,
        "d.png": None,
    }
    assert openus("check-leakage", "--pretrain", folders / "out", "--held-out", folders / "out").exit_code == 0


def test_the_gate_names_a_marked_file_that_was_left_in(folders: Path) -> None:
    rows_of(folders, "leakage: {drop: false}")
    ran = openus("check-leakage", "--pretrain", folders / "out", "--held-out", folders / "out", "--json")
    assert ran.exit_code == 1
    assert {leak["rule"] for leak in ran.json["leaks"]} == {"relation"} and len(ran.json["leaks"]) == 2
    assert all("bears the mark of bus-bra" in leak["detail"] for leak in ran.json["leaks"])


def test_the_gate_knows_marked_files_in_plain_folders(folders: Path) -> None:
    ran = openus("check-leakage", "--pretrain", folders / "mine", "--held-out", folders / "raw/bus-bra", "--json")
    assert sorted(leak["pretrain_key"] for leak in ran.json["leaks"]) == ["a.png", "b.png"]


def test_the_mark_of_real_files(real: Path, tmp_path: Path) -> None:
    ran = openus("build-shards", "bus-bra", "--root", real / "sources", "--out", tmp_path / "o")
    assert ran.exit_code == 0
    rows = manifest.read(tmp_path / "o/manifest.parquet").to_pylist()
    assert rows and {row["carries"] for row in rows} == {"bus-bra"}
    assert all(row["status"] == "kept" for row in rows)
    assert json.loads((tmp_path / "o/build.json").read_text())["local_use_only"] == []
