"""A patient, an examination or a clip on both sides is a leak, whatever their pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pydicom
import pytest
from conftest import check, openus
from PIL import Image
from pydicom.uid import generate_uid

from openus import leakage, manifest
from openus.leakage.sides import Picture, _Prints
from openus.params import DedupParams

SALT = "one hospital"


def _patients(sample: Path, tmp_path: Path, monkeypatch: Any, salts: tuple[str, str]) -> tuple[int, dict[str, Any]]:
    """The two archives that share a patient, built apart, checked against each other."""
    for name, salt in zip(("dicom", "ward"), salts, strict=True):
        monkeypatch.setenv("OPENUS_SALT", salt)
        words = ["--local", f"{name}={sample / '_local' / name}", "--out", tmp_path / name]
        assert openus("build-shards", *words).exit_code == 0
    return check("--pretrain", tmp_path / "dicom", "--held-out", tmp_path / "ward")


def test_a_patient_on_both_sides_leaks(sample: Path, tmp_path: Path, monkeypatch: Any) -> None:
    code, found = _patients(sample, tmp_path, monkeypatch, (SALT, SALT))
    assert code == 1 and {leak["rule"] for leak in found["leaks"]} == {"patient"}


def test_patients_under_different_keys_are_not_compared_and_that_is_said(
    sample: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    code, found = _patients(sample, tmp_path, monkeypatch, (SALT, "another"))
    assert code == 0 and any("not compared" in note for note in found["notes"])


def test_held_out_patients_leave_the_pretrain_shards(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("local: {ward: {role: held-out}, dicom: {}}")
    words = [w for name in ("dicom", "ward") for w in ("--local", f"{name}={sample / '_local' / name}")]
    assert openus("build-shards", *words, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o").exit_code == 0
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    held_out = {row["patient_id"] for row in rows if row["role"] == "held-out"} - {None}
    mine = [row for row in rows if row["role"] == "pretrain" and row["patient_id"] in held_out]
    assert mine and {row["drop_reason"] for row in mine} == {"leakage"}
    assert all(row["leak_reason"].startswith(f"patient {row['patient_id']} is that of local-ward-") for row in mine)
    assert any(row["status"] == "kept" for row in rows if row["role"] == "pretrain")
    assert check("--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")[0] == 0


@pytest.mark.parametrize("told_by", ["samples", "table"])
def test_a_patient_counts_whether_sample_or_table_tells_it(
    sample: Path, tmp_path: Path, monkeypatch: Any, told_by: str
) -> None:
    """The table or the samples' JSON may have lost or altered whose pictures these are."""
    assert _patients(sample, tmp_path, monkeypatch, (SALT, SALT))[0] == 1
    paths = [tmp_path / name / "manifest.parquet" for name in ("dicom", "ward")]
    mine, held_out = (manifest.read(path) for path in paths)
    both = set(mine["patient_id"].to_pylist()) & set(held_out["patient_id"].to_pylist()) - {None}
    rows = mine.to_pylist()
    for row in rows:
        if told_by == "samples":
            row |= {"patient_id": None, "study_id": None}
        elif row["patient_id"] not in both:
            row["patient_id"] = min(both)
    manifest.write(pa.Table.from_pylist(rows, schema=mine.schema), paths[0])
    code, found = check("--pretrain", tmp_path / "dicom", "--held-out", tmp_path / "ward")
    leaks = {leak["pretrain_key"] for leak in found["leaks"] if leak["rule"] == "patient"}
    kept = [row["key"] for row in rows if row["status"] == "kept"]
    assert code == 1 and leaks and (told_by == "samples" or leaks == set(kept))


def test_patients_of_shards_without_a_manifest_are_compared(sample: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Nobody says under which key these were hashed: equal ids are equal all the same."""
    assert _patients(sample, tmp_path, monkeypatch, (SALT, SALT))[0] == 1
    code, found = check("--pretrain", tmp_path / "dicom" / "shards", "--held-out", tmp_path / "ward")
    assert code == 1 and {leak["rule"] for leak in found["leaks"]} == {"patient"}


@pytest.mark.parametrize(("told", "leaks"), [(("", ""), True), (("", "P2"), True), (("P1", "P2"), False)])
def test_an_examination_on_both_sides_is_a_patient_on_both_sides(
    sample: Path, tmp_path: Path, told: tuple[str, str], leaks: bool
) -> None:
    """Two pictures of one DICOM study; where both name a patient, and another, that counts."""
    study = generate_uid()
    for name, file, patient in zip(("train", "test"), ("P1/IM000001", "P2/IM000001"), told, strict=True):
        dataset = pydicom.dcmread(sample / "_local" / "dicom" / file)
        dataset.PatientID, dataset.StudyInstanceUID = patient, study
        (tmp_path / name).mkdir()
        dataset.save_as(tmp_path / name / "x.dcm")
        assert (
            openus("build-shards", "--local", f"{name}={tmp_path / name}", "--out", tmp_path / f"{name}-o").exit_code
            == 0
        )
    code, found = check("--pretrain", tmp_path / "train-o", "--held-out", tmp_path / "test-o")
    assert [leak["rule"] for leak in found["leaks"]] == ["patient"] * leaks and code == leaks
    assert all(leak["detail"].startswith("examination local:") for leak in found["leaks"])
    (tmp_path / "p.yaml").write_text("local: {test: {role: held-out}, train: {}}")
    words = [w for name in ("train", "test") for w in ("--local", f"{name}={tmp_path / name}")]
    openus("build-shards", *words, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o")
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    assert [row["drop_reason"] for row in rows if row["role"] == "pretrain"] == ["leakage" if leaks else None]


def test_pictures_that_tell_no_patient_are_counted(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    _, found = check("--pretrain", sample / "hc18", "--held-out", images)
    assert sum("tell neither patient nor examination" in note for note in found["notes"]) == 2


def _clip(path: Path, frames: list[np.ndarray]) -> None:
    first, *others = map(Image.fromarray, frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others, duration=50, loop=0)


def test_a_held_out_frame_that_selection_dropped_takes_its_clip_and_its_patient_along(tmp_path: Path) -> None:
    """The frame itself is in no shard, so the gate would not see that its neighbours are."""
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (48, 48), np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(9)]
    _clip(tmp_path / "mine" / "P1" / "clip.gif", frames[:5])
    _clip(tmp_path / "mine" / "P1x" / "other.gif", frames[5:7])
    _clip(tmp_path / "mine" / "P2" / "strange.gif", frames[7:])
    (tmp_path / "test").mkdir()
    cv2.imwrite(str(tmp_path / "test" / "still.png"), frames[2])
    (tmp_path / "p.yaml").write_text(
        "select: {max_per_clip: 2}\nlocal: {test: {role: held-out}, mine: {pattern: '(?P<patient>P[0-9])x?/'}}\n"
    )
    words = [word for name in ("mine", "test") for word in ("--local", f"{name}={tmp_path / name}")]
    assert openus("build-shards", *words, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o").exit_code == 0
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    reasons: dict[str, set[str | None]] = {}
    for row in rows:
        reasons.setdefault(row["raw_path"], set()).add(row["drop_reason"])
    assert reasons == {
        "P1/clip.gif": {"leakage"}, "P1x/other.gif": {"leakage"}, "P2/strange.gif": {None}, "still.png": {None},
    }  # fmt: skip


def test_a_held_out_frame_takes_its_clip_along_where_no_patient_is_known(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (48, 48), np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(7)]
    _clip(tmp_path / "mine" / "clip.gif", frames[:5])
    _clip(tmp_path / "mine" / "other.gif", frames[5:])
    (tmp_path / "test").mkdir()
    cv2.imwrite(str(tmp_path / "test" / "still.png"), frames[2])
    (tmp_path / "p.yaml").write_text("local: {test: {role: held-out}, mine: {}}")
    words = [word for name in ("mine", "test") for word in ("--local", f"{name}={tmp_path / name}")]
    assert openus("build-shards", *words, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o").exit_code == 0
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    assert {row["drop_reason"] for row in rows if row["raw_path"] == "clip.gif"} == {"leakage"}
    assert {row["drop_reason"] for row in rows if row["raw_path"] == "other.gif"} == {None}


def test_a_clip_on_both_sides_is_a_patient_on_both_sides() -> None:
    """Whichever frames of it; of loose files a clip is a path, which says nothing."""
    for source, found in (("blues", ["patient"]), (None, [])):
        sides = []
        for seed, name in enumerate("ab"):
            prints = _Prints()
            prints.add(np.random.default_rng(seed).integers(0, 255, (80, 80), np.uint8))
            sides.append(leakage.Side(name, [Picture(name, source=source, clip="clip.mp4")], prints.table()))
        leaks = leakage.check(*sides, DedupParams()).leaks
        assert [leak.rule for leak in leaks] == found
        assert all(leak.detail == "clip clip.mp4 is on both sides" for leak in leaks)


def test_frames_of_one_clip_are_compared_and_leak_whatever_they_show(sample: Path, tmp_path: Path) -> None:
    """Three pictures that are nearly the same, and one that is quite another."""
    picture = np.asarray(Image.open(sample / "bus-bra" / "BUSBRA" / "Images" / "bus_0003-s.png").convert("L"))
    noise = np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    mine = tmp_path / "mine"
    _clip(mine / "clip.gif", [*(np.roll(picture, n, axis=1) for n in range(3)), noise])
    split = tmp_path / "split.csv"
    split.write_text("key,split\nclip.gif#0,train\nclip.gif#1,test\nclip.gif#2,train\nclip.gif#3,val\n")
    code, found = check("--pretrain", mine, "--split", split)
    pairs = [(leak["rule"], leak["pretrain_key"], leak["held_out_key"]) for leak in found["leaks"]]
    near = [("near", "clip.gif#0", "clip.gif#1"), ("near", "clip.gif#1", "clip.gif#2")]
    first = [("patient", "clip.gif#0", f"clip.gif#{n}") for n in (1, 3)]
    assert code == 1 and pairs == [*near, *first, *(("patient", "clip.gif#1", f"clip.gif#{n}") for n in (2, 3))]
    assert found["leaks"][2]["detail"] == "train | test: clip clip.gif is on both sides"
    words = ["--local", f"mine={mine}", "--out", tmp_path / "o"]
    assert openus("build-shards", *words).exit_code == 0
    kept = [row for row in manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist() if row["status"] == "kept"]
    split.write_text("key,split\n" + "".join(f"{row['key']},{part}\n" for row, part in zip(kept, "ab", strict=True)))
    code, found = check("--pretrain", tmp_path / "o", "--split", split)
    assert code == 1 and [leak["rule"] for leak in found["leaks"]] == ["patient"]
    assert found["leaks"][0]["detail"] == f"a | b: clip {kept[0]['video_id']} is on both sides"
