"""Stage `shards`: copy the kept bytes into shards, write manifest and build.json."""

import json
from pathlib import Path

from openus import manifest
from openus.build import claim, pack, salt_from, summary
from pipelines.dedup import OUT as DECISIONS
from pipelines.settings import load, write_json

if __name__ == "__main__":
    settings = load()
    claim(settings.out)
    table = manifest.read(DECISIONS / "decisions.parquet")
    rejected = manifest.read(DECISIONS / "rejected.parquet")
    packed = pack(table, rejected, settings.staging, settings.out, settings.params.seed, settings.params.shards)
    counts = json.loads((DECISIONS / "counts.json").read_text(encoding="utf-8"))
    stages = {"pack": {"shards": packed.shards, "samples": packed.samples, "picture_bytes": packed.picture_bytes}}
    summary(settings.out, counts, settings.params, salt_from(), stages)
    total = {name: sum(one[name] for one in counts.values()) for name in ("seen", "kept", "rejected")}
    dropped = {}
    for one in counts.values():
        for reason, number in one["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + number
    write_json(Path("results/shards.json"), total | {"dropped": dropped, "shards": packed.shards})
