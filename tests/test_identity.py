"""Keys are stable, patients never carry a name, and unknown is null."""

from __future__ import annotations

import re
import unicodedata

import pytest
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
