"""The command line: parse, call, print. No logic. What ends a command early is told by `openus.command`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from openus import __version__
from openus.command import AS_JSON, DEBUG, NEW_FILE, PATH, RAW_PATH, Group, shown
from openus.errors import UsageError


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openus")
@DEBUG
def main(debug: bool) -> None:
    """Turn scattered public ultrasound data, and your own, into one corpus that can be trained on and defended."""


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


PERMISSION = click.Choice(["yes", "no", "unknown"])


@main.command("list")
@click.option("--anatomy", help="Only those that show this region or what lies in it (heart, fetal, abdomen …).")
@click.option("--medium", help="Only those with this medium (png, dicom, nifti, mp4 …).")
@click.option(
    "--access", help="Only those of this kind of site (zenodo, kaggle-dataset, form …) or gate (none, login …)."
)
@click.option("--commercial-use", type=PERMISSION, help="Only those whose terms allow commercial use, or do not.")
@click.option("--redistribution", type=PERMISSION, help="Only those whose terms allow passing on, or do not.")
@AS_JSON
def list_command(as_json: bool, **wanted: str | None) -> None:
    """List the sources: what they are, how to get them, what one may do with them.

    Images are counted as published, and as unique: without those that another source holds too, or that stand in one
    source twice, as far as that is known.
    """
    from openus import cards, sources

    chosen = sources.chosen([sources.load(slug).card for slug in sources.slugs()], **wanted)
    if as_json:
        _print_json({"sources": [cards.listed(card) for card in chosen]})
    else:
        cards.print_sources(chosen)


@main.command()
@click.argument("slug")
@click.option("--bibtex", is_flag=True, help="Print the citation alone.")
@AS_JSON
def info(slug: str, bibtex: bool, as_json: bool) -> None:
    """Show one source's whole card: what it is, what one may do with it, how to get it."""
    from dataclasses import asdict

    from openus import cards, sources

    card = sources.load(slug).card
    if bibtex and as_json:
        raise UsageError("--bibtex and --json are two answers.", "Ask for one.")
    if bibtex:
        click.echo(card.citation)
    elif as_json:
        _print_json(asdict(card) | cards.related(card))
    else:
        click.echo(cards.card_text(card))


def _own(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    """`NAME=PATH` options as a mapping."""
    found: dict[str, Path] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not equals or not name or not path:
            raise click.BadParameter(f"{value!r} is not NAME=PATH")
        if name in found:
            raise click.BadParameter(f"{name} is named twice")
        found[name] = RAW_PATH.convert(path, param, ctx)
    return found


@main.command()
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@click.option("--all", "everything", is_flag=True, help="Every source; what needs a person is listed at the end.")
@click.option("--open", "only_open", is_flag=True, help="Every source that needs no account; the rest is listed.")
@click.option(
    "--root", type=RAW_PATH, default=Path("raw"), show_default=True, help="Folder that holds <slug>/ for each."
)
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="Downloads at once.")
@click.option("--from", "origin", type=RAW_PATH, help="Adopt what you fetched by hand: an archive, or a folder.")
@click.option("--accept-licence", is_flag=True, help="You read the terms that are not open, and accept them.")
@click.option("--mirror", is_flag=True, help="Take the copy on Hugging Face that the card names.")
@click.option("--keep-archives", is_flag=True, help="Keep archives beside what came out of them.")
@AS_JSON
def fetch(
    slugs: tuple[str, ...],
    everything: bool,
    only_open: bool,
    root: Path,
    jobs: int,
    origin: Path | None,
    accept_licence: bool,
    mirror: bool,
    keep_archives: bool,
    as_json: bool,
) -> None:
    """Download sources into ROOT/<slug>/: verified, unpacked, with a lock file of what came.

    Resumes. What no program can bring comes with exact steps; --from takes it then, verified alike.
    """
    import signal

    from openus import terminal
    from openus.fetch import listing
    from openus.fetch import source as site
    from openus.fetch.adopt import adopt
    from openus.fetch.client import Client
    from openus.fetch.folder import Fetched
    from openus.progress import transfers

    wanted, missing = listing.chosen(
        slugs, everything=everything, only_open=only_open, adopted=origin is not None, mirror=mirror,
        accepted=accept_licence,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    came: list[Fetched | site.Missed] = []

    def done(one: Fetched | site.Missed) -> None:
        came.append(one)
        if not as_json:
            click.echo(shown(terminal.fetched_text(one), lines=True), err=isinstance(one, site.Missed))

    with Client() as client, transfers() as report:
        if origin is not None:
            done(adopt(wanted[0], root, origin, accepted=accept_licence, keep=keep_archives, report=report))
        else:
            site.fetch_all(
                wanted, root, client, accepted=accept_licence, keep=keep_archives, jobs=jobs, report=report, done=done
            )
    if as_json:
        _print_json(terminal.fetched_json(came, missing))
    elif missing:
        click.echo(terminal.missing_text(missing))
    if any(isinstance(one, site.Missed) for one in came) or (everything and missing):
        raise click.exceptions.Exit(1)


@main.command("verify-raw")
@click.argument("folders", nargs=-1, required=True, type=RAW_PATH, metavar="DIR...")
@AS_JSON
def verify_raw(folders: tuple[Path, ...], as_json: bool) -> None:
    """Compare each ROOT/<slug> folder DIR, byte for byte, with the lock file of what came. Needs no network."""
    from openus.fetch import lock as locks
    from openus.sources import LOCK_NAME

    wrong = {}
    for folder in folders:
        lock = locks.read(folder)
        if lock is None:
            raise UsageError(f"{folder} has no {LOCK_NAME}.", "Only what `openus fetch` brought or adopted has one.")
        wrong[str(folder)] = locks.differences(folder, lock)
        if not as_json:
            for line in wrong[str(folder)]:
                click.echo(shown(f"{folder}: {line}"))
            count = len(lock.due())
            click.echo(f"{folder}: {count} files: {'NOT as they came' if wrong[str(folder)] else 'as they came'}.")
    if as_json:
        _print_json({"ok": not any(wrong.values()), "folders": wrong})
    if any(wrong.values()):
        raise click.exceptions.Exit(1)


@main.command("build-shards")
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@click.option("--root", type=RAW_PATH, help="Folder that holds <slug>/ for each downloaded source.")
@click.option("--out", type=PATH, required=True, help="Folder for the corpus.")
@click.option("--local", "own", multiple=True, metavar="NAME=PATH", callback=_own, help="Add an archive of your own.")
@click.option("--params", "params_file", type=PATH, help="YAML file with any part of the parameters.")
@click.option("--staging", type=PATH, help="Folder for decoded frames, kept between runs.  [default: OUT.staging]")
@click.option("--adjudicated", type=PATH, help="CSV a,b,verdict: your word on pairs (same or different).")
@click.option("--workers", type=click.IntRange(1), help="Processes that decode.  [default: one per core]")
@click.option("--engine", type=click.Choice(["local"]), default="local", show_default=True, help="Where work runs.")
@click.option("--seed", type=int, help="Seed of the shuffle, in place of the parameter file's.")
@AS_JSON
def build_shards(
    slugs: tuple[str, ...],
    root: Path | None,
    out: Path,
    own: dict[str, Path],
    params_file: Path | None,
    staging: Path | None,
    adjudicated: Path | None,
    workers: int | None,
    engine: str,
    seed: int | None,
    as_json: bool,
) -> None:
    """Build a corpus of WebDataset shards with a Parquet manifest out of raw folders.

    Without SLUG every known source below --root is taken. Resumes: what was decoded before is not decoded again.
    """
    import os
    import signal
    from dataclasses import replace

    from openus import build, terminal
    from openus.engine import ENGINES
    from openus.params import from_yaml
    from openus.progress import progress
    from openus.relations import is_own

    parameters = from_yaml(params_file)
    if seed is not None:
        parameters = replace(parameters, seed=seed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's stop: commit, then end
    out = Path(os.path.abspath(out))  # noqa: PTH100 - `resolve` would follow a link that is OUT
    chosen = build.choose(root, slugs, own, parameters)
    with progress() as report:
        result = build.build(
            chosen,
            out,
            staging or out.with_name(out.name + ".staging"),
            parameters,
            salt=build.salt_from(),
            workers=ENGINES[engine](workers or os.cpu_count() or 1),
            adjudicated=adjudicated,
            progress=report,
        )
    empty = [slug for slug, count in result["sources"].items() if count["seen"] == 0]
    for slug in empty:
        packed = result["sources"][slug]["files"]["ignored"].get("archive", 0)
        hint = f" Archives lie there ({packed}): unpack them first." if packed else ""
        click.echo(f"openus: {slug}: no picture was found in its folder.{hint}", err=True)
    for slug, count in result["sources"].items():
        if slug not in empty and is_own(slug) and (packed := count["files"]["ignored"].get("archive", 0)):
            click.echo(
                f"openus: {slug}: archives lie there unopened ({packed}): unpack what you want of them.", err=True
            )
    _print_json(result) if as_json else click.echo(terminal.counts_text(result, out))
    if set(empty) & set(slugs):
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("out", type=PATH)
@AS_JSON
def verify(out: Path, as_json: bool) -> None:
    """Re-read every shard of the corpus OUT against its manifest."""
    from dataclasses import asdict

    from openus.progress import progress
    from openus.shards.verify import verify as run

    if not out.is_dir():
        raise UsageError(f"There is no folder {out}.", "Name the OUT of a build.")
    with progress() as report:
        found = run(out, report)
    if as_json:
        errors = [asdict(fault) for fault in found.faults]
        _print_json({"ok": found.ok, "shards": found.shards, "samples": found.samples, "errors": errors})
    else:
        for fault in found.faults:
            click.echo(shown(f"{fault.shard}{' ' + fault.key if fault.key else ''}: {fault.error}"))
        click.echo(f"{found.samples} samples in {found.shards} shards: {'whole' if found.ok else 'NOT whole'}.")
    if not found.ok:
        raise click.exceptions.Exit(1)


@main.command("check-leakage")
@click.option("--pretrain", type=PATH, help="Manifest, folder of shards, or folder of pictures that is trained on.")
@click.option("--held-out", type=PATH, help="Manifest, folder of shards, or folder of pictures that is held out.")
@click.option("--split", type=PATH, help="CSV (picture, part): audit this split of the --pretrain corpus instead.")
@click.option("--adjudicated", type=PATH, help="CSV a,b,verdict: your word on pairs (same or different).")
@click.option("--params", "params_file", type=PATH, help="YAML file with any part of the parameters.")
@click.option("--html", type=NEW_FILE, help="Write the findings as a page with the pairs side by side.")
@AS_JSON
def check_leakage(
    pretrain: Path | None,
    held_out: Path | None,
    split: Path | None,
    adjudicated: Path | None,
    params_file: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Prove that nothing held out is trained on; exit 1 when anything leaks.

    The pictures of both sides are read and fingerprinted again. When both name one manifest, its role column parts it.

    A split file has a column that names pictures (key, path, or file name without suffix: `key`, `ID`, `filename` …)
    and one that names their part (`split`, `fold`, `kFold`, `set` …).
    """
    from openus import leakage, terminal
    from openus.dedup.adjudicate import adjudications
    from openus.params import from_yaml
    from openus.progress import progress
    from openus.storage import write_text

    parameters = from_yaml(params_file)
    verdicts = adjudications(adjudicated) if adjudicated else None
    with progress() as report:
        if split is not None:
            if pretrain and held_out and pretrain != held_out:
                raise UsageError("--split audits one corpus, but two are named.", "Name it once, as --pretrain.")
            if not (pretrain or held_out):
                raise UsageError("--split needs the corpus that it splits.", "Name it as --pretrain.")
            left = right = leakage.read_side(pretrain or held_out or Path(), parameters, report)
            findings = leakage.audit_split(left, split, parameters.dedup, verdicts, report)
        else:
            if pretrain is None or held_out is None:
                raise UsageError("It needs two sides.", "Name --pretrain and --held-out.")
            left, right = leakage.sides(pretrain, held_out, parameters, report)
            findings = leakage.check(left, right, parameters.dedup, verdicts, report)
    if as_json:
        _print_json(findings.as_json())
    else:
        for note in findings.notes:
            click.echo(shown(f"note: {note}"), err=True)
        for leak in findings.leaks:
            click.echo(shown(terminal.leak_text(leak)))
        click.echo(findings.summary)
        if not findings.ok:
            way = "Put what belongs together into one part" if split else "Take them out of one side"
            if not split and left.digest is not None:
                way = "Build again with leakage.drop on"
            click.echo(f"{way}, or write your word on a pair into a file for --adjudicated.")
    if html is not None:
        write_text(html, leakage.page(findings, left, right))
    if not findings.ok:
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other phantoms.")
def sample(folder: Path, seed: int) -> None:
    """Write a small synthetic corpus in the sources' real on-disk layouts (phantoms, clearly marked)."""
    from openus import sample as module

    written = module.write(folder, seed)
    click.echo(f"{written} files of synthetic sources under {folder}; build them with")
    root = shlex.quote(str(folder))
    click.echo(f"  openus build-shards --root {root} --out corpus {module.local_options(folder)}")


if __name__ == "__main__":
    main()
