"""A verdict lets a corpus through to training if it is of this very corpus, and of a gate that looked closely."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import openus, verdict_of

from openus.errors import CorpusError, UsageError
from openus.leakage import admit


def test_the_gate_lets_through_what_it_read(corpus: Path, gate: Path) -> None:
    verdict = admit(corpus, gate)
    assert set(verdict.held_out_sources) == {"bus-bra"} and verdict.pretrain > 100 and verdict.held_out == 30


def test_a_shut_gate_stops_training_before_it_starts(corpus: Path, gate: Path, tmp_path: Path) -> None:
    leaks = [{"rule": "near", "pretrain_key": "a", "held_out_key": "b", "detail": ""}] * 10
    with pytest.raises(CorpusError, match=r"leakage gate has not passed: 10 findings \(10 near\)"):
        admit(corpus, verdict_of(gate, tmp_path, ok=False, leaks=leaks))


def test_a_corpus_that_the_gate_did_not_read_is_refused(corpus: Path, gate: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "shards").mkdir(parents=True)
    for file in [corpus / "manifest.parquet", *(corpus / "shards").iterdir()]:
        (other / file.relative_to(corpus)).write_bytes(file.read_bytes())
    assert admit(other, gate).digest == admit(corpus, gate).digest
    shard = next((other / "shards").glob("pretrain-*.tar"))
    content = bytearray(shard.read_bytes())
    content[3000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorpusError, match="another corpus"):
        admit(other, gate)


def test_a_gate_that_looked_less_closely_is_refused(corpus: Path, gate: Path, tmp_path: Path) -> None:
    """What a weaker search lets through is not let through, e.g. near copies where equal pixels were looked for."""
    params = json.loads(gate.read_text())["params"]
    for changed in ({"near": False}, {"verdict": 0.95}, {"candidate": 0.9}, {"neighbours": 1}):
        with pytest.raises(CorpusError, match="less closely"):
            admit(corpus, verdict_of(gate, tmp_path, params=params | changed))
    admit(corpus, verdict_of(gate, tmp_path, params=params | {"verdict": 0.7}))


def test_a_gate_that_left_out_what_the_corpus_holds_out_is_refused(corpus: Path, tmp_path: Path) -> None:
    """Compared with a picture of noise, every corpus is clean."""
    cv2.imwrite(str(tmp_path / "noise.png"), np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8))
    ran = openus("check-leakage", "--pretrain", corpus, "--held-out", tmp_path, "--json")
    assert ran.exit_code == 0
    (tmp_path / "verdict.json").write_text(ran.stdout)
    with pytest.raises(CorpusError, match="holds out bus-bra, but"):
        admit(corpus, tmp_path / "verdict.json")


def test_a_gate_that_compared_with_other_pictures_of_a_held_out_source_is_refused(
    corpus: Path, gate: Path, tmp_path: Path
) -> None:
    compared = json.loads(gate.read_text())["compared"]
    compared["held_out"]["sources"]["bus-bra"] = "0" * 64
    with pytest.raises(CorpusError, match="holds out bus-bra, but"):
        admit(corpus, verdict_of(gate, tmp_path, compared=compared))


def test_a_verdict_that_lists_leaks_has_not_passed_whatever_it_says(corpus: Path, gate: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"1 findings \(1 near\)"):
        admit(corpus, verdict_of(gate, tmp_path, leaks=[{"rule": "near"}]))


def test_a_gate_that_compared_with_nothing_proves_nothing(corpus: Path, gate: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no held-out picture"):
        admit(corpus, verdict_of(gate, tmp_path, held_out=0))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ok": true}', "\x00", '{"ok": "false", "leaks": null}'])
def test_no_verdict_is_told_of(corpus: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "verdict.json"
    file.write_text(content)
    with pytest.raises(UsageError, match="no verdict"):
        admit(corpus, file)
    with pytest.raises(UsageError, match="left no verdict"):
        admit(corpus, tmp_path / "absent.json")
