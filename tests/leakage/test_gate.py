"""The gate fires on pictures and related sources, on shards' own bytes, and stays quiet otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import check, openus, sample_words

from openus import leakage, manifest
from openus.sample import PLANTED


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
