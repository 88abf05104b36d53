"""Which frame stays: roles, clips, sizes, terms and a person's word, in their order."""

from __future__ import annotations

from collections import Counter
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from built import by_path, rows_of
from conftest import openus

from openus.build.decide import _follow_clips, _found
from openus.build.load import Row
from openus.data import silent
from openus.params import Params
from openus.sample import PLANTED


def made(key: str, **given: Any) -> Row:
    """A row of which nothing is known but what is given."""
    usual = {"source": "busi", "role": "pretrain", "selection": "keep", "file": "file", "position": 0, "repeats": None}
    sizes = {"pixel_sha256": "", "orig_width": 8, "orig_height": 8}
    unknown = dict.fromkeys(field.name for field in fields(Row) if field.default is MISSING)
    return Row(**unknown | usual | sizes | given | {"key": key})


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


def test_a_clip_under_one_name_in_two_archives_is_followed_in_each(tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0)
    shown = [Image.fromarray(noise.integers(0, 255, (96, 96), np.uint8).repeat(2, 0).repeat(2, 1)) for _ in range(3)]
    for name in "ab":
        (tmp_path / name).mkdir()
        shown[0].save(tmp_path / name / "clip.gif", save_all=True, append_images=[*shown[1:], *shown], duration=50)
    words = [word for name in "ab" for word in ("--local", f"{name}={tmp_path / name}")]
    assert openus("build-shards", *words, "--out", tmp_path / "o").exit_code == 0
    rows = rows_of(tmp_path / "o")
    kept = {row["key"] for row in rows if row["status"] == "kept"}
    assert {row["source"] for row in rows if row["key"] in kept} == {"local-a"}
    dropped = Counter((row["source"], row["drop_reason"]) for row in rows if row["key"] not in kept)
    assert dropped == {
        ("local-a", "redundant-frame"): 3,
        ("local-b", "redundant-frame"): 3,
        ("local-b", "exact-duplicate"): 3,
    }
    assert all(row["duplicate_of"] in kept for row in rows if row["key"] not in kept)


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


@pytest.mark.parametrize("quality", ["blank", None])
def test_blank_frames_link_nobody_whatever_they_show(quality: str | None) -> None:
    thumb = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8), (0, 0), 1.2)
    rows = [made(name, file=name, pixel_sha256="equal", quality=quality) for name in "ab"]
    found = list(_found(rows, np.stack([thumb, thumb]), Params(), silent))
    assert len(found) == (0 if quality else 1)


def test_what_a_redundant_frame_repeats_is_followed_as_the_frames_were_read() -> None:
    """Keys are in the order of the frames in the file; a Reading may take them in another."""

    def frame(number: int, position: int, repeats: int | None, reason: str | None) -> Row:
        return made(f"k{number}", position=position, repeats=repeats, drop_reason=reason)

    rows = [frame(0, 2, 1, "redundant-frame"), frame(1, 1, 0, "redundant-frame"), frame(2, 0, None, None)]
    _follow_clips(rows)
    assert [row.duplicate_of for row in rows] == ["k2", "k2", None]
