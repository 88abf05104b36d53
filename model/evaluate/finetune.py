"""Fine-tuning: the whole encoder and a new head, trained on one fold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.augment import WORDS, SampleRandom, augmented, fit_square, philox_key
from model.evaluate.choose import By, Fitted, Floats, Ints, Part, balanced, quality
from model.evaluate.features import Images, device, exact, forward
from model.order import permutation
from model.params import FinetuneParams
from model.world import autocast
from openus.data import Pixels, Progress
from openus.errors import OpenusError


@dataclass(frozen=True)
class Task:
    """What stays the same for all folds: the pictures, the parameters, and the seed of all that is drawn."""

    images: Images
    classes: int
    params: FinetuneParams
    by: By
    seed: int
    report: Progress
    name: str
    """Of the fold, for the progress line."""


@dataclass
class _Best:
    """The weights that validation likes most so far."""

    lr: float = 0.0
    epoch: int = 0
    value: float = -math.inf
    loss: float = math.inf
    state: dict[str, Tensor] | None = None


def fit(task: Task, train: Part[Ints], validation: Part[Ints]) -> Fitted[Ints]:
    """Train once per rate; validation chooses rate and epoch, and the weights of that epoch are kept.

    AdamW, layer-wise decay of the rate for pre-trained weights (see `layer_decay`), warm-up then half a cosine to 0,
    cross entropy in which each class weighs the same. Equal scores: the smaller validation loss, then the earlier. Not
    fitted again on training and validation pictures together, because validation says when to stop. On a CPU the same
    seed gives the same weights; order, augmentation and head depend on (seed, epoch, place), not on threads.

    x of a `Part`, and what the classifier takes, are row numbers of the pictures.
    """
    best = _Best()
    rates, epochs = task.params.lr, task.params.epochs
    for number, lr in enumerate(rates):
        for epoch, model in _epochs(task, train, lr):
            found = _predict(task.images, model, validation.x)
            if not np.isfinite(found).all():
                break  # diverged: this rate is too high, what it reached before may be kept
            value, loss = quality(validation.labels, found, task.by), _loss(found, validation.labels, task.classes)
            if (value, -loss) > (best.value, -best.loss):
                state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
                best = _Best(lr, epoch, value, loss, state)
            task.report(task.name, number * epochs + epoch, len(rates) * epochs)
    if best.state is None:
        raise OpenusError(f"{task.name}: training diverged at every rate.", "Lower evaluate.finetune.lr.")
    model = task.images.encoder.build(task.seed, task.classes).to(device())
    model.load_state_dict(best.state)
    return Fitted(partial(_predict, task.images, model), {"lr": best.lr, "epoch": best.epoch}, best.value)


def _epochs(task: Task, train: Part[Ints], lr: float) -> Iterator[tuple[int, nn.Module]]:
    """(epoch from 1, the model as it then is)."""
    params, where = task.params, device()
    model = task.images.encoder.build(task.seed, task.classes, params.drop_path).to(where)
    optimiser = _optimiser(model, lr, params, layer_decay(task.images, params))
    weights = torch.tensor(balanced(train.labels, task.classes), dtype=torch.float32, device=where)
    loss_of = nn.CrossEntropyLoss(weight=weights)
    steps = math.ceil(len(train.x) / params.batch)
    for epoch in range(params.epochs):
        # Parts of nearly equal size: a last batch of one picture would break batch normalisation.
        parts = np.array_split(permutation(len(train.x), "finetune", task.seed, epoch), steps)
        with exact(), torch.random.fork_rng([where] if where.type == "cuda" else []):
            torch.manual_seed(int(philox_key("drop path", task.seed, epoch)[0]) % 2**63)
            model.train()
            for step, pixels in enumerate(task.images.batches(_jobs(task, train, parts, epoch))):
                _set_rate(optimiser, lr * _schedule(epoch + step / steps, params))
                labels = torch.from_numpy(train.labels[parts[step]]).to(where)
                optimiser.zero_grad(set_to_none=True)
                with autocast(params.precision, where):
                    loss = loss_of(model(task.images.tensor(pixels, where)), labels)
                loss.backward()
                optimiser.step()
        yield epoch + 1, model


def _jobs(task: Task, train: Part[Ints], parts: list[Ints], epoch: int) -> list[list[partial[Pixels]]]:
    """What makes the pictures of an epoch; a picture's crop is drawn by (seed, epoch, its place in `train`)."""
    random = SampleRandom(task.seed, "view", WORDS)
    return [
        [partial(_shown, task, int(train.x[place]), random.words(epoch, int(place))) for place in part]
        for part in parts
    ]


def _shown(task: Task, row: int, words: NDArray[np.uint64]) -> Pixels:
    """A picture as training shows it: made square as in evaluation, at its own resolution, then augmented."""
    picture = task.images.read(row)
    square = fit_square(picture, max(picture.shape[:2]), task.images.how)
    return augmented(square, task.params.augment, task.images.encoder.image_size, words)


def _predict(images: Images, model: nn.Module, rows: Ints) -> Floats:
    """Probabilities [N, C], the softmax in double precision."""
    where = device()
    model.eval()
    with exact():
        logits = torch.cat([forward(model, images.tensor(squares, where)) for squares in images.squares(rows)])
    probabilities: Floats = torch.softmax(logits.double(), dim=1).numpy()
    return probabilities


def _loss(probabilities: Floats, labels: Ints, classes: int) -> float:
    """Cross entropy in which each class weighs the same."""
    weights = balanced(labels, classes)[labels]
    each = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-300))
    return float((weights * each).sum() / weights.sum())


def layer_decay(images: Images, params: FinetuneParams) -> float:
    """Factor in force of the rate from a layer to the one before it (Clark et al. 2020): 1 for new weights.

    Decay keeps what pre-training brought to the first layers. New weights have nothing to keep: a control whose first
    layers all but stay at random would be weaker than it is.
    """
    return 1.0 if images.encoder.seeded else params.layer_decay


def _optimiser(model: nn.Module, lr: float, params: FinetuneParams, layer_decay: float) -> torch.optim.AdamW:
    """AdamW with a group per layer and decay; biases, norms and what the model says have no weight decay."""
    import timm.optim

    timm_optim: Any = timm.optim
    exempt: Any = getattr(model, "no_weight_decay", set)
    groups = timm_optim.param_groups_layer_decay(model, params.weight_decay, exempt(), layer_decay=layer_decay)
    return torch.optim.AdamW(groups, lr=lr, fused=device().type == "cuda")


def _set_rate(optimiser: torch.optim.AdamW, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]


def _schedule(epoch: float, params: FinetuneParams) -> float:
    """Share of the peak rate at a time in epochs: linear warm-up (from one hundredth), then half a cosine to 0."""
    warmup = min(params.warmup_epochs, params.epochs / 2)
    if epoch < warmup:
        return max(epoch / warmup, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (params.epochs - warmup)))
