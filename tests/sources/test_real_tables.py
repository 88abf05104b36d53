"""The publishers' own tables, with an empty file for every picture that they name: counts, patients, labels, splits."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from openus import sources
from openus.data import Item
from openus.fetch.archive import unpack_all


def listed(slug: str, real: Path, root: Path, files: Iterable[str]) -> list[Item]:
    """The source's items on its real tables, linked into `root`, beside the named empty files."""
    tables = real / "tables" / slug
    if not tables.is_dir():
        pytest.skip(f"no real tables of {slug}")
    for path in files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    for path in tables.rglob("*"):
        place = root / path.relative_to(tables)
        if path.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    return list(sources.load(slug).items(root))


def column(path: Path, delimiter: str, number: int = 0) -> list[str]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    return [line.split(delimiter)[number] for line in lines if line.strip()]


def test_fetal_planes_db(real: Path, tmp_path: Path) -> None:
    names = column(real / "tables/fetal-planes-db/FETAL_PLANES_DB_data.csv", ";")
    items = listed("fetal-planes-db", real, tmp_path, (f"Images/{name}.png" for name in names))
    assert (len(items), len({item.patient for item in items})) == (12400, 1792)
    assert Counter(item.label for item in items) == {
        "Other": 4213, "Fetal brain": 3092, "Fetal thorax": 1718, "Maternal cervix": 1626, "Fetal femur": 1040,
        "Fetal abdomen": 711,
    }  # fmt: skip
    assert Counter(item.split for item in items) == {"train": 7129, "test": 5271}
    views = Counter(item.view for item in items if item.label == "Fetal brain")
    assert views == {"Trans-thalamic": 1638, "Trans-cerebellum": 714, "Trans-ventricular": 597, "Other": 143}
    splits = defaultdict(set)
    for item in items:
        splits[item.patient].add(item.split)
    assert all(len(parts) == 1 for parts in splits.values())


def test_bus_uclm(real: Path, tmp_path: Path) -> None:
    (table,) = (real / "tables/bus-uclm").rglob("INFO.csv")
    folder = table.parent.relative_to(real / "tables/bus-uclm")
    items = listed("bus-uclm", real, tmp_path, (f"{folder}/images/{name}" for name in column(table, ";")))
    assert (len(items), len({item.patient for item in items})) == (683, 38)
    assert Counter(item.label for item in items) == {"Normal": 419, "Benign": 174, "Malignant": 90}


def test_brachial_plexus(real: Path, tmp_path: Path) -> None:
    files = [
        f"data/{machine}/videos/{name}.mp4"
        for machine in ("Butterfly", "Sonosite")
        for name in column(real / f"tables/brachial-plexus/data/{machine}/subjects_data.csv", ",")
    ]
    items = listed("brachial-plexus", real, tmp_path, files)
    assert len(items) == len(files) == 30
    assert all(item.label for item in items)


def test_tn3k_folds_parts_and_its_real_masks(real: Path, tmp_path: Path) -> None:
    fold = json.loads((real / "tables/tn3k/tn3k/tn3k-trainval-fold0.json").read_text())
    files = [f"tn3k/trainval-image/{n:04d}.jpg" for n in (*fold["train"], *fold["val"])]
    files += [f"picture/test-image/{n:04d}.jpg" for n in range(614)]
    (rar,) = (real / "archives/tn3k-rar").rglob("test-mask.rar")
    (tmp_path / "picture").mkdir()
    (tmp_path / "picture/test-mask.rar").symlink_to(rar)
    items = listed("tn3k", real, tmp_path, files)
    assert Counter(item.split for item in items) == {"trainval": 2879, "test": 614}
    unpack_all(tmp_path / "picture")
    assert len(list(sources.load("tn3k").items(tmp_path))) == 3493


def test_acouslic_has_six_sweeps_of_each_of_the_300(real: Path, tmp_path: Path) -> None:
    table = real / "tables/acouslic/third-party/ACOUSLIC_AI_data_stats.csv"
    stems = column(table, ",")
    files = [f"images/stacked_fetal_ultrasound/{stem}.mha" for stem in stems]
    files += [f"masks/stacked_fetal_abdomen/{stem}.mha" for stem in stems]
    items = listed("acouslic", real, tmp_path, files)
    assert (len(items), len({item.study for item in items}), len({item.video for item in items})) == (1800, 300, 1800)
    assert all(item.masks for item in items)


def test_jnu_ifm_label_words_are_the_authors(real: Path) -> None:
    from openus.sources.jnu_ifm import LABELS

    path = real / "tables/jnu-ifm/third-party/config.json"
    if not path.is_file():
        pytest.skip("no real table of jnu-ifm")
    text = path.read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in LABELS.values())
