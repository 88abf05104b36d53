"""Stage `report`: what was pre-trained on what, and how its encoder does on pictures that it never saw."""

from pathlib import Path

from model.params import evaluate_params
from model.report import report
from pipelines.evaluate import OUT as CELLS
from pipelines.pretrain import OUT as RUN
from pipelines.settings import FILE, stage

if __name__ == "__main__":
    with stage():
        report(RUN, CELLS, evaluate_params(FILE), Path("results"))
