"""What a run leaves, at its end or taken out before: an encoder that others open, over nothing that is needed."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import toy
from click.testing import CliRunner
from toy import TOY, Train, weights_of

from model import checkpoint, weights
from model.card import seen
from model.mae import MaskedAutoencoder
from model.params import OptimiserParams
from model.pretrain import Stopped, export, main
from openus.errors import CorpusError, UsageError

train, one_thread = toy.train, toy.one_thread


def test_the_encoder_opens_in_timm_with_the_same_features(train: Train) -> None:
    import timm

    run = train("run")
    model = MaskedAutoencoder(TOY.model)
    model.load_state_dict(weights.read_state(run / "mae.safetensors"))
    encoder = timm.create_model(f"local-dir:{run / 'encoder'}", pretrained=True).eval()
    images = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(encoder(images), model.eval().features(images), atol=1e-5)
    card = json.loads((run / "encoder/card.json").read_text())
    assert encoder.pretrained_cfg["mean"] == card["statistics"]["mean"]
    three = timm.create_model(f"local-dir:{run / 'encoder'}", pretrained=True, in_chans=3, num_classes=5)
    assert three(torch.randn(1, 3, 32, 32)).shape == (1, 5)


@pytest.mark.parametrize("steps", [2, 5])  # at a line of the history, and between two
def test_an_encoder_is_taken_out_of_a_run_that_goes_on(
    train: Train, corpus: Path, gate: Path, tmp_path: Path, steps: int
) -> None:
    with pytest.raises(Stopped):
        train("run", stop_after=steps, checkpoint_minutes=60)
    run = tmp_path / "run"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    export(corpus, gate, TOY, run, tmp_path / "early")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    card = json.loads((tmp_path / "early/encoder/card.json").read_text())
    assert card["training"]["steps"] == steps and card["training"]["pictures_seen"] == steps * TOY.batch
    assert 0 < card["training"]["loss"] < 10
    assert f"{steps} of 6 steps" in (tmp_path / "early/encoder/README.md").read_text()
    assert (tmp_path / "early/reconstruction.png").exists()
    state = torch.load(run / "state.pt", weights_only=True)["model"]
    early = weights.read_state(tmp_path / "early/mae.safetensors")
    assert all(torch.equal(early[name], state[name]) for name in state)
    train("run")
    export(corpus, gate, TOY, run, tmp_path / "late")
    assert weights_of(tmp_path / "late") == weights_of(run) == weights_of(train("whole"))
    whole = {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    del whole[Path("state.pt")]
    late = tmp_path / "late"
    assert {path.relative_to(late): path.read_bytes() for path in late.rglob("*") if path.is_file()} == whole
    second = train("second", init=str(tmp_path / "early"), optimiser=OptimiserParams(base_lr=1e-3, warmup_epochs=0.25))
    started = json.loads((second / "encoder/card.json").read_text())["init"]
    assert started["sources"] == seen(card) and started["missing"] == []


def test_what_cannot_be_taken_out_is_told(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no state of a run"):
        export(corpus, gate, TOY, tmp_path / "nothing", tmp_path / "early")
    with pytest.raises(Stopped):
        train("run", stop_after=1)
    with pytest.raises(UsageError, match="not come far enough"):
        export(corpus, gate, TOY, tmp_path / "run", tmp_path / "early")
    run = train("run")
    with pytest.raises(CorpusError, match="other parameters"):
        export(corpus, gate, replace(TOY, seed=5), run, tmp_path / "early")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as error:
        export(corpus, gate, TOY, run, tmp_path / "file")
    assert error.value.hint == "Name another --export."
    assert not (tmp_path / "nothing").exists() and not (tmp_path / "early").exists()


def test_taking_out_writes_over_nothing_that_is_needed(
    train: Train, corpus: Path, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = train("run"), train("other", seed=1)
    shutil.copytree(run, tmp_path / "first")
    (tmp_path / "first/state.pt").unlink()
    later = {"init": str(tmp_path / "first"), "optimiser": OptimiserParams(base_lr=1e-3, warmup_epochs=0.25)}
    train("later", **later)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for folder in (run, tmp_path / "new/../run", run / "encoder", run / "new", other):
        with pytest.raises(UsageError, match="is of a run"):
            export(corpus, gate, TOY, run, folder)
    with pytest.raises(UsageError, match="the weights that this run started from"):
        export(corpus, gate, replace(TOY, **later), tmp_path / "later", tmp_path / "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process"):
        export(corpus, gate, TOY, run, tmp_path / "new")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_command_takes_an_encoder_out(train: Train, corpus: Path, gate: Path, tmp_path: Path) -> None:
    run, params = train("run"), tmp_path / "params.yaml"
    params.write_text(json.dumps({"pretrain": asdict(TOY)}))
    arguments = ["--corpus", corpus, "--gate", gate, "--params", params, "--out", run, "--export", tmp_path / "early"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0 and result.output == f"encoder  {tmp_path / 'early/encoder'}\n"
    assert (tmp_path / "early/encoder/model.safetensors").exists()


def test_no_card_of_before_stands_beside_weights_that_were_not_all_written(train: Train) -> None:
    run = train("run")
    with pytest.raises(KeyError):
        checkpoint.export(run, MaskedAutoencoder(TOY.model), TOY.model, {})
    assert not (run / "encoder/card.json").exists()
