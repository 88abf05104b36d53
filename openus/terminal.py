"""What a fetch and a build came to, for a person to read and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openus.storage import printable

if TYPE_CHECKING:
    from openus.fetch.folder import Fetched
    from openus.fetch.source import Missed
    from openus.leakage import Leak


def fetched_text(one: Fetched | Missed) -> str:
    """One line, and more where there is more to say, of a source that came or did not."""
    from openus.fetch.source import Missed

    if isinstance(one, Missed):
        text = printable(str(one.error))
        return f"openus: {text}" if text.startswith(f"{one.slug}: ") else f"openus: {one.slug}: {text}"
    lines = [
        f"{one.slug}: {one.files} file{'s'[: one.files != 1]}, {one.size_bytes:,} bytes received; {one.images} items "
        f"in {one.folder}."
    ]
    if one.pinned:
        lines.append(
            f"  Nobody has published a checksum of {', '.join(one.pinned[:3])}{' …' if len(one.pinned) > 3 else ''}: "
            "the lock file pins what came."
        )
    return printable("\n".join([*lines, *(f"  {line[0].upper()}{line[1:]}" for line in one.told)]))


def missing_text(missing: Mapping[str, str]) -> str:
    """What was not fetched, one line each."""
    width = max(map(len, missing))
    return "\n".join(["Not fetched:", *(f"  {slug:{width}}  {why}" for slug, why in missing.items())])


def fetched_json(came: Sequence[Fetched | Missed], missing: Mapping[str, str]) -> dict[str, Any]:
    """The same as one document."""
    from openus.fetch.source import Missed

    return {
        "fetched": [
            {
                "slug": one.slug, "folder": printable(str(one.folder)), "files": one.files, "bytes": one.size_bytes,
                "items": one.images, "pinned": [*map(printable, one.pinned)], "told": [*map(printable, one.told)],
            }
            for one in came if not isinstance(one, Missed)
        ],
        "failed": {one.slug: printable(str(one.error)) for one in came if isinstance(one, Missed)},
        "missing": dict(missing),
    }  # fmt: skip


def counts_text(result: Mapping[str, Any], out: Path) -> str:
    """The table of a build, and where things lie."""
    width = max([len(slug) for slug in result["sources"]] + [6])
    lines = [f"{'source':{width}}  {'seen':>7}  {'kept':>7}  {'dropped':>7}  {'rejected':>8}  why dropped"]
    for slug, count in result["sources"].items():
        why = ", ".join(f"{reason} {n}" for reason, n in count["dropped"].items())
        dropped = sum(count["dropped"].values())
        numbers = f"{count['seen']:7}  {count['kept']:7}  {dropped:7}  {count['rejected']:8}"
        lines.append(f"{slug:{width}}  {numbers}  {why}".rstrip())
    packed, curated = result["stages"]["pack"], result["stages"]["curate"]
    lines += [
        f"{packed['samples']} samples in {packed['shards']} shards under {out}/shards; "
        f"{curated['decoded_frames']} frames of {curated['decoded_files']} files decoded in "
        f"{curated['wall_s']:.1f} s, {curated['reused_files']} files reused.",
        f"manifest: {out}/manifest.parquet   rejected: {out}/rejected.parquet   counts: {out}/build.json",
    ]
    return "\n".join(lines)


def leak_text(leak: Leak) -> str:
    """One finding: the rule, the two keys, as `--adjudicated` takes them, with the files that they are of, and why."""
    sides = (leak.pretrain_key, leak.pretrain_path), (leak.held_out_key, leak.held_out_path)
    pair = (f"{key} ({path})" if key and path not in (None, key) else key or "-" for key, path in sides)
    return "  ".join([f"{leak.rule:8}", *pair, leak.detail])
