"""Pre-training small enough for a test: six steps of a toy, and the ways to run it.

A test module takes the fixtures by assigning them to names of its own; a second conftest.py would stand in the way of
tests/conftest.py, whose functions are imported by that name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import REPOSITORY

from model.order import Steps
from model.params import BalanceParams, ModelParams, OptimiserParams, PretrainParams
from model.pictures import Pictures, read_pictures
from model.pretrain import pretrain
from model.world import join

Train = Callable[..., Path]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
BATCH = 8

TOY = PretrainParams(
    model=ModelParams("vit_test_patch16", image_size=32, decoder_depth=1, decoder_width=32, decoder_heads=2),
    balance=BalanceParams(power=0.5),
    optimiser=OptimiserParams(base_lr=1e-2, warmup_epochs=0.25, clip_norm=5.0),
    epochs=1.0,
    epoch_pictures=48,
    batch=8,
    micro_batch=4,
    precision="fp32",
    workers=0,
    checkpoint_minutes=0,
    reconstructions=2,
)
"""Six steps of two micro-batches."""


@pytest.fixture(scope="module")
def pictures(corpus: Path) -> Pictures:
    return read_pictures(corpus, role="pretrain")


def make_steps(pictures: Pictures, **changed: Any) -> Steps:
    """Five steps, each of two micro-batches in one process. Keywords change them."""
    given: dict[str, Any] = {"power": 0.5, "size": len(pictures), "seed": 0, "batch": BATCH, "micro_batch": 4,
                             "start": 0, "total": 5}  # fmt: skip
    return Steps(pictures.groups("source"), **{**given, **changed})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Torch as a worker has it: sums do not depend on the machine's cores, and tests side by side do not wait."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def train(corpus: Path, gate: Path, tmp_path: Path) -> Callable[..., Path]:
    """Train in this process; returns the folder of the run. Keywords change the toy's parameters."""

    def run(name: str, *, stop_after: int | None = None, replaced: bool = False, **changed: Any) -> Path:
        with join("cpu") as world:
            params = replace(TOY, **changed)
            pretrain(corpus, gate, params, tmp_path / name, world, stop_after=stop_after, replace=replaced)
        return tmp_path / name

    return run


def weights_of(run: Path) -> bytes:
    return (run / "mae.safetensors").read_bytes()


def command(corpus: Path, gate: Path, folder: Path, **changed: Any) -> list[str]:
    """The words of `python -m model.pretrain` for the toy."""
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump({"pretrain": json.loads(json.dumps(asdict(replace(TOY, **changed))))}))
    words = ["--corpus", corpus, "--gate", gate, "--params", file, "--out", folder, "--device", "cpu"]
    return ["-m", "model.pretrain", *map(str, words)]
