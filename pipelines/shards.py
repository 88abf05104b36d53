"""Stage `shards`: copy the kept bytes into shards, write manifest and build.json."""

import json
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from openus import manifest
from openus.build import Decisions, claim, curated, pack, salt_from, write_summary
from openus.build.staging import locked
from pipelines.dedup import OUT as DECISIONS
from pipelines.settings import load, stage, write_json

if __name__ == "__main__":
    with stage(), ExitStack() as locks:
        settings = load()
        claim(settings.out)
        locks.enter_context(locked(settings.out))
        locks.enter_context(locked(settings.staging))
        counts = json.loads((DECISIONS / "counts.json").read_text(encoding="utf-8"))
        table = manifest.read(DECISIONS / "decisions.parquet")
        rejected = manifest.read(DECISIONS / "rejected.parquet")
        decisions = Decisions(table, rejected, counts)
        began = time.monotonic()
        packed = pack(decisions, settings.staging, settings.out, settings.params.seed, settings.params.shards)
        stages = {
            "curate": {"wall_s": round(sum(curated(settings.staging, slug).wall_s for slug in settings.slugs), 3)},
            "pack": {"wall_s": round(time.monotonic() - began, 3), **asdict(packed)},
        }
        write_summary(settings.out, counts, settings.params, salt_from(), stages)
        total = {name: sum(one[name] for one in counts.values()) for name in ("seen", "kept", "rejected")}
        dropped: dict[str, int] = {}
        for one in counts.values():
            for reason, number in one["dropped"].items():
                dropped[reason] = dropped.get(reason, 0) + number
        write_json(Path("results/shards.json"), total | {"dropped": dropped, "shards": packed.shards})
