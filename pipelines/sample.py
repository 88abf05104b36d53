"""Stage `sample`: the embedded synthetic corpus, where the parameters ask for it."""

from pathlib import Path

from pipelines.settings import load, stage, write_json

if __name__ == "__main__":
    with stage():
        settings = load()
        written = None
        if settings.sample is not None:
            from openus import sample

            written = sample.write(settings.root, settings.sample)
        write_json(Path("results/sample.json"), {"seed": settings.sample, "files": written})
