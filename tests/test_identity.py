"""Keys are stable, patients never carry a name, and unknown is null."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from built import rows_of
from conftest import openus
from hypothesis import given
from hypothesis import strategies as st

from openus.build import identity
from openus.data import Header, Item

SALT = identity.Salt(b"secret", is_default=False)


@given(st.text(min_size=1, max_size=60), st.one_of(st.none(), st.integers(0, 999_999)))
def test_keys_hold_only_plain_characters_and_stay(item_id: str, frame: int | None) -> None:
    key = identity.key("busi", item_id, frame)
    assert re.fullmatch(r"[a-z0-9_-]+-[0-9a-f]{16}-\d{6}", key)
    assert key == identity.key("busi", item_id, frame)


def test_a_decomposed_file_name_is_the_same_name() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Größe/é.png") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert identity.key("x", composed, None) == identity.key("x", decomposed, None)


@pytest.mark.parametrize(
    "value", ["", "  ", "0", "000000", "ANONYMOUS", "anon^", "N/A", "unknown", "xxx", "---", "None"]
)
def test_placeholders_name_nobody(value: str) -> None:
    assert identity.header_ids(Header(patient=value, study=value), SALT) == (None, None)


def test_header_ids_are_hashed_with_issuer_and_key() -> None:
    one = identity.header_ids(Header(patient="4711", study="1.2.3"), SALT)
    assert all(value and re.fullmatch(r"[0-9a-f]{32}", value) for value in one)
    assert one != identity.header_ids(Header(patient="4711", issuer="other", study="1.2.3"), SALT)
    assert one != identity.header_ids(Header(patient="4711", study="1.2.3"), identity.Salt(b"another", False))
    assert one == identity.header_ids(Header(patient=" 4711 ", study="1.2.3"), SALT)


def test_one_patient_in_two_own_archives_is_one_patient() -> None:
    item = Item(id="a/b.png", path="a/b.png", patient="S2", study="1", video="v")
    one, two = identity.ids("local-a", item, SALT), identity.ids("local-b", item, SALT)
    assert one.patient == two.patient
    assert one.patient is not None and one.patient.startswith("local:") and "S2" not in one.patient
    assert one.clip != two.clip and "b.png" not in one.clip


def test_examinations_are_numbered_by_patient_and_clips_by_archive() -> None:
    one, other = (identity.ids("local-a", Item(id="x", path="x", patient=p, study="1"), SALT) for p in ("S1", "S2"))
    assert one.study != other.study
    clip = Item(id="x", path="x", video="v")
    assert identity.ids("local-a", clip, SALT).video != identity.ids("local-b", clip, SALT).video


@pytest.mark.parametrize("word", ["unknown", "Anon", "none", "xxx", "-"])
def test_a_placeholder_in_a_folder_name_is_no_patient(word: str) -> None:
    ids = identity.ids("local-a", Item(id="x", path="x", patient=word, study=word), SALT)
    assert (ids.patient, ids.study) == (None, None)


def test_a_number_of_zeros_in_a_folder_name_is_a_patient() -> None:
    assert identity.ids("local-a", Item(id="x", path="x", patient="000000"), SALT).patient is not None


def test_header_and_pattern_give_the_same_patient_the_same_id() -> None:
    header, _ = identity.header_ids(Header(patient="4711"), SALT)
    item = identity.ids("local-a", Item(id="x", path="x", patient="4711"), SALT)
    assert item.patient == identity.namespaced("local-a", header)


def test_published_sources_keep_their_words_in_their_namespace() -> None:
    ids = identity.ids("bus-bra", Item(id="x", path="x", patient="17"), SALT)
    assert (ids.patient, ids.study, ids.video) == ("bus-bra:17", None, None)


def test_sources_of_one_patient_group_share_a_namespace() -> None:
    assert identity.namespaced("psfhs", "1") == identity.namespaced("jnu-ifm", "1") != identity.namespaced("hc18", "1")


def test_the_key_does_not_show() -> None:
    assert "secret" not in repr(SALT) + str(SALT) + SALT.fingerprint
    assert identity.salt_from({}).is_default
    assert identity.salt_from({"OPENUS_SALT": "x"}).fingerprint != identity.salt_from({}).fingerprint


# ---- of a whole build


def test_keys_do_not_depend_on_a_wrapping_folder(sample: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "blues", tmp_path / "raw" / "blues" / "COVID-BLUES-main")
    assert openus("build-shards", "--root", tmp_path / "raw", "--out", tmp_path / "o").exit_code == 0
    keys = {row["key"] for row in rows_of(tmp_path / "o")}
    assert keys == {row["key"] for row in rows_of(corpus) if row["source"] == "blues"}


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
