"""A split is audited: what leaks between its parts, by the same rules and a person's word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import check, openus

from openus import leakage, manifest
from openus.leakage.sides import Picture, Side, _Prints
from openus.params import DedupParams
from openus.sample import PLANTED


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


def test_a_picture_in_two_parts_of_a_split_leaks(sample: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("key,split\n000_HC,train\n000_HC,test\n")
    code, found = check("--pretrain", sample / "hc18" / "training_set", "--split", split)
    assert code == 1 and found["leaks"][0]["detail"] == "it stands in the parts test, train"
