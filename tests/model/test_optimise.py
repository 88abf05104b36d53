"""The learning rate of each step, and which weights decay."""

from __future__ import annotations

from itertools import pairwise

import pytest
from toy import TOY

from model.mae import MaskedAutoencoder
from model.optimise import learning_rate, optimiser_of
from model.params import OptimiserParams


def test_the_rate_rises_and_falls() -> None:
    params = OptimiserParams(base_lr=1.0, min_lr=0.01, warmup_epochs=2)
    rates = [learning_rate(step, 100, 10, 256, params) for step in range(100)]
    assert rates[0] == 0.05 and rates[19] == rates[20] == 1.0
    assert all(a > b for a, b in pairwise(rates[20:]))
    assert rates[60] == pytest.approx(0.505) and rates[99] < 0.012
    assert learning_rate(50, 100, 10, 512, params) > learning_rate(50, 100, 10, 256, params)


def test_decay_is_of_matrices_alone() -> None:
    model = MaskedAutoencoder(TOY.model)
    decayed, plain = (group["params"] for group in optimiser_of(model, OptimiserParams()).param_groups)
    assert all(value.ndim >= 2 for value in decayed) and model.cls_token not in set(decayed)
    trainable = [value for value in model.parameters() if value.requires_grad]
    assert len(decayed) + len(plain) == len(trainable)
