"""Pre-training small enough for a test.

A test module takes the fixtures by assigning them to names of its own; a second conftest.py would stand in the way of
tests/conftest.py, whose functions are imported by that name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.order import Steps
from model.pictures import Pictures, read_pictures

BATCH = 8


@pytest.fixture(scope="module")
def pictures(corpus: Path) -> Pictures:
    return read_pictures(corpus, role="pretrain")


def make_steps(pictures: Pictures, **changed: Any) -> Steps:
    """Five steps, each of two micro-batches in one process. Keywords change them."""
    given: dict[str, Any] = {"power": 0.5, "size": len(pictures), "seed": 0, "batch": BATCH, "micro_batch": 4,
                             "start": 0, "total": 5}  # fmt: skip
    return Steps(pictures.groups("source"), **{**given, **changed})
