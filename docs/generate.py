"""The pages under docs/ that are made from the code, so that they are true: manifest.md, parameters.md, sources.md.

`make docs` writes them; a test compares them with what this module would write.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_origin

from model import params as training
from openus import manifest, params, relations, sources
from openus.cards import word
from openus.data import Card
from openus.fetch.listing import by_hand

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
    named = {name: value for module in (params, training) for name, value in vars(module).items()}
    spelled = {
        name: repr(value).removeprefix("typing.") for name, value in named.items() if get_origin(value) is Literal
    }
    for title, kind in sections:
        about = " ".join((kind.__doc__ or "").split())
        parts.append(f"## {title or 'top level'}\n\n{about}\n\n| key | type | default | |\n|---|---|---|---|")
        for name, of, default, text in _described(kind):
            if any(dataclasses.is_dataclass(getattr(module, of, None)) for module in (params, training)):
                continue  # a section of its own
            shown = spelled.get(of, of).replace("|", "&#124;")
            parts.append(f"| `{name}` | `{shown}` | {f'`{default}`' if default else ''} | {text} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def sources_page() -> str:
    """What is known of every source, from the cards."""
    cards = [sources.load(slug).card for slug in sources.slugs()]
    numbered = [card for card in cards if card.index]
    lines = [
        NOTE,
        "# Sources\n",
        f"The {len(numbered)} sources of OpenUS-46 and {len(cards) - len(numbered)} extras. `?` is unknown: nothing "
        "here is guessed. `openus info SLUG` shows a whole card.\n",
        "*images* are counted as published (clips or volumes for such sources), *unique* without those that another "
        "source\nholds too or that stand in a source twice. *layout* is the best that the adapter was made from and "
        "proven on: real\nfiles, the publisher's tables or file lists, public code that opens the data, or a "
        "description. *fetch*: ✔ where\n`openus fetch SLUG` brings it, ✔ by hand where a person gets it and `--from` "
        "adopts it: both proven on its miniature,\nthe former from a server that speaks its site's protocol "
        "([fetch.md](fetch.md)).\n",
        "| # | slug | title | anatomy | media | images | unique | patients | bytes | role | licence | pass on | "
        "commercial | derived | access | gate | fetch | layout |",
        "|---:|---|---|---|---|---:|---:|---:|---:|---|---|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        licence = card.licence
        cells = [
            card.index or "extra", f"[`{card.slug}`](#{card.slug})", card.title, card.anatomy, " ".join(card.media),
            card.expected_images, relations.unique_images(card.slug, card.expected_images), card.expected_patients,
            card.size_bytes, card.role, licence.name, licence.redistribution, licence.commercial_use,
            licence.derivatives, f"[{card.access.kind}]({card.access.url})", card.access.gated,
            "✔" if by_hand(card) is None else "✔ by hand", card.layout,
        ]  # fmt: skip
        lines.append("| " + " | ".join(_word(cell) for cell in cells) + " |")
    lines += ["", *_unknown(numbered), *_overlaps(), "## Each source\n"]
    for card in cards:
        lines += [f"### {card.slug}\n", f"{card.title}. {_sentence(card.anatomy_detail)}\n"]
        lines += [f"- {note}" for note in card.notes]
        lines += [f"- Not verified: {statement}" for statement in card.unverified]
        lines += ["", "```bibtex", card.citation.strip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _word(value: Any) -> str:
    return word(value).replace("|", "/")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "." * (not text.endswith("."))


def _unknown(cards: list[Card]) -> list[str]:
    """For how many of the 46 a field is None."""
    fields: dict[str, Sequence[Any]] = {
        "licence": [card.licence.name for card in cards],
        "pass on": [card.licence.redistribution for card in cards],
        "commercial use": [card.licence.commercial_use for card in cards],
        "derived works": [card.licence.derivatives for card in cards],
        "gate": [card.access.gated for card in cards],
        "images": [card.expected_images for card in cards],
        "unique images": [relations.unique_images(card.slug, card.expected_images) for card in cards],
        "patients": [card.expected_patients for card in cards],
        "size of the download": [card.size_bytes for card in cards],
        "a checksum of every file": [
            True if card.files and all(f.sha256 or f.md5 for f in card.files) else None for card in cards
        ],
    }
    rows = []
    for name, values in fields.items():
        missing = [card.slug for card, value in zip(cards, values, strict=True) if value is None]
        few = ", ".join(f"`{slug}`" for slug in missing) if len(missing) <= MOST_NAMED else ""
        rows.append(f"| {name} | {len(missing)} | {few} |")
    weak = sum(bool(card.unverified) for card in cards)
    return [
        f"## What is unknown of the {len(cards)}\n",
        "| field | unknown for | which, where few |",
        "|---|---:|---|",
        *rows,
        "",
        f"{weak} cards mark statements that rest on one weak place.\n",
    ]


MOST_NAMED = 15
"""Sources that a row of the table of unknowns names."""


def _overlaps() -> list[str]:
    lines = [
        "## Overlaps\n",
        "| pictures of | also in | strength | images | how it is known |",
        "|---|---|---|---:|---|",
    ]
    for one in relations.SAME_IMAGES:
        other = "itself" if one.a == one.b else f"`{one.b}`"
        lines.append(f"| `{one.a}` | {other} | {one.strength} | {_word(one.images)} | {one.evidence} |")
    lines += ["", "| patients of | may be those of | strength | policy | why |", "|---|---|---|---|---|"]
    lines += [
        f"| `{one.a}` | `{one.b}` | {one.strength} | {one.policy} | {one.why} |" for one in relations.SAME_PATIENTS
    ]
    lines += ["", "| outside OpenUS-46 | leaks | why |", "|---|---|---|"]
    lines += [f"| {one.other} | {', '.join(one.leaks)} | {one.why} |" for one in relations.CARRIERS]
    return [*lines, ""]


PAGES = {"manifest.md": manifest_page, "parameters.md": parameters_page, "sources.md": sources_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
        print(f"docs/{name}")
