"""Fixtures shared by all tests."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch comes: tests run side by side, and so do their processes

import pytest
from click.testing import CliRunner

from openus.cli import main

pytest.register_assert_rewrite("archives", "commands", "downloads", "snapshots")  # helpers of tests/fetch that assert

REPOSITORY = Path(__file__).resolve().parent.parent
LONGEST = ("test_pipeline.py", "test_real.py", "test_world.py")
REAL = Path(os.environ.get("OPENUS_REAL", REPOSITORY.parent / "shared" / "real"))


def pytest_configure() -> None:
    """Flushing the whole machine hundreds of times makes no test truer; that it is done, and when, has its own test."""
    os.sync = lambda: None


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--real ROOT`: somebody's own downloads, `ROOT/<slug>/` each."""
    parser.addoption("--real", type=Path, metavar="ROOT", help="Run the sources on your own downloads, ROOT/<slug>/.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker waits for one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real ultrasound files: `OPENUS_REAL`, or `shared/real` beside the repository; skips without."""
    folder = REAL
    if not folder.is_dir():
        pytest.skip(f"real ultrasound files are not here ({folder.name}); set OPENUS_REAL")
    return folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the caller's key."""
    monkeypatch.delenv("OPENUS_SALT", raising=False)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic corpus, raw."""
    from openus import sample as module

    folder = tmp_path_factory.mktemp("sample")
    module.write(folder, 0)
    return folder


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.stdout)


def openus(*words: object) -> Ran:
    """Run the command line in this process."""
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="openus")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def check(*words: object) -> tuple[int, dict[str, Any]]:
    """The exit code of the gate, and what it found."""
    ran = openus("check-leakage", *words, "--json")
    return ran.exit_code, ran.json


def sample_words(sample: Path) -> list[str]:
    """The words that build the whole sample, own archives included."""
    from openus import sample as module

    return ["--root", str(sample), *shlex.split(module.local_options(sample))]


@pytest.fixture(scope="session")
def corpus(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build of the whole sample. Read-only for tests; its staging lies beside it."""
    out = tmp_path_factory.mktemp("corpus") / "out"
    ran = openus("build-shards", *sample_words(sample), "--out", out, "--workers", 2)
    assert ran.exit_code == 0, ran.stderr
    return out


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    """A corpus that a test may damage."""
    return Path(shutil.copytree(corpus, tmp_path / "copy"))


@pytest.fixture(scope="session")
def gate(corpus: Path) -> Path:
    """The verdict on the synthetic corpus: passed."""
    verdict = corpus.parent / "verdict.json"
    ran = openus("check-leakage", "--pretrain", corpus, "--held-out", corpus, "--json")
    assert ran.exit_code == 0, ran.stderr
    verdict.write_text(ran.stdout)
    return verdict


def verdict_of(gate: Path, folder: Path, **changed: Any) -> Path:
    """The verdict in a file of its own, changed."""
    file = folder / "changed.json"
    file.write_text(json.dumps(json.loads(gate.read_text()) | changed))
    return file
