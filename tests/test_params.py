"""Parameters are read strictly, and every file under params/ fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from openus.errors import ParamsError
from openus.params import Params, digest, from_mapping, from_yaml, to_mapping

REPOSITORY = Path(__file__).resolve().parent.parent


def test_defaults_come_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert from_yaml(tmp_path / "empty.yaml") == from_yaml(None) == Params()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"dedupe": {}}, "dedupe"),
        ({"normalise": {"longst_side": 3}}, "normalise.longst_side"),
        ({"sources": {"busi": {"normalise": {"longest": 3}}}}, "sources.busi.normalise.longest"),
        ({"local": {"a": {"rolle": "pretrain"}}}, "local.a.rolle"),
        ({"local": {"a": {"role": "test"}}}, "local.a.role"),
        ({"seed": "many"}, "seed"),
        ({"shards": {"max_samples": 0}}, "shards.max_samples"),
        ({"normalise": {"longest_side": 0}}, "normalise.longest_side"),
        ({"normalise": {"jpeg_quality": 900}}, "normalise.jpeg_quality"),
        ({"select": {"max_per_clip": -3}}, "select.max_per_clip"),
        ({"dedup": {"verdict": 1.5}}, "dedup.verdict"),
        ({"decode": {"timeout_s": 0}}, "decode.timeout_s"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path(value: dict, path: str) -> None:
    with pytest.raises(ParamsError) as caught:
        from_mapping(value)
    assert path in str(caught.value) and caught.value.exit_code == 2


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    for name, text in (("none.yaml", None), ("bad.yaml", "a: [1"), ("list.yaml", "- 1")):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(ParamsError, match=name):
            from_yaml(tmp_path / name)


def test_a_source_overrides_only_what_it_names() -> None:
    params = from_mapping({"select": {"max_per_clip": 9}, "sources": {"blues": {"normalise": {"longest_side": 99}}}})
    blues = params.for_source("blues")
    assert (blues.normalise.longest_side, blues.select.max_per_clip) == (99, 9)
    assert params.for_source("busi") is params


def test_an_overridden_section_keeps_the_general_values_of_other_keys() -> None:
    params = from_mapping(
        {"select": {"redundant": 0.5, "max_per_clip": 9}, "sources": {"blues": {"select": {"max_per_clip": 3}}}}
    )
    assert (params.for_source("blues").select.redundant, params.for_source("blues").select.max_per_clip) == (0.5, 3)


def test_a_digest_changes_with_its_parts() -> None:
    base = Params()
    assert digest(base.normalise, 1) == digest(Params().normalise, 1) != digest(base.normalise, 2)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "params").glob("*.yaml")), ids=lambda file: file.name)
def test_every_parameter_file_fits(file: Path) -> None:
    params = from_yaml(file)
    assert from_mapping(to_mapping(params)) == params


def test_the_default_in_force_is_smoke() -> None:
    assert (REPOSITORY / "params.yaml").read_text() == (REPOSITORY / "params" / "smoke.yaml").read_text()
