"""Weights that pre-training starts from: whose they are, and how they saw pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model import card, weights
from model.checkpoint import STATE
from model.mae import MaskedAutoencoder
from model.params import PretrainParams
from model.pictures import Statistics
from openus.errors import UsageError
from openus.storage import sha256_file


def init_file(name: str, out: Path) -> Path:
    """The file of weights to start from: as named, or the autoencoder in the folder of a run; not of this one."""
    path = Path(name) / "mae.safetensors" if Path(name).is_dir() else Path(name)
    if path.name == STATE:
        raise UsageError(
            f"pretrain.init: {path} is the state of a run, no weights.", "Let it end, and name its folder."
        )
    if not path.exists():
        raise UsageError(f"pretrain.init: there is no {path}.", "Name a file of weights, or the folder of a run.")
    if out.resolve() in path.resolve().parents:
        raise UsageError(f"pretrain.init {path} is what this run itself writes.", "Copy it elsewhere, or change --out.")
    return path


def start(model: MaskedAutoencoder, params: PretrainParams, out: Path, statistics: Statistics) -> dict[str, Any] | None:
    """Load `init` into the model; returns what the card says of it, None for new weights.

    Raises UsageError and CorpusError as `weights.read_state` and `weights.load_mae` do, when a card beside the file
    tells of other weights, and when nobody says how they saw pictures.
    """
    if params.init is None:
        return None
    path = init_file(params.init, out)
    sha256 = sha256_file(path)
    origin = card.origin_of(path, sha256)
    state = weights.read_state(path)
    mean, std = card.seen_by(path, origin, params.init_mean, params.init_std, "pretrain.init_")
    loaded = weights.load_mae(model, state, mean=statistics.mean, std=statistics.std, source_mean=mean, source_std=std)
    return {
        "name": path.name,
        "sha256": sha256,
        "missing": list(loaded.missing),
        "ignored": list(loaded.ignored),
        "notes": list(loaded.notes),
        "sources": origin and origin.sources,
        "held_out_sources": origin and origin.held_out_sources,
        "overruled": origin.overruled if origin else 0,
    }
