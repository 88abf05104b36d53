"""The face: help everywhere, exit codes, JSON alone on standard output, quick start."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from conftest import openus

from openus.cli import main

COMMANDS = ["list", "info", "fetch", "verify-raw", "build-shards", "verify", "check-leakage", "sample"]


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
    assert held_out == {"bus-bra", "mmotu-2d", "gist514-db"}
    indices = [source["index"] for source in ran.json["sources"]]
    assert indices == [*range(1, 47), *[None] * 7]
    extras = {source["slug"] for source in ran.json["sources"] if source["index"] is None}
    assert extras == {"busi", "buid", "ddti", "echonet-lvh", "tg3k", "tn3k", "tnscui"}


def test_list_as_a_table_names_every_source() -> None:
    shown = openus("list").stdout
    assert all(source["slug"] in shown for source in openus("list", "--json").json["sources"])


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_list_on_a_terminal_has_a_line_a_source(width: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    words = [sys.executable, "-m", "openus.cli", "list"]
    with subprocess.Popen(words, stdout=theirs, stderr=subprocess.PIPE, env=environment | {"TERM": "xterm"}) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal whose other end is shut
            while piece := os.read(ours, 1 << 16):
                shown += piece
        said = process.communicate()[1].decode()
    os.close(ours)
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).splitlines()
    slugs = [source["slug"] for source in openus("list", "--json").json["sources"]]
    assert len(lines) == len(slugs) + 1 and max(map(len, lines)) <= width
    assert all(slug in line.split() for slug, line in zip(slugs, lines[1:], strict=True))
    assert ("not shown for want of room" in said) == (width < 200)


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


def slugs_of(*options: str) -> set[str]:
    return {source["slug"] for source in openus("list", "--json", *options).json["sources"]}


def test_list_filters_by_what_is_known() -> None:
    everything = {source["slug"]: source for source in openus("list", "--json").json["sources"]}
    assert slugs_of("--anatomy", "breast") == {s for s, one in everything.items() if one["anatomy"] == "breast"}
    assert {"hc18", "fast-u-net"} <= slugs_of("--anatomy", "fetal")
    assert slugs_of("--medium", "mp4") == {s for s, one in everything.items() if "mp4" in one["media"]}
    assert slugs_of("--access", "zenodo") == {s for s, one in everything.items() if one["access"] == "zenodo"}
    assert "kidneyus" in slugs_of("--access", "application") and "hc18" not in slugs_of("--access", "application")
    by_permission = [slugs_of("--redistribution", word) for word in ("yes", "no", "unknown")]
    assert set.union(*by_permission) == set(everything) and sum(map(len, by_permission)) == len(everything)
    both = slugs_of("--commercial-use", "yes", "--anatomy", "breast")
    assert both == {s for s in slugs_of("--anatomy", "breast") if everything[s]["commercial_use"] is True}


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--anatomy", "hart"], "heart"), (["--medium", "jpeg"], "jpg"), (["--access", "zenodoo"], "zenodo")],
)
def test_a_filter_that_nothing_could_fit_is_wrong_use(options: list[str], word: str) -> None:
    ran = openus("list", *options)
    assert ran.exit_code == 2 and word in ran.stderr


def test_both_counts_stand_in_the_list() -> None:
    counts = {
        one["slug"]: (one["expected_images"], one["unique_images"]) for one in openus("list", "--json").json["sources"]
    }
    assert counts["fast-u-net"] == (1411, 412)
    assert counts["kidneyus"] == (534, 514)
    assert counts["bus-bra"] == (1875, 1875)


def test_bibtex_alone() -> None:
    assert openus("info", "hc18", "--bibtex").stdout.startswith("@article{")
    assert openus("info", "hc18", "--bibtex", "--json").exit_code == 2


def test_terms_that_forbid_passing_on_are_said() -> None:
    assert "Ask its owners before you pass on" in openus("info", "kidneyus").stdout
    assert "pass on no shards" not in openus("info", "hc18").stdout
    assert "credit its authors." in openus("info", "hc18").stdout
    camus = " ".join(openus("info", "camus").stdout.split())
    assert "credit its authors; use it for no commercial purpose; pass on what you make of it under the same" in camus
    assert "No terms are known" in openus("info", "busi").stdout
    assert "for no commercial purpose" in openus("info", "brachial-plexus").stdout
    assert "not wholly known" in openus("info", "bp-nerve").stdout
    assert "not wholly known" not in openus("info", "hc18").stdout
