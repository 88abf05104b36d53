"""The page at the end: what was trained on what, and how the encoder does on pictures that it never saw.

python -m model.report --run results/pretrain --cells results/evaluate --params params.yaml --out results
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click

from model.card import steps_of
from model.evaluate import compare, encoders
from model.evaluate.run import units
from model.metrics import holm
from model.params import EncoderParams, EvaluateParams, evaluate_params
from openus.command import DEBUG, PATH, Command
from openus.errors import CorpusError
from openus.storage import atomic, write_text

SHOWN = {
    "auroc_macro": "AUROC, macro",
    "auprc_macro": "AUPRC, macro",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "precision_macro": "precision, macro",
    "recall_macro": "recall, macro",
    "accuracy": "accuracy",
}
"""Scores of the first table, by their key in metrics.json. Of two classes either has the same AUROC."""
TESTED = ("auroc_macro", "f1_macro")
"""Scores that models are compared by."""
PROTOCOLS = {"knn": "nearest neighbours", "linear": "linear probe", "finetune": "fine-tuned"}

Cell = Mapping[str, Any]
Cells = Mapping[tuple[str, str, str], Cell]
"""(benchmark, model, protocol) -> metrics.json."""
AGAIN: Final = "Run what makes it first: `dvc repro`."
STALE: Final = "Evaluate again what is old: `dvc repro`, or `python -m model.evaluate`."


def report(run: Path, cells: Path, params: EvaluateParams, out: Path) -> Path:
    """Write report.md with its pictures, and report.json for tools, to `out`; returns the page.

    Args:
        run: folder of `model.pretrain`.
        cells: holds <benchmark>/<model>/<protocol>/ as `model.evaluate` wrote them.
        params: says which cells there must be.
        out: where to write.

    Raises CorpusError when a cell or the card of the run is missing, or a cell is not whole or of something else.
    """
    card = _json(run / "encoder" / "card.json")
    found: dict[tuple[str, str, str], Cell] = {
        (benchmark, model, protocol): _json(cells / benchmark / model / protocol / "metrics.json")
        for benchmark in params.benchmarks
        for protocol in params.protocols
        for model in params.models
    }
    _check(found, params)
    _check_predictions(found, cells)
    _check_encoders(found, params)
    curves(run, out / "loss.png")
    panel = _bytes(run / "reconstruction.png")
    with atomic(out / "reconstruction.png") as file:
        file.write(panel)
    scores(found, params, out / "scores.png")
    tests = {benchmark: comparisons(cells / benchmark, params) for benchmark in params.benchmarks}
    write_text(out / "report.md", page(card, found, tests, params))
    write_text(out / "report.json", json.dumps(_metrics(found), indent=1) + "\n")
    return out / "report.md"


def _check(cells: Cells, params: EvaluateParams) -> None:
    """Raise CorpusError when a cell is of other parameters or of another corpus."""
    wanted = json.loads(json.dumps(asdict(params)))
    corpora = {cell["corpus"] for cell in cells.values()}
    if len(corpora) > 1:
        raise CorpusError("The cells were made on different corpora.", STALE)
    for (benchmark, model, protocol), cell in cells.items():
        name = f"{benchmark}/{model}/{protocol}"
        for key, value in cell["params"].items():
            asked = wanted[key]
            if key == "finetune":  # a cell tells the decay in force, which new weights have none of
                asked = asked | {"layer_decay": value["layer_decay"]}
            if value != asked:
                raise CorpusError(f"The cell {name} was made with another {key} than the parameters say.", STALE)


def _check_predictions(found: Cells, cells: Path) -> None:
    """Raise CorpusError when a cell's predictions are not those of its scores: another run wrote one of the two."""
    for names, cell in found.items():
        content = _bytes(cells.joinpath(*names) / "predictions.parquet")
        if sha256(content).hexdigest() != cell.get("predictions"):
            raise CorpusError(
                f"In the cell {'/'.join(names)} metrics.json was not made of the predictions.parquet beside it.", STALE
            )


def _check_encoders(cells: Cells, params: EvaluateParams) -> None:
    """Raise CorpusError when a cell is of another encoder than the parameters name, or of one made in another way.

    An encoder whose files are not here cannot be held against its cells: they may have been made elsewhere.
    """
    wanted = {
        name: encoders.find(name, params.encoders, params.image_size).provenance()
        for name in params.models
        if _is_here(params.encoders[name])
    }
    for (benchmark, model, protocol), cell in cells.items():
        said = wanted.get(model, {})
        if differing := [key for key, value in said.items() if cell["encoder"].get(key) != value]:
            raise CorpusError(
                f"The cell {benchmark}/{model}/{protocol} is of another encoder than the parameters name: its "
                f"{' and '.join(differing)} differ.",
                STALE,
            )


def _is_here(encoder: EncoderParams) -> bool:
    return all(Path(name).exists() for name in (encoder.folder, encoder.like, encoder.weights) if name is not None)


def comparisons(cells: Path, params: EvaluateParams) -> list[dict[str, Any]]:
    """The first model against each other one on the same pictures, p by Holm over all of the benchmark's tests."""
    first, *others = params.models
    rows = []
    for protocol in params.protocols:
        for other in others:
            one, two = (cells / model / protocol / "predictions.parquet" for model in (first, other))
            found = compare(one, two, params.bootstrap)
            rows += [
                {"protocol": protocol, "other": other, "score": name, **found[name]} for name in TESTED if name in found
            ]
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    return rows


def page(
    card: Mapping[str, Any], cells: Cells, tests: Mapping[str, Sequence[Mapping[str, Any]]], params: EvaluateParams
) -> str:
    """The report as Markdown."""
    training, gate = card["training"], card["gate"]
    model, optimiser = card["params"]["model"], card["params"]["optimiser"]
    lines = [
        "# Report",
        "",
        f"**Corpus** `{card['corpus']['digest'][:16]}`: {card['corpus']['pictures']} pictures of "
        f"{len(card['sources'])} sources. The leakage gate passed on these bytes: {gate['pretrain']} pictures against "
        f"{gate['held_out']} held out ({', '.join(gate['held_out_sources']) or 'no published source'}).",
        "",
        f"**Pre-training** {model['architecture']}, {model['image_size']} pixels, {model['channels']} channel(s), "
        f"{model['mask_ratio']:.0%} masked; {steps_of(training)} of {card['params']['batch']} pictures, rate "
        f"{optimiser['base_lr']:g} × {card['params']['batch']} / 256; loss {training['first_loss']:.4f} → "
        f"{training['loss']:.4f}. Started from {_start(card)}.",
        "",
        "![loss and learning rate by step](loss.png)",
        "",
        "Picture, what the encoder sees of it, what comes out (seen patches as they are):",
        "",
        "![reconstructions](reconstruction.png)",
        "",
    ]
    for benchmark in params.benchmarks:
        lines += _benchmark(benchmark, cells, tests[benchmark], params)
    lines += ["![scores with 95 % intervals](scores.png)", ""]
    return "\n".join(lines)


def _start(card: Mapping[str, Any]) -> str:
    init = card["init"]
    return f"{init['name']} (SHA-256 {init['sha256'][:16]})" if init else "new weights"


def _benchmark(benchmark: str, cells: Cells, tests: Sequence[Mapping[str, Any]], params: EvaluateParams) -> list[str]:
    """One benchmark: its data, the scores, the scores of each class, the paired tests, what to mind."""
    rows = {(PROTOCOLS[p], model): cells[benchmark, model, p] for p in params.protocols for model in params.models}
    data = next(iter(rows.values()))["data"]
    classes = ", ".join(f"{_inline(word)} {n['pictures']}" for word, n in data["classes"].items())
    over = units(data)
    return [
        f"## {benchmark}",
        "",
        f"{data['pictures']} pictures of {_units_told(data)} ({classes}); {data['rule']}; {len(params.seeds)} seeds. "
        "What no official list parts is parted by patient (else by clip and look-alikes), training and validation anew "
        "for each seed and fold; choices are made on validation, each picture is tested once a seed, and predictions "
        "of all folds are pooled before scoring, which biases AUROC where folds are calibrated unlike. "
        f"Brackets: 95 % interval over {over} ({params.bootstrap} resamples) of the test part, given the trained "
        "models and so one pre-training run: seeds redraw a pre-trained encoder's validation parts (in fine-tuning "
        "head and order of pictures too), and of new weights the weights as well. "
        f"{_caution(data['groups'], data['patients_unknown'])}",
        "",
        *_table(rows, SHOWN),
        "",
        "F1 of each class:",
        "",
        *_table(rows, {f"f1/{word}": word for word in data["classes"]}),
        "",
        *_tests(tests, params.models[0], over),
        *_minded(benchmark, {model: cell for (_, model), cell in rows.items()}),
    ]


def _units_told(data: Mapping[str, Any]) -> str:
    """`20 patients`; `17 groups of 20 patients, some linked by look-alikes`."""
    told = f"{data['groups']} {units(data)}"
    if unknown := data["patients_unknown"]:
        return f"{told} (the patient of {unknown} pictures is unknown)"
    return told if units(data) == "patients" else f"{told} of {data['patients']} patients, some linked by look-alikes"


def _table(rows: Mapping[tuple[str, str], Cell], columns: Mapping[str, str]) -> list[str]:
    """Scores by protocol and model; `columns` maps keys of metrics.json to heads."""
    lines = [_row(["protocol", "model", *columns.values()]), "|---|---|" + "---|" * len(columns)]
    for names, cell in rows.items():
        shown = [_interval(cell["metrics"].get(key)) for key in columns]
        lines.append(_row([*names, *shown]))
    return lines


def _row(cells: Sequence[str]) -> str:
    """A row of a Markdown table; a bar in a word ends no cell."""
    return "| " + " | ".join(_inline(cell).replace("|", "\\|") for cell in cells) + " |"


def _inline(word: str) -> str:
    """A word of a stranger's table on one line."""
    return re.sub(r"\s", " ", word)


def _tests(tests: Sequence[Mapping[str, Any]], first: str, over: str) -> list[str]:
    """The paired comparisons; `over` is what is swapped, patients or groups."""
    if not tests:
        return []
    lines = [
        f"**{first}** against the others on the same pictures: difference, its 95 % interval, p of a permutation test "
        f"(all predictions of a {over.removesuffix('s')} swapped), and p by Holm over the tests of this table:",
        "",
        "| protocol | against | score | difference | p | p, Holm |",
        "|---|---|---|---|---:|---:|",
    ]
    for row in tests:
        p = [_p(row.get(name)) for name in ("p", "p_holm")]
        names = [PROTOCOLS[row["protocol"]], row["other"], SHOWN[row["score"]], _interval(row, "+.3f")]
        lines.append(_row([*names, *p]))
    return [*lines, ""]


def _minded(benchmark: str, cells: Mapping[str, Cell]) -> list[str]:
    """Whether pre-training saw the benchmark, and the notes of each cell."""
    said = {True: "proven absent from its pre-training by the gate", False: "absence from its pre-training NOT proven"}
    proofs = []
    for model, cell in cells.items():
        encoder = cell["encoder"]
        unknown = "new weights" if encoder["weights"] == "new" else "what its weights were trained on is unknown"
        proofs.append(f"- {model}: {benchmark}: {said.get(encoder['proven_absent'], unknown)}.")
    notes = sorted({f"- {model}: {note}" for model, cell in cells.items() for note in cell["notes"]})
    return [*proofs, *notes, ""]


def _caution(groups: int, unknown: int) -> str:
    """What so few groups (patients, or what belongs together) allow to say, or unknown patients."""
    said = []
    if groups < 200:
        said.append("So few give wide intervals; whether models differ, the paired tests below tell.")
    if unknown:
        said.append("Where an unknown patient has several pictures, scores may be too high, intervals too narrow.")
    return " ".join(said)


def _p(p: float | None) -> str:
    """`0.034`; `<0.001` rather than 0.000."""
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _interval(one: Mapping[str, Any] | None, how: str = ".3f") -> str:
    """`0.812 [0.70, 0.90]`."""
    if one is None or one["value"] is None:
        return "–"
    value = format(one["value"], how)
    if one["low"] is None:
        return value
    return f"{value} [{one['low']:.2f}, {one['high']:.2f}]"


def _metrics(cells: Cells) -> dict[str, Any]:
    """Nested plain numbers: benchmark -> model -> protocol -> score."""
    found: dict[str, Any] = {}
    for (benchmark, model, protocol), cell in cells.items():
        values = {name: cell["metrics"][name]["value"] for name in SHOWN if name in cell["metrics"]}
        found.setdefault(benchmark, {}).setdefault(model, {})[protocol] = values
    return found


def _json(path: Path) -> dict[str, Any]:
    content = _bytes(path)
    try:
        value: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise CorpusError(f"{path} is not whole.", AGAIN) from error
    return value


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path} is not there: {error.strerror or error}.", AGAIN) from error


def _figure(path: Path, figure: Any) -> None:
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def curves(run: Path, path: Path) -> None:
    """Loss and learning rate by step, of DVCLive's files."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    columns = {}
    for name in ("loss", "lr"):
        rows = (run / "live" / "plots" / "metrics" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        columns[name] = [[float(value) for value in row.split("\t")] for row in rows]
    axes.plot(*zip(*columns["loss"], strict=True), label="loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    right = axes.twinx()
    right.plot(*zip(*columns["lr"], strict=True), color="tab:gray", linestyle=":", label="learning rate")
    right.set_ylabel("learning rate")
    figure.legend(loc="outside upper right", ncols=2, fontsize="small")
    _figure(path, figure)


def scores(cells: Cells, params: EvaluateParams, path: Path) -> None:
    """Macro AUROC with intervals, a panel a benchmark."""
    plt = _pyplot()
    height = 1.2 + 0.28 * len(params.models) * len(params.protocols)
    figure, panels = plt.subplots(
        len(params.benchmarks), 1, figsize=(7, height * len(params.benchmarks)), squeeze=False, layout="constrained"
    )
    for panel, benchmark in zip(panels[:, 0], params.benchmarks, strict=True):
        names, place = [], 0
        for protocol in params.protocols:
            for number, model in enumerate(params.models):
                one = cells[benchmark, model, protocol]["metrics"]["auroc_macro"]
                if one["value"] is not None:
                    ends = [one["value"] if end is None else end for end in (one["low"], one["high"])]
                    panel.plot(ends, [place, place], color=f"C{number}", linewidth=1.5)
                    panel.plot([one["value"]], [place], "o", color=f"C{number}")
                names.append(f"{PROTOCOLS[protocol]}, {model}")
                place += 1
        panel.axvline(0.5, color="0.8", linewidth=0.8, zorder=0)
        panel.set_yticks(range(place), names, fontsize="small")
        panel.invert_yaxis()
        data = cells[benchmark, params.models[0], params.protocols[0]]["data"]
        over = f"{data['groups']} {units(data)}"
        panel.set_xlabel(f"{SHOWN['auroc_macro']}, on {benchmark}; 95 % interval over {over}")
    _figure(path, figure)


def _pyplot() -> Any:
    os.environ.setdefault("MPLBACKEND", "Agg")
    from matplotlib import pyplot as plt

    plt.switch_backend("Agg")
    plt.close("all")
    return plt


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--run", type=PATH, required=True, help="Folder of model.pretrain.")
@click.option("--cells", type=PATH, required=True, help="Holds BENCHMARK/MODEL/PROTOCOL/ of model.evaluate.")
@click.option("--params", "params_file", type=PATH, required=True, help="YAML file with a section `evaluate`.")
@click.option("--out", type=PATH, required=True, help="Folder for report.md and its pictures.")
@DEBUG
def main(run: Path, cells: Path, params_file: Path, out: Path, debug: bool) -> None:
    """Write the report on a pre-training run and its evaluation."""
    click.echo(report(run, cells, evaluate_params(params_file), out))


if __name__ == "__main__":
    main()
