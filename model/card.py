"""What weights say of themselves, and the card that goes with them: what went in, under which terms, what is proven.

A card is a plain mapping, as card.json holds it: openus, software, params, statistics, corpus, gate, sources, init,
training, and weights, the SHA-256 of the files that it speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from model.weights import IMAGENET_MEAN, IMAGENET_STD
from openus.errors import CorpusError, UsageError

TERMS = {"commercial_use": "commercial use", "redistribution": "passing on", "derivatives": "derived works"}
"""What licences allow or forbid: the manifest's columns, in words."""


@dataclass(frozen=True)
class Origin:
    """What weights tell of how they came to be."""

    mean: tuple[float, ...]
    """Of a channel in 0–1, as they saw pictures."""
    std: tuple[float, ...]
    sources: Mapping[str, Any] | None
    """What they were trained on, with its terms; None where nobody says."""
    held_out_sources: Mapping[str, str] | None
    """What is proven absent (`proven`)."""
    overruled: int = 0
    """Look-alikes that a person judged to be different pictures."""


def origin_of(path: Path, sha256: str) -> Origin | None:
    """What a file of weights says of itself, else what lies beside it; None for a stranger's that says nothing.

    Raises CorpusError when a card beside it is damaged, or tells of other weights than `sha256`.
    """
    if path.suffix != ".safetensors":
        return None
    origin = _of_file(path)
    if path.name == "mae.safetensors":
        card = read_card(path.parent / "encoder" / "card.json", "mae", sha256)
        if origin and card:  # files of before do not tell how many
            origin = replace(origin, overruled=overruled(card))
    return origin or _of_folder(path.parent, sha256)


def _of_file(path: Path) -> Origin | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {}).get("openus", "null"))
        return Origin(
            tuple(said["mean"]),
            tuple(said["std"]),
            said["sources"],
            said["held_out_sources"],
            int(said.get("overruled", 0)),
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _of_folder(folder: Path, sha256: str) -> Origin | None:
    """What config.json beside a timm model says of its input, and card.json, where it is ours, of what went in."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        view = config.get("pretrained_cfg", config)
        mean, std = tuple(view["mean"]), tuple(view["std"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    card = read_card(folder / "card.json", "encoder", sha256)
    if card is None:
        return Origin(mean, std, None, None)
    return Origin(mean, std, seen(card), proven(card), overruled(card))


def read_card(path: Path, which: Literal["mae", "encoder"], sha256: str) -> dict[str, Any] | None:
    """The card at a path, None where there is none.

    Raises CorpusError when it is damaged, or tells of other weights than these: what it says would not be theirs.
    """
    if not path.exists():
        return None
    whole = "Copy the folder of the run whole; without card.json its encoder is taken for a stranger's."
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told = card["weights"][which]
        if missing := {"gate", "init", "sources"} - card.keys():
            raise ValueError(f"it lacks {min(missing)}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path} is no card of ours: {error}.", whole) from error
    if told != sha256:
        raise CorpusError(f"{path} tells of other weights than those beside it.", whole)
    return card


def seen_by(
    path: Path | None,
    origin: Origin | None,
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
    return mean or (origin.mean if origin else IMAGENET_MEAN), std or (origin.std if origin else IMAGENET_STD)


def seen(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Sources that went in with their terms, those of the weights that it started from among them.

    Strangers' weights are one source of which nothing is known.
    """
    before: Mapping[str, Any] = {}
    if card["init"]:
        unknown = {"pictures": None, "licences": ["unknown"]}
        before = card["init"]["sources"] or {f"({card['init']['name']})": unknown}
    own: Mapping[str, Any] = card["sources"]
    both = {slug: _merged(before[slug], own[slug]) for slug in before.keys() & own.keys()}
    return dict(sorted({**before, **own, **both}.items()))


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Terms of two lots of pictures under one name, which need not be the same pictures: the stricter."""
    counts = (one["pictures"], other["pictures"])
    return {
        "pictures": None if None in counts else max(counts),
        "licences": sorted({*one["licences"], *other["licences"]}),
        **{name: _strictest([one.get(name), other.get(name)]) for name in TERMS},
    }


def proven(card: Mapping[str, Any]) -> dict[str, str]:
    """Held-out sources, with the digest of their pictures, that the gate proved absent, from here back to new weights.

    Of strangers' weights nothing is proven.
    """
    found: dict[str, str] = dict(card["gate"]["held_out_sources"])
    if card["init"]:
        before = card["init"].get("held_out_sources") or {}
        found = {slug: digest for slug, digest in found.items() if before.get(slug) == digest}
    return found


def overruled(card: Mapping[str, Any]) -> int:
    """Look-alikes that a person judged to be different pictures, from here back to new weights."""
    return int(card["gate"].get("overruled", 0)) + int((card.get("init") or {}).get("overruled", 0))


def terms(pictures: Mapping[str, int], rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per source how many pictures went in and under which terms, strictest first; `rows` as the manifest has them."""
    found: dict[str, dict[str, Any]] = {}
    for slug, count in sorted(pictures.items()):
        own = [row for row in rows if row["source"] == slug]
        found[slug] = {
            "pictures": count,
            "licences": sorted({str(row["licence"] or "unstated") for row in own}),
            **{name: _strictest([row[name] for row in own]) for name in TERMS},
        }
    return found


def _strictest(said: Sequence[bool | None]) -> bool | None:
    """False where one says no, else None where one says nothing."""
    return False if False in said else None if None in said or not said else True


def licence_of(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for the weights: what the terms of the pictures that they come from allow. No legal advice."""
    said = {what: {one.get(name) for one in sources.values()} for name, what in TERMS.items()}
    told = []
    if forbidden := [what for what, values in said.items() if False in values]:
        told.append(f"the terms of some forbid {_and(forbidden)}")
    if unknown := [what for what, values in said.items() if None in values]:
        told.append(f"what the terms of some say of {_and(unknown)} is unknown")
    if allowed := [what for what, values in said.items() if values <= {True}]:
        told.append(f"all allow {_and(allowed)}")
    return f"made from pictures: {'; '.join(told)} (see card.json)"


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def steps_of(training: Mapping[str, Any]) -> str:
    """How far training came: `400 steps`, or `100 of 400 steps` for weights of an unfinished run."""
    steps, planned = training["steps"], training.get("planned_steps", training["steps"])
    return f"{steps} steps" if steps == planned else f"{steps} of {planned} steps"


def readme(card: Mapping[str, Any]) -> str:
    """The card as a page."""
    statistics, training = card["statistics"], card["training"]
    rows = [
        f"| {slug} | {_count(one['pictures'])} | {', '.join(one['licences'])} | "
        f"{' | '.join(_word(one.get(name)) for name in TERMS)} |"
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
            f"{steps_of(training)} of {card['params']['batch']} pictures ({training['pictures_seen']} shown), "
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
            f"{overruled(card)} look-alikes were judged different by a person.",
            "",
            f"| source | pictures | licence | {' | '.join(TERMS.values())} |",
            f"|---|---:|---{'|---' * len(TERMS)}|",
            *rows,
            "",
            *_started(card["init"]),
            f"These weights are {licence_of(seen(card))}. Whether weights are a derived work, a reader has to judge.",
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
