"""Stage `pretrain`: masked pre-training on the shards that the gate let through. Goes on where it was stopped."""

import json
from pathlib import Path

from model.params import pretrain_params
from model.pretrain import pretrain
from model.world import join
from pipelines.settings import FILE, load, stage, write_json

OUT = Path("results/pretrain")

if __name__ == "__main__":
    with stage():
        settings = load()
        with join() as world:
            folder = pretrain(
                settings.out, Path("results/verdict.json"), pretrain_params(FILE), OUT, world, replace=True
            )
        if world.leads:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            write_json(Path("results/pretrain.json"), card["training"])
