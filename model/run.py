"""What a run of pre-training trains on and how: decided, and refused where it must be, before the first step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model import card, data, weights
from model.order import quotas
from model.params import PretrainParams
from model.start import init_file
from model.world import World
from openus import manifest
from openus.errors import UsageError
from openus.leakage import Verdict, admit
from openus.params import digest
from openus.storage import sha256_file


@dataclass(frozen=True, slots=True)
class Run:
    """What does not change from the first step to the last."""

    corpus: Path
    out: Path
    params: PretrainParams
    verdict: Verdict
    pictures: data.Pictures
    statistics: data.Statistics
    steps: int
    epoch_steps: float
    """Steps an epoch; need not be whole."""
    id: str
    """Digest of all that the numbers depend on."""
    sources: Mapping[str, Any]
    """What goes in, with its terms: as the card says it."""


def prepare(corpus: Path, gate: Path, params: PretrainParams, out: Path, world: World) -> Run:
    """Everything that is decided before the first step; refuses what must not be trained on. Errors as `pretrain`."""
    _check_rates(params)
    verdict = world.first(lambda: admit(corpus, gate))
    pictures = data.read_pictures(corpus, role="pretrain")
    shown = quotas(pictures.groups(params.balance.by), params.balance.power, params.epoch_pictures or len(pictures))
    if never := [name for name, count in shown.items() if not count]:
        raise UsageError(
            f"In epochs of {params.epoch_pictures} pictures {', '.join(never)} would never be shown.",
            "Raise pretrain.epoch_pictures, or lower pretrain.balance.power.",
        )
    statistics = world.first(lambda: _statistics(pictures, params))
    epoch_steps = (params.epoch_pictures or len(pictures)) / params.batch
    init = None
    if params.init is not None:
        init = world.first(lambda: sha256_file(init_file(params.init or "", out)))
    run_id = digest("pretrain 3", verdict.digest, numbers(params), init or "")
    steps = max(1, round(params.epochs * epoch_steps))
    sources = world.first(lambda: _terms(corpus, pictures))
    return Run(corpus, out, params, verdict, pictures, statistics, steps, epoch_steps, run_id, sources)


def _check_rates(params: PretrainParams) -> None:
    """A schedule that is none: the rate would rise to the end."""
    optimiser = params.optimiser
    if optimiser.warmup_epochs >= params.epochs:
        raise UsageError(
            f"pretrain.optimiser.warmup_epochs is {optimiser.warmup_epochs:g} and pretrain.epochs {params.epochs:g}: "
            "all of it would be warm-up.",
            "Set warmup_epochs, e.g. to a tenth of the epochs.",
        )
    peak = optimiser.base_lr * params.batch / 256
    if optimiser.min_lr > peak:
        raise UsageError(
            f"pretrain.optimiser.min_lr is {optimiser.min_lr:g}, above the peak of {peak:g} (base_lr × batch / 256).",
            "Lower it, or set 0.",
        )


def _terms(corpus: Path, pictures: data.Pictures) -> dict[str, Any]:
    columns = ["source", "role", "status", "licence", *card.TERMS]
    rows = manifest.read(corpus / "manifest.parquet", columns).to_pylist()
    rows = [row for row in rows if row["status"] == "kept" and row["role"] == "pretrain"]
    return card.terms(Counter(pictures.source), rows)


def _statistics(pictures: data.Pictures, params: PretrainParams) -> data.Statistics:
    if params.normalisation == "corpus":
        return data.statistics(pictures, params.model.channels, seed=params.seed)
    if params.model.channels != 3:
        raise UsageError("pretrain.normalisation imagenet is of three channels.", "Set model.channels to 3.")
    return data.Statistics(weights.IMAGENET_MEAN, weights.IMAGENET_STD, 0)


def numbers(params: PretrainParams) -> dict[str, Any]:
    """The parameters that the weights depend on; the others may change from one start to the next."""
    free = {"workers", "checkpoint_minutes", "reconstructions", "reconstruct_epochs", "init", "compile"}
    return {name: value for name, value in asdict(params).items() if name not in free}
