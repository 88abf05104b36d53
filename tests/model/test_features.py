"""Features are the model's own, in eval mode and in fp32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluation
import numpy as np
import pytest
import torch
from evaluation import images

from model.evaluate import encoders
from model.evaluate.features import exact, extract
from model.params import EncoderParams

folder = evaluation.folder


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


def test_evaluation_is_fp32_whatever_was_set_before() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with exact():
            assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
