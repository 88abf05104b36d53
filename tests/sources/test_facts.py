"""The cards say nothing that the project's collection of facts does not say. Skips where the collection is not here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from openus import relations, sources

SLUGS = sources.slugs()
STRENGTHS = ("proven", "strong", "possible")


@pytest.fixture(scope="session")
def facts(real: Path) -> Path:
    folder = real.parent / "facts"
    if not (folder / "datasets").is_dir():
        pytest.skip("the collection of facts is not here")
    return folder


def text_of(facts: Path, slug: str) -> str:
    return (facts / "datasets" / f"{slug}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("slug", SLUGS)
def test_every_checksum_address_count_and_id_of_a_card_stands_in_the_facts(slug: str, facts: Path) -> None:
    card, text = sources.load(slug).card, text_of(facts, slug)
    known: dict[str, Any] = yaml.safe_load(text)
    assert card.index == known["index"]
    assert card.access.kind == known["access"]["kind"]
    joined = re.sub(r"\s+", " ", text)
    for file in card.files:
        for value in (file.md5, file.sha256, file.size_bytes):
            assert value is None or str(value) in text, (file.name, value)
    for count in (card.expected_images, card.expected_patients):
        if count:
            digits = "[,_]?".join(str(count))
            assert re.search(rf"(?<!\d){digits}(?!\d)", text), count
    for name, value in card.access.ids.items():
        assert value in joined or value.replace("https://", "") in joined, (name, value)
    host = re.sub(r"^https?://", "", card.access.url).partition("?")[0]
    assert host.rstrip("/") in joined


@pytest.mark.parametrize("slug", SLUGS)
def test_no_permission_is_freer_than_the_facts(slug: str, facts: Path) -> None:
    licence = sources.load(slug).card.licence
    known = yaml.safe_load(text_of(facts, slug))["licence"]
    if re.match(r"CC|Apache|MIT", licence.name or ""):
        assert str(licence.name).partition(" ")[0] in str(known), known
    for ours, theirs in (
        (licence.redistribution, known["redistribution"]),
        (licence.commercial_use, known["commercial"]),
    ):
        word = str(theirs).lower()
        if ours is True:
            version = sources.load(slug).card.access.ids.get(
                "version"
            )  # terms may differ by version: the card's counts
            assert word.startswith(("yes", "true")) or f"v{version} yes" in word, theirs
        elif ours is None:
            assert not word.startswith(("yes", "true", "no ", "no,", "false")) and word != "no", theirs


def listed(facts: Path, key: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = yaml.safe_load((facts / "overlaps.yaml").read_text(encoding="utf-8"))[key]
    assert entries
    return entries


def strength(words: str) -> str:
    return next(word for word in STRENGTHS if words.startswith(word))


def slug_in(words: str) -> str:
    first = words.partition(" ")[0]
    return first if first in SLUGS else ""


def test_every_known_overlap_of_pictures_is_data(facts: Path) -> None:
    ours = {frozenset((one.a, one.b)): one.strength for one in relations.SAME_IMAGES}
    for entry in listed(facts, "same_images"):
        pair = frozenset((entry["a"], slug_in(entry["b"]) or entry["a"]))
        assert ours.get(pair) == strength(entry["strength"]), entry


def test_every_possible_overlap_of_patients_is_data(facts: Path) -> None:
    ours = {frozenset((one.a, one.b)) for one in relations.SAME_PATIENTS}
    for entry in listed(facts, "same_patients_possible"):
        for other in entry["b"] if isinstance(entry["b"], list) else [entry["b"]]:
            assert frozenset((entry["a"], other)) in ours, entry


def test_every_known_carrier_is_data(facts: Path) -> None:
    ours = {one.other: set(one.leaks) for one in relations.CARRIERS}
    for entry in listed(facts, "outside_the_46_that_leak_a_benchmark"):
        assert ours.get(entry["other"]) == {slug.strip() for slug in entry["leaks"].split(",")}, entry
