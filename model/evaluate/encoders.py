"""Encoders as timm models: of a folder, of a file of weights, or new. Nothing is downloaded, nothing loads by halves.

timm drops to a loose load as soon as the number of classes differs. So a model is always built with the head that its
weights have, loaded strictly, and then given the head that is wanted.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.card import origin_of, read_card, seen_by
from model.params import EncoderParams
from openus.errors import CorpusError, OpenusError, UsageError
from openus.storage import sha256_file


@dataclass(frozen=True)
class Encoder:
    """A row of the table: what to build, and how pictures are prepared for it."""

    name: str
    architecture: str
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seeded: bool
    """True for new weights, which are drawn by the seed."""
    timm_name: str
    """What `timm.create_model` is given: an architecture, or local-dir:FOLDER."""
    arguments: Mapping[str, Any]
    drops_paths: bool
    """True when the architecture knows stochastic depth."""
    weights: str | None = None
    """File for an architecture."""
    sha256: str | None = None
    """Of the file of weights; None for new ones."""
    card: Mapping[str, Any] | None = field(default=None, repr=False)
    """card.json of a folder that `model.pretrain` left."""
    sources: Mapping[str, Any] | None = field(default=None, repr=False)
    """What a file of weights says that it was trained on."""

    def build(self, seed: int, classes: int = 0, drop_path: float = 0.0) -> nn.Module:
        """The model in fp32 on the CPU; 0 classes: `model(x)` are the pooled features [N, D].

        New weights and the new head are drawn by `seed`; the global generator is left as it was.
        Raises CorpusError when the weights do not fit the architecture, to the last tensor.
        """
        arguments = dict(self.arguments)
        if drop_path > 0 and self.drops_paths:
            arguments["drop_path_rate"] = drop_path
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _create(self.timm_name, pretrained=False, **arguments) if self.seeded else self._loaded(arguments)
            reset: Any = model.reset_classifier
            reset(classes)
        return model

    def _loaded(self, arguments: dict[str, Any]) -> nn.Module:
        what = self.weights or self.timm_name.removeprefix("local-dir:")
        if self.weights is not None:
            state = _state(Path(self.weights))
            arguments["pretrained_cfg_overlay"] = _overlay(self.timm_name, state, self.channels)
        try:
            return _create(self.timm_name, pretrained=True, **arguments)
        except OpenusError:
            raise
        except Exception as error:
            raise CorpusError(
                f"{what} does not fit {self.architecture}: {_brief(error)}.",
                "Name the architecture that the weights were made with.",
            ) from error

    def provenance(self) -> dict[str, Any]:
        """What metrics.json says of the encoder; no path of this machine."""
        with torch.device("meta"):  # counted, not made
            model: Any = _create(self.timm_name, pretrained=False, **self.arguments)
            model.reset_classifier(0)
        parameters = sum(value.numel() for value in model.parameters())
        return {
            "name": self.name,
            "architecture": self.architecture,
            "parameters": parameters,
            "image_size": self.image_size,
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "weights": "new" if self.seeded else (self.sha256 or ""),
        }


def find(name: str, encoders: Mapping[str, EncoderParams], image_size: int) -> Encoder:
    """The encoder that a parameter file calls `name`. Weights are looked at, not loaded.

    Raises:
        UsageError: no such name, an unknown architecture, not exactly one of folder, like, architecture, or an image
            size that the architecture cannot take.
        CorpusError: a folder or file that is not there or cannot be read.
    """
    if name not in encoders:
        raise UsageError(f"evaluate.encoders has no {name!r}.", f"It has {', '.join(sorted(encoders)) or 'none'}.")
    params = encoders[name]
    given = [word for word in ("folder", "like", "architecture") if getattr(params, word) is not None]
    if len(given) != 1:
        raise UsageError(
            f"evaluate.encoders.{name} names {' and '.join(given) or 'no encoder'}.",
            "Exactly one of folder, like, architecture.",
        )
    if params.weights is not None and params.architecture is None:
        raise UsageError(f"evaluate.encoders.{name}: weights belong to an architecture.", "A folder has its own.")
    if params.architecture is not None:
        return _of_architecture(name, params, params.architecture, image_size)
    return _of_folder(name, params, Path(params.folder or params.like or ""), image_size)


def _of_folder(name: str, params: EncoderParams, folder: Path, image_size: int) -> Encoder:
    """A folder in timm's form, or (`like`) its architecture alone."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture = str(config["architecture"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{folder} is no folder that timm opens: {_brief(error)}.", "Name the encoder folder of a finished run."
        ) from error
    timm_name = f"local-dir:{folder}"
    probe = _probe(timm_name, name)
    prepared: Mapping[str, Any] = getattr(probe, "pretrained_cfg")  # noqa: B009 - nn.Module types no attributes
    channels = int(prepared["input_size"][0])
    if params.channels not in (None, channels):
        raise UsageError(
            f"evaluate.encoders.{name}.channels is {params.channels}, but the folder's model has {channels}.",
            "Leave the key out.",
        )
    new = params.folder is None
    sha256 = None if new else sha256_file(_weights_of(folder))
    return Encoder(
        name=name,
        architecture=architecture,
        image_size=image_size,
        channels=channels,
        mean=_of_channels(params.mean or prepared["mean"], channels, name),
        std=_of_channels(params.std or prepared["std"], channels, name),
        seeded=new,
        timm_name=timm_name,
        arguments=_sized(probe, image_size, name),
        drops_paths=_knows(probe, "drop_path_rate"),
        sha256=sha256,
        card=read_card(folder / "card.json", "encoder", sha256) if sha256 else None,
    )


def _of_architecture(name: str, params: EncoderParams, architecture: str, image_size: int) -> Encoder:
    """A model of timm with new weights or those of a file."""
    if ":" in architecture or "." in architecture:
        raise UsageError(f"{architecture!r} is no architecture of timm.", "A plain name: resnet50, vgg19 …")
    probe = _probe(architecture, name)
    channels = params.channels or 3
    if params.weights is not None and not Path(params.weights).is_file():
        raise CorpusError(f"There is no file {params.weights}.", f"It stands in evaluate.encoders.{name}.weights.")
    weights = Path(params.weights) if params.weights else None
    sha256 = sha256_file(weights) if weights else None
    origin = origin_of(weights, sha256) if weights and sha256 else None
    mean, std = seen_by(weights, origin, params.mean, params.std, f"evaluate.encoders.{name}.")
    return Encoder(
        name=name,
        architecture=architecture,
        image_size=image_size,
        channels=channels,
        mean=_of_channels(mean, channels, name),
        std=_of_channels(std, channels, name),
        sources=origin.sources if origin else None,
        seeded=params.weights is None,
        timm_name=architecture,
        arguments={**_sized(probe, image_size, name), "in_chans": channels},
        drops_paths=_knows(probe, "drop_path_rate"),
        weights=params.weights,
        sha256=sha256,
    )


def _of_channels(values: Any, channels: int, name: str) -> tuple[float, ...]:
    """Mean or deviation for each channel: three for one channel become their mean, one is repeated."""
    found = tuple(float(value) for value in values)
    if len(found) == channels:
        return found
    if len(found) == 1:
        return found * channels
    if channels == 1:
        return (sum(found) / len(found),)
    raise UsageError(f"evaluate.encoders.{name}: {len(found)} means or deviations for {channels} channels.", "")


def _probe(timm_name: str, name: str) -> nn.Module:
    """The model without memory or weights: what it is called with and how it is prepared for."""
    try:
        with torch.device("meta"):
            return _create(timm_name, pretrained=False)
    except Exception as error:
        raise UsageError(
            f"evaluate.encoders.{name}: timm makes no {timm_name}: {_brief(error)}.",
            "timm.list_models() names the architectures.",
        ) from error


def _create(timm_name: str, **arguments: Any) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(timm_name, **arguments)
    return model


def _knows(model: nn.Module, argument: str) -> bool:
    return argument in inspect.signature(type(model).__init__).parameters


def _sized(model: nn.Module, image_size: int, name: str) -> dict[str, int]:
    """`img_size` for a model that is built for one size (ViT); its position embedding is resampled.

    Raises UsageError when its patches do not fill that size.
    """
    if not _knows(model, "img_size"):
        return {}
    patch: Any = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    for side in (patch,) if isinstance(patch, int) else tuple(patch):
        if image_size % side:
            below = image_size // side * side
            fits = " or ".join(str(size) for size in (below, below + side) if size)
            raise UsageError(
                f"evaluate.image_size is {image_size}, no multiple of the {side} pixels of a patch of {name}.",
                f"Take {fits}.",
            )
    return {"img_size": image_size}


def _state(path: Path) -> dict[str, Tensor]:
    """The encoder's tensors of a file; of a masked autoencoder the decoder is left out."""
    from model.weights import encoder_state, read_state

    state = read_state(path)
    autoencoder = any(key == "mask_token" or key.startswith("decoder_") for key in state)
    return encoder_state(state) if autoencoder else state


def _overlay(architecture: str, state: dict[str, Tensor], channels: int) -> dict[str, Any]:
    """timm's description of these weights: with the head that they have, so that they load strictly."""
    import timm

    heads: Any = timm.get_pretrained_cfg_value(architecture, "classifier") or ()
    names = [heads] if isinstance(heads, str) else list(heads)
    names.append("classifier.6")  # torchvision's VGG, whose keys timm translates
    sizes = [len(state[f"{head}.weight"]) for head in names if f"{head}.weight" in state]
    return {"state_dict": state, "num_classes": sizes[0] if sizes else 0, "input_size": (channels, 224, 224)}


def _weights_of(folder: Path) -> Path:
    """The file that timm reads in a folder."""
    names = "model.safetensors pytorch_model.bin pytorch_model.pth model.pth *.safetensors *.pth *.pth.tar *.bin"
    for pattern in names.split():
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise CorpusError(f"{folder} holds no weights.", "Name the encoder folder of a finished run.")


def _brief(error: Exception) -> str:
    """An exception as part of a sentence, its first 300 letters."""
    return " ".join((str(error) or type(error).__name__).split())[:300].rstrip(".")
