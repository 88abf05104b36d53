"""Stage `evaluate@BENCHMARK-MODEL-PROTOCOL`: one cell of the table."""

import sys
from pathlib import Path

from model.evaluate import evaluate
from model.params import evaluate_params
from openus.progress import progress
from pipelines.settings import FILE, load, stage

OUT = Path("results/evaluate")

if __name__ == "__main__":
    with stage():
        benchmark, model, protocol = sys.argv[1:]
        out = OUT / benchmark / model / protocol
        with progress() as report:
            evaluate(load().out, benchmark, model, protocol, evaluate_params(FILE), out, report)
