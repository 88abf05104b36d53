"""Generated pages are up to date, and every command shown in the README exists."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import model
import openus
from docs.generate import PAGES
from openus.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (REPOSITORY / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_examples_in_docstrings_hold() -> None:
    names = [
        found.name
        for package in (openus, model)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    tried = [doctest.testmod(importlib.import_module(name)) for name in names if not name.endswith("__main__")]
    assert sum(one.failed for one in tried) == 0 and sum(one.attempted for one in tried) > 20


def _shown() -> list[str]:
    """Lines of shell blocks that call openus or model, continuation lines joined."""
    found = []
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        for block in re.findall(r"```(?:sh|console|bash)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            lines = (line.split(" #")[0].removeprefix("$ ").strip() for line in block.replace("\\\n", " ").splitlines())
            found += [line.split(" > ")[0] for line in lines if line.startswith(("openus ", "python -m model."))]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", _shown())
def test_a_command_shown_in_the_docs_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)[1:]
    group: click.Command = main
    if words[0] == "-m":
        module = importlib.import_module(words[1] + (".__main__" if words[1] == "model.evaluate" else ""))
        command = group = module.main
        words = words[2:]
    else:
        command = main.commands[words[0]]
    monkeypatch.setattr(command, "callback", lambda **_: None)
    ran = CliRunner().invoke(group, words)
    assert ran.exit_code == 0, ran.output


def test_links_between_pages_lead_somewhere() -> None:
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
