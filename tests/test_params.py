"""Parameters are read strictly, and every file under params/ fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from model.mae import ARCHITECTURES
from model.params import evaluate_params, pretrain_params
from openus import sources
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
        ({"held_out": "bus-bra"}, "held_out: it is no list"),
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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\nseed: 2\n", "line 2: it holds seed twice"),
        ("local: {a: {role: held-out}}\n\nlocal: {a: {anatomy: breast}}\n", "line 3: it holds local twice"),
        ("local:\n  a: {role: held-out}\n  a: {anatomy: breast}\n", "line 3: it holds local.a twice"),
    ],
)
def test_a_key_that_stands_twice_is_an_error(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(ParamsError, match=told):
        from_yaml(tmp_path / "twice.yaml")


def test_aliases_of_yaml_are_no_repetition(tmp_path: Path) -> None:
    (tmp_path / "alias.yaml").write_text("local:\n  a: &same {role: held-out}\n  b: *same\n")
    assert {one.role for one in from_yaml(tmp_path / "alias.yaml").local.values()} == {"held-out"}
    (tmp_path / "ring.yaml").write_text("local: &ring {a: *ring}\n")
    with pytest.raises(ParamsError, match=r"local\.a"):
        from_yaml(tmp_path / "ring.yaml")


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
    pretraining, evaluation = pretrain_params(file), evaluate_params(file)
    assert pretraining.model.architecture in ARCHITECTURES
    assert pretraining.batch % pretraining.micro_batch == 0
    assert set(evaluation.models) <= set(evaluation.encoders)
    assert set(evaluation.benchmarks) <= set(params.sources)
    pipeline = yaml.safe_load(file.read_text())["pipeline"]
    assert set(pipeline) == {"sample", "root", "staging", "out", "workers", "archives"}


@pytest.mark.parametrize("name", ["openus46", "usf-mae"])
def test_the_full_corpus_names_each_of_the_46_once(name: str) -> None:
    params = from_yaml(REPOSITORY / "params" / f"{name}.yaml")
    facts = REPOSITORY.parent / "shared" / "facts" / "datasets"
    cards = {slug: sources.load(slug).card.index for slug in sources.slugs()}
    assert {slug for slug, index in cards.items() if index} <= set(params.sources)
    assert not {slug for slug, index in cards.items() if index is None} & set(params.sources)
    assert len(params.sources) == 46
    if facts.is_dir():
        known = [yaml.safe_load(file.read_text()) for file in facts.glob("*.yaml")]
        assert set(params.sources) == {one["slug"] for one in known if one["index"]}


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ("pretrain: {modle: {}}", "pretrain.modle"),
        ("pretrain: {model: {mask_ratio: 1.0}}", "pretrain.model.mask_ratio"),
        ("pretrain: {augment: {crop_area: [0.5, 0.2]}}", "pretrain.augment"),
        ("pretrain: {augment: {rotate_degrees: [.nan, 1]}}", "pretrain.augment"),
        ("pretrain: {seed: -1}", "pretrain.seed"),
        ("pretrain: {epochs: .inf}", "pretrain.epochs"),
        ("pretrain: {optimiser: {betas: [0.9, 1.0]}}", "pretrain.optimiser.betas"),
        ("pretrain: {precision: fp16}", "pretrain.precision"),
        ("pretrain: [1]", "pretrain is no mapping"),
        ("evaluate: {encoders: {a: {foldr: x}}}", "evaluate.encoders.a.foldr"),
        ("evaluate: {protocols: [knm]}", "evaluate.protocols"),
    ],
)
def test_sections_of_the_model_are_read_strictly(tmp_path: Path, section: str, path: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(section)
    read = pretrain_params if section.startswith("pretrain") else evaluate_params
    with pytest.raises(ParamsError, match=path):
        read(file)
    assert from_yaml(file) == Params()  # a build leaves them alone


def test_the_default_in_force_is_smoke() -> None:
    assert (REPOSITORY / "params.yaml").read_text() == (REPOSITORY / "params" / "smoke.yaml").read_text()
