"""State dicts of others into a masked autoencoder of ours, and ours into timm's; no pickle is run.

Read are facebook's MAE files (whole or encoder alone), those of who built on its code (USF-MAE), timm's ViTs and ours.
Weights that saw pictures normalised in another way, or with another number of channels, are folded, so that the encoder
computes from the raw picture what it always did.
"""

from __future__ import annotations

import argparse
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor

from model.mae import MaskedAutoencoder
from openus.errors import CorpusError, UsageError

State = dict[str, Tensor]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in 0–1; what facebook's and USF-MAE's weights saw; timm's ViTs differ, see their config."""

PICKLES = frozenset({".pth", ".pt", ".bin", ".ckpt"})
WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys under which training codes keep the weights, beside optimiser and arguments."""
HEADS = ("head.", "head_dist.", "fc_norm.", "pre_logits.")
"""Parts of timm's and facebook's classifiers that come after the encoder."""


@dataclass(frozen=True)
class Loaded:
    """What became of a state dict; names are those of the model (loaded, missing) or of the file (ignored)."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Of the model, still new."""
    ignored: tuple[str, ...]
    """Of the file, without a place in the model."""
    notes: tuple[str, ...]
    """What was adapted or left out, a sentence each."""


def read_state(path: Path) -> State:
    """Tensors by name of a `.safetensors` file, or of a `.pth`, `.pt`, `.bin` or `.ckpt` of torch.

    Of torch's files only tensors and plain data are read (`weights_only`), and `argparse.Namespace`, which facebook's
    hold. Wrappings ({"model": …}, `module.` of DDP, `_orig_mod.` of torch.compile) are taken off.

    Raises:
        UsageError: there is no such file, or its name has another ending.
        CorpusError: it is cut off, is no such file, would run code, or holds no tensors.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file of weights.", "Name a .safetensors, .pth, .pt or .bin file.")
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    elif path.suffix in PICKLES:
        content = _read_pickle(path)
    else:
        raise UsageError(f"{path}: weights end in .safetensors, .pth, .pt or .bin.", "Rename or convert the file.")
    for _ in WRAPPERS:  # as deep as anyone wraps
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        content = content if inner is None else inner
    state = {_bare(str(name)): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise CorpusError(f"{path} holds no tensors.", f"Weights lie at the top or under {', '.join(WRAPPERS)}.")
    return state


def load_mae(
    model: MaskedAutoencoder,
    state: Mapping[str, Tensor],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    source_mean: Sequence[float] = IMAGENET_MEAN,
    source_std: Sequence[float] = IMAGENET_STD,
) -> Loaded:
    """Give the model the weights of a state dict; it is changed only if all of the encoder fits.

    Channels and normalisation are folded into the patch embedding and the prediction (`fold_embedding`,
    `fold_prediction`), position embeddings are resampled to the model's image size. A decoder that is not there, or
    has other sizes, stays new as a whole.

    Args:
        model: where the weights go.
        state: as `read_state` gives it.
        mean: of a channel in 0–1, as the model's pictures are normalised; one value a channel of the model.
        std: likewise.
        source_mean: as the weights saw pictures; one value a channel of theirs.
        source_std: likewise.

    Raises UsageError naming the tensor when one of the encoder is missing, too many, or has another shape.
    """
    own = {name: value.shape for name, value in model.state_dict().items()}
    heads = tuple(sorted(name for name in state if name.startswith(HEADS)))
    given = {name: value.detach().cpu().float() for name, value in state.items() if name not in heads}
    notes = [f"Left out, being a classifier's: {', '.join(heads)}."] if heads else []
    if "fc_norm.weight" in heads and "norm.weight" not in given:
        notes.append("The weights average tokens and norm the average, so the norm of tokens starts new.")
    _check_encoder({name: shape for name, shape in own.items() if not _of_decoder(name)}, given, heads)
    views = Views(tuple(mean), tuple(std), tuple(source_mean), tuple(source_std))
    notes += _fold(model, given, views)
    notes += _resample(model, given)
    notes += _drop_other_decoder({name: shape for name, shape in own.items() if _of_decoder(name)}, given)
    model.load_state_dict(given, strict=False)
    return Loaded(
        loaded=tuple(name for name in own if name in given),
        missing=tuple(name for name in own if name not in given),
        ignored=tuple(sorted(name for name in state if name not in given)),
        notes=tuple(notes),
    )


def encoder_state(state: Mapping[str, Tensor]) -> State:
    """The encoder alone, under the names of timm's `VisionTransformer` without a head.

    The mask token must go with the decoder: timm takes a file that has one for DINOv2.
    """
    return {name: value.detach().contiguous() for name, value in state.items() if not _of_decoder(name)}


@dataclass(frozen=True)
class Views:
    """How two models see the raw picture in 0–1: each channel less its mean, by its deviation."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source_mean: tuple[float, ...]
    """Of the model that the weights come from; it may have another number of channels."""
    source_std: tuple[float, ...]

    def vectors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four, float64."""
        m, s, sm, ss = (
            torch.tensor(x, dtype=torch.float64) for x in (self.mean, self.std, self.source_mean, self.source_std)
        )
        return m, s, sm, ss

    def mixing(self) -> Tensor:
        """[source channels, channels] float64, 1 where a channel of one has to do with one of the other."""
        theirs, ours = len(self.source_mean), len(self.mean)
        return (torch.eye(ours) if theirs == ours else torch.ones(theirs, ours)).double()


def fold_embedding(weight: Tensor, bias: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """Patch embedding for pictures normalised by (mean, std), from one for pictures by (source_mean, source_std).

    The raw picture x gives the same embedding through both, exactly:

        x'_t = (x_t - mean_t) / std_t                     what the new embedding sees in its channels t
        Σ_s W_s ∗ (x_s - source_mean_s) / source_std_s    what the old one computes of its channels s
        x_s = Σ_t M_st (x'_t std_t + mean_t)              the old channels out of the new ones

    With as many channels on both sides M is the identity. From three to one, the gray picture is what was repeated
    thrice. From one to three, the old embedding sees the mean of the three.

    Args:
        weight: [D, S, p, p].
        bias: [D].
        views: S values of the source, T of the new; S = T, or one of them is 1.

    Returns weight [D, T, p, p] and bias [D].
    """
    mean, std, source_mean, source_std = views.vectors()
    mix = views.mixing()
    mix = mix / mix.sum(dim=1, keepdim=True)  # M: a channel of theirs is a mean of ours
    exact = weight.double()
    folded = torch.einsum("dsij,st->dtij", exact, mix * std / source_std[:, None])
    shift = exact.sum(dim=(2, 3)) @ ((mix @ mean - source_mean) / source_std)
    return folded.to(weight.dtype), (bias.double() + shift).to(bias.dtype)


def fold_prediction(weight: Tensor, bias: Tensor, views: Views, *, norm_pix: bool) -> tuple[Tensor, Tensor]:
    """Prediction of pixels normalised by (mean, std), from one of pixels normalised by (source_mean, source_std).

    Of raw pixels (norm_pix false) it is exact: predictions are taken back to 0–1, three channels averaged to one or
    one repeated to three, and normalised anew. Of normalised patches no constants are involved and channels are
    averaged or repeated alone; that is an approximation, because facebook normalises a patch over its channels
    together, and the channels of a gray patch differ in ImageNet's normalisation. Which of the two a file was trained
    with it does not say.

    Args:
        weight: [p·p·S, D], the channel running fastest.
        bias: [p·p·S].
        views: S values of the source, T of the new; S = T, or one of them is 1.
        norm_pix: whether the target is normalised by patch.

    Returns weight [p·p·T, D] and bias [p·p·T].
    """
    mean, std, source_mean, source_std = views.vectors()
    mix = views.mixing().T
    mix = mix / mix.sum(dim=1, keepdim=True)  # [T, S]: a channel of ours is a mean of theirs
    shift = torch.zeros_like(mean) if norm_pix else (mix @ source_mean - mean) / std
    mix = mix if norm_pix else mix * source_std / std[:, None]
    theirs = len(source_mean)
    folded = torch.einsum("ts,psd->ptd", mix, weight.double().reshape(-1, theirs, weight.shape[1]))
    moved = bias.double().reshape(-1, theirs) @ mix.T + shift
    return folded.flatten(0, 1).to(weight.dtype), moved.flatten().to(bias.dtype)


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CorpusError(f"{path} is no whole safetensors file: {error}.", "Fetch it again.") from error


def _read_pickle(path: Path) -> Mapping[str, Any]:
    """What a file of torch holds; anything but tensors and plain data is refused, not run."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CorpusError(
                f"{path} is a pickle that calls {found[1]}; it was not opened.", "Ask its author for safetensors."
            ) from error
        raise CorpusError(f"{path} is cut off, or no weights of torch.", "Fetch it again.") from error
    if not isinstance(content, Mapping):
        raise CorpusError(f"{path} holds no tensors by name but a {type(content).__name__}.", "Save a state dict.")
    return content


def _bare(name: str) -> str:
    """A parameter's name without what DDP and torch.compile put before it."""
    while name.startswith(("module.", "_orig_mod.")):
        name = name.split(".", 1)[1]
    return name


def _of_decoder(name: str) -> bool:
    return name == "mask_token" or name.startswith("decoder_")


def _check_encoder(own: Mapping[str, torch.Size], given: Mapping[str, Tensor], heads: Sequence[str]) -> None:
    """Raises UsageError unless both have the same tensors (one more would change what is computed), and shapes.

    What is adapted later may differ: channels, and the number of positions.
    """
    depth, theirs = _depth(own), _depth(given)
    if theirs not in (0, depth):
        raise UsageError(
            f"The weights have {theirs} encoder blocks and the model {depth}.",
            "Choose the architecture that the weights have.",
        )
    new = ("norm.weight", "norm.bias") if "fc_norm.weight" in heads else ()
    if missing := [name for name in own if name not in given and name not in new]:
        raise UsageError(f"The weights lack {missing[0]}.", "They are no ViT with a class token, or not whole.")
    if extra := sorted(name for name in given if not _of_decoder(name) and name not in own):
        raise UsageError(
            f"The weights hold {extra[0]}, which a plain ViT has not.", "They are of another architecture."
        )
    free = {"patch_embed.proj.weight": 1, "pos_embed": 1}  # the dimension that is adapted
    for name, shape in own.items():
        if name in given and _without(given[name].shape, free.get(name)) != _without(shape, free.get(name)):
            raise UsageError(
                f"{name} is {_words(given[name].shape)} in the weights and {_words(shape)} in the model.",
                "Choose the architecture that the weights have.",
            )


def _depth(names: Iterable[str]) -> int:
    """Number of encoder blocks."""
    return len({name.split(".")[1] for name in names if name.startswith("blocks.")})


def _without(shape: Sequence[int], dimension: int | None) -> tuple[int, ...]:
    return tuple(-1 if i == dimension else size for i, size in enumerate(shape))


def _words(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) or "a scalar"


def _fold(model: MaskedAutoencoder, given: State, views: Views) -> list[str]:
    """Fold channels and normalisation of the weights in place, and say so. Raises UsageError when numbers disagree."""
    theirs, ours = given["patch_embed.proj.weight"].shape[1], model.channels
    for name, channels in (("mean", ours), ("std", ours), ("source_mean", theirs), ("source_std", theirs)):
        if len(getattr(views, name)) != channels:
            raise UsageError(
                f"{name} has {len(getattr(views, name))} values for {channels} channels.", "Give one a channel."
            )
    if theirs != ours and 1 not in (theirs, ours):
        raise UsageError(f"The weights see {theirs} channels and the model {ours}.", "Weights of 1 or 3 are adapted.")
    if (views.mean, views.std) == (views.source_mean, views.source_std):
        return []
    weight, bias = "patch_embed.proj.weight", "patch_embed.proj.bias"
    given[weight], given[bias] = fold_embedding(given[weight], given[bias], views)
    notes = [f"Patch embedding folded exactly: {theirs} to {ours} channels, their normalisation to ours."]
    weight, bias = "decoder_pred.weight", "decoder_pred.bias"
    pixels = model.architecture.patch**2 * theirs
    if all(name in given and len(given[name]) == pixels for name in (weight, bias)):
        given[weight], given[bias] = fold_prediction(given[weight], given[bias], views, norm_pix=model.norm_pix)
        how = "approximately, as of normalised patches" if model.norm_pix else "exactly, as of raw pixels"
        notes.append(f"Prediction folded likewise: {how}.")
    return notes


def _resample(model: MaskedAutoencoder, given: State) -> list[str]:
    """Bring position embeddings to the model's grid in place, and say so. UsageError of one that is no square."""
    notes = []
    for name in ("pos_embed", "decoder_pos_embed"):
        if name not in given or given[name].ndim != 3:
            continue
        value = given[name]  # [1, side² with or without a class token, D]
        if math.isqrt(value.shape[1]) ** 2 == value.shape[1]:  # timm adds none to some models' class token: zero
            value = torch.cat([torch.zeros_like(value[:, :1]), value], dim=1)
        side = math.isqrt(value.shape[1] - 1)
        if side**2 != value.shape[1] - 1:
            raise UsageError(f"{name} has {value.shape[1]} positions, no square.", "Use weights of square input.")
        if side != model.side:
            notes.append(f"{name} resampled from {side} × {side} to {model.side} × {model.side} patches.")
        given[name] = resample_abs_pos_embed(value, new_size=[model.side, model.side])
    return notes


def _drop_other_decoder(own: Mapping[str, torch.Size], given: State) -> list[str]:
    """Drop the decoder of the weights in place unless all of it fits: half a decoder is none. Says so."""
    theirs = {name: given[name].shape for name in given if _of_decoder(name)}
    if theirs == dict(own):
        return []
    for name in theirs:
        del given[name]
    unlike = sorted(name for name in {*own, *theirs} if own.get(name) != theirs.get(name))[0]
    if not any(name.startswith("decoder_") for name in theirs):
        return ["The weights hold no decoder: it starts new."]
    return [f"The decoder of the weights has other sizes ({unlike}): it starts new."]
