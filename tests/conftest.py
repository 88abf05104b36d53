"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real ultrasound files: `OPENUS_REAL`, or `shared/real` beside the repository; skips without."""
    folder = Path(os.environ.get("OPENUS_REAL", REPOSITORY.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"real ultrasound files are not here ({folder.name}); set OPENUS_REAL")
    return folder
