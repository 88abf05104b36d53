"""The pages under docs/ that are made from the code, so that they are true: manifest.md, parameters.md, sources.md.

`make docs` writes them; a test compares them with what this module would write.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model import params as training
from openus import manifest, params, sources

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Made by `make docs` from the code: mend it there. -->\n"


def manifest_page() -> str:
    """The columns of manifest.parquet and rejected.parquet."""

    def rows(columns: tuple[tuple[str, str, str], ...]) -> str:
        return "\n".join(f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in columns)

    head = "| column | type | meaning |\n|---|---|---|\n"
    return (
        f"{NOTE}\n# The manifest\n\n`manifest.parquet` has one row per decoded frame, kept or dropped. The meaning of "
        "each column also stands in the\nParquet schema itself, as the field's metadata `meaning`.\n\n"
        f"{head}{rows(manifest.COLUMNS)}\n\n## rejected.parquet\n\nOne row per file that yielded no frame, and one per "
        f"clip whose tail did not come.\n\n{head}{rows(manifest.REJECTED)}\n"
    )


def _described(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """(name, type, default, docstring) of the fields of a dataclass; the docstring is the string after a field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    after = {
        one.target.id: " ".join(two.value.value.split())
        for one, two in zip(body.body, body.body[1:], strict=False)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        and isinstance(two, ast.Expr) and isinstance(two.value, ast.Constant) and isinstance(two.value.value, str)
    }  # fmt: skip
    for field in dataclasses.fields(kind):
        default: Any = field.default
        shown = "" if default is dataclasses.MISSING else repr(default)
        yield field.name, str(field.type), shown, after.get(field.name, "")


def parameters_page() -> str:
    """Every parameter with its default."""
    parts = [
        NOTE,
        "# Parameters\n",
        "A parameter file is YAML and holds any part of what follows; the rest is default. An unknown key is an error "
        "that names\nits path. `params/` holds whole examples. Sections `pretrain` and `evaluate` are read by `model` "
        "(docs/training.md),\n`pipeline` by the DVC stages.\n",
    ]
    sections = [
        ("", params.Params),
        ("decode", params.DecodeParams),
        ("normalise", params.NormaliseParams),
        ("select", params.SelectParams),
        ("dedup", params.DedupParams),
        ("leakage", params.LeakageParams),
        ("shards", params.ShardParams),
        ("sources.SLUG", params.SourceParams),
        ("local.NAME", params.LocalParams),
        ("pretrain", training.PretrainParams),
        ("pretrain.model", training.ModelParams),
        ("pretrain.augment", training.AugmentParams),
        ("pretrain.balance", training.BalanceParams),
        ("pretrain.optimiser", training.OptimiserParams),
        ("evaluate", training.EvaluateParams),
        ("evaluate.encoders.NAME", training.EncoderParams),
        ("evaluate.knn", training.KnnParams),
        ("evaluate.linear", training.LinearParams),
        ("evaluate.finetune", training.FinetuneParams),
    ]
    for title, kind in sections:
        about = " ".join((kind.__doc__ or "").split())
        parts.append(f"## {title or 'top level'}\n\n{about}\n\n| key | type | default | |\n|---|---|---|---|")
        for name, of, default, text in _described(kind):
            if any(dataclasses.is_dataclass(getattr(module, of, None)) for module in (params, training)):
                continue  # a section of its own
            parts.append(f"| `{name}` | `{of.replace('|', '&#124;')}` | {f'`{default}`' if default else ''} | {text} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def sources_page() -> str:
    """What is known of every source, from the cards."""

    def word(value: Any) -> str:
        return {None: "?", True: "yes", False: "no"}.get(value, str(value)).replace("|", "/")

    lines = [
        NOTE,
        "# Sources\n",
        "`?` is unknown: nothing here is guessed. `openus info SLUG` shows a whole card.\n",
        "| # | slug | title | anatomy | media | images | patients | role | licence | pass on | commercial | access |",
        "|---:|---|---|---|---|---:|---:|---|---|---|---|---|",
    ]
    cards = [sources.load(slug).card for slug in sources.slugs()]
    for card in cards:
        cells = [
            card.index or "extra", f"`{card.slug}`", card.title, card.anatomy, " ".join(card.media),
            card.expected_images, card.expected_patients, card.role, card.licence.name, card.licence.redistribution,
            card.licence.commercial_use, f"[{card.access.kind}]({card.access.url})",
        ]  # fmt: skip
        lines.append("| " + " | ".join(word(cell) for cell in cells) + " |")
    lines.append("\n## What to mind\n")
    for card in cards:
        if card.notes:
            lines += [f"**`{card.slug}`**", "", *(f"- {note}" for note in card.notes), ""]
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"manifest.md": manifest_page, "parameters.md": parameters_page, "sources.md": sources_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
        print(f"docs/{name}")
