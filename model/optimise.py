"""The optimiser of pre-training and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from model.params import OptimiserParams


def optimiser_of(model: nn.Module, params: OptimiserParams, fused: bool = False) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices alone, not on biases, norms and tokens."""
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    plain = {name for name, value in named if value.ndim < 2 or name.endswith(("cls_token", "mask_token"))}
    groups = [
        {"params": [value for name, value in named if name not in plain], "weight_decay": params.weight_decay},
        {"params": [value for name, value in named if name in plain], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=params.base_lr, betas=params.betas, fused=fused)


def learning_rate(step: int, steps: int, epoch_steps: float, batch: int, params: OptimiserParams) -> float:
    """The rate of step `step` (from 0): linear warm-up, then half a cosine to `min_lr` (He et al. 2022, appendix A)."""
    peak = params.base_lr * batch / 256
    warmup = min(params.warmup_epochs * epoch_steps, steps)
    if step < warmup:
        return peak * min(1.0, (step + 1) / warmup)
    share = (step - warmup) / max(steps - warmup, 1)
    return params.min_lr + (peak - params.min_lr) * 0.5 * (1 + math.cos(math.pi * share))
