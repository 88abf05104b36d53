"""python -m model.evaluate: one encoder, one benchmark, one protocol."""

from __future__ import annotations

import json
from pathlib import Path

import click

from model.params import evaluate_params
from openus.command import DEBUG, PATH, Command
from openus.progress import progress


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--corpus", type=PATH, required=True, help="Folder of a finished build.")
@click.option("--params", "params_file", type=PATH, required=True, help="YAML file with a section `evaluate`.")
@click.option("--benchmark", required=True, help="A labelled source of the corpus: held out, or local-NAME.")
@click.option("--model", required=True, help="A key of evaluate.encoders.")
@click.option("--protocol", required=True, help="knn, linear or finetune.")
@click.option("--out", type=PATH, required=True, help="Folder for predictions.parquet and metrics.json.")
@click.option("--json", "as_json", is_flag=True, help="Print metrics.json on standard output.")
@DEBUG
def main(
    corpus: Path, params_file: Path, benchmark: str, model: str, protocol: str, out: Path, as_json: bool, debug: bool
) -> None:
    """Score an encoder on labelled pictures that its pre-training never saw."""
    from model.evaluate.run import evaluate, units

    params = evaluate_params(params_file)
    with progress() as report:
        result = evaluate(corpus, benchmark, model, protocol, params, out, report)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, indent=1))
        return
    for note in result["notes"]:
        click.echo(f"note: {note}", err=True)
    over = f"{result['data']['groups']} {units(result['data'])}"
    for name in ("auroc_macro", "f1_macro", "balanced_accuracy", "accuracy"):
        one = result["metrics"][name]
        value, low, high = ("?" if v is None else f"{v:.3f}" for v in (one["value"], one["low"], one["high"]))
        click.echo(f"{name:18} {value}  (95 % interval over {over}: {low} to {high})")


if __name__ == "__main__":
    main()
