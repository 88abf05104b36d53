"""The steps of a run of pre-training: the loop, what it saves and draws on the way, and how it stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model import checkpoint, data, reconstruct
from model.augment import fit_square
from model.log import Line, Log
from model.mae import MaskedAutoencoder
from model.optimise import learning_rate
from model.order import Steps
from model.run import Run
from model.world import World, autocast
from openus.errors import CorpusError, OpenusError
from openus.storage import atomic

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


def train(
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
    seen = 0
    mean, std = _normalisation(run, world)
    with closing(iter(_loader(run, progress.step, world, model.patches))) as batches:
        feed = Feed(batches)
        while progress.step < run.steps:
            rate = learning_rate(progress.step, run.steps, run.epoch_steps, params.batch, params.optimiser)
            for group in optimiser.param_groups:
                group["lr"] = rate
            own = _step(run, trained, optimiser, feed, mean, std, world)
            feed.prepare()
            progress.step += 1
            loss, stops = world.mean(float(own), float(asked()))
            stop = stops > 0
            if not math.isfinite(loss):  # on all processes alike, so that none waits for another
                raise CorpusError(f"The loss is {loss}.", DIVERGED)
            progress.loss_sum += loss
            progress.loss_steps += 1
            seen += params.batch
            last = progress.step == run.steps
            if progress.step % log_steps == 0 or last:
                took = max(time.monotonic() - began, 1e-9)
                line = {"step": progress.step, "epoch": progress.step / run.epoch_steps, "lr": rate,
                        "loss": progress.loss_sum / progress.loss_steps,
                        "images_per_s": seen / took, "data_wait": feed.waited / took}  # fmt: skip
                progress.loss_sum, progress.loss_steps, began, feed.waited, seen = 0.0, 0, time.monotonic(), 0.0, 0
                progress.history.append(line)
                log(line)
            if world.leads and (progress.step % panel_steps == 0 or last):
                draw(run, model, world)  # before the last state: with it a run counts as trained
            if (stop or last) and not _finite(model):  # on all processes alike
                raise CorpusError("The weights are no numbers any more.", DIVERGED)
            due = time.monotonic() - saved >= params.checkpoint_minutes * 60
            # A state without numbers could never be gone on from; the next step's loss tells of it, everywhere.
            if world.leads and (stop or last or (due and _finite(model))):
                _save(run, model, optimiser, progress)
                saved = time.monotonic()
            if stop or last:
                world.meet()  # torchrun ends all soon after the first has ended: not before the state is written
            if stop and not last:
                raise Stopped(
                    f"Stopped after step {progress.step} of {run.steps}; the state is saved.", "Run it again to go on."
                )


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


@dataclass(slots=True)
class Feed:
    """Micro-batches, one of them ahead: fetched while the GPU computes."""

    batches: Iterator[data.Batch]
    waited: float = 0.0
    """Seconds until they came."""
    _ready: data.Batch | None = None
    _failed: OpenusError | None = None

    def prepare(self) -> None:
        """Fetch the next, if there is one. On a CPU it may be written where the one before was.

        An error waits until the batch is taken: the step before it is whole, and may be saved.
        """
        asked = time.monotonic()
        try:
            self._ready = next(self.batches, None)
        except OpenusError as error:
            self._failed = error
        self.waited += time.monotonic() - asked

    def take(self) -> data.Batch:
        """The next. Raises StopIteration behind the last."""
        if self._ready is None:
            self.prepare()
        if self._failed is not None:
            raise self._failed
        taken, self._ready = self._ready, None
        if taken is None:
            raise StopIteration
        return taken


def _finite(model: nn.Module) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in model.parameters())


def _step(
    run: Run,
    trained: nn.Module,
    optimiser: torch.optim.Optimizer,
    feed: Feed,
    mean: Tensor,
    std: Tensor,
    world: World,
) -> Tensor:
    """One step of the optimiser; returns this process's mean loss, which the GPU may still compute."""
    params = run.params
    rounds = params.batch // (params.micro_batch * world.size)
    total = torch.zeros((), dtype=torch.float64, device=world.device)
    for number in range(1, rounds + 1):
        pictures, noise = feed.take()
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
    return total


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


def draw(run: Run, model: MaskedAutoencoder, world: World) -> None:
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
