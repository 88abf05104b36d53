"""Stage `counts`: the corpus as a Markdown table, a plot of what was dropped why, and a contact sheet."""

import json
from pathlib import Path
from typing import Any

from openus.shards.sheet import contact_sheet
from pipelines.settings import load, stage

OUT = Path("results")


def markdown(counts: dict[str, dict[str, Any]]) -> str:
    """One row a source: seen, kept, dropped by reason, rejected."""
    reasons = sorted({reason for one in counts.values() for reason in one["dropped"]})
    lines = [
        f"| source | seen | kept | {' | '.join(reasons)}{' | ' if reasons else ''}rejected |",
        "|---|" + "---:|" * (3 + len(reasons)),
    ]
    for slug, one in counts.items():
        dropped = [str(one["dropped"].get(reason, 0)) for reason in reasons]
        lines.append(
            "| " + " | ".join([slug, str(one["seen"]), str(one["kept"]), *dropped, str(one["rejected"])]) + " |"
        )
    return "# Counts per source\n\n" + "\n".join(lines) + "\n"


def plot(counts: dict[str, dict[str, Any]], path: Path) -> None:
    """Kept and dropped frames a source, as a picture (needs no network to show)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    reasons = ["kept", *sorted({reason for one in counts.values() for reason in one["dropped"]})]
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(counts) + 1.5), layout="constrained")
    left = [0] * len(counts)
    for reason in reasons:
        values = [one["kept"] if reason == "kept" else one["dropped"].get(reason, 0) for one in counts.values()]
        axes.barh(list(counts), values, left=left, label=reason)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("frames")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    with stage():
        settings = load()
        build = json.loads((settings.out / "build.json").read_text(encoding="utf-8"))
        (OUT / "counts.md").write_text(markdown(build["sources"]), encoding="utf-8")
        plot(build["sources"], OUT / "counts.png")
        contact_sheet(settings.out, OUT / "contact_sheet.png")
