"""A training step of our masked autoencoder beside facebook's, on this machine's CPU: time, and the same loss?

    python benchmarks/mae_step.py --facebook CHECKOUT [--models vit_tiny_patch16 vit_small_patch16] [--batch 16]

A step is forward, backward and AdamW, fp32, ViT with the 512-wide, 8-deep decoder, RGB 224 × 224, 75 % masked, with
normalised targets. Both start from the same weights and see the same pictures and noise; steps alternate, and so does
who goes first. facebook's code runs on the installed timm, fused attention and all (its own pinned timm of 2020 has
none: `--unfused` gives it that back). Prints the ratio of times (facebook's / ours: above 1 ours is faster), the median
over pairs of steps with a 95 % interval of that median; the ratio of the fastest steps; and the largest difference of
the losses. Exit code 1 when they differ by more than 1e-5.

The C library is told to keep freed memory: else which of the two pays for new pages is a matter of chance, and that
alone makes up to 3 % of a step.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from interval import median_interval
from timm.layers.config import set_fused_attn
from timm.models import vision_transformer
from torch import Tensor, nn

from model.mae import ARCHITECTURES, MaskedAutoencoder
from model.params import ModelParams

TOLERANCE = 1e-5
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_TOP_PAD_": str(2**28)}
"""Settings of glibc's malloc (mallopt(3))."""
Step = Callable[[Tensor, Tensor], float]
"""(pictures, noise) → loss, the weights moved on."""


class OldBlock(vision_transformer.Block):
    """Today's block, called as that of 2020."""

    def __init__(self, *args: Any, qk_scale: None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


@contextmanager
def old_world(checkout: Path) -> Iterator[None]:
    """The timm and numpy that facebook's code expects, as far as it uses them."""
    with (
        mock.patch.object(vision_transformer, "Block", OldBlock),
        mock.patch.object(np, "float", float, create=True),
        mock.patch.object(sys, "path", [str(checkout), *sys.path]),
    ):
        yield


def facebooks(checkout: Path, params: ModelParams, unfused: bool) -> nn.Module:
    """Their model with these sizes."""
    size = ARCHITECTURES[params.architecture]
    with old_world(checkout):
        module = importlib.import_module("models_mae")
        set_fused_attn(not unfused)  # read when a block is made
        model: nn.Module = module.MaskedAutoencoderViT(
            img_size=params.image_size, patch_size=size.patch, in_chans=params.channels, embed_dim=size.width,
            depth=size.depth, num_heads=size.heads, decoder_embed_dim=params.decoder_width,
            decoder_depth=params.decoder_depth, decoder_num_heads=params.decoder_heads, mlp_ratio=size.mlp_ratio,
            norm_layer=partial(nn.LayerNorm, eps=1e-6), norm_pix_loss=params.norm_pix,
        )  # fmt: skip
        set_fused_attn(True)
    return model


def step_of(model: nn.Module, forward: Callable[[Tensor, Tensor], Any]) -> Step:
    """A training step with AdamW as facebook sets it: no decay of vectors."""
    moved = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in moved if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in moved if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.5e-4, betas=(0.9, 0.95))

    def step(images: Tensor, noise: Tensor) -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = forward(images, noise)[0]
        loss.backward()
        optimiser.step()
        return float(loss.item())

    return step


def pair(checkout: Path, params: ModelParams, unfused: bool) -> tuple[Step, Step]:
    """Our step and theirs, from the same weights."""
    torch.manual_seed(0)
    ours = MaskedAutoencoder(params)
    theirs = facebooks(checkout, params, unfused)
    theirs.load_state_dict(ours.state_dict())

    def their_forward(images: Tensor, noise: Tensor) -> Any:
        with mock.patch.object(torch, "rand", lambda *_, **__: noise):  # they draw it themselves, and only that
            return theirs(images, params.mask_ratio)

    return step_of(ours, ours), step_of(theirs, their_forward)


def timed(step: Step, images: Tensor, noise: Tensor) -> tuple[float, float]:
    """(loss, seconds)."""
    start = time.perf_counter()
    loss = step(images, noise)
    return loss, time.perf_counter() - start


def compare(name: str, params: ModelParams, args: argparse.Namespace) -> float:
    """Print a row; the largest difference of losses."""
    steps = pair(args.facebook, params, args.unfused)
    generator = torch.Generator().manual_seed(1)
    patches = (params.image_size // ARCHITECTURES[params.architecture].patch) ** 2
    seconds: tuple[list[float], list[float]] = ([], [])
    worst = 0.0
    for repeat in range(args.warmup + args.repeats):
        images = torch.randn(args.batch, params.channels, params.image_size, params.image_size, generator=generator)
        noise = torch.rand(args.batch, patches, generator=generator)
        order = (0, 1) if repeat % 2 else (1, 0)
        found = {who: timed(steps[who], images, noise) for who in order}
        worst = max(worst, abs(found[0][0] - found[1][0]))
        if repeat >= args.warmup:
            for who in (0, 1):
                seconds[who].append(found[who][1])
    low, middle, high = median_interval([theirs / ours for ours, theirs in zip(*seconds, strict=True)])
    print(
        f"{name:18} ours {statistics.median(seconds[0]):7.3f} s   facebook {statistics.median(seconds[1]):7.3f} s   "
        f"ratio {middle:.3f} ({low:.3f}–{high:.3f})   of the fastest {min(seconds[1]) / min(seconds[0]):.3f}   "
        f"loss differs by {worst:.1e}",
        flush=True,
    )
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facebook", type=Path, required=True, help="a checkout of facebook's MAE")
    parser.add_argument("--models", nargs="+", default=["vit_tiny_patch16", "vit_small_patch16"], choices=ARCHITECTURES)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--unfused", action="store_true", help="facebook's with the attention of its own pinned timm")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads, batch {args.batch}, {args.repeats} pairs of steps")
    params = [ModelParams(architecture=name, channels=3) for name in args.models]
    return int(max(compare(each.architecture, each, args) for each in params) > TOLERANCE)


if __name__ == "__main__":
    if not KEEPING.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEPING)
    sys.exit(main())
