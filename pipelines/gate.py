"""Stage `gate`: prove on the shards' own bytes that nothing held out is trained on. A leak stops the pipeline.

How closely the gate looks does not depend on how duplicates were removed.
"""

import sys
from collections import Counter
from pathlib import Path

from openus import leakage
from openus.dedup.adjudicate import adjudications
from openus.params import DedupParams
from openus.storage import write_text
from pipelines.dedup import ADJUDICATED
from pipelines.settings import load, stage, write_json

if __name__ == "__main__":
    with stage():
        settings = load()
        corpus = settings.out / "manifest.parquet"
        pretrain, held_out = leakage.sides(corpus, corpus, settings.params)
        found = leakage.check(pretrain, held_out, DedupParams(), adjudications(ADJUDICATED))
        write_text(Path("results/leakage.html"), leakage.page(found, pretrain, held_out))
        rules = Counter(leak.rule for leak in found.leaks)
        counts = {rule: rules[rule] for rule in ("pixel", "near", "patient", "relation")}
        write_json(Path("results/verdict.json"), found.as_json())
        write_json(Path("results/gate.json"), counts | {"pretrain": found.pretrain, "held_out": found.held_out})
        for leak in found.leaks[:20]:
            print(f"leak: {leak.rule}: {leak.pretrain_key} {leak.held_out_key or ''}: {leak.detail}", file=sys.stderr)
        if not found.ok:
            sys.exit(f"The leakage gate is shut: {len(found.leaks)} findings, see results/leakage.html.")
