"""Weights of others: they compute from the raw picture what they always did, and no file runs code."""

from __future__ import annotations

import argparse
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.mae import MaskedAutoencoder, sincos
from model.params import ModelParams
from model.weights import IMAGENET_MEAN, IMAGENET_STD, encoder_state, load_mae, read_state
from openus.errors import CorpusError, OpenusError, UsageError

GRAY = ModelParams(
    architecture="vit_test_patch16", image_size=64, channels=1, decoder_depth=2, decoder_width=32, decoder_heads=4,
    norm_pix=False,
)  # fmt: skip
RGB = replace(GRAY, channels=3)
MEAN, STD = (0.13,), (0.21,)

State = dict[str, Tensor]


def model_of(params: ModelParams, seed: int) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    model = MaskedAutoencoder(params)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


def seen(raw: Tensor, channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """A raw picture [N, 1 or 3, H, W] in 0–1 as a model sees it."""
    raw = raw.expand(-1, channels, -1, -1)
    return (raw - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def raw_pictures(channels: int, side: int = 64) -> Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(2))


def noise() -> Tensor:
    return torch.rand(2, 16, generator=torch.Generator().manual_seed(3))


# Folding


@pytest.mark.parametrize(
    ("theirs", "ours", "mean", "std", "source_mean", "source_std", "raw"),
    [
        (3, 1, MEAN, STD, IMAGENET_MEAN, IMAGENET_STD, 1),
        (1, 1, MEAN, STD, (0.5,), (0.3,), 1),
        (3, 3, (0.1, 0.2, 0.3), (0.2, 0.3, 0.4), IMAGENET_MEAN, IMAGENET_STD, 3),
        (1, 3, (0.1, 0.2, 0.3), (0.2, 0.3, 0.4), (0.5,), (0.3,), 1),
    ],
)
def test_the_raw_picture_gives_the_same_features_and_the_same_raw_prediction(
    theirs: Any, ours: Any, mean: Any, std: Any, source_mean: Any, source_std: Any, raw: int
) -> None:
    source, model = model_of(replace(GRAY, channels=theirs), 0), model_of(replace(GRAY, channels=ours), 1)
    done = load_mae(model, source.state_dict(), mean=mean, std=std, source_mean=source_mean, source_std=source_std)
    assert not done.missing and not done.ignored and len(done.loaded) == len(model.state_dict())
    picture = raw_pictures(raw)
    before, after = seen(picture, theirs, source_mean, source_std), seen(picture, ours, mean, std)
    torch.testing.assert_close(model.features(after), source.features(before), rtol=1e-5, atol=1e-5)

    def predicted(of: MaskedAutoencoder, view: Tensor, m: Any, s: Any) -> Tensor:
        out = of.unpatchify(of(view, noise())[1]) * torch.tensor(s)[:, None, None] + torch.tensor(m)[:, None, None]
        return out.mean(1, keepdim=True) if raw == 1 else out

    expected = predicted(source, before, source_mean, source_std)
    torch.testing.assert_close(predicted(model, after, mean, std), expected, rtol=1e-5, atol=1e-5)
    assert any("exactly" in note for note in done.notes)


def test_the_fold_of_three_channels_is_the_formula() -> None:
    source, model = model_of(RGB, 0), model_of(GRAY, 1)
    load_mae(model, source.state_dict(), mean=MEAN, std=STD)
    weight, bias = source.patch_embed.proj.weight.detach(), source.patch_embed.proj.bias.detach()
    expected_weight = sum(weight[:, c] * STD[0] / IMAGENET_STD[c] for c in range(3))
    expected_bias = bias + sum(
        weight[:, c].sum((1, 2)) * (MEAN[0] - IMAGENET_MEAN[c]) / IMAGENET_STD[c] for c in range(3)
    )
    torch.testing.assert_close(model.patch_embed.proj.weight.detach()[:, 0], expected_weight)
    torch.testing.assert_close(model.patch_embed.proj.bias.detach(), expected_bias)


def test_a_prediction_of_normalised_patches_is_averaged_over_channels() -> None:
    source, model = model_of(replace(RGB, norm_pix=True), 0), model_of(replace(GRAY, norm_pix=True), 1)
    done = load_mae(model, source.state_dict(), mean=MEAN, std=STD)
    picture = raw_pictures(1)
    theirs = source(seen(picture, 3, IMAGENET_MEAN, IMAGENET_STD), noise())[1]
    ours = model(seen(picture, 1, MEAN, STD), noise())[1]
    torch.testing.assert_close(ours, theirs.unflatten(2, (-1, 3)).mean(3), rtol=1e-5, atol=1e-5)
    assert any("approximately" in note for note in done.notes)


def test_the_same_view_changes_nothing() -> None:
    source, model = model_of(RGB, 0), model_of(RGB, 1)
    done = load_mae(model, source.state_dict(), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert done.notes == ()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in source.state_dict().items())


@pytest.mark.parametrize(
    ("change", "word"),
    [({"mean": IMAGENET_MEAN}, "^mean has 3"), ({"std": ()}, "^std"), ({"source_mean": (0.5,)}, "^source_mean has 1")],
)
def test_a_mean_for_another_number_of_channels_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        load_mae(model_of(GRAY, 1), model_of(RGB, 0).state_dict(), **{"mean": MEAN, "std": STD, **change})


def test_two_channels_cannot_be_made_three() -> None:
    state = {**model_of(RGB, 0).state_dict(), "patch_embed.proj.weight": torch.ones(64, 2, 16, 16)}
    with pytest.raises(UsageError, match="see 2 channels and the model 3"):
        load_mae(
            model_of(RGB, 1), state, mean=IMAGENET_MEAN, std=IMAGENET_STD, source_mean=(0.5,) * 2, source_std=(0.5,) * 2
        )


# Image size, classifiers, encoders alone


def test_position_embeddings_are_resampled_to_the_image_size() -> None:
    source, model = model_of(replace(RGB, image_size=96), 0), model_of(RGB, 1)
    constant = torch.arange(64.0)  # no change with place: any resampling keeps it
    state = source.state_dict()
    state["pos_embed"][:, 1:] = constant
    done = load_mae(model, state, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert torch.equal(model.pos_embed[:, 0], state["pos_embed"][:, 0])
    torch.testing.assert_close(model.pos_embed[0, 1:], constant.expand(16, -1))
    assert model.decoder_pos_embed.shape == (1, 17, 32)
    assert [note for note in done.notes if note.startswith("pos_embed resampled from 6 × 6 to 4 × 4")]


def test_a_resampled_position_stays_where_it_was() -> None:
    source, model = model_of(replace(RGB, image_size=128), 0), model_of(RGB, 1)
    state = source.state_dict()
    rows = torch.arange(8.0).repeat_interleave(8)  # a ramp down the rows
    state["pos_embed"][0, 1:] = rows[:, None]
    load_mae(model, state, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    made = model.pos_embed[0, 1:, 0].reshape(4, 4)
    assert (made[1:] > made[:-1] + 1).all()
    torch.testing.assert_close(made, made[:, :1].expand(4, 4))


def test_timm_encoders_load_without_their_classifier() -> None:
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=64, num_classes=5).eval()
    model = model_of(RGB, 1)
    done = load_mae(model, vit.state_dict(), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert done.ignored == ("head.bias", "head.weight")
    assert set(done.missing) == {n for n in model.state_dict() if n.startswith("decoder_") or n == "mask_token"}
    assert any("head.weight" in note for note in done.notes)
    assert any("no decoder" in note for note in done.notes)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.features(images), vit.forward_head(vit.forward_features(images), pre_logits=True))


def test_a_classifier_of_averaged_tokens_loads_with_a_new_norm() -> None:
    vit = timm.create_model("test_vit", img_size=64, num_classes=5, global_pool="avg")
    done = load_mae(model_of(RGB, 1), vit.state_dict(), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert "fc_norm.weight" in done.ignored and "norm.weight" in done.missing
    assert any("norm of tokens starts new" in note for note in done.notes)


def test_positions_without_one_for_the_class_token_get_a_zero() -> None:
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=64, num_classes=0, no_embed_class=True).eval()
    assert vit.pos_embed.shape == (1, 16, 64)
    model = model_of(RGB, 1)
    load_mae(model, vit.state_dict(), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.features(images), vit(images))


def test_our_encoder_is_timms_model_with_the_same_features() -> None:
    model = model_of(GRAY, 0)
    state = encoder_state(model.state_dict())
    vit = timm.create_model("test_vit", img_size=64, num_classes=0, in_chans=1).eval()
    vit.load_state_dict(state, strict=True)
    images = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(vit(images), model.features(images))
    assert not [name for name in state if name.startswith("decoder") or name == "mask_token"]


def test_a_decoder_of_other_sizes_stays_new_as_a_whole() -> None:
    source, model = model_of(replace(RGB, decoder_depth=3), 0), model_of(RGB, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    done = load_mae(model, source.state_dict(), mean=MEAN * 3, std=STD * 3)
    for name, value in model.state_dict().items():
        kept = name.startswith("decoder_") or name == "mask_token"
        assert torch.equal(value, before[name]) == kept, name
        assert (name in done.missing) == kept
    assert any("other sizes (decoder_blocks.2" in note for note in done.notes)
    assert "decoder_blocks.0.norm1.weight" in done.ignored


def without(name: str) -> Callable[[State], object]:
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (without("blocks.3.attn.qkv.weight"), "lack blocks.3.attn.qkv.weight"),
        (without("cls_token"), "lack cls_token"),
        (lambda s: s.update({"blocks.6.norm1.weight": torch.ones(64)}), "7 encoder blocks and the model 6"),
        (lambda s: s.update({"blocks.0.ls1.gamma": torch.ones(64)}), "hold blocks.0.ls1.gamma"),
        (lambda s: s.update({"norm.weight": torch.ones(32)}), "norm.weight is 32 in the weights and 64"),
        (lambda s: s.update({"pos_embed": torch.ones(1, 20, 64)}), "pos_embed has 20 positions"),
        (lambda s: s.update({"pos_embed": torch.ones(1, 17, 32)}), "pos_embed is 1 × 17 × 32"),
        (lambda s: s.update({"patch_embed.proj.weight": torch.ones(64, 3, 14, 14)}), "64 × 3 × 14 × 14"),
        (lambda s: s.update({"patch_embed.proj.weight": torch.ones(64, 768)}), "64 × 768 in the weights"),
    ],
)
def test_an_encoder_that_does_not_fit_is_named_and_changes_nothing(spoil: Callable[[State], object], word: str) -> None:
    state, model = dict(model_of(RGB, 0).state_dict()), model_of(RGB, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    spoil(state)
    with pytest.raises(UsageError, match=word):
        load_mae(model, state, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_another_architecture_is_named_by_depth_and_by_width() -> None:
    tiny = MaskedAutoencoder(replace(RGB, architecture="vit_tiny_patch16")).state_dict()
    with pytest.raises(UsageError, match="12 encoder blocks and the model 6"):
        load_mae(model_of(RGB, 1), tiny, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    small = MaskedAutoencoder(replace(RGB, architecture="vit_small_patch16"))
    with pytest.raises(UsageError, match="cls_token is 1 × 1 × 192 in the weights and 1 × 1 × 384 in the model"):
        load_mae(small, tiny, mean=IMAGENET_MEAN, std=IMAGENET_STD)


# Files


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("usf_mae.pt", lambda s: s),  # USF-MAE: the bare state dict
        ("mae_full.pth", lambda s: {"model": s}),  # facebook's published files
        ("run.pth", lambda s: {"model": s, "optimizer": {"state": {}}, "epoch": 3, "args": argparse.Namespace(lr=0.1)}),
        ("timm.pth", lambda s: {"state_dict": OrderedDict(s), "arch": "vit"}),
        ("other.bin", lambda s: {"model_state_dict": {f"module.{k}": v for k, v in s.items()}}),
        ("compiled.ckpt", lambda s: {"state_dict": {"model": {f"_orig_mod.module.{k}": v for k, v in s.items()}}}),
    ],
)
def test_files_of_every_kind_give_the_same_tensors(tmp_path: Path, name: str, wrap: Callable[[State], Any]) -> None:
    state = model_of(RGB, 0).state_dict()
    torch.save(wrap(state), tmp_path / name)
    read = read_state(tmp_path / name)
    assert list(read) == list(state) and all(torch.equal(read[key], state[key]) for key in state)


def test_safetensors_and_half_precision(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in model_of(RGB, 0).state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    model = model_of(RGB, 1)
    load_mae(model, read_state(tmp_path / "model.safetensors"), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert all(torch.equal(value, state[name].float()) for name, value in model.state_dict().items())
    gray, exact = model_of(GRAY, 1), model_of(GRAY, 1)
    load_mae(gray, state, mean=MEAN, std=STD)
    load_mae(exact, {name: value.float() for name, value in state.items()}, mean=MEAN, std=STD)
    assert torch.equal(gray.patch_embed.proj.weight, exact.patch_embed.proj.weight), "folded in half precision"


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    content = {"model": {"cls_token": torch.zeros(1)}, "args": Runs(proof)}
    torch.save(content, tmp_path / "zip.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Runs(proof), protocol=2))
    (tmp_path / "new.pth").write_bytes(pickle.dumps(Runs(proof), protocol=5))
    named = r"is a pickle that calls \w+\.system; it was not opened"
    for name, word in [("zip", named), ("old", named), ("plain", named), ("new", "no weights of torch")]:
        with pytest.raises(CorpusError, match=word):
            read_state(tmp_path / f"{name}.pth")
    assert not proof.exists()
    for trap in ("plain", "new"):
        pickle.loads((tmp_path / f"{trap}.pth").read_bytes())
        assert proof.exists(), "the trap itself must work"
        proof.unlink()


def test_a_whole_pickled_model_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(CorpusError, match=r"calls torch\.nn\.modules\.linear\.Linear"):
        read_state(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_cut_off_or_damaged_are_one_sentence(tmp_path: Path, suffix: str) -> None:
    state = {"cls_token": torch.zeros(1, 1, 8), "norm.weight": torch.ones(8)}
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pth":
        torch.save({"model": state, "args": argparse.Namespace(lr=1.0)}, whole)
    else:
        save_file(state, whole)
    data = whole.read_bytes()
    for i, broken in enumerate([b"", data[:1], data[:100], data[: len(data) // 2], data[:-20], b"\x80\x02}" * 9]):
        path = tmp_path / f"broken{i}{suffix}"
        path.write_bytes(broken)
        with pytest.raises(CorpusError, match=f"broken{i}"):
            read_state(path)


def test_a_file_without_tensors_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    endless: dict[str, Any] = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pth")
    (tmp_path / "notes.txt").write_text("weights")
    for name, word in [
        ("empty.pth", "holds no tensors"),
        ("list.pth", "a list"),
        ("endless.pth", "holds no tensors"),
        ("notes.txt", "end in"),
        ("absent.pth", "no such file"),
    ]:
        with pytest.raises(OpenusError, match=word):
            read_state(tmp_path / name)


def test_the_sines_of_a_file_are_those_of_the_model(tmp_path: Path) -> None:
    torch.save(MaskedAutoencoder(RGB).state_dict(), tmp_path / "new.pth")
    assert torch.equal(read_state(tmp_path / "new.pth")["pos_embed"], sincos(4, 64))
