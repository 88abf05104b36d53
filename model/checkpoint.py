"""What a run leaves behind: its state to go on from, its weights to use, and a card that says what went in.

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

from model.mae import ARCHITECTURES, MaskedAutoencoder
from model.params import ModelParams
from model.weights import IMAGENET_MEAN, IMAGENET_STD, encoder_state
from openus.errors import CorpusError, UsageError
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
    origin = {"model": asdict(params), "sources": seen(card), "held_out_sources": proven(card), **statistics}
    weights = {
        "mae": save_safetensors(state, out / "mae.safetensors", ("openus", json.dumps(origin))),
        "encoder": save_safetensors(encoder_state(state), folder / "model.safetensors", ("format", "pt")),
    }
    config = timm_config(params, statistics["mean"], statistics["std"], licence_of(seen(card)))
    write_text(folder / "config.json", json.dumps(config, indent=1) + "\n")
    whole = {**card, "weights": weights}
    write_text(folder / "README.md", readme(whole))
    write_text(folder / "card.json", json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return folder


def seen(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Sources that went in with their terms, those of the weights that it started from among them.

    Strangers' weights are one source of which nothing is known.
    """
    before: Mapping[str, Any] = {}
    if card["init"]:
        unknown = {"pictures": None, "licences": ["unknown"], "commercial_use": None, "redistribution": None}
        before = card["init"]["sources"] or {f"({card['init']['name']})": unknown}
    return dict(sorted({**before, **card["sources"]}.items()))


def proven(card: Mapping[str, Any]) -> dict[str, str]:
    """Held-out sources, with the digest of their pictures, that the gate proved absent, from here back to new weights.

    Of strangers' weights nothing is proven.
    """
    found: dict[str, str] = dict(card["gate"]["held_out_sources"])
    if card["init"]:
        before = card["init"].get("held_out_sources") or {}
        found = {slug: digest for slug, digest in found.items() if before.get(slug) == digest}
    return found


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


def terms(pictures: Mapping[str, int], rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per source how many pictures went in and under which terms, strictest first; `rows` as the manifest has them."""
    found: dict[str, dict[str, Any]] = {}
    for slug, count in sorted(pictures.items()):
        own = [row for row in rows if row["source"] == slug]
        found[slug] = {
            "pictures": count,
            "licences": sorted({str(row["licence"] or "unstated") for row in own}),
            **{name: _strictest([row[name] for row in own]) for name in ("commercial_use", "redistribution")},
        }
    return found


def _strictest(said: Sequence[bool | None]) -> bool | None:
    """False where one says no, else None where one says nothing."""
    return False if False in said else None if None in said or not said else True


def licence_of(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for the weights: what the terms of the pictures that they come from allow. No legal advice."""
    if any(one["commercial_use"] is False for one in sources.values()):
        return "made from pictures whose terms forbid commercial use; see card.json"
    if any(one["commercial_use"] is None for one in sources.values()):
        return "made from pictures some of whose terms are unknown; see card.json"
    return "made from pictures that allow commercial use; see card.json"


def readme(card: Mapping[str, Any]) -> str:
    """The card as a page."""
    statistics, training = card["statistics"], card["training"]
    rows = [
        f"| {slug} | {_count(one['pictures'])} | {', '.join(one['licences'])} | {_word(one['commercial_use'])} | "
        f"{_word(one['redistribution'])} |"
        for slug, one in seen(card).items()
    ]
    model = card["params"]["model"]
    return "\n".join(
        [
            "---",
            "library_name: timm",
            "tags: [ultrasound, mae, openus]",
            "---",
            f"# {model['architecture']}, masked pre-training on ultrasound",
            "",
            f"{training['steps']} steps of {card['params']['batch']} pictures ({training['pictures_seen']} shown), "
            f"last loss {training['loss']:.4f}. Made by openus {card['openus']}.",
            "",
            "```python",
            "import timm",
            'encoder = timm.create_model("local-dir:FOLDER", pretrained=True)   # FOLDER: where this page lies',
            "```",
            "",
            f"Input: {model['channels']} channel(s), {model['image_size']} pixels a side, values 0–1, minus "
            f"{statistics['mean']}, over {statistics['std']} (channel by channel).",
            "",
            "## What went in",
            "",
            f"Corpus `{card['corpus']['digest'][:16]}…`. The leakage gate passed on these bytes: "
            f"{card['gate']['pretrain']} pictures against {card['gate']['held_out']} held out "
            f"({', '.join(card['gate']['held_out_sources']) or 'no published source'}); "
            f"{card['gate']['overruled']} look-alikes were judged different by a person.",
            "",
            "| source | pictures | licence | commercial use | pass on |",
            "|---|---:|---|---|---|",
            *rows,
            "",
            *_started(card["init"]),
            f"These weights are {licence_of(seen(card))}.",
            "",
        ]
    )


def _started(init: Mapping[str, Any] | None) -> list[str]:
    if not init:
        return []
    return [f"Training started from {init['name']} (SHA-256 {init['sha256']}); its sources stand in the table.", ""]


def _count(pictures: int | None) -> str:
    return "?" if pictures is None else str(pictures)


def _word(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def origin_of(path: Path) -> dict[str, Any] | None:
    """What a file of ours says of itself: model, mean, std, sources, held_out_sources; None for a stranger's file."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return None
    if (path.parent / "config.json").is_file():
        return _origin_of_folder(path.parent)
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get("openus")
    except (SafetensorError, OSError):
        return None
    try:
        origin = json.loads(said or "null")
    except ValueError:
        return None
    return (
        origin if isinstance(origin, dict) and {"mean", "std", "sources", "held_out_sources"} <= set(origin) else None
    )


def seen_by(
    path: Path | None,
    origin: Mapping[str, Any] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    key: str,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation by which the weights of `path` saw pictures: as told, as their `origin` says, or ImageNet's.

    `path` is None for new weights; `key` begins the names of the two parameters. Raises UsageError where nobody says
    it: timm's models saw pictures in several ways, and a wrong one costs the features.
    """
    if not (mean and std) and origin is None and path is not None and path.suffix == ".safetensors":
        raise UsageError(f"{path} does not say how its pictures were normalised.", f"Set {key}mean and {key}std.")
    said = origin or {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    return tuple(mean or said["mean"]), tuple(std or said["std"])


def check_card(path: Path, sha256: str) -> None:
    """Raises CorpusError when the card that a run left with its autoencoder `path` tells of other weights."""
    card = path.parent / "encoder" / "card.json"
    if path.name != "mae.safetensors" or not card.is_file():
        return
    try:
        told = json.loads(card.read_text(encoding="utf-8"))["weights"]["mae"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{card} is no card of ours: {error}.", "Copy the folder of the run anew.") from error
    if told != sha256:
        raise CorpusError(f"{path} is not the file that {card} tells of.", "Copy the folder of the run anew.")


def _origin_of_folder(folder: Path) -> dict[str, Any] | None:
    """What config.json beside a timm model says of its input, and card.json, where it is ours, of what went in."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        view = config.get("pretrained_cfg", config)
        origin = {"mean": view["mean"], "std": view["std"], "sources": None, "held_out_sources": None}
        if (folder / "card.json").is_file():
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            origin |= {"sources": seen(card), "held_out_sources": proven(card)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return origin
