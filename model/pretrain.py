"""Masked pre-training from the shards of a corpus that the leakage gate has let through.

    python -m model.pretrain --corpus corpus --gate verdict.json --params params.yaml --out run
    torchrun --nproc-per-node 8 -m model.pretrain …          the same numbers, sooner

What a step computes depends on the corpus, the parameters and the step's number: pictures, crops and masks are
functions of (seed, epoch, position), so a run that is killed and run on is the run that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import openus
from model import checkpoint, data, reconstruct
from model.augment import fit_square
from model.log import Line, Log, writing
from model.mae import MaskedAutoencoder
from model.optimise import learning_rate, optimiser_of
from model.order import Steps
from model.params import PretrainParams, pretrain_params
from model.run import Run, prepare
from model.start import start
from model.world import World, autocast, has_bf16, ignore_stops, join, told_to_stop
from openus.command import DEBUG, PATH, Command
from openus.errors import CorpusError, OpenusError, UsageError
from openus.shards.read import digest
from openus.storage import atomic, sweep

LOGS_AN_EPOCH = 4
DIVERGED = (
    "Lower pretrain.optimiser.base_lr, or set clip_norm: another run, which wants another --out. It may start from "
    "what this one saved last: --export FOLDER here, pretrain.init FOLDER there."
)


class Stopped(OpenusError):
    """A run that was asked to stop and has saved its state."""

    exit_code = 130


@dataclass(slots=True)
class Reached:
    """What changes: the steps done, the loss since the last line of the history, and the history."""

    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    history: list[Line] = field(default_factory=list)


def pretrain(
    corpus: Path,
    gate: Path,
    params: PretrainParams,
    out: Path,
    world: World,
    *,
    stop_after: int | None = None,
    replace: bool = False,
) -> Path:
    """Train until the last epoch, or go on where an earlier process in `out` was stopped; returns the encoder's folder.

    Args:
        corpus: folder of a finished build.
        gate: verdict of the leakage gate on it (`openus check-leakage --json`).
        params: what to train and how.
        out: folder of the run; holds the state to resume and, at the end, weights, encoder and card.
        world: this process among those that train together (`model.world.join`).
        replace: an unfinished or finished run of other parameters in `out` gives way instead of being an error.
        stop_after: steps after which to stop as a signal would; for tests and for jobs of limited length.

    Raises:
        CorpusError: the gate is shut, the corpus is damaged or was changed on the way, training diverged, or `out`
            belongs to another run.
        UsageError: the parameters do not fit the corpus or the number of processes.
        Stopped: SIGTERM, SIGINT, SIGUSR1 or `stop_after` came; the state is saved.
    """
    run = prepare(corpus, gate, params, out, world)
    if world.device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    else:  # fp32 is fp32, not TF32: who wants speed has bf16
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(params.seed)
    model = MaskedAutoencoder(params.model)
    started_from = start(model, params, out, run.statistics)
    model.to(world.device)
    optimiser = optimiser_of(model, params.optimiser, fused=world.device.type == "cuda")
    progress = _resume(run, model, optimiser, world, replace)
    if world.leads:
        if params.precision == "bf16" and world.device.type == "cuda" and not has_bf16(world.device):
            click.echo("this GPU has no bf16: training in fp32", err=True)
        if progress.step:
            click.echo(f"going on after step {progress.step} of {run.steps}", err=True)
    history = writing(out / "live", run.steps, progress.history) if world.leads else nullcontext(lambda line: None)
    with told_to_stop() as told, history as log:
        _train(run, model, optimiser, progress, world, log, lambda: told() or progress.step == stop_after)
    if world.leads:
        _finish(run, model, progress, started_from)
    return out / "encoder"


def export(corpus: Path, gate: Path, params: PretrainParams, out: Path, folder: Path) -> Path:
    """Weights, encoder, card and panel of what the run in `out` has saved so far; returns `folder / "encoder"`.

    Trains nothing and writes nothing in `out`, where the run may go on meanwhile. Errors as `pretrain`; UsageError when
    there is no state yet, and when `folder` is the run's own.
    """
    if folder.resolve() == out.resolve():
        raise UsageError(f"{folder} is the run itself, and gets its encoder at the end.", "Name another --export.")
    run = prepare(corpus, gate, params, out, World(0, 1, torch.device("cpu")))
    model = MaskedAutoencoder(params.model)
    started_from = start(model, params, out, run.statistics)
    state = checkpoint.load_state(out, run.id)
    if state is None:
        raise UsageError(f"{out} holds no state of a run.", "Train first; it saves every pretrain.checkpoint_minutes.")
    model.load_state_dict(state["model"])
    _open(folder)
    elsewhere = replace(run, out=folder)
    _draw(elsewhere, model, World(0, 1, torch.device("cpu")))
    _finish(elsewhere, model, Reached(**state["progress"]), started_from)
    return folder / "encoder"


def _open(out: Path) -> None:
    """The folder of the run, without what a killed process left half-written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be a folder: {error.strerror or error}.", "Name another --out.") from error
    sweep(out)


def _resume(run: Run, model: nn.Module, optimiser: torch.optim.Optimizer, world: World, replace: bool) -> Reached:
    """Bring model, optimiser and random numbers to where an earlier process stopped; all processes read the file."""
    world.first(lambda: _open(run.out))
    state = checkpoint.load_state(run.out, run.id, replace)
    reached = Reached(**state["progress"]) if state else Reached()
    if world.any(reached.step != world.first(lambda: reached.step)):
        raise UsageError(
            f"The processes find different states in {run.out}.", "All of them need the same folder, on a shared disk."
        )
    if state is None:
        return reached
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["rng"])
    return reached


def _save(run: Run, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Reached) -> None:
    checkpoint.save_state(
        run.out,
        {
            "run": run.id,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "rng": torch.get_rng_state(),
            "progress": asdict(progress),
        },
    )


def _train(
    run: Run,
    model: MaskedAutoencoder,
    optimiser: torch.optim.Optimizer,
    progress: Reached,
    world: World,
    log: Log,
    asked: Callable[[], bool],
) -> None:
    """Every step from `progress.step` to the last; saves on the way and when asked to stop."""
    params = run.params
    trained: nn.Module = torch.compile(model) if params.compile else model  # type: ignore[assignment]  # a module still
    trained = DistributedDataParallel(trained) if world.size > 1 else trained
    log_steps = max(1, round(run.epoch_steps / LOGS_AN_EPOCH))
    panel_steps = max(1, round(params.reconstruct_epochs * run.epoch_steps))
    began = saved = time.monotonic()
    waited, seen = 0.0, 0
    with closing(iter(_loader(run, progress.step, world, model.patches))) as batches:
        while progress.step < run.steps:
            rate = learning_rate(progress.step, run.steps, run.epoch_steps, params.batch, params.optimiser)
            for group in optimiser.param_groups:
                group["lr"] = rate
            own, wait = _step(run, trained, optimiser, batches, world)
            loss = world.mean(own)
            if not math.isfinite(loss):  # on all processes alike, so that none waits for another
                raise CorpusError(f"The loss is {loss}.", DIVERGED)
            progress.step += 1
            progress.loss_sum += loss
            progress.loss_steps += 1
            waited, seen = waited + wait, seen + params.batch
            last = progress.step == run.steps
            if progress.step % log_steps == 0 or last:
                took = max(time.monotonic() - began, 1e-9)
                line = {"step": progress.step, "epoch": progress.step / run.epoch_steps, "lr": rate,
                        "loss": progress.loss_sum / progress.loss_steps,
                        "images_per_s": seen / took, "data_wait": waited / took}  # fmt: skip
                progress.loss_sum, progress.loss_steps, began, waited, seen = 0.0, 0, time.monotonic(), 0.0, 0
                progress.history.append(line)
                log(line)
            stop = world.any(asked())
            if world.leads and (progress.step % panel_steps == 0 or last):
                _draw(run, model, world)  # before the last state: with it a run counts as trained
            if (stop or last) and not _finite(model):  # on all processes alike
                raise CorpusError("The weights are no numbers any more.", DIVERGED)
            due = time.monotonic() - saved >= params.checkpoint_minutes * 60
            # A state without numbers could never be gone on from; the next step's loss tells of it, everywhere.
            if world.leads and (stop or last or (due and _finite(model))):
                _save(run, model, optimiser, progress)
                saved = time.monotonic()
            if stop and not last:
                raise Stopped(
                    f"Stopped after step {progress.step} of {run.steps}; the state is saved.", "Run it again to go on."
                )


def _finite(model: nn.Module) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in model.parameters())


def _step(
    run: Run,
    trained: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterator[tuple[Tensor, Tensor]],
    world: World,
) -> tuple[float, float]:
    """One step of the optimiser; returns this process's mean loss and the seconds waited for pictures."""
    params = run.params
    rounds = params.batch // (params.micro_batch * world.size)
    mean, std = _normalisation(run, world)
    total, waited = torch.zeros((), dtype=torch.float64, device=world.device), 0.0
    for number in range(1, rounds + 1):
        asked = time.monotonic()
        pictures, noise = next(batches)
        waited += time.monotonic() - asked
        images = (pictures.to(world.device, non_blocking=True).float() / 255 - mean) / std
        quiet = isinstance(trained, DistributedDataParallel) and number < rounds
        with trained.no_sync() if quiet else nullcontext(), autocast(params.precision, world.device):  # type: ignore[operator]
            loss = trained(images, noise.to(world.device, non_blocking=True))[0] / rounds
            loss.backward()
        total += loss.detach()
    if params.optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(trained.parameters(), params.optimiser.clip_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(total), waited


def _normalisation(run: Run, world: World) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the corpus, [1, C, 1, 1]."""
    both = torch.tensor([run.statistics.mean, run.statistics.std], device=world.device)
    return both[0].view(1, -1, 1, 1), both[1].view(1, -1, 1, 1)


def _loader(run: Run, start: int, world: World, patches: int) -> data.Loader:
    params = run.params
    steps = Steps(
        run.pictures.groups(params.balance.by),
        power=params.balance.power,
        size=params.epoch_pictures or len(run.pictures),
        seed=params.seed,
        batch=params.batch,
        micro_batch=params.micro_batch,
        start=start,
        total=run.steps,
        rank=world.rank,
        world=world.size,
    )
    dataset = data.PretrainDataset(
        run.pictures,
        params.augment,
        size=params.model.image_size,
        channels=params.model.channels,
        patches=patches,
        seed=params.seed,
    )
    return data.loader(dataset, steps, workers=params.workers, pin_memory=world.device.type == "cuda")


def _draw(run: Run, model: MaskedAutoencoder, world: World) -> None:
    """The panel of reconstructions, of the same pictures and masks throughout: one of each source as far as they go."""
    first = {source: row for row, source in reversed(list(enumerate(run.pictures.source)))}
    firsts = set(first.values())
    others = (row for row in range(len(run.pictures)) if row not in firsts)
    rows = [*sorted(firsts), *others][: run.params.reconstructions]
    size, channels = run.params.model.image_size, run.params.model.channels
    shards = data.Shards(run.pictures)
    shown = [fit_square(shards.picture(row, channels), size, "pad") for row in rows]
    stack = np.stack([one if one.ndim == 3 else one[..., None] for one in shown]).transpose(0, 3, 1, 2)
    noise = np.random.default_rng(run.params.seed).random((len(rows), model.patches), dtype=np.float32)
    mean, std = _normalisation(run, world)
    pictures, masks = torch.from_numpy(stack).to(world.device), torch.from_numpy(noise).to(world.device)
    with atomic(run.out / "reconstruction.png") as file:
        file.write(reconstruct.png(reconstruct.panel(model, pictures, masks, mean, std)))


def _finish(run: Run, model: MaskedAutoencoder, progress: Reached, started_from: dict[str, Any] | None) -> None:
    """Weights, encoder folder and card.

    Raises CorpusError when the corpus is no longer the one that the gate let through: the card would prove nothing.
    """
    import timm

    if digest(run.corpus) != run.verdict.digest:
        raise CorpusError(
            f"{run.corpus} was changed while it was trained on: what these weights have seen is not known.",
            "Run the gate on it, and train anew; build other corpora into other folders.",
        )
    losses = [line["loss"] for line in progress.history] or [progress.loss_sum / progress.loss_steps]
    checkpoint.export(
        run.out,
        model,
        run.params.model,
        {
            "openus": openus.__version__,
            "software": {"torch": torch.__version__, "timm": timm.__version__},
            "params": asdict(replace(run.params, init=run.params.init and Path(run.params.init).name)),
            "statistics": asdict(run.statistics),
            "corpus": {"digest": run.verdict.digest, "pictures": len(run.pictures)},
            "gate": {"ok": True, **asdict(run.verdict)},
            "sources": run.sources,
            "init": started_from,
            "training": {
                "steps": progress.step,
                "planned_steps": run.steps,
                "pictures_seen": progress.step * run.params.batch,
                "loss": losses[-1],
                "first_loss": losses[0],
            },
        },
    )


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--corpus", type=PATH, required=True, help="Folder of a finished build.")
@click.option("--gate", type=PATH, required=True, help="What `openus check-leakage … --json` printed for it.")
@click.option("--params", "params_file", type=PATH, required=True, help="YAML file with a section `pretrain`.")
@click.option("--out", type=PATH, required=True, help="Folder of the run; run again to go on where it stopped.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Default: cuda where there is one.")
@click.option(
    "--export",
    "folder",
    type=PATH,
    metavar="FOLDER",
    help="Train nothing: write the encoder of what the run has saved so far there. The run may go on meanwhile.",
)
@DEBUG
def main(
    corpus: Path, gate: Path, params_file: Path, out: Path, device: str | None, folder: Path | None, debug: bool
) -> None:
    """Pre-train a masked autoencoder on the kept pretrain pictures of a corpus; under torchrun in many processes."""
    params = pretrain_params(params_file)
    if folder is not None:
        click.echo(f"encoder  {export(corpus, gate, params, out, folder)}")
        return
    with join(device) as world:
        try:
            encoder = pretrain(corpus, gate, params, out, world)
        except Stopped:
            ignore_stops()
            raise
    if world.leads:
        click.echo(f"encoder  {encoder}")


if __name__ == "__main__":
    main()
