"""`dvc repro` from a clean checkout: runs to the end offline, re-runs only what changed, stops on a leak."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openus.errors import ParamsError
from pipelines.raw import listing
from pipelines.settings import load

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = [".dvc/config", ".dvc/.gitignore", ".dvcignore", "dvc.yaml", "params.yaml", "manifests"]
ROOMS += ["openus", "model", "pipelines"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the pipeline needs, as a repository of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ROOMS:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, target)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def dvc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """DVC of this environment, with nothing of the network in reach of its own doing."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500
    )


def ran(output: str) -> set[str]:
    """Names of the stages that a repro ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "params.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


TRAINING = {
    "  epochs: 20\n": "  epochs: 1\n",
    "warmup_epochs: 2}": "warmup_epochs: 0.2}",
    "models: [openus-mae, random-init, resnet10t]": "models: [openus-mae, random-init]",
    "protocols: [knn, linear, finetune]": "protocols: [knn]",
}
"""Less of the same: `make demo` runs all of it."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_chain_runs_repeats_nothing_and_stops_on_a_leak(checkout: Path) -> None:
    for old, new in TRAINING.items():
        change(checkout, old, new)
    first = dvc(checkout, "repro")
    assert first.returncode == 0, first.stdout + first.stderr
    cells = {f"evaluate@bus-bra-{model}-knn" for model in ("openus-mae", "random-init")}
    curation = {"sample", "raw", "curate@busi", "curate-local@ward", "dedup", "shards", "gate", "counts"}
    assert curation | cells | {"pretrain", "report"} <= ran(first.stdout)
    assert json.loads((checkout / "results" / "gate.json").read_text())["pixel"] == 0
    assert "| local-ward |" in (checkout / "results" / "counts.md").read_text()
    assert (checkout / "results" / "contact_sheet.png").stat().st_size > 50_000
    page = (checkout / "results" / "report.md").read_text()
    assert "| nearest neighbours | openus-mae | 0." in page and "proven absent from its pre-training" in page
    assert (checkout / "results" / "reconstruction.png").stat().st_size > 5_000
    assert (checkout / "results" / "pretrain" / "encoder" / "card.json").exists()
    metrics = dvc(checkout, "metrics", "show", "--json")
    assert metrics.returncode == 0 and {"results/shards.json", "results/report.json"} <= set(metrics.stdout.split('"'))

    assert ran(dvc(checkout, "repro").stdout) == {"raw"}

    change(checkout, "  workers: 0\n", "  workers: 1\n")  # of the evaluation: what comes before is not run again
    assert ran(dvc(checkout, "repro").stdout) == {"raw", "report"} | cells

    change(checkout, "  busi: {}", "  busi: {normalise: {longest_side: 128}}")
    again = dvc(checkout, "repro", "gate", "counts")
    assert ran(again.stdout) == {"raw", "curate@busi", "dedup", "shards", "gate", "counts"}

    change(checkout, "leakage: {drop: true}", "leakage: {drop: false}")
    leaky = dvc(checkout, "repro")
    assert leaky.returncode != 0 and "The leakage gate is shut" in leaky.stderr
    assert not {"counts", "pretrain"} & ran(leaky.stdout)


def test_an_override_for_an_own_archive_adds_no_source(tmp_path: Path) -> None:
    params = (REPOSITORY / "params.yaml").read_text()
    own = "  local-ward: {normalise: {longest_side: 128}}\n  local-elsewhere: {}\n"
    (tmp_path / "params.yaml").write_text(params.replace("  pocus: {}\n", f"  pocus: {{}}\n{own}"))
    settings = load(tmp_path / "params.yaml")
    assert settings.slugs == load(REPOSITORY / "params.yaml").slugs
    assert settings.params.for_source("local-ward").normalise.longest_side == 128
    assert settings.folder("local-ward") == Path("data/sample/_local/ward")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  workers: 2\n", "", "pipeline.workers"),
        ("  workers: 2\n", "  workers: two\n", "pipeline.workers"),
        ("  staging: staging", "  stagging: staging", "pipeline.st"),
        ("  out: corpus", "  out: corpus\n  stagging: oops", "pipeline.stagging: unknown key"),
    ],
)
def test_the_pipeline_s_own_section_is_read_strictly(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text().replace(old, new, 1))
    with pytest.raises(ParamsError, match=said):
        load(tmp_path / "params.yaml")


def test_what_cannot_be_looked_at_is_listed_like_all_else(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    before = listing(tmp_path)
    (tmp_path / "b.png").symlink_to("nowhere")
    dangling = listing(tmp_path)
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    assert (before["files"], dangling["files"]) == (1, 2) and listing(tmp_path)["files"] == 2
    assert len({one["listing"] for one in (before, dangling, listing(tmp_path))}) == 3
