"""Every source in miniature, the whole way: its archives, unpacked, listed, built into one corpus."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import miniature
import pytest
from conftest import openus
from layouts import layouts

from openus import manifest, sources
from openus.build.identity import key
from openus.data import Item
from openus.fetch.archive import unpack_all
from openus.storage import walk

LAYOUTS = layouts()
SLUGS = sources.slugs()


def bare(item: Item) -> tuple[object, ...]:
    """An item but for where it lies."""
    return dataclasses.astuple(dataclasses.replace(item, path="", masks=())), len(item.masks)


def declared(slug: str) -> list[tuple[object, ...]]:
    return sorted(
        (
            bare(Item(path=path, **{"masks": (), **fields}))  # type: ignore[arg-type]
            for path, fields in LAYOUTS[slug].items()
        ),
        key=str,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sources as their publishers pack them, unpacked."""
    folder = tmp_path_factory.mktemp("all")
    for slug in SLUGS:
        miniature.write(LAYOUTS[slug], folder / slug)
        unpack_all(folder / slug, keep=False)
    return folder


@pytest.mark.parametrize("slug", SLUGS)
def test_what_comes_out_of_the_archives_is_what_the_source_declares(slug: str, root: Path) -> None:
    found = list(sources.load(slug).items(root / slug))
    assert sorted((bare(item) for item in found), key=str) == declared(slug)
    assert all((root / slug / mask).is_file() for item in found for mask in item.masks)


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "out"
    ran = openus("build-shards", "--root", root, "--out", out, "--workers", 2)
    assert ran.exit_code == 0, ran.stderr
    return out


@pytest.fixture(scope="module")
def rows(built: Path) -> dict[str, list[dict[str, object]]]:
    by_source = defaultdict(list)
    for row in manifest.read(built / "manifest.parquet").to_pylist():
        by_source[row["source"]].append(row)
    return by_source


@pytest.mark.parametrize("slug", SLUGS)
def test_exactly_the_declared_images_become_frames(slug: str, rows: dict, built: Path, root: Path) -> None:
    lost = [row for row in manifest.read(built / "rejected.parquet").to_pylist() if row["source"] == slug]
    assert lost == []
    wanted = {key(slug, str(fields["id"]), None).rpartition("-")[0] for _, fields in LAYOUTS[slug].items()}
    assert {row["key"].rpartition("-")[0] for row in rows[slug]} == wanted
    told = {name: {row[name] for row in rows[slug]} - {None} for name in ("label", "view", "split")}
    for name, words in told.items():
        assert words == {fields[name] for _, fields in LAYOUTS[slug].items() if fields.get(name)}
    assert {row["anatomy"] for row in rows[slug]} <= {
        sources.load(slug).card.anatomy,
        *(fields.get("anatomy") for _, fields in LAYOUTS[slug].items()),
    }
    patients = {fields["patient"] for _, fields in LAYOUTS[slug].items() if fields.get("patient")}
    assert len({row["patient_id"] for row in rows[slug]} - {None}) == len(patients)


def test_every_file_of_every_source_is_accounted_for(built: Path, root: Path) -> None:
    import json

    counts = json.loads((built / "build.json").read_text())["sources"]
    assert set(counts) == set(SLUGS)
    for slug, count in counts.items():
        files = count["files"]
        assert files["taken"] + files["rejected"] + sum(files["ignored"].values()) == len(walk(root / slug)[0]), slug
        assert count["seen"] == count["kept"] + sum(count["dropped"].values()) + count["rejected"], slug
    assert openus("verify", built).exit_code == 0


def test_one_worker_more_or_less_changes_no_byte(built: Path, root: Path, tmp_path: Path) -> None:
    ran = openus("build-shards", "--root", root, "--out", tmp_path / "out", "--workers", 1)
    assert ran.exit_code == 0, ran.stderr
    names = [path.relative_to(built) for path in sorted(built.rglob("*")) if path.is_file()]
    assert names == [p.relative_to(tmp_path / "out") for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()]
    for name in names:
        if name.name != "build.json":  # it holds times
            assert (built / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
