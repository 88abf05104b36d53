"""Findings are told line by line and on a page, whatever their files are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import openus

from openus import storage
from openus.errors import CorpusError


def test_the_page_shows_pairs_and_escapes_names(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    (tmp_path / "mine").mkdir()
    shutil.copy(images / "bus_0003-s.png", tmp_path / "mine" / "<b>x<b>.png")
    words = ["--pretrain", tmp_path / "mine", "--held-out", images, "--html", tmp_path / "page.html"]
    assert openus("check-leakage", *words).exit_code == 1
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "<b>x" not in page and "&lt;b&gt;" in page
    assert "http" not in page


def test_a_finding_is_one_line_whatever_a_file_is_called(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    shutil.copy(images / "bus_0003-s.png", tmp_path / "a\npixel  \x1b[2J.png")
    ran = openus("check-leakage", "--pretrain", tmp_path, "--held-out", images)
    assert ran.stdout.splitlines()[0] == "pixel     a\\npixel  \\x1b[2J.png  bus_0003-s.png  equal pixel by pixel"


def test_a_page_that_cannot_be_written_hides_no_finding(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    shutil.copy(images / "bus_0003-s.png", tmp_path / "a.png")
    words = ["check-leakage", "--pretrain", tmp_path, "--held-out", images, "--json", "--html"]
    ran = openus(*words, tmp_path)
    assert ran.exit_code == 2 and "--html" in ran.stderr and "Images" not in ran.stderr, "told before the work"

    def full(path: Path, _: str) -> None:
        raise CorpusError(f"{path} could not be written: No space left on device.")

    monkeypatch.setattr(storage, "write_text", full)
    ran = openus(*words, tmp_path / "page.html")
    assert ran.exit_code == 1 and "page.html could not be written" in ran.stderr and len(ran.json["leaks"]) == 1
