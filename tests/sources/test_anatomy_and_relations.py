"""The vocabulary, and which sources share what."""

from __future__ import annotations

import re

import pytest

from openus import anatomy, relations, sources

FACTS = "abdomen breast fetal gastrointestinal heart kidney liver lung muscle nerve ovary prostate spine thyroid vessel"


def test_the_vocabulary_is_a_forest() -> None:
    assert len(anatomy.VOCABULARY) > 20
    for word, term in anatomy.VOCABULARY.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", word)
        assert term.word == word
        assert term.title
        above, seen = term.parent, [word]
        while above is not None:
            assert above not in seen
            seen.append(above)
            above = anatomy.VOCABULARY[above].parent


def test_codes_are_unique_and_of_their_system() -> None:
    codes = [term.code for term in anatomy.VOCABULARY.values() if term.code]
    assert len(codes) == len(set(codes))
    for term in anatomy.VOCABULARY.values():
        form = {"UBERON": r"UBERON:\d{7}", "SNOMED CT": r"\d{6,18}", None: ""}[term.code_system]
        assert re.fullmatch(form, term.code or "")
    assert anatomy.VOCABULARY["prostate"].code == "41216001"
    assert anatomy.VOCABULARY["nerve"].code == "UBERON:0001021"


@pytest.mark.parametrize("word", [*FACTS.split(), "brachial-plexus", "fetal-head", "uterus", "carotid-artery"])
def test_needed_words(word: str) -> None:
    assert anatomy.check(word) == word


@pytest.mark.parametrize(("word", "near"), [("livver", "liver"), ("Fetal Head", "fetal-head"), ("nerv", "nerve")])
def test_an_unknown_word_is_named_with_the_nearest(word: str, near: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(word))) as error:
        anatomy.check(word)
    assert near in str(error.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("THYROID", "thyroid"),
        ("carotid", "carotid-artery"),
        ("INFVENACAVA", "inferior-vena-cava"),
        ("Portal V", "portal-vein"),
        ("lymph node", "lymph-node"),
        ("FETALHEART", "fetal-heart"),
        ("PHANTOM", None),
        ("ABDOMENPELVIS", None),
        ("", None),
        ("  ", None),
        (None, None),
        ("ü", None),
    ],
)
def test_body_part_examined(text: str | None, word: str | None) -> None:
    assert anatomy.from_body_part(text) == word


def test_body_parts_lead_to_words() -> None:
    assert set(anatomy.BODY_PART.values()) <= set(anatomy.VOCABULARY)


def test_within() -> None:
    assert anatomy.within("fetal-brain", "fetal")
    assert anatomy.within("heart", "heart")
    assert not anatomy.within("fetal", "fetal-brain")
    assert not anatomy.within("nonsense", "fetal")
    assert not anatomy.within(None, "fetal")


def test_namespaces() -> None:
    assert relations.namespace("jnu-ifm") == relations.namespace("fh-ps-aop") == relations.namespace("psfhs")
    assert relations.namespace("busi") == "busi"
    assert relations.namespace("local-a") == relations.namespace("local-b") == "local"
    names = {relations.namespace(slug) for slug in sources.slugs()}
    assert "local" not in names
    assert not set(relations.PATIENT_GROUPS) & set(sources.slugs())


def test_what_falls_with_a_held_out_source() -> None:
    reason = relations.held_out_partners("mmotu-3d", {"mmotu-2d", "bus-bra"})
    assert reason is not None and "mmotu-2d" in reason
    assert relations.held_out_partners("mmotu-3d", {"bus-bra"}) is None
    assert relations.held_out_partners("mmotu-2d", {"mmotu-3d"}) is None
    assert "jnu-ifm" in (relations.held_out_partners("psfhs", {"jnu-ifm"}) or "")
    assert relations.held_out_partners("psfhs", {"jnu-ifm", "psfhs"}) is None
    assert relations.held_out_partners("busi", {"mmotu-2d", "bus-bra", "gist514-db"}) is None
    assert relations.held_out_partners("local-a", {"local-b"}) is None
