"""Weights that a run starts from: it goes on where they were, and they are what their card tells of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy
from toy import TOY, Train

from model import weights
from model.card import proven
from model.mae import MaskedAutoencoder
from model.params import OptimiserParams
from openus.errors import CorpusError, UsageError

train, one_thread = toy.train, toy.one_thread


@pytest.mark.parametrize("kind", ["folder", "file", "pth"])
def test_it_goes_on_from_weights(train: Train, tmp_path: Path, kind: str) -> None:
    """Continued on new data: the first loss is where the old run was, not where a new one begins."""
    first = train("first", epochs=10.0)
    seen = json.loads((first / "encoder/card.json").read_text())["statistics"]
    told = {"init_mean": tuple(seen["mean"]), "init_std": tuple(seen["std"])} if kind == "pth" else {}
    init = {"folder": first, "file": first / "mae.safetensors", "pth": tmp_path / "x.pth"}[kind]
    if kind == "pth":
        torch.save({"model": weights.read_state(first / "mae.safetensors")}, init)
    run = train("second", init=str(init), seed=3, optimiser=OptimiserParams(base_lr=1e-6, warmup_epochs=0), **told)
    before, after = (json.loads((one / "encoder/card.json").read_text()) for one in (first, run))
    assert after["training"]["loss"] < before["training"]["first_loss"] * 0.95
    assert after["init"]["sources"] == (None if kind == "pth" else before["sources"])
    assert str(tmp_path) not in "".join(
        file.read_text() for file in (run / "encoder").glob("*[dn]")
    )  # card, page, config
    assert "Training started from" in (run / "encoder/README.md").read_text()
    assert list(proven(before)) == ["bus-bra"] and proven(after) == ({} if kind == "pth" else proven(before))
    assert after["init"]["missing"] == [] and len(after["init"]["sha256"]) == 64


def test_weights_that_do_not_say_how_they_saw_pictures_are_refused(train: Train, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = replace(TOY.model, channels=3)
    state = MaskedAutoencoder(model).state_dict()
    save_file(dict(state), tmp_path / "vit.safetensors")
    with pytest.raises(UsageError, match="does not say how its pictures were normalised"):
        train("run", init=str(tmp_path / "vit.safetensors"))
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}')
    card = json.loads((train("run", init=str(tmp_path / "vit.safetensors")) / "encoder/card.json").read_text())
    assert card["init"]["sources"] is None


def test_a_run_does_not_start_from_itself(train: Train) -> None:
    run = train("run")
    with pytest.raises(UsageError, match="what this run itself writes"):
        train("run", init=str(run), replaced=True)


def test_weights_other_than_their_card_tells_of_are_refused(train: Train) -> None:
    first = train("first")
    file = first / "mae.safetensors"
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorpusError, match=r"card\.json tells of other weights"):
        train("second", init=str(first))
    with pytest.raises(UsageError, match="the state of a run"):
        train("second", init=str(first / "state.pt"))
