"""Encoders load whole or not at all, and say how they saw pictures."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import evaluation
import pytest
import timm
import torch
from evaluation import OTHER, card, write_folder
from safetensors.torch import load_file, save_file

from model.card import Origin, origin_of
from model.evaluate import encoders
from model.evaluate.run import _seen
from model.mae import MaskedAutoencoder
from model.params import EncoderParams, ModelParams
from model.weights import encoder_state
from openus.errors import CorpusError, OpenusError, UsageError

folder = evaluation.folder


def test_a_folder_says_how_pictures_are_prepared(folder: Path) -> None:
    found = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    assert (found.architecture, found.channels, found.mean, found.std) == ("test_vit", 1, (0.2,), (0.15,))
    assert not found.seeded and found.sha256 and found.card is None
    one, other = found.build(0), found.build(1)
    x = torch.rand(2, 1, 64, 64)
    direct = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        assert torch.equal(one.eval()(x), direct(x)) and torch.equal(other.eval()(x), direct(x))


def test_another_image_size_resamples_the_position_embedding(folder: Path) -> None:
    model = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 96).build(0).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 1, 96, 96)).shape == (1, 64)
    assert model.state_dict()["pos_embed"].shape == (1, 1 + 6 * 6, 64)
    own = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    assert torch.equal(model.state_dict()["blocks.0.attn.qkv.weight"], own.state_dict()["blocks.0.attn.qkv.weight"])


def test_like_is_the_same_model_with_new_weights_by_the_seed(folder: Path) -> None:
    ours = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    control = encoders.find("it", {"it": EncoderParams(like=str(folder))}, 64)
    assert control.seeded and control.sha256 is None and (control.mean, control.std) == (ours.mean, ours.std)
    name = "blocks.0.attn.qkv.weight"
    first, again, second = (control.build(seed).state_dict()[name] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert first.shape == ours.build(0).state_dict()[name].shape
    assert not torch.equal(first, ours.build(0).state_dict()[name])


def test_building_leaves_the_global_generator_alone(folder: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    encoders.find("it", {"it": EncoderParams(like=str(folder))}, 64).build(0, classes=2)
    assert torch.equal(before, torch.random.get_rng_state())


def _autoencoder() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    small = ModelParams(architecture="vit_test_patch16", image_size=64, channels=3, decoder_depth=1, decoder_width=32,
                        decoder_heads=2)  # fmt: skip
    return MaskedAutoencoder(small).state_dict()


SEEN: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def test_a_file_that_does_not_say_how_it_saw_pictures_is_refused(tmp_path: Path) -> None:
    """A wrong guess would handicap the baseline; for a .pth it is ImageNet's, as facebook's and torchvision's were."""
    save_file(_autoencoder(), tmp_path / "timm.safetensors")
    torch.save(_autoencoder(), tmp_path / "theirs.pth")
    told = EncoderParams(architecture="test_vit", weights=str(tmp_path / "timm.safetensors"))
    with pytest.raises(UsageError, match="does not say how its pictures were normalised"):
        encoders.find("it", {"it": told}, 64)
    told = EncoderParams(architecture="test_vit", weights=str(tmp_path / "theirs.pth"))
    assert encoders.find("it", {"it": told}, 64).mean == (0.485, 0.456, 0.406)


def test_a_file_of_ours_says_what_it_saw_and_how(tmp_path: Path) -> None:
    said = {"mean": [0.1, 0.1, 0.1], "std": [0.2, 0.2, 0.2], "sources": {"busi": {}}, "held_out_sources": {}}
    save_file(_autoencoder(), tmp_path / "mae.safetensors", {"openus": json.dumps(said)})
    told = EncoderParams(architecture="test_vit", weights=str(tmp_path / "mae.safetensors"))
    found = encoders.find("it", {"it": told}, 64)
    assert found.mean == (0.1, 0.1, 0.1) and found.std == (0.2, 0.2, 0.2)
    pictures: Any = None  # not looked at
    with pytest.raises(OpenusError, match="was pre-trained on busi"):
        _seen(found, "busi", pictures)
    absent, notes = _seen(found, "bus-bra", pictures)
    assert absent is None and "not known here" in notes[0]


def test_the_card_beside_a_file_of_before_tells_what_was_overruled(tmp_path: Path) -> None:
    said = {"mean": [0.1], "std": [0.2], "sources": {}, "held_out_sources": {}}
    path = tmp_path / "mae.safetensors"
    save_file(_autoencoder(), path, {"openus": json.dumps(said)})
    told = sha256(path.read_bytes()).hexdigest()
    whole = card([], {}, weights={"mae": told}, gate={"ok": True, "held_out_sources": {}, "overruled": 7})
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/card.json").write_text(json.dumps(whole))
    assert origin_of(path, told) == Origin((0.1,), (0.2,), {}, {}, 7)
    for lacking in ("gate", "init", "sources"):
        rest = {name: value for name, value in whole.items() if name != lacking}
        (tmp_path / "encoder/card.json").write_text(json.dumps(rest))
        with pytest.raises(CorpusError, match=f"is no card of ours: it lacks {lacking}"):
            origin_of(path, told)


def test_what_a_file_says_of_itself_comes_before_what_lies_beside_it(tmp_path: Path) -> None:
    """Our file in a folder of other models: their config.json is not about it."""
    said = {"mean": [0.1], "std": [0.2], "sources": {"busi": {}}, "held_out_sources": {}, "overruled": 3}
    save_file(_autoencoder(), tmp_path / "mae.safetensors", {"openus": json.dumps(said)})
    for beside in ({"mean": [0.5], "std": [0.5]}, {}, []):
        (tmp_path / "config.json").write_text(json.dumps(beside))
        assert origin_of(tmp_path / "mae.safetensors", OTHER) == Origin((0.1,), (0.2,), {"busi": {}}, {}, 3)


def test_a_card_beside_other_weights_of_a_file_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "ours", card(["busi"], {"bus-bra": OTHER}, init=None))
    told = EncoderParams(architecture="test_vit", channels=1, weights=str(path / "model.safetensors"))
    assert encoders.find("it", {"it": told}, 64).sources == {"busi": {}}
    state = {name: value + 1 for name, value in load_file(path / "model.safetensors").items()}
    save_file(state, path / "model.safetensors")
    with pytest.raises(CorpusError, match=r"card\.json tells of other weights"):
        encoders.find("it", {"it": told}, 64)


def test_an_autoencoders_file_loads_without_its_decoder(tmp_path: Path) -> None:
    """As USF-MAE's does under vit_base_patch16_224."""
    state = _autoencoder()
    path = tmp_path / "mae.safetensors"
    save_file(state, path)
    told = EncoderParams(architecture="test_vit", weights=str(path), **SEEN)
    found = encoders.find("it", {"it": told}, 64)
    assert found.mean == (0.5, 0.5, 0.5) and found.channels == 3
    loaded = found.build(0).state_dict()
    assert set(loaded) == set(encoder_state(state)) < set(state)
    assert all(torch.equal(loaded[key], value) for key, value in encoder_state(state).items())


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_weights_with_a_head_of_their_own_load_whole(tmp_path: Path, architecture: str) -> None:
    torch.manual_seed(2)
    source = timm.create_model(architecture, pretrained=False, num_classes=7)
    path = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), path)
    found = encoders.find("it", {"it": EncoderParams(architecture=architecture, weights=str(path), **SEEN)}, 160)
    state = found.build(0).state_dict()
    shared = [key for key in source.state_dict() if key in state]
    assert len(shared) == len(state) and all(torch.equal(state[key], source.state_dict()[key]) for key in shared)
    with torch.inference_mode():
        assert found.build(0, classes=4).eval()(torch.rand(1, 3, 160, 160)).shape == (1, 4)


def test_the_head_of_torchvisions_vgg_is_known() -> None:
    """Without memory: the real file has 500 MB."""
    state = {"classifier.6.weight": torch.empty(9, 4096, device="meta")}
    assert encoders._overlay("vgg19", state, 3)["num_classes"] == 9


@pytest.mark.parametrize("fault", ["missing", "shape", "foreign", "channels"])
def test_weights_that_do_not_fit_are_refused_and_never_half_loaded(tmp_path: Path, fault: str) -> None:
    state = timm.create_model("test_resnet", pretrained=False, num_classes=0).state_dict()
    more: dict[str, Any] = dict(SEEN)
    if fault == "missing":
        del state["layer2.0.conv1.weight"]
    elif fault == "shape":
        state["layer2.0.conv1.weight"] = torch.zeros(3, 3, 3, 3)
    elif fault == "foreign":
        state = {f"module_of_others.{key}": value for key, value in state.items()}
    else:
        more["channels"] = 1
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    found = encoders.find("it", {"it": EncoderParams(architecture="test_resnet", weights=str(path), **more)}, 64)
    with pytest.raises(CorpusError, match="does not fit test_resnet"):
        found.build(0)


def test_a_folder_with_half_of_its_weights_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "half")
    state = timm.create_model(f"local-dir:{path}", pretrained=True).state_dict()
    save_file({key: value for key, value in state.items() if "blocks.1" not in key}, path / "model.safetensors")
    with pytest.raises(CorpusError, match="does not fit test_vit"):
        encoders.find("it", {"it": EncoderParams(folder=str(path))}, 64).build(0, classes=2)


def test_wrong_words_are_said(tmp_path: Path, folder: Path) -> None:
    said: list[tuple[type[OpenusError], dict[str, Any], str]] = [
        (UsageError, {}, "names no encoder"),
        (UsageError, {"folder": "a", "architecture": "b"}, "folder and architecture"),
        (UsageError, {"folder": str(folder), "weights": "w"}, "weights belong to an architecture"),
        (UsageError, {"architecture": "no_such_net"}, "timm makes no no_such_net"),
        (UsageError, {"architecture": "hf-hub:x/y"}, "no architecture of timm"),
        (UsageError, {"folder": str(folder), "channels": 3}, "has 1"),
        (CorpusError, {"folder": str(tmp_path)}, "no folder that timm opens"),
        (CorpusError, {"architecture": "test_vit", "weights": str(tmp_path / "w.pth")}, "There is no file"),
    ]
    for kind, words, text in said:
        with pytest.raises(kind, match=text):
            encoders.find("it", {"it": EncoderParams(**words)}, 64)
    with pytest.raises(UsageError, match="no 'that'"):
        encoders.find("that", {"it": EncoderParams(folder=str(folder))}, 64)
