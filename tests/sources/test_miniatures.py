"""Every source in miniature, the whole way: its archives, unpacked, listed, built into one corpus."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import cv2
import miniature
import pixels
import pytest
from conftest import openus
from layouts import layouts

from openus import manifest, media, sources
from openus.build.identity import key
from openus.data import Item
from openus.fetch.archive import unpack_all
from openus.storage import walk

LAYOUTS = layouts()
SLUGS = sources.slugs()


TWINS: Mapping[str, Mapping[str, str]] = {
    "HC18's training 000": {
        "hc18": "training_set/000_HC.png",
        "dfhi": "Diverse Fetal Head Images/Orginal_train_images_to_959_661/000_HC.png",
        "ultrasound-fetus": "Ultrasound Fetus Dataset/Ultrasound Fetus Dataset/Data/Data/train/malignant/1_HC.png",
    },
    "HC18's training 010": {
        "hc18": "training_set/010_2HC.png",
        "dfhi": "Diverse Fetal Head Images/Orginal_train_images_to_959_661/010_2HC.png",
        "fast-u-net": "Dataset/HC/HC_image3/010_2HC.png",
    },
    "HC18's test 000": {
        "hc18": "test_set/000_HC.png",
        "ultrasound-fetus": "Ultrasound Fetus Dataset/Ultrasound Fetus Dataset/Data/Data/train/benign/1_HC.png",
    },
    "a brain of FETAL_PLANES_DB": {
        "fetal-planes-db": "Images/Patient00168_Plane3_1_of_3.png",
        "dfhi": "Trans-thalamic/Trans-thalamic/Patient00168_Plane3_1_of_3.png",
    },
    "a nodule of TN3K": {
        "tn3k": "Thyroid Dataset/tn3k/test-image/0000.jpg",
        "thyroid": "Thyroid Dataset/tn3k/test-image/0000.jpg",
    },
    "a gland of TG3K": {
        "tg3k": "Thyroid Dataset/tg3k/thyroid-image/0000.jpg",
        "thyroid": "Thyroid Dataset/tg3k/thyroid-image/0000.jpg",
    },
}
"""What is known to be one picture: its name -> source -> path. DFHI's are resized."""


def filling(slug: str) -> miniature.Pixels:
    """What fills the files of a source: pictures of their own but for the twins."""
    twins = {paths[slug]: name for name, paths in TWINS.items() if slug in paths}

    def fill(path: str) -> bytes | None:
        if path not in twins:
            return pixels.medium(f"{slug}/{path}")
        picture = pixels.picture(twins[path], 144, 192)
        if slug == "dfhi":
            picture = cv2.resize(picture, (240, 165), interpolation=cv2.INTER_CUBIC)
        return cv2.imencode("." + path.rpartition(".")[2], picture)[1].tobytes()

    return fill


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
        miniature.write(LAYOUTS[slug], folder / slug, filling(slug))
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


@pytest.mark.parametrize("name", TWINS)
def test_a_picture_that_several_sources_hold_is_one_cluster_and_kept_once(name: str, rows: dict) -> None:
    found = [
        row
        for slug, path in TWINS[name].items()
        for row in rows[slug]
        if re.sub(r"\.[a-z]+\.unpacked", "", row["raw_path"]).endswith(path)
    ]
    assert {row["source"] for row in found} == set(TWINS[name])
    assert len({row["cluster"] for row in found}) == 1 and found[0]["cluster"] is not None
    assert [row["status"] for row in found].count("kept") == 1
    assert {row["drop_reason"] for row in found} <= {None, "near-duplicate", "exact-duplicate"}


def test_sources_that_share_patients_share_their_ids(rows: dict) -> None:
    both = [{row["patient_id"] for row in rows[slug]} for slug in ("fetal-planes-db", "dfhi")]
    assert both[0] & both[1] == {"fetal-planes:168"} | (both[0] & both[1] & {None})


def test_what_falls_with_a_benchmark_is_absent(rows: dict) -> None:
    assert rows["mmotu-3d"]
    assert {row["drop_reason"] for row in rows["mmotu-3d"]} == {"leakage"}
    kept = [row for slug in SLUGS for row in rows[slug] if row["role"] == "held-out"]
    assert {row["status"] for row in kept} == {"kept"}
    assert {row["source"] for row in kept} == {"bus-bra", "mmotu-2d", "gist514-db"}


def test_simulations_and_phantoms_are_marked(rows: dict) -> None:
    simulated = {row["subject"] for row in rows["abdomenus"] if "/AUS/" in row["raw_path"]}
    assert simulated == {"simulation"}
    assert {row["subject"] for row in rows["abdomenus"] if "/RUS/" in row["raw_path"]} == {"in-vivo"}
    assert {row["subject"] for slug in ("cactus", "luss-phantom") for row in rows[slug]} == {"phantom"}


def test_terms_reach_every_row(rows: dict, built: Path) -> None:
    for slug in ("bus-b", "blues", "tnscui", "kidneyus", "echonet-dynamic"):
        assert {row["redistribution"] for row in rows[slug]} == {False}, slug
        assert slug in json.loads((built / "build.json").read_text())["local_use_only"]
    assert "hc18" not in json.loads((built / "build.json").read_text())["local_use_only"]


def test_every_file_of_every_source_is_accounted_for(built: Path, root: Path) -> None:
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


def test_a_file_of_many_items_is_hashed_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from openus.build import stage
    from openus.build.identity import DEFAULT
    from openus.params import Params
    from openus.storage import sha256_file

    hashed: list[str] = []
    monkeypatch.setattr(media, "content_sha256", lambda path: hashed.append(path.name) or sha256_file(path))
    ran = openus("build-shards", "acouslic", "hc18", "--root", root, "--out", tmp_path / "out", "--workers", 1)
    assert ran.exit_code == 0, ran.stderr
    assert len(hashed) == 3 and all(name.endswith(".mha") for name in hashed)
    item = next(iter(sources.load("acouslic").items(root / "acouslic")))
    task = stage.Task(root / "acouslic", item.path, item.member, Params(), "", DEFAULT, False, reading=item.reading)
    told = dataclasses.replace(task, content_sha256="0" * 64)
    assert stage.stage_file(told).content_sha256 == "0" * 64
    assert stage.stage_file(task).content_sha256 == sha256_file(root / "acouslic" / item.path)
