"""A small encoder in a folder, what its card may say, and what it is evaluated on: what its tests share.

A test module takes the fixtures by assigning them to names of its own; a second conftest.py would stand in the way of
tests/conftest.py, whose functions are imported by that name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from safetensors.torch import save_file

from model.evaluate import encoders
from model.evaluate.features import Images
from model.params import EncoderParams, EvaluateParams, FinetuneParams
from model.pictures import Shards, read_pictures
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


def digest(corpus: Path) -> str:
    """Of the bytes of bus-bra as they lie in the shards."""
    pictures = read_pictures(corpus, sources=["bus-bra"])
    shards = Shards(pictures)
    return pictures_digest((key, sha256(shards.read(row)).hexdigest()) for row, key in enumerate(pictures.key))


def card(sources: list[str], held_out: Mapping[str, str] | list[str], **more: Any) -> dict[str, Any]:
    gate = {"ok": True, "held_out_sources": held_out}
    return {"sources": {slug: {} for slug in sources}, "gate": gate, "init": None, **more}
