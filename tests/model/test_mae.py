"""The masked autoencoder against the paper's equations, written out below in plain operations and loops."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.models import vision_transformer
from torch import Tensor, nn

from model.mae import ARCHITECTURES, MaskedAutoencoder, sincos
from model.params import ModelParams
from openus.errors import ParamsError

SMALL = ModelParams(
    architecture="vit_test_patch16", image_size=64, channels=1, decoder_depth=2, decoder_width=32, decoder_heads=4
)

State = dict[str, Tensor]


# The reference: He et al. 2022, Dosovitskiy et al. 2021, Vaswani et al. 2017. Knows names of tensors, nothing of ours.


def layer_norm(x: Tensor, weights: State, name: str) -> Tensor:
    mean = x.sum(-1, keepdim=True) / x.shape[-1]
    variance = ((x - mean) ** 2).sum(-1, keepdim=True) / x.shape[-1]
    return (x - mean) / torch.sqrt(variance + 1e-6) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: State, name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def transformer(x: Tensor, weights: State, name: str, heads: int) -> Tensor:
    """One block on one sequence [T, D]."""
    width = x.shape[1]
    each = width // heads
    y = linear(layer_norm(x, weights, f"{name}.norm1"), weights, f"{name}.attn.qkv")  # [T, 3 D]
    query, key, value = y[:, :width], y[:, width : 2 * width], y[:, 2 * width :]
    out = []
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        scores = (query[:, part] @ key[:, part].T / math.sqrt(each)).exp()
        out.append(scores / scores.sum(1, keepdim=True) @ value[:, part])
    x = x + linear(torch.cat(out, 1), weights, f"{name}.attn.proj")
    y = linear(layer_norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.fc1")
    y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
    return x + linear(y, weights, f"{name}.mlp.fc2")


def depth(weights: State, stack: str) -> int:
    return len({name for name in weights if name.startswith(f"{stack}.") and name.endswith(".norm1.weight")})


def encoded(patches: list[Tensor], numbers: list[int], weights: State, heads: int) -> Tensor:
    """Latent [1 + K, D] of some patches [C, p, p] of one picture."""
    tokens = [weights["cls_token"][0, 0] + weights["pos_embed"][0, 0]]
    for number in numbers:
        product = (weights["patch_embed.proj.weight"] * patches[number]).sum((1, 2, 3))
        tokens.append(product + weights["patch_embed.proj.bias"] + weights["pos_embed"][0, 1 + number])
    x = torch.stack(tokens)
    for i in range(depth(weights, "blocks")):
        x = transformer(x, weights, f"blocks.{i}", heads)
    return layer_norm(x, weights, "norm")


def cut(image: Tensor, p: int) -> list[Tensor]:
    return [image[:, y : y + p, x : x + p] for y in range(0, image.shape[1], p) for x in range(0, image.shape[2], p)]


def reference(
    params: ModelParams, weights: State, images: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(loss, latent, prediction, mask), picture by picture."""
    heads, p = ARCHITECTURES[params.architecture].heads, ARCHITECTURES[params.architecture].patch
    latents, predictions, masks = [], [], []
    squares: list[Tensor] = []
    for image, own in zip(images, noise.tolist(), strict=True):
        patches = cut(image, p)
        keep = sorted(range(len(patches)), key=own.__getitem__)[: int(len(patches) * (1 - params.mask_ratio))]
        latent = encoded(patches, keep, weights, heads)
        small = linear(latent, weights, "decoder_embed")
        tokens = [small[0]]
        for number in range(len(patches)):
            tokens.append(small[1 + keep.index(number)] if number in keep else weights["mask_token"][0, 0])
        x = torch.stack(tokens) + weights["decoder_pos_embed"][0]
        for i in range(depth(weights, "decoder_blocks")):
            x = transformer(x, weights, f"decoder_blocks.{i}", params.decoder_heads)
        prediction = linear(layer_norm(x, weights, "decoder_norm"), weights, "decoder_pred")[1:]
        for number, patch in enumerate(patches):
            target = torch.stack([patch[:, i, j] for i in range(p) for j in range(p)]).flatten()  # channel fastest
            if params.norm_pix:
                mean = target.sum() / len(target)
                target = (target - mean) / torch.sqrt(((target - mean) ** 2).sum() / (len(target) - 1) + 1e-6)
            if number not in keep:
                squares.append(((prediction[number] - target) ** 2).sum() / len(target))
        latents.append(latent)
        predictions.append(prediction)
        masks.append(torch.tensor([float(number not in keep) for number in range(len(patches))]))
    loss = torch.stack(squares).sum() / len(squares)
    return loss, torch.stack(latents), torch.stack(predictions), torch.stack(masks)


def model_of(params: ModelParams, seed: int = 0, dtype: torch.dtype = torch.float64) -> MaskedAutoencoder:
    """With no tensor left at zero or one, so that each matters."""
    torch.manual_seed(seed)
    model = MaskedAutoencoder(params)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model.to(dtype)


def batch_of(params: ModelParams, n: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    side = params.image_size
    patches = (side // ARCHITECTURES[params.architecture].patch) ** 2
    images = torch.randn(n, params.channels, side, side, generator=generator, dtype=torch.float64)
    return images.to(dtype), torch.rand(n, patches, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("norm_pix", [False, True])
@pytest.mark.parametrize("mask_ratio", [0.3, 0.75, 0.9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_it_computes_what_the_paper_says(
    channels: Any, norm_pix: bool, mask_ratio: float, dtype: torch.dtype, tolerance: float
) -> None:
    params = replace(SMALL, channels=channels, norm_pix=norm_pix, mask_ratio=mask_ratio)
    model = model_of(params, dtype=dtype)
    images, noise = batch_of(params, dtype=dtype)
    exact = {name: value.detach().double().requires_grad_() for name, value in model.state_dict().items()}
    ref_loss, ref_latent, ref_prediction, ref_mask = reference(params, exact, images.double(), noise)
    ref_loss.backward()

    loss, prediction, mask = model(images, noise)
    loss.backward()
    keep = noise.argsort(1)[:, : ref_latent.shape[1] - 1]
    latent = model.encode(model.patchify(images), keep)

    close = {"rtol": tolerance, "atol": tolerance}
    assert mask.tolist() == ref_mask.tolist()
    torch.testing.assert_close(loss.double(), ref_loss, **close)
    torch.testing.assert_close(latent.double(), ref_latent, **close)
    torch.testing.assert_close(prediction.double(), ref_prediction, **close)
    for name, parameter in model.named_parameters():
        if name in ("pos_embed", "decoder_pos_embed"):
            assert parameter.grad is None and not parameter.requires_grad
        else:
            assert parameter.grad is not None, name
            torch.testing.assert_close(parameter.grad.double(), exact[name].grad, **close, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_the_class_token_of_the_whole_picture(channels: Any) -> None:
    params = replace(SMALL, channels=channels)
    model = model_of(params)
    images, _ = batch_of(params)
    weights = dict(model.state_dict())
    expected = torch.stack([encoded(cut(image, 16), list(range(16)), weights, 2)[0] for image in images])
    torch.testing.assert_close(model.features(images), expected, rtol=1e-10, atol=1e-10)


def test_a_mask_belongs_to_its_picture_whatever_the_batch() -> None:
    model = model_of(SMALL)
    images, noise = batch_of(SMALL, n=4)
    _, prediction, mask = model(images, noise)
    order = torch.tensor([2, 0])
    _, some, some_mask = model(images[order], noise[order])
    assert torch.equal(some_mask, mask[order])
    torch.testing.assert_close(some, prediction[order], rtol=1e-12, atol=1e-12)


def test_equal_noises_keep_the_first_patches() -> None:
    params = replace(SMALL, image_size=224)
    images, noise = batch_of(params, n=1)
    mask = model_of(params)(images, torch.zeros_like(noise))[2]
    assert mask[0].tolist() == [0.0] * 49 + [1.0] * 147


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_run_by_row_and_come_back(channels: Any) -> None:
    params = replace(SMALL, channels=channels)
    model = model_of(params)
    images, _ = batch_of(params)
    patches = model.patchify(images)
    assert patches.shape == (3, 16, 256 * channels)
    assert patches[1, 6, (3 * 16 + 5) * channels] == images[1, 0, 16 + 3, 32 + 5]  # patch 6: second row, third column
    assert torch.equal(model.unpatchify(patches), images)
    with pytest.raises(RuntimeError):
        model.patchify(images.reshape(3, channels, 32, 128))


def test_position_embedding_is_sines_of_the_column_then_of_the_row() -> None:
    side, width = 3, 16
    made = sincos(side, width)
    assert made.dtype == torch.float32 and made.shape == (1, 1 + side**2, width)
    assert not made[0, 0].any()
    for row in range(side):
        for column in range(side):
            expected = []
            for position in (column, row):
                for function in (math.sin, math.cos):
                    expected += [function(position / 10000 ** (i / (width / 4))) for i in range(width // 4)]
            np.testing.assert_allclose(made[0, 1 + row * side + column].numpy(), expected, rtol=0, atol=1e-7)
    model = MaskedAutoencoder(SMALL)
    assert torch.equal(model.pos_embed, sincos(4, 64)) and torch.equal(model.decoder_pos_embed, sincos(4, 32))


def test_new_weights_are_drawn_as_facebook_draws_them() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(SMALL)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            bound = math.sqrt(6 / (module.in_features + module.out_features))
            assert 0.9 * bound < module.weight.abs().max() <= bound
            assert not module.bias.any()
        if isinstance(module, nn.LayerNorm):
            assert module.weight.eq(1).all() and not module.bias.any() and module.eps == 1e-6
    bound = math.sqrt(6 / (256 + 64))  # the patch embedding as a linear map, not as a convolution
    assert 0.9 * bound < model.patch_embed.proj.weight.abs().max() <= bound
    assert 0.01 < model.cls_token.std() < 0.03 and 0.01 < model.mask_token.std() < 0.03


def facebook_shapes(
    width: int, blocks: int, mlp: int, narrow: int, decoder_blocks: int, positions: int, pixels: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of `mae_vit_*_dec512d8b`, in file order; USF-MAE's are those of the base model."""

    def block(name: str, d: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {
            f"{name}.norm1.weight": (d,), f"{name}.norm1.bias": (d,),
            f"{name}.attn.qkv.weight": (3 * d, d), f"{name}.attn.qkv.bias": (3 * d,),
            f"{name}.attn.proj.weight": (d, d), f"{name}.attn.proj.bias": (d,),
            f"{name}.norm2.weight": (d,), f"{name}.norm2.bias": (d,),
            f"{name}.mlp.fc1.weight": (hidden, d), f"{name}.mlp.fc1.bias": (hidden,),
            f"{name}.mlp.fc2.weight": (d, hidden), f"{name}.mlp.fc2.bias": (d,),
        }  # fmt: skip

    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "pos_embed": (1, positions, width),
        "mask_token": (1, 1, narrow), "decoder_pos_embed": (1, positions, narrow),
        "patch_embed.proj.weight": (width, pixels // 256, 16, 16), "patch_embed.proj.bias": (width,),
    }  # fmt: skip
    for i in range(blocks):
        shapes |= block(f"blocks.{i}", width, mlp)
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    shapes |= {"decoder_embed.weight": (narrow, width), "decoder_embed.bias": (narrow,)}
    for i in range(decoder_blocks):
        shapes |= block(f"decoder_blocks.{i}", narrow, 4 * narrow)
    shapes |= {"decoder_norm.weight": (narrow,), "decoder_norm.bias": (narrow,)}
    return shapes | {"decoder_pred.weight": (pixels, narrow), "decoder_pred.bias": (pixels,)}


def test_names_and_shapes_are_those_of_facebook_and_usf_mae() -> None:
    with torch.device("meta"):
        model = MaskedAutoencoder(ModelParams(architecture="vit_base_patch16", channels=3))
    expected = facebook_shapes(768, 12, 3072, 512, 8, 197, 768)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected
    assert len(expected) == 6 + 12 * 12 + 2 + 2 + 8 * 12 + 2 + 2
    assert sum(math.prod(shape) for shape in expected.values()) == 111_907_840  # of the published model


def test_every_architecture_has_the_sizes_of_its_timm_model() -> None:
    for name, architecture in ARCHITECTURES.items():
        with torch.device("meta"):
            size = 16 * architecture.patch
            model = MaskedAutoencoder(ModelParams(architecture=name, image_size=size))
            ours = {key: value.shape for key, value in model.state_dict().items() if not key.startswith("decoder_")}
            theirs = timm.create_model(architecture.timm, img_size=size, in_chans=1, num_classes=0)
        assert ours == {key: value.shape for key, value in theirs.state_dict().items()} | {"mask_token": (1, 1, 512)}
        assert model.blocks[0].attn.num_heads == theirs.blocks[0].attn.num_heads


def test_bfloat16_autocast_trains() -> None:
    model = model_of(SMALL, dtype=torch.float32)
    images, noise = batch_of(SMALL, dtype=torch.float32)
    exact, _, exact_mask = model(images, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _, mask = model(images, noise)
    loss.backward()
    assert torch.equal(mask, exact_mask)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"architecture": "vit_enormous"}, "model.architecture"),
        ({"image_size": 100}, "model.image_size"),
        ({"mask_ratio": 0.99}, "model.mask_ratio"),
        ({"image_size": 16}, "model.mask_ratio"),
        ({"decoder_heads": 5}, "model.decoder_width"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ParamsError, match=word):
        MaskedAutoencoder(replace(SMALL, **change))


@pytest.fixture
def facebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """facebook's `models_mae`, of the checkout in `OPENUS_MAE_CHECKOUT`, under today's timm and numpy."""
    checkout = os.environ.get("OPENUS_MAE_CHECKOUT")
    if not checkout or not (Path(checkout) / "models_mae.py").is_file():
        pytest.skip("facebook's MAE is not here; set OPENUS_MAE_CHECKOUT to a checkout of it")

    class OldBlock(vision_transformer.Block):
        def __init__(self, *args: Any, qk_scale: None = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(vision_transformer, "Block", OldBlock)
    monkeypatch.setattr(np, "float", float, raising=False)
    monkeypatch.syspath_prepend(checkout)
    before = set(sys.modules)
    yield importlib.import_module("models_mae")
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("models_mae", "util"):
            del sys.modules[name]


@pytest.mark.parametrize("norm_pix", [False, True])
def test_facebooks_own_code_agrees(facebook: ModuleType, norm_pix: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    params = replace(SMALL, architecture="vit_tiny_patch16", channels=3, norm_pix=norm_pix)
    norm = partial(nn.LayerNorm, eps=1e-6)
    torch.manual_seed(0)
    theirs = facebook.MaskedAutoencoderViT(64, 16, 3, 192, 12, 3, 32, 2, 4, 4, norm, norm_pix)
    torch.manual_seed(0)
    ours = MaskedAutoencoder(params)
    state = ours.state_dict()
    assert all(torch.equal(state.pop(name), value) for name, value in theirs.state_dict().items()) and not state

    ours, theirs = ours.double(), theirs.double()
    images, noise = batch_of(params)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: noise)
    loss, prediction, mask = ours(images, noise)
    loss.backward()
    their_loss, their_prediction, their_mask = theirs(images, params.mask_ratio)
    their_loss.backward()
    assert torch.equal(mask, their_mask)
    torch.testing.assert_close(loss, their_loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(prediction, their_prediction, rtol=1e-10, atol=1e-10)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.requires_grad}
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-10, atol=1e-10)
