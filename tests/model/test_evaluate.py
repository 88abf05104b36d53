"""From a corpus and an encoder to scores: choices see no test picture, weights load whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model import world
from model.card import Origin, origin_of
from model.evaluate import compare, encoders, evaluate, finetune, knn, linear, run
from model.evaluate.__main__ import main
from model.evaluate.choose import Part, balanced, quality
from model.evaluate.features import Images, exact, extract
from model.evaluate.predictions import read
from model.evaluate.run import _seen, units
from model.mae import MaskedAutoencoder
from model.params import (
    EncoderParams,
    EvaluateParams,
    FinetuneParams,
    KnnParams,
    LinearParams,
    ModelParams,
)
from model.pictures import Shards, read_pictures
from model.weights import encoder_state
from openus.errors import CorpusError, OpenusError, UsageError
from openus.shards.read import pictures_digest

OTHER = "0" * 64
TINY = FinetuneParams(lr=(1e-3, 5e-3), epochs=2, warmup_epochs=1.0, batch=8)


def write_folder(folder: Path, card: dict[str, Any] | None = None, size: int = 64) -> Path:
    """A folder as timm has them: a test ViT on one channel with the mean and deviation of a corpus."""
    torch.manual_seed(7)
    model = timm.create_model(
        "test_vit", pretrained=False, num_classes=0, in_chans=1, img_size=size, global_pool="token"
    )
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": "test_vit", "num_classes": 0, "global_pool": "token",
        "model_args": {"img_size": size, "in_chans": 1, "global_pool": "token"},
        "pretrained_cfg": {"input_size": [1, size, size], "fixed_input_size": True, "mean": [0.2], "std": [0.15],
                           "num_classes": 0, "first_conv": "patch_embed.proj", "classifier": "head"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    if card is not None:
        told = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        (folder / "card.json").write_text(json.dumps({"weights": {"encoder": told}, **card}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("encoder") / "ours")


def params(**encoder: Any) -> EvaluateParams:
    return EvaluateParams(
        encoders={"it": EncoderParams(**encoder)}, image_size=64, seeds=(0, 1), bootstrap=50, workers=1, finetune=TINY
    )


def images(corpus: Path, encoder: encoders.Encoder) -> Images:
    return Images(Shards(read_pictures(corpus, sources=["bus-bra"])), encoder, "pad", 1)


# ---- encoders


def test_a_folder_says_how_pictures_are_prepared(folder: Path) -> None:
    found = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    assert (found.architecture, found.channels, found.mean, found.std) == ("test_vit", 1, (0.2,), (0.15,))
    assert not found.seeded and found.sha256 and found.card is None
    one, other = found.build(0), found.build(1)
    x = torch.rand(2, 1, 64, 64)
    direct = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        assert torch.equal(one.eval()(x), direct(x)) and torch.equal(other.eval()(x), direct(x))


def test_another_image_size_resamples_the_position_embedding(folder: Path) -> None:
    model = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 96).build(0).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 1, 96, 96)).shape == (1, 64)
    assert model.state_dict()["pos_embed"].shape == (1, 1 + 6 * 6, 64)
    own = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    assert torch.equal(model.state_dict()["blocks.0.attn.qkv.weight"], own.state_dict()["blocks.0.attn.qkv.weight"])


def test_like_is_the_same_model_with_new_weights_by_the_seed(folder: Path) -> None:
    ours = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    control = encoders.find("it", {"it": EncoderParams(like=str(folder))}, 64)
    assert control.seeded and control.sha256 is None and (control.mean, control.std) == (ours.mean, ours.std)
    name = "blocks.0.attn.qkv.weight"
    first, again, second = (control.build(seed).state_dict()[name] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert first.shape == ours.build(0).state_dict()[name].shape
    assert not torch.equal(first, ours.build(0).state_dict()[name])


def test_building_leaves_the_global_generator_alone(folder: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    encoders.find("it", {"it": EncoderParams(like=str(folder))}, 64).build(0, classes=2)
    assert torch.equal(before, torch.random.get_rng_state())


def _autoencoder() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    small = ModelParams(architecture="vit_test_patch16", image_size=64, channels=3, decoder_depth=1, decoder_width=32,
                        decoder_heads=2)  # fmt: skip
    return MaskedAutoencoder(small).state_dict()


SEEN: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def test_a_file_that_does_not_say_how_it_saw_pictures_is_refused(tmp_path: Path) -> None:
    """A wrong guess would handicap the baseline; for a .pth it is ImageNet's, as facebook's and torchvision's were."""
    save_file(_autoencoder(), tmp_path / "timm.safetensors")
    torch.save(_autoencoder(), tmp_path / "theirs.pth")
    told = EncoderParams(architecture="test_vit", weights=str(tmp_path / "timm.safetensors"))
    with pytest.raises(UsageError, match="does not say how its pictures were normalised"):
        encoders.find("it", {"it": told}, 64)
    told = EncoderParams(architecture="test_vit", weights=str(tmp_path / "theirs.pth"))
    assert encoders.find("it", {"it": told}, 64).mean == (0.485, 0.456, 0.406)


def test_a_file_of_ours_says_what_it_saw_and_how(tmp_path: Path) -> None:
    said = {"mean": [0.1, 0.1, 0.1], "std": [0.2, 0.2, 0.2], "sources": {"busi": {}}, "held_out_sources": {}}
    save_file(_autoencoder(), tmp_path / "mae.safetensors", {"openus": json.dumps(said)})
    told = EncoderParams(architecture="test_vit", weights=str(tmp_path / "mae.safetensors"))
    found = encoders.find("it", {"it": told}, 64)
    assert found.mean == (0.1, 0.1, 0.1) and found.std == (0.2, 0.2, 0.2)
    pictures: Any = None  # not looked at
    with pytest.raises(OpenusError, match="was pre-trained on busi"):
        _seen(found, "busi", pictures)
    absent, notes = _seen(found, "bus-bra", pictures)
    assert absent is None and "not known here" in notes[0]


def test_the_card_beside_a_file_of_before_tells_what_was_overruled(tmp_path: Path) -> None:
    said = {"mean": [0.1], "std": [0.2], "sources": {}, "held_out_sources": {}}
    path = tmp_path / "mae.safetensors"
    save_file(_autoencoder(), path, {"openus": json.dumps(said)})
    told = sha256(path.read_bytes()).hexdigest()
    whole = card([], {}, weights={"mae": told}, gate={"ok": True, "held_out_sources": {}, "overruled": 7})
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/card.json").write_text(json.dumps(whole))
    assert origin_of(path, told) == Origin((0.1,), (0.2,), {}, {}, 7)
    for lacking in ("gate", "init", "sources"):
        rest = {name: value for name, value in whole.items() if name != lacking}
        (tmp_path / "encoder/card.json").write_text(json.dumps(rest))
        with pytest.raises(CorpusError, match=f"is no card of ours: it lacks {lacking}"):
            origin_of(path, told)


def test_what_a_file_says_of_itself_comes_before_what_lies_beside_it(tmp_path: Path) -> None:
    """Our file in a folder of other models: their config.json is not about it."""
    said = {"mean": [0.1], "std": [0.2], "sources": {"busi": {}}, "held_out_sources": {}, "overruled": 3}
    save_file(_autoencoder(), tmp_path / "mae.safetensors", {"openus": json.dumps(said)})
    for beside in ({"mean": [0.5], "std": [0.5]}, {}, []):
        (tmp_path / "config.json").write_text(json.dumps(beside))
        assert origin_of(tmp_path / "mae.safetensors", OTHER) == Origin((0.1,), (0.2,), {"busi": {}}, {}, 3)


def test_a_card_beside_other_weights_of_a_file_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "ours", card(["busi"], {"bus-bra": OTHER}, init=None))
    told = EncoderParams(architecture="test_vit", channels=1, weights=str(path / "model.safetensors"))
    assert encoders.find("it", {"it": told}, 64).sources == {"busi": {}}
    state = {name: value + 1 for name, value in load_file(path / "model.safetensors").items()}
    save_file(state, path / "model.safetensors")
    with pytest.raises(CorpusError, match=r"card\.json tells of other weights"):
        encoders.find("it", {"it": told}, 64)


def test_an_autoencoders_file_loads_without_its_decoder(tmp_path: Path) -> None:
    """As USF-MAE's does under vit_base_patch16_224."""
    state = _autoencoder()
    path = tmp_path / "mae.safetensors"
    save_file(state, path)
    told = EncoderParams(architecture="test_vit", weights=str(path), **SEEN)
    found = encoders.find("it", {"it": told}, 64)
    assert found.mean == (0.5, 0.5, 0.5) and found.channels == 3
    loaded = found.build(0).state_dict()
    assert set(loaded) == set(encoder_state(state)) < set(state)
    assert all(torch.equal(loaded[key], value) for key, value in encoder_state(state).items())


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_weights_with_a_head_of_their_own_load_whole(tmp_path: Path, architecture: str) -> None:
    torch.manual_seed(2)
    source = timm.create_model(architecture, pretrained=False, num_classes=7)
    path = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), path)
    found = encoders.find("it", {"it": EncoderParams(architecture=architecture, weights=str(path), **SEEN)}, 160)
    state = found.build(0).state_dict()
    shared = [key for key in source.state_dict() if key in state]
    assert len(shared) == len(state) and all(torch.equal(state[key], source.state_dict()[key]) for key in shared)
    with torch.inference_mode():
        assert found.build(0, classes=4).eval()(torch.rand(1, 3, 160, 160)).shape == (1, 4)


def test_the_head_of_torchvisions_vgg_is_known() -> None:
    """Without memory: the real file has 500 MB."""
    state = {"classifier.6.weight": torch.empty(9, 4096, device="meta")}
    assert encoders._overlay("vgg19", state, 3)["num_classes"] == 9


@pytest.mark.parametrize("fault", ["missing", "shape", "foreign", "channels"])
def test_weights_that_do_not_fit_are_refused_and_never_half_loaded(tmp_path: Path, fault: str) -> None:
    state = timm.create_model("test_resnet", pretrained=False, num_classes=0).state_dict()
    more: dict[str, Any] = dict(SEEN)
    if fault == "missing":
        del state["layer2.0.conv1.weight"]
    elif fault == "shape":
        state["layer2.0.conv1.weight"] = torch.zeros(3, 3, 3, 3)
    elif fault == "foreign":
        state = {f"module_of_others.{key}": value for key, value in state.items()}
    else:
        more["channels"] = 1
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    found = encoders.find("it", {"it": EncoderParams(architecture="test_resnet", weights=str(path), **more)}, 64)
    with pytest.raises(CorpusError, match="does not fit test_resnet"):
        found.build(0)


def test_a_folder_with_half_of_its_weights_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "half")
    state = timm.create_model(f"local-dir:{path}", pretrained=True).state_dict()
    save_file({key: value for key, value in state.items() if "blocks.1" not in key}, path / "model.safetensors")
    with pytest.raises(CorpusError, match="does not fit test_vit"):
        encoders.find("it", {"it": EncoderParams(folder=str(path))}, 64).build(0, classes=2)


def test_wrong_words_are_said(tmp_path: Path, folder: Path) -> None:
    said: list[tuple[type[OpenusError], dict[str, Any], str]] = [
        (UsageError, {}, "names no encoder"),
        (UsageError, {"folder": "a", "architecture": "b"}, "folder and architecture"),
        (UsageError, {"folder": str(folder), "weights": "w"}, "weights belong to an architecture"),
        (UsageError, {"architecture": "no_such_net"}, "timm makes no no_such_net"),
        (UsageError, {"architecture": "hf-hub:x/y"}, "no architecture of timm"),
        (UsageError, {"folder": str(folder), "channels": 3}, "has 1"),
        (CorpusError, {"folder": str(tmp_path)}, "no folder that timm opens"),
        (CorpusError, {"architecture": "test_vit", "weights": str(tmp_path / "w.pth")}, "There is no file"),
    ]
    for kind, words, text in said:
        with pytest.raises(kind, match=text):
            encoders.find("it", {"it": EncoderParams(**words)}, 64)
    with pytest.raises(UsageError, match="no 'that'"):
        encoders.find("that", {"it": EncoderParams(folder=str(folder))}, 64)


# ---- features


def test_features_are_the_models_on_normalised_pictures_in_order(corpus: Path, folder: Path) -> None:
    encoder = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    source = images(corpus, encoder)
    rows = np.arange(len(source.shards))
    found = extract(source, rows, 0, lambda *_: None)
    assert found.shape == (30, 64) and found.dtype == np.float32
    model = encoder.build(0).eval()
    for row in (0, 17):
        pixels = torch.from_numpy(source.square(row)).float()[None, None] / 255
        with torch.inference_mode():
            assert np.allclose(model((pixels - 0.2) / 0.15)[0], found[row], atol=1e-5)
    many = replace(source, workers=4)
    assert np.array_equal(extract(many, rows, 0, lambda *_: None), found)


def test_features_are_those_of_eval_mode(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []
    build = encoders.Encoder.build

    def built(*given: Any) -> Any:
        model = build(*given).train()
        model.register_forward_hook(lambda module, *_: modes.append(module.training))
        return model

    monkeypatch.setattr(encoders.Encoder, "build", built)
    source = images(corpus, encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64))
    extract(source, np.arange(3), 0, lambda *_: None)
    assert modes == [False]


def test_gray_is_repeated_for_a_model_of_three_channels(corpus: Path) -> None:
    encoder = encoders.find("it", {"it": EncoderParams(architecture="test_resnet", mean=(0.5,), std=(0.25,))}, 64)
    source = images(corpus, encoder)
    batch = source.tensor([source.square(0)], torch.device("cpu"))
    assert batch.shape == (1, 3, 64, 64) and torch.equal(batch[:, 0], batch[:, 2])


# ---- protocols


def clouds(seed: int, count: int = 60, apart: float = 2.0) -> Part[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    return Part((rng.normal(size=(count, 8)) + apart * np.eye(8)[labels]).astype(np.float32), labels)


def test_neighbours_vote_as_the_formula_says() -> None:
    memory, x = clouds(0), clouds(1).x[:5]
    (found,) = knn.votes(memory, x, 3, (7,), 0.07)
    for row, one in enumerate(x):
        cosine = memory.x @ one / np.linalg.norm(memory.x, axis=1) / np.linalg.norm(one)
        near = np.argsort(-cosine)[:7]
        vote = np.array([np.exp(cosine[near][memory.labels[near] == c] / 0.07).sum() for c in range(3)])
        assert np.allclose(found[row], vote / vote.sum(), atol=1e-4)
    every, beyond = knn.votes(memory, x, 3, (60, 999), 0.07)
    assert np.array_equal(every, beyond)


def test_validation_chooses_and_both_parts_are_then_used() -> None:
    train, validation, test = clouds(0), clouds(1), clouds(2)
    fitted = knn.fit(train, validation, 3, KnnParams(k=(1, 30)), "auroc")
    assert fitted.chosen == {"k": 30} and fitted.validation > 0.9
    assert np.allclose(fitted.predict(validation.x[:1]), knn.votes(
        Part(np.concatenate([train.x, validation.x]), np.concatenate([train.labels, validation.labels])),
        validation.x[:1], 3, (30,), 0.07)[0])  # fmt: skip
    strengths = (1e2, 1e-3, 1e-6)
    probe = linear.fit(train, validation, 3, LinearParams(c=strengths), "auroc")
    values = []
    for c in strengths:
        alone = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000, class_weight="balanced"))
        p = alone.fit(train.x, train.labels).predict_proba(validation.x)
        values.append(roc_auc_score(validation.labels, p, multi_class="ovr"))
    assert probe.chosen == {"c": strengths[int(np.argmax(values))], "converged": True}
    assert probe.validation == pytest.approx(max(values), abs=1e-9) and min(values) < max(values)
    found = probe.predict(test.x)
    assert np.allclose(found.sum(axis=1), 1) and roc_auc_score(test.labels, found, multi_class="ovr") > 0.9
    uneven = np.flatnonzero((train.labels < 2) | (np.arange(60) < 12))
    probe = linear.fit(Part(train.x[uneven], train.labels[uneven]), validation, 3, LinearParams(c=(0.1,)), "auroc")
    x, labels = (
        np.concatenate([a[uneven], b]) for a, b in ((train.x, validation.x), (train.labels, validation.labels))
    )
    both = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    assert np.allclose(probe.predict(test.x), both.fit(x, labels).predict_proba(test.x), atol=1e-4)


def test_the_first_of_equals_is_chosen() -> None:
    train, validation = clouds(0, apart=50.0), clouds(1, apart=50.0)
    assert knn.fit(train, validation, 3, KnnParams(k=(5, 1, 9)), "auroc").chosen == {"k": 5}
    assert linear.fit(train, validation, 3, LinearParams(c=(0.1, 1.0)), "f1_macro").chosen["c"] == 0.1


def test_of_equally_near_neighbours_the_earlier_counts() -> None:
    memory = Part(np.ones((4, 3), np.float32), np.array([2, 0, 1, 0]))
    (found,) = knn.votes(memory, memory.x[:1], 3, (1,), 0.07)
    assert found.tolist() == [[0, 0, 1]]


def test_validation_is_scored_by_what_was_asked_for() -> None:
    labels, p = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    both = np.stack([1 - p, p], axis=1)
    assert quality(labels, both, "auroc") == 1
    assert quality(labels, both, "f1_macro") == pytest.approx(f1_score(labels, [0, 0, 0, 0, 1], average="macro"))


def test_a_class_that_training_lacks_has_probability_zero_and_no_convergence_is_told() -> None:
    train, validation = clouds(0), clouds(1)
    two = train.labels != 1
    fitted = linear.fit(Part(train.x[two], train.labels[two]), Part(validation.x[two], validation.labels[two]), 3,
                        LinearParams(c=(1.0,), max_iter=1), "auroc")  # fmt: skip
    found = fitted.predict(validation.x)
    assert (found[:, 1] == 0).all() and (found[:, [0, 2]] > 0).all() and fitted.chosen["converged"] is False


def test_classes_weigh_the_same() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = balanced(labels, 3)
    assert weights[0] * 3 == pytest.approx(weights[1]) and weights[labels].sum() == pytest.approx(4)
    assert weights[2] == 1


# ---- the whole


Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def changed(corpus: Path, tmp_path: Path) -> Callable[[str, Change], Path]:
    """Makes a corpus of the same shards in which a function has changed the rows of bus-bra."""

    def make(name: str, change: Change) -> Path:
        table = pq.read_table(corpus / "manifest.parquet")
        rows = table.to_pylist()
        for row in rows:
            if row["source"] == "bus-bra":
                change(row)
        out = tmp_path / name
        out.mkdir()
        (out / "shards").symlink_to(corpus / "shards")
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), out / "manifest.parquet")
        return out

    return make


@pytest.mark.parametrize("protocol", ["knn", "linear", "finetune"])
def test_no_choice_depends_on_the_test_part(
    changed: Callable[[str, Change], Path], corpus: Path, folder: Path, tmp_path: Path, protocol: str
) -> None:
    other = read_pictures(corpus, role="pretrain").take([0])
    address = ("shard", "offset", "size", "width", "height", "sha256")

    def listed(row: dict[str, Any]) -> None:
        row["split"] = "val" if row["split"] in ("fold-1", "fold-2") else "train"

    def labels_swapped(row: dict[str, Any]) -> None:
        listed(row)
        if row["split"] == "val":
            row["label"] = {"benign": "malignant", "malignant": "benign"}[row["label"]]

    def other_pixels(row: dict[str, Any]) -> None:
        listed(row)
        if row["split"] == "val":
            row.update({name: getattr(other, name)[0] for name in address})

    chosen = params(folder=str(folder))
    found = [
        evaluate(changed(name, change), "bus-bra", "it", protocol, chosen, tmp_path / f"{name}-out")
        for name, change in (("as-is", listed), ("labels", labels_swapped), ("pixels", other_pixels))
    ]
    as_is, labels, pixels = found
    assert as_is["choices"] == labels["choices"] == pixels["choices"]
    p = [read(tmp_path / f"{name}-out" / "predictions.parquet").probabilities for name in ("as-is", "labels", "pixels")]
    assert np.array_equal(p[0], p[1])  # labels of test pictures reach nothing that predicts
    assert not np.array_equal(p[0], p[2]) and as_is["metrics"] != labels["metrics"]  # yet both were changed


@pytest.mark.parametrize("protocol", ["knn", "linear", "finetune"])
def test_official_folds_are_tested_once_a_seed_and_written_alike_again(
    corpus: Path, folder: Path, tmp_path: Path, protocol: str
) -> None:
    chosen = replace(params(like=str(folder)), finetune=replace(TINY, lr=(1e-3,), epochs=1))
    for name in ("one", "two"):
        result = evaluate(corpus, "bus-bra", "it", protocol, chosen, tmp_path / name)
        torch.manual_seed(0)  # whatever the global generator is
    for file in ("predictions.parquet", "metrics.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    rows = pq.read_table(tmp_path / "one" / "predictions.parquet").to_pylist()
    truth = pq.read_table(corpus / "manifest.parquet").to_pylist()
    truth = {row["key"]: row for row in truth if row["source"] == "bus-bra"}
    assert [(row["seed"], row["key"]) for row in rows] == [(s, key) for s in (0, 1) for key in sorted(truth)]
    assert list(rows[0]) == ["key", "group", "label", "fold", "seed", "p/benign", "p/malignant"]
    for row in rows:
        of = truth[row["key"]]
        assert (row["group"], row["label"], row["fold"]) == (of["patient_id"], of["label"], of["split"])
        assert row["p/benign"] + row["p/malignant"] == pytest.approx(1)
    assert json.loads((tmp_path / "one" / "metrics.json").read_text()) == result
    assert result["predictions"] == sha256((tmp_path / "one" / "predictions.parquet").read_bytes()).hexdigest()
    assert result["data"]["pictures"] == 30 and result["data"]["patients"] == 20
    assert len(result["choices"]) == 10 and result["encoder"]["weights"] == "new"
    first = [row for row in rows if row["seed"] == 0]
    second = [row for row in rows if row["seed"] == 1]
    each = [
        roc_auc_score([r["label"] == "malignant" for r in s], [r["p/malignant"] for r in s]) for s in (first, second)
    ]
    assert result["metrics"]["auroc/malignant"]["value"] == pytest.approx(np.mean(each), abs=1e-6)


def test_new_weights_are_drawn_for_each_seed_and_given_ones_are_the_same(
    corpus: Path, folder: Path, tmp_path: Path
) -> None:
    """With k fixed, neighbours (training and validation together) differ between seeds by the weights alone."""
    for name, same in (("folder", True), ("like", False)):
        chosen = replace(params(**{name: str(folder)}), knn=KnnParams(k=(3,)))
        evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / name)
        first, second = read(tmp_path / name / "predictions.parquet").probabilities
        assert np.allclose(first, second) is same


def test_validation_is_drawn_anew_for_each_seed(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[tuple[int, str], list[int]] = {}
    fit = run._fit

    def watched(job: Any, features: Any, train: Any, validation: Any, seed: int, fold: str) -> Any:
        drawn[seed, fold] = validation.tolist()
        return fit(job, features, train, validation, seed, fold)

    monkeypatch.setattr(run, "_fit", watched)
    evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(folder)), tmp_path / "out")
    assert len(drawn) == 10 and all(drawn[0, f"fold-{k}"] != drawn[1, f"fold-{k}"] for k in range(1, 6))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_learns(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, precision: Literal["fp32", "bf16"]
) -> None:
    """Pictures whose class is plain to see are told apart, and not at a rate of nothing.

    CPUs have bf16, if slowly: what is trained in it predicts in fp32.
    """
    computed: list[tuple[bool, torch.dtype]] = []

    def watched(module: Any, _: Any, output: Any) -> None:
        computed.append((module.training, output.dtype))

    monkeypatch.setattr(world, "has_bf16", lambda device: True)
    build = encoders.Encoder.build

    def built(*given: Any) -> Any:
        model = build(*given)
        model.get_classifier().register_forward_hook(watched)
        return model

    monkeypatch.setattr(encoders.Encoder, "build", built)
    encoder = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64)
    source = images(corpus, encoder)
    bright = np.array([source.square(row).mean() for row in range(30)])
    rows = np.argsort(bright)[np.r_[0:10, 20:30]]
    labels = np.r_[np.zeros(10, dtype=np.int64), np.ones(10, dtype=np.int64)]
    odd = np.arange(20) % 2 == 1
    tuned = FinetuneParams(lr=(2e-3, 1e-9), epochs=8, warmup_epochs=1.0, batch=5, layer_decay=0.9, precision=precision)
    told: list[tuple[str, int, int]] = []
    task = finetune.Task(source, 2, tuned, "auroc", 0, lambda *words: told.append(words), "fold")
    fitted = finetune.fit(task, Part(rows[odd], labels[odd]), Part(rows[~odd], labels[~odd]))
    assert fitted.chosen["lr"] == 2e-3 and fitted.validation > 0.85
    assert [done for _, done, _ in told] == list(range(1, 17))
    again = roc_auc_score(labels[~odd], fitted.predict(rows[~odd])[:, 1])
    assert again == pytest.approx(fitted.validation)
    assert set(computed) == {
        (True, torch.bfloat16 if precision == "bf16" else torch.float32),
        (False, torch.float32),
    }


@pytest.mark.parametrize("has", [False, True])
def test_the_precision_of_training_is_told(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    for place in ("model.world", "model.evaluate.run"):
        monkeypatch.setattr(f"{place}.has_bf16", lambda device: has)
    quick = replace(TINY, lr=(1e-3,), epochs=1, precision="bf16")
    chosen = replace(params(folder=str(folder)), seeds=(0,), finetune=quick)
    notes = evaluate(corpus, "bus-bra", "it", "finetune", chosen, tmp_path / "out")["notes"]
    assert any("Fine-tuned in bf16" in note for note in notes) is has
    assert any("fine-tuned in fp32" in note for note in notes) is not has
    assert not any("bf16" in note for note in evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / "k")["notes"])


@pytest.mark.parametrize(("said", "rate", "epoch"), [([0.2, 0.9, 0.1, 0.3], 0, 2), ([0.2, 0.1, 0.8, 0.3], 1, 1)])
def test_the_weights_that_validation_liked_best_are_kept(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, said: list[float], rate: int, epoch: int
) -> None:
    source = images(corpus, encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64))
    seen: list[NDArray[np.float64]] = []

    def scripted(labels: Any, probabilities: NDArray[np.float64], by: Any) -> float:
        seen.append(probabilities)
        return said[len(seen) - 1]

    monkeypatch.setattr(finetune, "quality", scripted)
    task = finetune.Task(source, 2, replace(TINY, epochs=2), "auroc", 0, lambda *_: None, "fold")
    validation = Part(np.arange(20, 30), np.arange(10) % 2)
    fitted = finetune.fit(task, Part(np.arange(20), np.arange(20) % 2), validation)
    assert fitted.chosen == {"lr": TINY.lr[rate], "epoch": epoch} and fitted.validation == max(said)
    found = fitted.predict(validation.x)
    assert [np.allclose(found, one, atol=1e-9) for one in seen] == [value == max(said) for value in said]


@pytest.mark.parametrize(
    ("losses", "rate", "epoch"),
    [([3.0, 1.0, 2.0, 2.0], 0, 2), ([2.0, 2.0, 2.0, 2.0], 0, 1), ([2.0, 2.0, 1.0, 1.0], 1, 1)],
)
def test_of_equal_scores_the_smaller_loss_counts_and_then_the_earlier(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, losses: list[float], rate: int, epoch: int
) -> None:
    told = iter(losses)
    monkeypatch.setattr(finetune, "quality", lambda *_: 0.5)
    monkeypatch.setattr(finetune, "_loss", lambda *_: next(told))
    task = task_of(corpus, folder)
    fitted = finetune.fit(task, Part(np.arange(8), np.arange(8) % 2), Part(np.arange(20, 24), np.arange(4) % 2))
    assert fitted.chosen == {"lr": TINY.lr[rate], "epoch": epoch}


def task_of(corpus: Path, folder: Path, seed: int = 0) -> finetune.Task:
    source = images(corpus, encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64))
    return finetune.Task(source, 2, TINY, "auroc", seed, lambda *_: None, "fold")


def test_a_rate_that_diverges_ends_and_what_it_reached_before_stays(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, calls = finetune._predict, []

    def diverging(*given: Any) -> NDArray[np.float64]:
        calls.append(given)
        return predict(*given) * (np.nan if len(calls) == 2 else 1)

    monkeypatch.setattr(finetune, "_predict", diverging)
    monkeypatch.setattr(finetune, "quality", lambda labels, found, by: 1.0 if len(calls) < 3 else 0.0)
    task = replace(task_of(corpus, folder), params=replace(TINY, lr=(1e-3, 5e-3), epochs=3))
    fitted = finetune.fit(task, Part(np.arange(8), np.arange(8) % 2), Part(np.arange(20, 24), np.arange(4) % 2))
    assert fitted.chosen == {"lr": 1e-3, "epoch": 1} and len(calls) == 2 + 3


def test_order_and_crops_are_drawn_for_each_epoch_and_seed_and_nothing_else_is(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, list[int], NDArray[np.uint8]]] = []
    seeds: list[int] = []
    jobs = finetune._jobs

    def watched(task: finetune.Task, train: Part[Any], parts: list[Any], epoch: int) -> Any:
        same = jobs(task, train, [np.array([3])], epoch)[0][0]()  # of one place, whatever the order
        made.append((task.seed, np.concatenate(parts).tolist(), same))
        seeds.append(torch.initial_seed())  # of what drop path draws
        return jobs(task, train, parts, epoch)

    monkeypatch.setattr(finetune, "_jobs", watched)
    state = torch.get_rng_state()
    for seed in (0, 1):
        task = replace(task_of(corpus, folder, seed), params=replace(TINY, lr=(1e-3, 5e-3)))
        finetune.fit(task, Part(np.arange(12), np.arange(12) % 2), Part(np.arange(20, 24), np.arange(4) % 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert seeds == [*seeds[:2], *seeds[:2], *seeds[4:6], *seeds[4:6]] and len(set(seeds)) == 4
    assert len(made) == 8 and all(sorted(order) == list(range(12)) for _, order, _ in made)
    for seed in (made[:4], made[4:]):  # two epochs at each of two rates
        assert seed[0][1] == seed[2][1] != seed[1][1] == seed[3][1]
        assert np.array_equal(seed[0][2], seed[2][2]) and not np.array_equal(seed[0][2], seed[1][2])
    assert not np.array_equal(made[0][2], made[4][2])


def test_the_loss_of_validation_weighs_classes_alike() -> None:
    p = np.array([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75], [0.25, 0.75]])
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert finetune._loss(p, np.array([0, 1, 1, 1]), 2) == pytest.approx(expected)


def test_layers_near_the_input_learn_slower_and_vectors_do_not_decay(folder: Path) -> None:
    model = encoders.find("it", {"it": EncoderParams(folder=str(folder))}, 64).build(0, classes=2)
    optimiser = finetune._optimiser(model, 1.0, FinetuneParams(), 0.5)
    finetune._set_rate(optimiser, 1.0)
    by_tensor = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    of = {name: by_tensor[id(p)] for name, p in model.named_parameters()}
    assert len(of) == len(by_tensor)
    assert of["head.weight"]["lr"] == 1.0
    assert (
        of["patch_embed.proj.weight"]["lr"] < of["blocks.0.mlp.fc1.weight"]["lr"] < of["blocks.5.mlp.fc1.weight"]["lr"]
    )
    assert of["head.weight"]["weight_decay"] == 0.05
    assert of["norm.weight"]["weight_decay"] == of["pos_embed"]["weight_decay"] == of["head.bias"]["weight_decay"] == 0


def test_new_weights_are_trained_at_one_rate_and_the_decay_in_force_is_recorded(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control whose first layers are held at random would be weaker than it is."""
    seen: list[torch.optim.AdamW] = []

    def watched(*given: Any) -> torch.optim.AdamW:
        seen.append(make(*given))
        return seen[-1]

    make = finetune._optimiser
    monkeypatch.setattr(finetune, "_optimiser", watched)
    for name, decay in (("folder", 0.5), ("like", 1.0)):
        seen.clear()
        tuned = replace(TINY, lr=(1e-3,), epochs=1, layer_decay=0.5)
        chosen = replace(params(**{name: str(folder)}), seeds=(0,), finetune=tuned)
        found = evaluate(corpus, "bus-bra", "it", "finetune", chosen, tmp_path / name)
        assert found["params"]["finetune"]["layer_decay"] == decay
        scales = {group["lr_scale"] for optimiser in seen for group in optimiser.param_groups}
        assert len(seen) == 5 and (scales == {1.0} if decay == 1 else min(scales) < 0.02)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    one = FinetuneParams(epochs=10, warmup_epochs=2.0)
    rates = [finetune._schedule(epoch / 10, one) for epoch in range(100)]
    assert rates[10] == 0.5 and rates[20] == 1.0 == max(rates) and rates[-1] < 0.01
    assert rates[:20] == sorted(rates[:20]) and rates[20:] == sorted(rates[20:], reverse=True)


# ---- what an encoder may be tested on


def digest(corpus: Path) -> str:
    """Of the bytes of bus-bra as they lie in the shards."""
    pictures = read_pictures(corpus, sources=["bus-bra"])
    shards = Shards(pictures)
    return pictures_digest((key, sha256(shards.read(row)).hexdigest()) for row, key in enumerate(pictures.key))


def card(sources: list[str], held_out: Mapping[str, str] | list[str], **more: Any) -> dict[str, Any]:
    gate = {"ok": True, "held_out_sources": held_out}
    return {"sources": {slug: {} for slug in sources}, "gate": gate, "init": None, **more}


def test_an_encoder_is_not_tested_on_what_it_was_trained_on(corpus: Path, tmp_path: Path) -> None:
    path = write_folder(tmp_path / "trained", card(["busi", "bus-bra"], {}))
    with pytest.raises(OpenusError, match="was pre-trained on bus-bra") as caught:
        evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")
    assert caught.value.exit_code == 1 and not (tmp_path / "out").exists()
    control = evaluate(corpus, "bus-bra", "it", "knn", params(like=str(path)), tmp_path / "out")
    assert control["encoder"]["proven_absent"] is None


@pytest.mark.parametrize("text", ['{"weights": {"encoder": "0"}}', "{}", "[]", "{"])
def test_a_card_speaks_for_its_own_weights_only(corpus: Path, tmp_path: Path, text: str) -> None:
    path = write_folder(tmp_path / "copied", card([], {}))
    (path / "card.json").write_text(text)
    with pytest.raises(CorpusError, match=r"card\.json"):
        evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")


def test_what_a_person_overruled_is_told_beside_every_score(corpus: Path, tmp_path: Path) -> None:
    """Also of the weights that pre-training started from, and also where nothing is proven."""
    start = {"name": "mae.safetensors", "sha256": OTHER, "sources": {}, "held_out_sources": {"bus-bra": digest(corpus)}}
    gate = {"ok": True, "held_out_sources": {"bus-bra": digest(corpus)}, "overruled": 2}
    for number, (card_, proven) in enumerate(
        (
            ({"sources": {}, "gate": gate, "init": {**start, "overruled": 7}}, True),
            ({"sources": {}, "gate": gate, "init": {**start, "overruled": 7, "held_out_sources": {}}}, False),
        )
    ):
        path = write_folder(tmp_path / f"on{number}", card_)
        found = evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")
        assert found["encoder"]["proven_absent"] is proven
        assert any("The gate found 9 look-alikes" in note for note in found["notes"])


def test_bytes_that_the_manifest_does_not_tell_of_are_not_scored(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    """Shards of another build: what the card proves absent are not these pictures."""
    here = changed("other", lambda row: row.update(sha256=OTHER))
    with pytest.raises(CorpusError, match=r"bus-bra-.* are not those that the manifest tells of"):
        evaluate(here, "bus-bra", "it", "knn", params(folder=str(folder)), tmp_path / "out")


def test_a_corpus_built_anew_while_it_is_read_has_no_scores(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    here = changed("here", lambda row: None)

    def build_anew(what: str, done: int, total: int | None) -> None:
        manifest = here / "manifest.parquet"
        table = pq.read_table(manifest)
        pq.write_table(table.slice(1), manifest)

    with pytest.raises(CorpusError, match="was changed while it was read"):
        evaluate(here, "bus-bra", "it", "knn", params(folder=str(folder)), tmp_path / "out", build_anew)
    assert not (tmp_path / "out").exists()


def test_evaluation_is_fp32_whatever_was_set_before() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with exact():
            assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


STRANGER = {"name": "usf-mae.pth", "sources": None}


@pytest.mark.parametrize(
    ("held_out", "more", "said"),
    [
        ("these", {}, None),
        ("none", {}, "was not held out"),
        ("these", {"gate": {"ok": False, "held_out_sources": {}}}, "was not held out"),
        ("these", {"init": STRANGER}, "other weights"),
        ("other", {}, "other pictures called bus-bra"),
        ("list", {}, "does not say which"),  # a card of before: a name, and no picture
        ("these", {"init": {**STRANGER, "sources": [], "held_out_sources": {"bus-bra": OTHER}}}, "started from were"),
        ("these", {"init": {**STRANGER, "sources": [], "held_out_sources": ["bus-bra"]}}, "started from were"),
    ],
)
def test_absence_is_proven_by_the_gate_alone_and_of_these_pictures(
    corpus: Path, tmp_path: Path, held_out: str, more: dict[str, Any], said: str | None
) -> None:
    named: dict[str, Any] = {
        "these": {"bus-bra": digest(corpus)}, "none": {}, "other": {"bus-bra": OTHER}, "list": ["bus-bra"]
    }  # fmt: skip
    path = write_folder(tmp_path / "ours", card(["busi"], named[held_out]) | more)
    chosen = replace(params(folder=str(path)), bootstrap=1)
    found = evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert found["encoder"]["proven_absent"] is (said is None)
    assert said is None or any(said in note for note in found["notes"])


def test_other_bytes_of_a_benchmark_are_not_what_the_gate_compared(
    changed: Callable[[str, Change], Path], corpus: Path, tmp_path: Path
) -> None:
    """One picture of another build, which has no label and is not tested: the gate saw another benchmark."""
    path = write_folder(tmp_path / "ours", card(["busi"], {"bus-bra": digest(corpus)}))
    first = read_pictures(corpus, sources=["bus-bra"]).key[0]

    def unlabelled(row: dict[str, Any]) -> None:
        if row["key"] == first:
            row["label"] = None

    def of_another_seed(row: dict[str, Any]) -> None:
        unlabelled(row)
        if row["key"] == first:
            row["sha256"] = OTHER

    for change, proven in ((unlabelled, True), (of_another_seed, False)):
        here = changed(change.__name__, change)
        found = evaluate(here, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / f"{proven}-out")
        assert found["data"]["pictures"] == 29 and found["encoder"]["proven_absent"] is proven


def test_weights_that_ours_started_from_pass_their_own_proof_on(corpus: Path, tmp_path: Path) -> None:
    """A run that goes on from a run of ours: what that one trained on counts, and so does what it held out."""
    start = {"name": "encoder", "sources": ["hc18"], "held_out_sources": {"bus-bra": digest(corpus)}}
    path = write_folder(tmp_path / "on", card(["local-ward"], {"bus-bra": digest(corpus)}, init=start))
    found = evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "out")
    assert found["encoder"]["proven_absent"] is True and not any("proven" in note for note in found["notes"])
    start = {"name": "encoder", "sources": ["hc18", "bus-bra"]}
    path = write_folder(tmp_path / "seen", card(["local-ward"], {"bus-bra": digest(corpus)}, init=start))
    with pytest.raises(OpenusError, match="was pre-trained on bus-bra"):
        evaluate(corpus, "bus-bra", "it", "knn", params(folder=str(path)), tmp_path / "none")


def test_what_is_tested_is_counted_and_what_is_not_known_is_noted(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    """Half of the patients unknown; two known ones look alike; a class so rare that some resamples have none."""
    names: dict[str, str] = {}

    def change(row: dict[str, Any]) -> None:
        case = names.setdefault(row["patient_id"], f"{len(names):02}")
        number = int(case)
        row.update(split=None, patient_id=f"bus-bra:{case}" if number < 10 else None, cluster=None, study_id=None)
        row["video_id"] = None if number < 10 else f"bus-bra:clip-{case}"
        row["label"] = "rare" if number in (2, 3, 12, 13) else "usual"
        if number < 2:
            row["cluster"] = "twins"

    chosen = replace(params(folder=str(folder)), folds=2, seeds=(0,), bootstrap=400)
    found = evaluate(changed("half", change), "bus-bra", "it", "knn", chosen, tmp_path / "out")
    data, notes = found["data"], " ".join(found["notes"])
    assert (data["pictures"], data["groups"], data["patients"]) == (30, 19, 20)
    assert data["classes"]["rare"]["patients"] == 4 and data["rule"] == "drawn by group"
    assert f"patient of {data['patients_unknown']} pictures is unknown" in notes and "19 in all" in notes
    assert "scores may be too high" in notes and "1 groups hold several patients" in notes
    fewer = 400 - found["metrics"]["auroc_macro"]["resamples"]
    assert fewer > 0 and f"not drawn in up to {fewer} of 400 resamples" in notes and "auroc_macro" in notes
    assert found["params"]["target"] == "label" and found["params"]["folds"] == 2
    assert units(data) == units({"groups": 19, "patients": 20, "patients_unknown": 0}) == "groups"
    assert units({"groups": 20, "patients": 20, "patients_unknown": 0}) == "patients"


def test_a_class_that_cannot_be_parted_is_left_out_by_name(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    patients: list[str] = []

    def change(row: dict[str, Any]) -> None:
        patients.append(row["patient_id"])
        row.update(split=None, cluster=None, label="rare" if row["patient_id"] == patients[0] else row["label"])

    here = changed("rare", change)
    chosen = replace(params(folder=str(folder)), folds=2, seeds=(0,))
    with pytest.raises(UsageError, match="tests rare") as caught:
        evaluate(here, "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert "evaluate.leave_out" in str(caught.value.hint)
    found = evaluate(here, "bus-bra", "it", "knn", replace(chosen, leave_out=("rare",)), tmp_path / "out")
    count = patients.count(patients[0])
    assert list(found["data"]["classes"]) == ["benign", "malignant"] and found["data"]["pictures"] == 30 - count
    assert f"{count} pictures of the class 'rare' are left out." in found["notes"]
    assert found["params"]["leave_out"] == ["rare"]
    with pytest.raises(UsageError, match="leave_out names 'rar', which no picture has"):
        evaluate(here, "bus-bra", "it", "knn", replace(chosen, leave_out=("rar",)), tmp_path / "out")


def test_label_words_that_may_be_one_or_none_are_noted_and_never_merged(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def change(row: dict[str, Any]) -> None:
        row.update(label=("benign", " Benign", "malignant", "NaN")[len(seen) % 4], split=None, patient_id=None)
        row.update(cluster=None, study_id=None, video_id=None)
        seen.append(row["label"])

    chosen = replace(params(folder=str(folder)), folds=2, seeds=(0,))
    found = evaluate(changed("odd", change), "bus-bra", "it", "knn", chosen, tmp_path / "out")
    notes = [note for note in found["notes"] if note.startswith("The class")]
    assert len(found["data"]["classes"]) == 4 and len(notes) == 2
    assert "' Benign', 'benign' differ in case or spaces" in notes[0] and "'NaN' reads as if nothing" in notes[1]


@pytest.mark.parametrize("given", [{"architecture": "test_vit"}, {"folder": True}, {"like": True}])
def test_a_size_that_patches_do_not_fill_is_refused_before_any_work(
    folder: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    """There is not even a corpus."""
    named = {name: value if name == "architecture" else str(folder) for name, value in given.items()}
    chosen = replace(params(**named), image_size=100)
    with pytest.raises(UsageError, match=r"evaluate\.image_size is 100, no multiple of the 16 pixels") as caught:
        evaluate(tmp_path / "none", "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert "96 or 112" in str(caught.value.hint)
    assert encoders.find("it", {"it": EncoderParams(architecture="test_resnet")}, 100).image_size == 100


def test_an_own_labelled_archive_is_split_by_its_patients(
    changed: Callable[[str, Change], Path], folder: Path, tmp_path: Path
) -> None:
    def own(row: dict[str, Any]) -> None:
        row.update(source="local-own", role="pretrain", split=None)

    here = changed("own", own)
    chosen = replace(params(folder=str(folder)), folds=3)
    found = evaluate(here, "local-own", "it", "knn", chosen, tmp_path / "out")
    assert found["data"]["rule"] == "drawn by group" and list(found["data"]["folds"]) == [
        f"drawn-{f}" for f in (1, 2, 3)
    ]
    assert found["data"]["pictures"] == 30 and found["data"]["straddling_patients"] == 0
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    folds = {group: {row["fold"] for row in rows if row["group"] == group} for group in {row["group"] for row in rows}}
    assert len(folds) == 20 and all(len(of) == 1 for of in folds.values())


def test_the_view_is_a_target_too_and_what_has_no_word_is_said(corpus: Path, folder: Path, tmp_path: Path) -> None:
    chosen = replace(params(folder=str(folder)), target="view", seeds=(0,))
    found = evaluate(corpus, "bus-bra", "it", "knn", chosen, tmp_path / "out")
    assert set(found["data"]["classes"]) <= {"left", "right", "single"} and found["data"]["target"] == "view"
    with pytest.raises(UsageError, match="no label"):
        evaluate(corpus, "local-dicom", "it", "knn", params(folder=str(folder)), tmp_path / "none")


# ---- comparison and command line


def test_two_models_are_compared_on_the_same_pictures_only(corpus: Path, folder: Path, tmp_path: Path) -> None:
    chosen = replace(params(folder=str(folder)), encoders={
        "a": EncoderParams(folder=str(folder)), "b": EncoderParams(like=str(folder))})  # fmt: skip
    scores = {m: evaluate(corpus, "bus-bra", m, "linear", chosen, tmp_path / m)["metrics"] for m in "ab"}
    files = [tmp_path / m / "predictions.parquet" for m in "ab"]
    found = compare(*files, resamples=100)
    expected = scores["a"]["f1_macro"]["value"] - scores["b"]["f1_macro"]["value"]
    assert found["f1_macro"]["value"] == pytest.approx(expected, abs=2e-6)
    assert set(found["f1_macro"]) == {"value", "low", "high", "p", "resamples"}
    evaluate(corpus, "bus-bra", "a", "linear", replace(chosen, seeds=(5,)), tmp_path / "c")
    with pytest.raises(UsageError, match="differ in their seeds"):
        compare(files[0], tmp_path / "c" / "predictions.parquet", resamples=10)
    with pytest.raises(CorpusError, match="holds no predictions"):
        read(corpus / "manifest.parquet")


def test_the_command_prints_scores_and_says_errors_in_one_sentence(corpus: Path, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        f"evaluate: {{image_size: 64, seeds: [0], bootstrap: 20, workers: 1, encoders: {{it: {{folder: {folder}}}}}}}"
    )

    def run(*words: object) -> Any:
        return CliRunner().invoke(main, [str(word) for word in words])

    same = ["--corpus", corpus, "--params", file, "--model", "it", "--out", tmp_path / "out"]
    ran = run(*same, "--benchmark", "bus-bra", "--protocol", "knn")
    assert ran.exit_code == 0 and "auroc_macro" in ran.stdout and "20 patients" in ran.stdout
    assert (tmp_path / "out" / "metrics.json").exists() and (tmp_path / "out" / "predictions.parquet").exists()
    for words, code, said in (
        (["--benchmark", "bus-bra", "--protocol", "svm"], 2, "no protocol 'svm'"),
        (["--benchmark", "bus-brb", "--protocol", "knn"], 2, "no kept picture of bus-brb; sources with a label: "),
        (["--benchmark", "hc18-2", "--protocol", "knn"], 2, "bus-bra"),
        (["--benchmark", "bus-bra", "--protocol", "knn", "--model", "other"], 2, "'other'"),
    ):
        ran = run(*same, *words)
        assert ran.exit_code == code and said in ran.stderr and "Traceback" not in ran.stderr
        assert ran.stderr.count("\n") == 1
