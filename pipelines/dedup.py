"""Stage `dedup`: one verdict per frame, over all sources."""

from pathlib import Path

from openus import manifest
from openus.build import decide
from openus.dedup.adjudicate import adjudications
from pipelines.settings import load, stage, write_json

ADJUDICATED = Path("manifests/adjudicated.csv")
OUT = Path("results/decisions")

if __name__ == "__main__":
    with stage():
        settings = load()
        verdicts = adjudications(ADJUDICATED)
        found = decide([settings.source(slug) for slug in settings.slugs], settings.staging, settings.params, verdicts)
        manifest.write(found.table, OUT / "decisions.parquet")
        manifest.write(found.rejected, OUT / "rejected.parquet")
        write_json(OUT / "counts.json", found.sources)
