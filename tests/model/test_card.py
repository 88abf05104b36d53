"""The card says what went into weights, under which terms, and what a person overruled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import toy
from conftest import verdict_of
from toy import TOY, Train

from model.card import licence_of, overruled, seen
from model.pretrain import pretrain
from model.world import join
from openus.leakage import admit

train, one_thread = toy.train, toy.one_thread


def test_the_card_says_what_went_in(train: Train, corpus: Path, gate: Path) -> None:
    run = train("run")
    card = json.loads((run / "encoder/card.json").read_text())
    assert card["corpus"]["digest"] == json.loads(gate.read_text())["compared"]["pretrain"]["digest"]
    assert card["gate"]["ok"] and list(card["gate"]["held_out_sources"]) == ["bus-bra"]
    assert sum(one["pictures"] for one in card["sources"].values()) == card["corpus"]["pictures"]
    assert card["sources"]["blues"]["commercial_use"] is False and "bus-bra" not in card["sources"]
    assert card["params"]["model"]["architecture"] == "vit_test_patch16"
    assert str(corpus) not in json.dumps(card)
    page = (run / "encoder/README.md").read_text()
    assert "| blues |" in page and "forbid commercial use" in page
    picture = cv2.imread(str(run / "reconstruction.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (2 * 36, 3 * 36) and picture.std() > 10


def test_what_a_person_overruled_stands_in_the_card(corpus: Path, gate: Path, tmp_path: Path) -> None:
    assert admit(corpus, gate).overruled == 0
    verdict = verdict_of(gate, tmp_path, overruled=[{"rule": "near"}] * 3)
    with join("cpu") as world:
        folder = pretrain(corpus, verdict, TOY, tmp_path / "run", world)
    assert json.loads((folder / "card.json").read_text())["gate"]["overruled"] == 3
    assert "3 look-alikes were judged different by a person" in (folder / "README.md").read_text()
    for init in (tmp_path / "run", folder / "model.safetensors"):  # a run that goes on from it tells of them as well
        with join("cpu") as world:
            on = pretrain(corpus, gate, replace(TOY, init=str(init)), tmp_path / f"on from {init.name}", world)
        assert overruled(json.loads((on / "card.json").read_text())) == 3
        assert "3 look-alikes were judged different by a person" in (on / "README.md").read_text()


def test_terms_of_the_weights_it_started_from_count() -> None:
    free = {"pictures": 1, "licences": ["CC0-1.0"], "commercial_use": True, "redistribution": True, "derivatives": True}
    closed = free | {"licences": ["CC-BY-NC-4.0"], "commercial_use": False}
    card = {"sources": {"a": free}, "init": None}
    assert licence_of(seen(card)) == (
        "made from pictures: all allow commercial use, passing on and derived works (see card.json)"
    )
    shut = {"b": closed, "c": free | {"redistribution": None, "derivatives": False}}
    assert licence_of(shut) == (
        "made from pictures: the terms of some forbid commercial use and derived works; "
        "what the terms of some say of passing on is unknown (see card.json)"
    )
    assert "forbid" in licence_of(seen(card | {"init": {"name": "x", "sources": {"b": closed}}}))
    assert "unknown" in licence_of(seen(card | {"init": {"name": "x.pth", "sources": None}}))
    before = closed | {"pictures": 9}
    both = seen(card | {"init": {"name": "x", "sources": {"a": before}}})  # another hospital's archive of that name
    assert both == {"a": before | {"licences": ["CC-BY-NC-4.0", "CC0-1.0"]}} and "forbid" in licence_of(both)
