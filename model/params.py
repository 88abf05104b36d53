"""Every knob of pre-training and evaluation: the sections `pretrain` and `evaluate` of a parameter file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from openus.params import Count, Share, read_section

_STRICT = {"extra": "forbid"}

Positive = Annotated[float, Gt(0), Lt(math.inf)]
NotNegative = Annotated[float, Ge(0), Lt(math.inf)]
Probability = Annotated[float, Ge(0), Le(1)]
Beta = Annotated[float, Ge(0), Lt(1)]
Seed = Annotated[int, Ge(0), Lt(2**63)]
Protocol = Literal["knn", "linear", "finetune"]
Precision = Literal["bf16", "fp32"]


@dataclass(frozen=True)
class ModelParams:
    """The masked autoencoder. Defaults: He et al. 2022, ViT-B/16, on one channel."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    architecture: str = "vit_base_patch16"
    """A name of `model.mae.ARCHITECTURES`: vit_test_patch16, vit_tiny_patch16 … vit_huge_patch14."""
    image_size: Count = 224
    """Pixels a side; a multiple of the patch."""
    channels: Literal[1, 3] = 1
    """1: every picture is gray. 3: gray pictures are repeated, as weights of others may want it."""
    mask_ratio: Annotated[float, Gt(0), Lt(1)] = 0.75
    norm_pix: bool = True
    """The target is each patch with its own mean and deviation taken out (the paper's better variant)."""
    decoder_depth: Count = 8
    decoder_width: Count = 512
    decoder_heads: Count = 16


@dataclass(frozen=True)
class AugmentParams:
    """What happens to a picture before it is shown, in this order: squash, rotate, flip, crop."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    squash: bool = False
    """Stretched to a square first, whatever its aspect ratio."""
    rotate_degrees: tuple[float, float] = (0.0, 0.0)
    """Range of the turn, corners filled with black; (0, 0): none."""
    flip_horizontal: Probability = 0.5
    flip_vertical: Probability = 0.0
    """Ultrasound has an up: the probe."""
    crop_area: tuple[Positive, Positive] = (0.2, 1.0)
    """Range of the crop's share of the picture; what does not fit is drawn again, as torchvision does."""
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Range of the crop's width / height."""
    interpolation: Literal["area", "bilinear", "bicubic", "nearest"] = "bilinear"
    """area: when shrinking, bilinear when enlarging."""

    def __post_init__(self) -> None:
        """Ranges go from low to high, and are finite."""
        for name in ("rotate_degrees", "crop_area", "crop_ratio"):
            low, high = getattr(self, name)
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ValueError(f"{name} [{low}, {high}] is no range from low to high")


@dataclass(frozen=True)
class BalanceParams:
    """How often the pictures of a group are shown: in proportion to (their number) ** power."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    by: Literal["source", "anatomy"] = "source"
    power: Probability = 0.5
    """1: as they come, each picture once an epoch. 0: every group equally often."""


@dataclass(frozen=True)
class OptimiserParams:
    """AdamW with a warm-up and half a cosine. Defaults: He et al. 2022, table 8."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    base_lr: Positive = 1.5e-4
    """For 256 pictures a step; the rate in force is base_lr × batch / 256."""
    min_lr: NotNegative = 0.0
    """Where the cosine ends, absolute."""
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    weight_decay: NotNegative = 0.05
    """Of matrices; biases, norms and tokens have none."""
    warmup_epochs: NotNegative = 40.0
    clip_norm: Positive | None = None
    """Largest norm of the gradient."""


@dataclass(frozen=True)
class PretrainParams:
    """Masked pre-training on the kept pretrain pictures of a corpus."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    model: ModelParams = field(default_factory=ModelParams)
    augment: AugmentParams = field(default_factory=AugmentParams)
    balance: BalanceParams = field(default_factory=BalanceParams)
    optimiser: OptimiserParams = field(default_factory=OptimiserParams)
    normalisation: Literal["corpus", "imagenet"] = "corpus"
    """Mean and deviation of the input: of the corpus, or ImageNet's. Either is kept with the weights."""
    init: str | None = None
    """Weights to start from: a file (facebook's MAE, USF-MAE, timm) or a folder that a run of ours left. None: new."""
    init_mean: tuple[float, ...] | None = None
    """How they saw pictures. None: as the file or the config.json beside it says; ImageNet's for a .pth or .pt."""
    init_std: tuple[Positive, ...] | None = None
    epochs: Annotated[float, Gt(0), Lt(1e6)] = 100.0
    epoch_pictures: Count | None = None
    """Pictures shown in an epoch; None: as many as the corpus has."""
    batch: Count = 256
    """Pictures a step, over all processes."""
    micro_batch: Count = 64
    """Pictures a process holds at once; the rest of the step is accumulated. batch is a multiple of it times the
    processes, so that the same numbers come out whatever the number of processes."""
    precision: Precision = "bf16"
    """bf16: autocast where the device has it; weights and optimiser stay fp32. fp32: without TF32."""
    compile: bool = False
    """torch.compile: faster on a GPU, minutes of waiting first."""
    workers: Annotated[int, Ge(0)] = 4
    """Loader processes a training process."""
    seed: Seed = 0
    checkpoint_minutes: NotNegative = 10.0
    """0: after each step."""
    reconstructions: Count = 8
    """Pictures in the panel of reconstructions; the same ones throughout."""
    reconstruct_epochs: Positive = 10.0


@dataclass(frozen=True)
class EncoderParams:
    """One row of the table: where an encoder comes from. Exactly one of the three first."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    folder: str | None = None
    """A folder that `model.pretrain` left, or any that `timm.create_model("local-dir:…")` opens."""
    like: str | None = None
    """Such a folder, but with new weights: the control."""
    architecture: str | None = None
    """A model of timm: resnet50, vgg19, vit_base_patch16_224 …; new weights unless `weights` names a file."""
    weights: str | None = None
    """File for `architecture`: safetensors, or a .pth that torch's restricted unpickler opens (`weights_only`)."""
    channels: Literal[1, 3] | None = None
    """None: as the folder says, 3 for an architecture."""
    mean: tuple[float, ...] | None = None
    """Of a channel in 0–1; None: as the folder or our file of weights says, ImageNet's for new ones and a .pth."""
    std: tuple[Positive, ...] | None = None


@dataclass(frozen=True)
class KnnParams:
    """Weighted nearest neighbours on the frozen features, cosine similarity (Wu et al. 2018; DINO's evaluation)."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    k: Annotated[tuple[Count, ...], MinLen(1)] = (1, 3, 5, 10, 20)
    """Validation chooses."""
    temperature: Positive = 0.07


@dataclass(frozen=True)
class LinearParams:
    """Logistic regression on standardised frozen features."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    c: Annotated[tuple[Positive, ...], MinLen(1)] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Inverse strengths of the penalty; validation chooses."""
    max_iter: Count = 2000


@dataclass(frozen=True)
class FinetuneParams:
    """The whole encoder trained with a new head; learning rate falls from layer to layer (Clark et al. 2020)."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    lr: Annotated[tuple[Positive, ...], MinLen(1)] = (1e-4, 5e-4)
    """Rates in force at the head; validation chooses rate and epoch."""
    layer_decay: Share = 0.75
    """Of pre-trained weights; new ones are trained at one rate, since decay would hold their first layers at random."""
    weight_decay: NotNegative = 0.05
    epochs: Count = 30
    warmup_epochs: NotNegative = 3.0
    batch: Annotated[int, Ge(2)] = 32
    """At least 2, as batch normalisation wants."""
    drop_path: Probability = 0.1
    precision: Precision = "fp32"
    """Of the training alone, as in `pretrain`; predictions are fp32 in any case. fp32: no score depends on the GPU."""
    augment: AugmentParams = field(default_factory=lambda: AugmentParams(crop_area=(0.5, 1.0), interpolation="area"))


@dataclass(frozen=True)
class EvaluateParams:
    """Which encoders, on which labelled pictures, how."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    benchmarks: Annotated[tuple[str, ...], MinLen(1)] = ("bus-bra",)
    """Sources of the corpus, held out and labelled."""
    models: Annotated[tuple[str, ...], MinLen(1)] = ("openus-mae", "random-init")
    """Rows of the table, each a key of `encoders`; all are compared with the first."""
    protocols: Annotated[tuple[Protocol, ...], MinLen(1)] = ("knn", "linear", "finetune")
    encoders: Mapping[str, EncoderParams] = field(default_factory=dict)
    target: Literal["label", "view"] = "label"
    leave_out: tuple[str, ...] = ()
    """Words of `target` whose pictures are not used: classes too rare to part. No other picture changes."""
    image_size: Count = 224
    fit: Literal["pad", "squash", "crop"] = "pad"
    """How a picture becomes a square: black bars, stretched, or its centre."""
    folds: Count = 5
    """Of sources without official folds: drawn by patient, else by clip and look-alikes."""
    validation: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of what is not test that choices are made on, drawn by patient."""
    choose_by: Literal["auroc", "f1_macro"] = "auroc"
    """What validation maximises; of several classes the macro average of one against the rest."""
    seeds: Annotated[tuple[Seed, ...], MinLen(1)] = (0, 1, 2)
    bootstrap: Count = 2000
    """Resamples of patients for an interval; as many swaps for a paired test."""
    workers: Annotated[int, Ge(0)] = 2
    knn: KnnParams = field(default_factory=KnnParams)
    linear: LinearParams = field(default_factory=LinearParams)
    finetune: FinetuneParams = field(default_factory=FinetuneParams)


def pretrain_params(path: Path) -> PretrainParams:
    """Section `pretrain` of a parameter file. Raises ParamsError naming the path of what does not fit."""
    return read_section(path, "pretrain", PretrainParams)


def evaluate_params(path: Path) -> EvaluateParams:
    """Section `evaluate` of a parameter file. Raises ParamsError naming the path of what does not fit."""
    return read_section(path, "evaluate", EvaluateParams)
