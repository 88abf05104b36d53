"""Masked pre-training from the shards of a corpus that the leakage gate has let through.

    python -m model.pretrain --corpus corpus --gate verdict.json --params params.yaml --out run
    torchrun --nproc-per-node 8 -m model.pretrain …          the same numbers, sooner

What a step computes depends on the corpus, the parameters and the step's number: pictures, crops and masks are
functions of (seed, epoch, position), so a run that is killed and run on is the run that was not.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

import openus
from model import checkpoint
from model.log import writing
from model.mae import MaskedAutoencoder
from model.optimise import optimiser_of
from model.params import PretrainParams, pretrain_params
from model.run import Run, prepare
from model.start import init_file, start
from model.train import Reached, Stopped, draw, train
from model.world import World, has_bf16, ignore_stops, join, told_to_stop
from openus.command import DEBUG, PATH, Command
from openus.errors import CorpusError, OpenusError, UsageError
from openus.shards.read import digest
from openus.storage import exclusive, sweep


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
        UsageError: the parameters do not fit the corpus or the number of processes, or another process trains in `out`.
        Stopped: SIGTERM, SIGINT, SIGUSR1 or `stop_after` came; the state is saved.
    """
    run = prepare(corpus, gate, params, out, world)
    with ExitStack() as stack:
        world.first(lambda: _hold(stack, out, "--out"))
        _pretrain(run, world, stop_after, replace)
        return out / "encoder"


def _pretrain(run: Run, world: World, stop_after: int | None, replace: bool) -> None:
    params = run.params
    if world.device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    else:  # fp32 is fp32, not TF32: who wants speed has bf16
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(params.seed)
    model = MaskedAutoencoder(params.model)
    started_from = start(model, params, run.out, run.statistics)
    model.to(world.device)
    optimiser = optimiser_of(model, params.optimiser, fused=world.device.type == "cuda")
    progress = _resume(run, model, optimiser, world, replace)
    if world.leads:
        if params.precision == "bf16" and world.device.type == "cuda" and not has_bf16(world.device):
            click.echo("this GPU has no bf16: training in fp32", err=True)
        if progress.step:
            click.echo(f"going on after step {progress.step} of {run.steps}", err=True)
    history = writing(run.out / "live", run.steps, progress.history) if world.leads else nullcontext(lambda line: None)
    with told_to_stop() as told, history as log:
        try:
            train(run, model, optimiser, progress, world, log, lambda: told() or progress.step == stop_after)
        except torch.OutOfMemoryError as error:
            raise OpenusError(
                "The GPU's memory does not hold a step.",
                "Lower pretrain.micro_batch: the numbers stay those of `batch`.",
            ) from error
    world.first(lambda: _finish(run, model, progress, started_from))


def export(corpus: Path, gate: Path, params: PretrainParams, out: Path, folder: Path) -> Path:
    """Weights, encoder, card, panel and history of what the run in `out` has saved; returns the encoder's folder.

    Trains nothing and writes nothing in `out`, where the run may go on meanwhile: all goes to `folder`, which is such a
    folder as a run leaves, without a state. An export of before is replaced. Errors as `pretrain`; UsageError when
    there is nothing to take out yet, and when `folder` is of a run or holds the weights that this one started from.
    """
    _check_export(params, out, folder)
    alone = World(0, 1, torch.device("cpu"))
    run = prepare(corpus, gate, params, out, alone)
    model = MaskedAutoencoder(params.model)
    started_from = start(model, params, out, run.statistics)
    state = checkpoint.load_state(out, run.id)
    reached = Reached(**state["progress"]) if state else Reached()
    if state is None or not reached.history:
        raise UsageError(f"{out} has not come far enough.", "Its history has a line four times an epoch.")
    model.load_state_dict(state["model"])
    elsewhere = replace(run, out=folder)
    with ExitStack() as stack:
        _hold(stack, folder, "--export")
        with writing(folder / "live", run.steps, reached.history):
            draw(elsewhere, model, alone)
        _finish(elsewhere, model, reached, started_from)
    return folder / "encoder"


def _check_export(params: PretrainParams, out: Path, folder: Path) -> None:
    """Refuse, before anything is read, to write over what somebody needs."""
    here = folder.resolve()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--export is the work of one process.", "Run it without torchrun.")
    if not (out / checkpoint.STATE).exists():
        raise UsageError(f"{out} holds no state of a run.", "Train first; it saves every pretrain.checkpoint_minutes.")
    if (here / checkpoint.STATE).exists() or out.resolve() in (here / "encoder", *here.parents):
        raise UsageError(f"{folder} is of a run, which gets its encoder at the end.", "Name another --export.")
    if params.init is not None and here in init_file(params.init, out).resolve().parents:
        raise UsageError(f"{folder} holds the weights that this run started from.", "Name another --export.")


def _hold(stack: ExitStack, folder: Path, option: str) -> None:
    """The folder that an option names, for this process alone, without what a killed one left half-written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(exclusive(folder))
    except BlockingIOError as error:
        raise UsageError(f"Another process writes in {folder}.", f"Wait for it, or name another {option}.") from error
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be a folder: {error.strerror or error}.", f"Name another {option}."
        ) from error
    sweep(folder)  # nobody's any more


def _resume(run: Run, model: nn.Module, optimiser: torch.optim.Optimizer, world: World, replace: bool) -> Reached:
    """Bring model, optimiser and random numbers to where an earlier process stopped; all processes read the file."""
    state = checkpoint.load_state(run.out, run.id, replace)
    reached = Reached(**state["progress"]) if state else Reached()
    if world.any(reached.step != world.first(lambda: reached.step)):
        raise UsageError(
            f"The processes find different states in {run.out}.", "All of them need the same folder, on a shared disk."
        )
    if state is None:
        return reached
    model.load_state_dict(state["model"])
    for group, here in zip(state["optimiser"]["param_groups"], optimiser.param_groups, strict=True):
        group["fused"] = here["fused"]  # is of the device, not of the run
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["rng"])
    return reached


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
                "loss": progress.history[-1]["loss"],
                "first_loss": progress.history[0]["loss"],
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
    help="Train nothing: write the encoder of what the run has saved so far there, on the CPU. The run may go on.",
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
