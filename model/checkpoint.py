"""What a run leaves behind: its state to go on from, its weights to use, and the card of `model.card`.

OUT/state.pt                  everything that the next step depends on; read by torch's restricted unpickler
OUT/mae.safetensors           the whole autoencoder under facebook's key names
OUT/encoder/                  config.json + model.safetensors, for timm.create_model("local-dir:OUT/encoder")
OUT/encoder/card.json         corpus, gate, sources with their terms, parameters, what was measured
OUT/encoder/README.md         the same for a reader
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from model.card import Origin, licence_of, overruled, proven, readme, seen
from model.mae import ARCHITECTURES, MaskedAutoencoder
from model.params import ModelParams
from model.weights import encoder_state
from openus.errors import CorpusError
from openus.storage import atomic, sweep, write_text

STATE_VERSION = 1
STATE = "state.pt"


def save_state(out: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run, whole or not at all. `state` holds tensors, numbers, strings and containers of them."""
    content = io.BytesIO()  # torch's own writer does not tell of a full disk as such
    torch.save({"version": STATE_VERSION, **state}, content)
    with atomic(out / STATE) as file:
        file.write(content.getbuffer())


def load_state(out: Path, run: str, replace: bool = False) -> dict[str, Any] | None:
    """The state that an earlier process of the same run left in `out`; None when there is none.

    Args:
        out: folder of the run.
        run: digest of all that the numbers depend on (corpus, parameters, weights to start from).
        replace: a state that is of another run, or damaged, counts as none.

    Raises CorpusError when the file is damaged, or of another run.
    """
    path = out / STATE
    if not path.exists():
        return None
    anew = "Choose another folder for the new run, or remove this one to start anew."
    try:
        with ZipFile(path) as file:  # torch does not look at the checksums
            damaged = file.testzip()
        if damaged is not None:
            raise BadZipFile(damaged)
        state: dict[str, Any] = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        if replace:
            return None
        raise CorpusError(f"{path} is damaged ({type(error).__name__}).", anew) from error
    if state.get("version") != STATE_VERSION or state.get("run") != run:
        if replace:
            return None
        raise CorpusError(f"{path} belongs to a run with another corpus or other parameters.", anew)
    return state


def save_safetensors(state: Mapping[str, Tensor], path: Path, metadata: tuple[str, str]) -> str:
    """Write tensors atomically; returns the file's SHA-256. The bytes depend on names and values alone.

    One entry of metadata and no more: safetensors writes several in an order that changes from run to run.
    """
    from safetensors.torch import save

    tensors = {name: state[name].detach().cpu().contiguous() for name in sorted(state)}
    content = save(tensors, dict([metadata]))
    with atomic(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def export(out: Path, model: MaskedAutoencoder, params: ModelParams, card: Mapping[str, Any]) -> Path:
    """Write weights, encoder folder and card; returns the encoder's folder.

    `card` holds at least `statistics` (mean and std a channel, of 0–1) and `sources`. The card goes last: where it
    stands, its `weights` name the SHA-256 of files that were written before it.
    """
    folder = out / "encoder"
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    (folder / "card.json").unlink(missing_ok=True)  # of an older run: no card may stand beside other weights
    state = model.state_dict()
    statistics = card["statistics"]
    origin = Origin(statistics["mean"], statistics["std"], seen(card), proven(card), overruled(card))
    weights = {
        "mae": save_safetensors(
            state, out / "mae.safetensors", ("openus", json.dumps({"model": asdict(params), **asdict(origin)}))
        ),
        "encoder": save_safetensors(encoder_state(state), folder / "model.safetensors", ("format", "pt")),
    }
    config = timm_config(params, statistics["mean"], statistics["std"], licence_of(seen(card)))
    write_text(folder / "config.json", json.dumps(config, indent=1) + "\n")
    whole = {**card, "weights": weights}
    write_text(folder / "README.md", readme(whole))
    write_text(folder / "card.json", json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return folder


def timm_config(params: ModelParams, mean: Sequence[float], std: Sequence[float], licence: str) -> dict[str, Any]:
    """config.json of a folder that timm opens: the architecture, what differs from timm's, and how to prepare input."""
    one = ARCHITECTURES[params.architecture]
    size = params.image_size
    return {
        "architecture": one.timm,
        "num_classes": 0,
        "num_features": one.width,
        "global_pool": "token",
        "model_args": {
            "img_size": size,
            "patch_size": one.patch,
            "in_chans": params.channels,
            "embed_dim": one.width,
            "depth": one.depth,
            "num_heads": one.heads,
            "mlp_ratio": one.mlp_ratio,
        },
        "pretrained_cfg": {
            "tag": "openus_mae",
            "custom_load": False,
            "input_size": [params.channels, size, size],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "border",
            "mean": list(mean),
            "std": list(std),
            "num_classes": 0,
            "pool_size": None,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": licence,
        },
    }
