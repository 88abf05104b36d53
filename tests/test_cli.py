"""The face: help everywhere, exit codes, JSON alone on standard output, quick start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import openus

from openus.cli import main

COMMANDS = ["list", "info", "build-shards", "verify", "check-leakage", "sample"]


def test_the_commands_are_those_of_the_contract() -> None:
    assert list(main.commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    ran = openus(command, "--help")
    assert ran.exit_code == 0 and len(ran.stdout) > 100


def test_starting_loads_nothing_heavy() -> None:
    heavy = "cv2 numpy pandas pyarrow pydicom SimpleITK av torch pydantic rich jinja2 PIL yaml"
    code = (
        "import sys; from openus.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('loaded', [name for name in {heavy!r}.split() if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "loaded []"


def test_list_is_one_json_document_with_the_contracts_keys() -> None:
    ran = openus("list", "--json")
    assert ran.exit_code == 0 and ran.stderr == ""
    keys = "slug index name anatomy media role access licence redistribution".split()
    keys += "commercial_use expected_images status bytes".split()
    for source in ran.json["sources"]:
        assert set(keys) <= set(source)
    held_out = {source["slug"] for source in ran.json["sources"] if source["role"] == "held-out"}
    assert held_out == {"bus-bra", "mmotu-2d"}
    extras = {source["slug"] for source in ran.json["sources"] if source["index"] is None}
    assert extras == {"busi", "ddti"}


def test_list_as_a_table_names_every_source() -> None:
    shown = openus("list").stdout
    assert all(source["slug"] in shown for source in openus("list", "--json").json["sources"])


@pytest.mark.parametrize("source", [s["slug"] for s in json.loads(openus("list", "--json").stdout)["sources"]])
def test_info_tells_what_it_is_and_how_to_get_it(source: str) -> None:
    shown = openus("info", source)
    assert shown.exit_code == 0
    for word in ("licence", "pass on", "How to get it", "Cite", "role"):
        assert word in shown.stdout
    card = openus("info", source, "--json").json
    assert card["slug"] == source and card["access"]["url"] in shown.stdout


def test_an_unknown_source_is_said_with_what_was_meant() -> None:
    ran = openus("info", "bus-bar")
    assert ran.exit_code == 2 and "bus-bra" in ran.stderr and "Traceback" not in ran.stderr


def test_an_unknown_command_is_wrong_use() -> None:
    assert openus("build-shard").exit_code == 2
    assert openus("list", "--nonsense").exit_code == 2
