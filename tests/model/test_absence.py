"""An encoder is tested on what it has not seen: the gate alone proves it, and of these very pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluation
import pytest
from evaluation import OTHER, Change, card, digest, params, write_folder

from model.evaluate import evaluate
from model.pictures import read_pictures
from openus.errors import CorpusError, OpenusError

folder, changed = evaluation.folder, evaluation.changed


def test_an_encoder_is_not_tested_on_what_it_was_trained_on(corpus: Path, tmp_path: Path) -> None:
    path = write_folder(tmp_path / "trained", card(["busi", "bus-bra"], {}))
    with pytest.raises(OpenusError, match="was pre-trained on bus-bra") as caught:
        evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")
    assert caught.value.exit_code == 1 and not (tmp_path / "out").exists()
    control = evaluate(corpus, "bus-bra", "it", "knn", params(like=str(path)), tmp_path / "out")
    assert control["encoder"]["proven_absent"] is None


@pytest.mark.parametrize("text", ['{"weights": {"encoder": "0"}}', "{}", "[]", "{"])
def test_a_card_speaks_for_its_own_weights_only(corpus: Path, tmp_path: Path, text: str) -> None:
    path = write_folder(tmp_path / "copied", card([], {}))
    (path / "card.json").write_text(text)
    with pytest.raises(CorpusError, match=r"card\.json"):
        evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")


def test_what_a_person_overruled_is_told_beside_every_score(corpus: Path, tmp_path: Path) -> None:
    """Also of the weights that pre-training started from, and also where nothing is proven."""
    start = {"name": "mae.safetensors", "sha256": OTHER, "sources": {}, "held_out_sources": {"bus-bra": digest(corpus)}}
    gate = {"ok": True, "held_out_sources": {"bus-bra": digest(corpus)}, "overruled": 2}
    for number, (card_, proven) in enumerate(
        (
            ({"sources": {}, "gate": gate, "init": {**start, "overruled": 7}}, True),
            ({"sources": {}, "gate": gate, "init": {**start, "overruled": 7, "held_out_sources": {}}}, False),
        )
    ):
        path = write_folder(tmp_path / f"on{number}", card_)
        found = evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")
        assert found["encoder"]["proven_absent"] is proven
        assert any("The gate found 9 look-alikes" in note for note in found["notes"])


def test_bytes_that_the_manifest_does_not_tell_of_are_not_scored(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    """Shards of another build: what the card proves absent are not these pictures."""
    here = changed("other", lambda row: row.update(sha256=OTHER))
    with pytest.raises(CorpusError, match=r"bus-bra-.* are not those that the manifest tells of"):
        evaluate(here, "bus-bra", "it", "knn", params(folder=str(folder)), tmp_path / "out")


STRANGER = {"name": "usf-mae.pth", "sources": None}


@pytest.mark.parametrize(
    ("held_out", "more", "said"),
    [
        ("these", {}, None),
        ("none", {}, "was not held out"),
        ("these", {"gate": {"ok": False, "held_out_sources": {}}}, "was not held out"),
        ("these", {"init": STRANGER}, "other weights"),
        ("other", {}, "other pictures called bus-bra"),
        ("list", {}, "does not say which"),  # a card of before: a name, and no picture
        ("these", {"init": {**STRANGER, "sources": [], "held_out_sources": {"bus-bra": OTHER}}}, "started from were"),
        ("these", {"init": {**STRANGER, "sources": [], "held_out_sources": ["bus-bra"]}}, "started from were"),
    ],
)
def test_absence_is_proven_by_the_gate_alone_and_of_these_pictures(
    corpus: Path, tmp_path: Path, held_out: str, more: dict[str, Any], said: str | None
) -> None:
    named: dict[str, Any] = {
        "these": {"bus-bra": digest(corpus)}, "none": {}, "other": {"bus-bra": OTHER}, "list": ["bus-bra"]
    }  # fmt: skip
    path = write_folder(tmp_path / "ours", card(["busi"], named[held_out]) | more)
    chosen = replace(params(folder=str(path)), bootstrap=1)
    found = evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert found["encoder"]["proven_absent"] is (said is None)
    assert said is None or any(said in note for note in found["notes"])


def test_other_bytes_of_a_benchmark_are_not_what_the_gate_compared(
    changed: Callable[[str, Change], Path], corpus: Path, tmp_path: Path
) -> None:
    """One picture of another build, which has no label and is not tested: the gate saw another benchmark."""
    path = write_folder(tmp_path / "ours", card(["busi"], {"bus-bra": digest(corpus)}))
    first = read_pictures(corpus, sources=["bus-bra"]).key[0]

    def unlabelled(row: dict[str, Any]) -> None:
        if row["key"] == first:
            row["label"] = None

    def of_another_seed(row: dict[str, Any]) -> None:
        unlabelled(row)
        if row["key"] == first:
            row["sha256"] = OTHER

    for change, proven in ((unlabelled, True), (of_another_seed, False)):
        here = changed(change.__name__, change)
        found = evaluate(here, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / f"{proven}-out")
        assert found["data"]["pictures"] == 29 and found["encoder"]["proven_absent"] is proven


def test_weights_that_ours_started_from_pass_their_own_proof_on(corpus: Path, tmp_path: Path) -> None:
    """A run that goes on from a run of ours: what that one trained on counts, and so does what it held out."""
    start = {"name": "encoder", "sources": ["hc18"], "held_out_sources": {"bus-bra": digest(corpus)}}
    path = write_folder(tmp_path / "on", card(["local-ward"], {"bus-bra": digest(corpus)}, init=start))
    found = evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")
    assert found["encoder"]["proven_absent"] is True and not any("proven" in note for note in found["notes"])
    start = {"name": "encoder", "sources": ["hc18", "bus-bra"]}
    path = write_folder(tmp_path / "seen", card(["local-ward"], {"bus-bra": digest(corpus)}, init=start))
    with pytest.raises(OpenusError, match="was pre-trained on bus-bra"):
        evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "none")
