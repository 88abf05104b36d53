"""The gate fires on every kind of leak, on shards' own bytes, and stays quiet otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pyarrow as pa
import pydicom
import pytest
from conftest import openus, sample_words
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000MC, generate_uid

from openus import leakage, manifest, storage
from openus.errors import CorpusError
from openus.leakage.sides import Picture, Side, _Prints
from openus.params import DedupParams
from openus.sample import PLANTED

SALT = "one hospital"


@pytest.fixture(scope="module")
def leaky(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample built with `leakage.drop: false`: the planted leaks are in its pretrain shards."""
    folder = tmp_path_factory.mktemp("leaky")
    params = folder / "params.yaml"
    params.write_text((sample / "_local" / "params.yaml").read_text() + "\nleakage: {drop: false}\n")
    words = sample_words(sample)
    words[words.index("--params") + 1] = str(params)
    ran = openus("build-shards", "bus-bra", *words, "--out", folder / "o")
    assert ran.exit_code == 0, ran.stderr
    return folder / "o"


def check(*words: object) -> tuple[int, dict[str, Any]]:
    ran = openus("check-leakage", *words, "--json")
    return ran.exit_code, ran.json


def test_a_corpus_that_dropped_its_leaks_is_clean(corpus: Path) -> None:
    code, found = check("--pretrain", corpus / "manifest.parquet", "--held-out", corpus / "manifest.parquet")
    assert (code, found["ok"], found["leaks"]) == (0, True, [])
    assert found["pretrain"] > 100 and found["held_out"] == 30


def test_the_planted_leaks_are_found_with_their_pairs(leaky: Path) -> None:
    code, found = check("--pretrain", leaky, "--held-out", leaky)
    rows = {row["key"]: row for row in manifest.read(leaky / "manifest.parquet").to_pylist()}
    pairs = {
        (f"_local/ward/{rows[leak['pretrain_key']]['raw_path']}", f"bus-bra/{rows[leak['held_out_key']]['raw_path']}")
        for leak in found["leaks"]
    }
    assert code == 1 and not found["ok"]
    assert pairs == set(PLANTED.leaks)
    assert {leak["rule"] for leak in found["leaks"]} == {"pixel", "near"}


def test_a_table_that_lies_does_not_hide_a_leak(leaky: Path, tmp_path: Path) -> None:
    shutil.copytree(leaky, tmp_path / "o")
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    for row in rows:
        if row["source"] == "local-ward":
            row |= {"status": "dropped", "pixel_sha256": "0" * 64, "phash": "0" * 16}
    manifest.write(manifest.table(rows), tmp_path / "o" / "manifest.parquet")
    code, found = check("--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert code == 1 and len(found["leaks"]) == 2


def test_sides_may_be_shards_or_pictures(leaky: Path, sample: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    for shard in (leaky / "shards").glob("pretrain-*.tar"):
        shutil.copy(shard, shards)
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    code, found = check("--pretrain", shards, "--held-out", images)
    assert code == 1
    assert {leak["held_out_key"] for leak in found["leaks"]} == {Path(held).name for _, held in PLANTED.leaks}
    code, found = check("--pretrain", sample / "hc18", "--held-out", images)
    assert (code, found["pretrain"], found["held_out"]) == (0, 8, 30)


@pytest.mark.parametrize("change", ["smaller", "jpeg", "gamma", "crop", "mirror"])
def test_a_changed_copy_is_near(sample: Path, tmp_path: Path, change: str) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    picture = cv2.imread(str(images / "bus_0003-s.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    rows, columns = picture.shape
    changed = {
        "smaller": cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
        "jpeg": cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE),
        "gamma": np.round(255 * (picture / 255.0) ** 1.25).astype(np.uint8),
        "crop": picture[: round(rows * 0.93), round(columns * 0.05) :],
        "mirror": picture[:, ::-1],
    }[change]
    (tmp_path / "mine").mkdir()
    assert changed is not None
    cv2.imwrite(str(tmp_path / "mine" / "copy.png"), changed)
    code, found = check("--pretrain", tmp_path / "mine", "--held-out", images)
    assert code == 1
    assert [(leak["rule"], leak["held_out_key"]) for leak in found["leaks"]] == [("near", "bus_0003-s.png")]


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


def test_blank_pictures_are_no_leak(sample: Path, tmp_path: Path) -> None:
    """Nearly black ones of two sources may be equal pixel by pixel, and show nothing."""
    blank = np.random.default_rng(0).integers(0, 9, (96, 96), np.uint8)
    for name in ("mine", "test"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "blank.png"), blank)
    shutil.copy(sample / "hc18" / "training_set" / "000_HC.png", tmp_path / "mine")
    code, found = check("--pretrain", tmp_path / "mine", "--held-out", tmp_path / "test")
    assert (code, found["pretrain"], found["held_out"], found["leaks"]) == (0, 2, 1, [])
    (tmp_path / "mine" / "000_HC.png").unlink()  # and both the first of their side
    cv2.imwrite(str(tmp_path / "mine" / "blank.png"), np.random.default_rng(1).integers(0, 9, (96, 96), np.uint8))
    assert check("--pretrain", tmp_path / "mine", "--held-out", tmp_path / "test")[1]["leaks"] == []


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


def test_look_alikes_do_not_crowd_a_held_out_picture_out(sample: Path, tmp_path: Path) -> None:
    """Each copy's nearest candidates are the other copies; the held-out original must be asked for all the same."""
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    picture = cv2.imread(str(images / "bus_0003-s.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    (tmp_path / "mine").mkdir()
    for number in range(8):  # of one cut and one gamma, so nearer to each other than to the original
        changed = np.round(255 * (picture[8:, 8:] / 255.0) ** 1.2).astype(np.uint8)
        name = str(tmp_path / "mine" / f"{number}.jpg")
        cv2.imwrite(name, changed, [cv2.IMWRITE_JPEG_QUALITY, 60 + 4 * number])
    (tmp_path / "p.yaml").write_text("dedup: {neighbours: 1}")
    words = ["bus-bra", "--root", sample, "--local", f"mine={tmp_path / 'mine'}", "--params", tmp_path / "p.yaml"]
    assert openus("build-shards", *words, "--out", tmp_path / "o").exit_code == 0
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    assert [row["drop_reason"] for row in rows if row["source"] == "local-mine"] == ["leakage"] * 8


def test_a_related_source_leaks_by_relation() -> None:
    def side(source: str) -> leakage.Side:
        from openus.leakage.sides import Picture, _Prints

        prints = _Prints()
        prints.add(np.random.default_rng(list(source.encode())).integers(0, 255, (80, 80), np.uint8))
        return leakage.Side(source, [Picture(f"{source}-0", source=source)], prints.table())

    from openus.params import DedupParams

    found = leakage.check(side("mmotu-3d"), side("mmotu-2d"), DedupParams())
    assert [(leak.rule, leak.pretrain_key, leak.held_out_key) for leak in found.leaks] == [
        ("relation", "mmotu-3d-0", None)
    ]
    assert leakage.check(side("busi"), side("mmotu-2d"), DedupParams()).ok


def test_related_sources_on_two_sides_of_a_split_leak(tmp_path: Path) -> None:
    from openus.leakage.sides import Picture, _Prints
    from openus.params import DedupParams

    prints = _Prints()
    pictures = []
    for key, source in {"a": "psfhs", "b": "jnu-ifm", "c": "jnu-ifm", "d": "busi", "e": "psfhs"}.items():
        prints.add(np.random.default_rng(ord(key)).integers(0, 255, (80, 80), np.uint8))
        pictures.append(Picture(key, source=source, raw_path=f"{key}.png"))
    corpus, split = leakage.Side("o", pictures, prints.table()), tmp_path / "split.csv"
    split.write_text("key,split\na,train\nb,test\nc,test\nd,test\ne,train\n")
    (leak,) = leakage.audit_split(corpus, split, DedupParams()).leaks
    assert (leak.rule, leak.pretrain_key, leak.held_out_key) == ("relation", "b", "a")
    assert leak.detail.startswith("test | train: ") and "intrapartum" in leak.detail
    split.write_text("key,split\na,train\nb,train\nc,train\nd,test\ne,train\n")
    assert leakage.audit_split(corpus, split, DedupParams()).ok
    corpus.pictures[1] = Picture("b", source="bus-bra", raw_path="b.png", carries="bus-bra")
    corpus.pictures[3] = Picture("d", source="local-mine", raw_path="d.png", carries="bus-bra")
    (leak,) = leakage.audit_split(corpus, split, DedupParams()).leaks
    assert (leak.rule, leak.pretrain_key, leak.held_out_key) == ("relation", "d", "b")
    assert "bears the mark of bus-bra" in leak.detail
    corpus.pictures[3] = Picture("d", source="jnu-ifm", raw_path="d.png", patients=frozenset(["intrapartum:1"]))
    assert [leak.rule for leak in leakage.audit_split(corpus, split, DedupParams()).leaks] == ["relation"]
    for row, source in ((0, "psfhs"), (4, "psfhs")):  # both sources tell their patients, who were compared
        told = frozenset([f"intrapartum:a{row}"])
        corpus.pictures[row] = Picture("abcde"[row], source=source, raw_path=f"{row}.png", patients=told)
    split.write_text("key,split\na,train\nd,test\ne,train\n")
    assert leakage.audit_split(corpus, split, DedupParams()).ok


def test_an_official_split_is_audited(corpus: Path, sample: Path, tmp_path: Path) -> None:
    folds = sample / "bus-bra" / "BUSBRA" / "5-fold-cv.csv"
    words = ["build-shards", "bus-bra", "--root", sample, "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    code, found = check("--pretrain", tmp_path / "o", "--split", folds)
    assert (code, found["leaks"]) == (0, [])
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    split = tmp_path / "by_image.csv"  # the flaw of image-level folds
    parts = "".join(f"{row['key']},{'ab'[n % 2]}\n" for n, row in enumerate(rows))
    split.write_text(f"key,split\n{parts}lost,a\n")
    code, found = check("--pretrain", tmp_path / "o", "--split", split)
    assert code == 1 and {leak["rule"] for leak in found["leaks"]} == {"patient"}
    assert "1 names of by_image.csv are of no picture here, lost among them" in found["notes"]
    by_key = {row["key"]: row["patient_id"] for row in rows}
    assert all(by_key[leak["pretrain_key"]] == by_key[leak["held_out_key"]] for leak in found["leaks"])


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ({"a": ((), "s"), "b": (("p",), "t"), "c": (("p",), "s")}, {"a": "train", "b": "test", "c": "test"}),
        ({"a": (("p",), "s"), "b": (("q",), "s"), "c": ((), "s")}, {"a": "train", "b": "test", "c": "train"}),
        ({"a": (("1",), ""), "b": (("2",), ""), "c": (("1", "2"), "")}, {"a": "train", "b": "test", "c": "train"}),
    ],
)
def test_no_nearer_picture_hides_a_patient_in_another_part(
    tmp_path: Path, told: dict[str, tuple[tuple[str, ...], str]], parts: dict[str, str]
) -> None:
    rng = np.random.default_rng(0)
    prints = _Prints()
    pictures = []
    for key, (patients, study) in told.items():
        prints.add(rng.integers(0, 256, (64, 64), np.uint8))
        pictures.append(Picture(key, patients=frozenset(patients), studies=frozenset(filter(None, [study]))))
    split = tmp_path / "split.csv"
    split.write_text("key,split\n" + "".join(f"{key},{part}\n" for key, part in parts.items()))
    found = leakage.audit_split(Side("three", pictures, prints.table()), split, DedupParams())
    assert [leak.rule for leak in found.leaks] == ["patient"]
    assert found.summary == "3 pictures in 2 parts: 1 findings."


def test_a_persons_word_counts_in_an_audit_too(sample: Path, tmp_path: Path) -> None:
    words = ["build-shards", "busi", "--root", sample, "--params", _keep_all(tmp_path)]
    assert openus(*words, "--out", tmp_path / "o").exit_code == 0
    rows = {
        f"busi/{row['raw_path']}": row["key"] for row in manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    }
    (a, b), *_ = PLANTED.near
    others = [key for path, key in sorted(rows.items()) if path not in (a, *(q for p in PLANTED.exact for q in p))]
    split = tmp_path / "split.csv"
    split.write_text(f"key,split\n{rows[a]},one\n" + "".join(f"{key},two\n" for key in others))
    code, found = check("--pretrain", tmp_path / "o", "--split", split)
    assert code == 1 and {frozenset((leak["pretrain_key"], leak["held_out_key"])) for leak in found["leaks"]} == {
        frozenset((rows[a], rows[b]))
    }
    told = openus("check-leakage", "--pretrain", tmp_path / "o", "--split", split).stdout
    assert all(f"{rows[path]} ({path.partition('/')[2]})" in told for path in (a, b)) and "into one part, or" in told
    judged = tmp_path / "judged.csv"
    judged.write_text(f"a,b,verdict\n{rows[a]},{rows[b]},different\n{rows[a]},elsewhere,different\n")
    code, found = check("--pretrain", tmp_path / "o", "--split", split, "--adjudicated", judged)
    assert code == 0 and "1 of 2 judged pairs name a key of no picture here, elsewhere among them" in found["notes"]
    judged.write_text(f"a,b,verdict\n{rows[a]},{others[0]},same\n{rows[a]},{rows[b]},different\n")
    (leak,) = check("--pretrain", tmp_path / "o", "--split", split, "--adjudicated", judged)[1]["leaks"]
    assert {leak["pretrain_key"], leak["held_out_key"]} == {rows[a], others[0]}
    assert leak["rule"] == "near" and leak["detail"].endswith("a person has found them the same")
    spelt = split.read_text().replace(",", ";").replace("key;split", "Key; Set")  # as a spreadsheet may write it
    (tmp_path / "spelt.csv").write_text(spelt)
    assert check("--pretrain", tmp_path / "o", "--split", tmp_path / "spelt.csv")[0] == 1
    (tmp_path / "spelt.csv").write_text(spelt.replace(" Set", "Seite"))
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--split", tmp_path / "spelt.csv")
    assert ran.exit_code == 2 and "no column that names parts; its first line is Key;Seite" in ran.stderr


def _keep_all(folder: Path) -> Path:
    """Parameters under which near-duplicates stay: all of busi is held out."""
    (folder / "keep.yaml").write_text("held_out: [busi]")
    return folder / "keep.yaml"


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


def test_a_persons_word_opens_and_shuts_the_gate(leaky: Path, tmp_path: Path) -> None:
    _, found = check("--pretrain", leaky, "--held-out", leaky)
    judged = tmp_path / "adjudicated.csv"
    lines = [f"{leak['pretrain_key']},{leak['held_out_key']},different" for leak in found["leaks"]]
    judged.write_text("\n".join(["a,b,verdict", *lines]) + "\n", encoding="utf-8-sig")  # as spreadsheets save it
    code, overruled = check("--pretrain", leaky, "--held-out", leaky, "--adjudicated", judged)
    assert code == 0 and not overruled["leaks"]
    assert overruled["overruled"] == found["leaks"] and found["overruled"] == [], "what was overruled is told"
    assert f"{len(lines)} look-alikes were judged different by a person" in " ".join(overruled["notes"])
    leaks = {(leak["pretrain_key"], leak["held_out_key"]) for leak in found["leaks"]}
    rows = [row for row in manifest.read(leaky / "manifest.parquet").to_pylist() if row["status"] == "kept"]
    test = next(row["key"] for row in rows if row["role"] == "held-out")
    mine = next(row["key"] for row in rows if row["source"] == "local-volumes")
    judged.write_text(f"a,b,verdict\n{mine},{test},same\n")
    _, told = check("--pretrain", leaky, "--held-out", leaky, "--adjudicated", judged)
    assert {(leak["pretrain_key"], leak["held_out_key"]) for leak in told["leaks"]} == {(mine, test)} | leaks
    judged.write_text("a,b,verdict\nx,y,maybe\n")
    ran = openus("check-leakage", "--pretrain", leaky, "--held-out", leaky, "--adjudicated", judged)
    assert ran.exit_code == 2 and "line 2" in ran.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["--pretrain", "{tmp}/nothing", "--held-out", "{tmp}/nothing"], 2),
        (["--pretrain", "{tmp}", "--held-out", "{tmp}"], 1),
        (["--split", "{tmp}/x.csv"], 2),
    ],
)
def test_wrong_use_is_said(tmp_path: Path, words: list[str], code: int) -> None:
    ran = openus("check-leakage", *(word.format(tmp=tmp_path) for word in words))
    assert ran.exit_code == code and ran.stderr.startswith(("openus: ", "Usage"))


def test_a_shard_cut_between_two_members_shuts_the_gate(corpus: Path, tmp_path: Path) -> None:
    import tarfile

    shutil.copytree(corpus, tmp_path / "o")
    shard = next((tmp_path / "o" / "shards").glob("held-out-*.tar"))
    with tarfile.open(shard) as tar:
        third = tar.getmembers()[2].offset
    shard.write_bytes(shard.read_bytes()[:third])  # one whole sample, then nothing: tar itself sees no fault
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert ran.exit_code == 1 and "cut off" in ran.stderr
    with shard.open("ab") as file:
        file.write(b"\0" * 1024)  # and with a proper end, but most of its samples gone
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert ran.exit_code == 1 and "29 kept pictures" in ran.stderr


def test_a_picture_that_cannot_be_read_shuts_the_gate(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    (tmp_path / "mine").mkdir()
    picture = (images / "bus_0003-s.png").read_bytes()
    (tmp_path / "mine" / "cut.png").write_bytes(picture[: len(picture) // 2])
    ran = openus("check-leakage", "--pretrain", images, "--held-out", tmp_path / "mine")
    assert ran.exit_code == 1 and "cut.png" in ran.stderr
    for number in range(6):
        (tmp_path / "mine" / f"cut{number}.png").write_bytes(picture[: len(picture) // 2])
    ran = openus("check-leakage", "--pretrain", images, "--held-out", tmp_path / "mine")
    assert ran.exit_code == 1 and "cut3.png" in ran.stderr and "(and 2 more)" in ran.stderr


def test_a_folder_that_cannot_be_listed_shuts_the_gate(sample: Path, tmp_path: Path) -> None:
    """Links to folders are not followed: what lies behind one was not looked at."""
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    (tmp_path / "mine").mkdir()
    shutil.copy(sample / "hc18" / "training_set" / "000_HC.png", tmp_path / "mine")
    assert openus("check-leakage", "--pretrain", tmp_path / "mine", "--held-out", images).exit_code == 0
    (tmp_path / "mine" / "more").symlink_to(images)
    ran = openus("check-leakage", "--pretrain", tmp_path / "mine", "--held-out", images)
    assert ran.exit_code == 1 and "the folder more could not be listed" in ran.stderr


def test_a_medium_that_cannot_be_read_shuts_the_gate_and_what_is_none_does_not(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    mine = tmp_path / "mine"
    (mine / "P2").mkdir(parents=True)
    dicom = pydicom.dcmread(sample / "_local" / "dicom" / "P1" / "IM000001")
    dicom.save_as(mine / "P1.dcm")
    (mine / "LICENSE").write_text("Anybody may look.")
    (mine / "table.csv").write_text("ID,fold\n1,2\n")
    (mine / "._P1.dcm").write_bytes(b"\0\x05\x16\7 of a Mac")
    assert check("--pretrain", images, "--held-out", mine)[0] == 0
    dicom.file_meta.TransferSyntaxUID = JPEG2000MC
    dicom.PixelData = encapsulate([b"nobody here reads it"])
    dicom.save_as(tmp_path / "rare.dcm")
    with h5py.File(tmp_path / "pictures.h5", "w") as file:
        file["pictures"] = np.zeros((2, 80, 80), np.uint8)
    for name in ("rare.dcm", "pictures.h5"):
        shutil.copy(tmp_path / name, mine / "P2" / name)
        ran = openus("check-leakage", "--pretrain", images, "--held-out", mine)
        assert (
            ran.exit_code == 1 and f"{mine / 'P2'}: {name}" in ran.stderr and "convert it, or take it out" in ran.stderr
        )
        (mine / "P2" / name).unlink()
    (mine / "P2" / "empty.png").touch()
    code, found = check("--pretrain", images, "--held-out", mine)
    assert (
        code == 0 and f"1 files of {mine} are named like media but are none, P2/empty.png among them" in found["notes"]
    )


def test_what_is_not_compared_is_said(corpus: Path, sample: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    code, found = check("--pretrain", corpus, "--held-out", images)  # the corpus holds bus-bra, but held out
    assert (code, found["held_out"]) == (0, 30)
    assert any("were not compared" in note for note in found["notes"])
    code, found = check("--pretrain", sample / "hc18", "--held-out", corpus)  # of the held-out side everything counts
    assert code == 1 and len({leak["pretrain_key"] for leak in found["leaks"]}) == 8


def test_one_corpus_by_two_names_is_one_corpus(corpus: Path) -> None:
    code, found = check("--pretrain", corpus / "manifest.parquet", "--held-out", corpus)
    assert (code, found["held_out"]) == (0, 30)


def test_pictures_without_roles_named_twice_are_wrong_use(sample: Path) -> None:
    ran = openus("check-leakage", "--pretrain", sample / "hc18", "--held-out", sample / "hc18")
    assert ran.exit_code == 2 and "no roles" in ran.stderr


def test_shards_that_cannot_be_seen_shut_the_gate(sample: Path, tmp_path: Path) -> None:
    import tarfile

    images = sample / "bus-bra" / "BUSBRA" / "Images"
    for name, inside in (("dotted", "a.image.png"), ("other", "a.xyz"), ("empty", None)):
        (tmp_path / name).mkdir()
        with tarfile.open(tmp_path / name / "x.tar", "w") as tar:
            if inside:
                tar.add(images / "bus_0003-s.png", inside)
    assert openus("check-leakage", "--pretrain", tmp_path / "dotted", "--held-out", images).exit_code == 1
    for name, said in (("other", "no picture of a kind"), ("empty", "hold no picture")):
        ran = openus("check-leakage", "--pretrain", tmp_path / name, "--held-out", images)
        assert ran.exit_code == 1 and said in ran.stderr


def test_a_picture_in_two_parts_of_a_split_leaks(sample: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("key,split\n000_HC,train\n000_HC,test\n")
    code, found = check("--pretrain", sample / "hc18" / "training_set", "--split", split)
    assert code == 1 and found["leaks"][0]["detail"] == "it stands in the parts test, train"


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


def test_a_damaged_shard_shuts_the_gate(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "o")
    shard = next((tmp_path / "o" / "shards").glob("held-out-*.tar"))
    shard.write_bytes(shard.read_bytes()[:5000])
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert ran.exit_code == 1 and shard.name in ran.stderr


def test_an_address_that_leads_to_another_picture_shuts_the_gate(corpus: Path, tmp_path: Path) -> None:
    """Who trains reads by the manifest's addresses; the gate reads the shards: both must mean the same picture."""
    shutil.copytree(corpus / "shards", tmp_path / "shards")
    table = manifest.read(corpus / "manifest.parquet")
    rows = table.to_pylist()
    kept = [row for row in rows if row["status"] == "kept"]
    held_out = next(row for row in kept if row["role"] == "held-out")
    victim = next(row for row in kept if row["role"] == "pretrain")
    victim |= {name: held_out[name] for name in ("shard", "offset", "size")}
    manifest.write(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "manifest.parquet")
    ran = openus("check-leakage", "--pretrain", tmp_path, "--held-out", tmp_path)
    assert ran.exit_code == 1 and "address" in ran.stderr
