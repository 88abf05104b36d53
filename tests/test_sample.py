"""The synthetic corpus: reproducible, in the true layouts, marked, and with what it claims to have planted."""

from __future__ import annotations

import csv
import math
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image

from openus import decode, media, sample, sources
from openus.dedup.fingerprint import pixel_sha256, thumbnail
from openus.dedup.search import Fingerprints, matches
from openus.dedup.select import Selector
from openus.errors import FileError, UsageError
from openus.params import DecodeParams, DedupParams, SelectParams, from_yaml
from openus.sample import phantom as us
from openus.sources import local
from openus.storage import walk

PARAMS = DecodeParams()
PLANTED = sample.PLANTED

ITEMS = {
    "blues": [f"lus_videos/patient_{name}.mp4" for name in ("1_L1", "1_R2", "2_L1", "2_R1", "2_R1_2")],
    "bus-bra": [
        f"BUSBRA/Images/bus_{case:04d}-{side}.png"
        for case in range(1, 21)
        for side in ("lr" if case in (1, 2, 5, 6, 9, 10, 13, 14, 17, 18) else "s")
    ],
    "busi": [
        f"Dataset_BUSI_with_GT/{label}/{label} ({number}).png"
        for label, count in (("benign", 6), ("malignant", 4), ("normal", 2))
        for number in range(1, count + 1)
    ],
    "hc18": [f"test_set/{n}_HC.png" for n in ("000", "001", "002")]
    + [f"training_set/{n}HC.png" for n in ("000_", "001_2", "001_", "002_", "003_")],
    "pocus": [
        "data/pocus_images/convex/Pneu_northumbria_0101_set1_img2.jpg",
        "data/pocus_images/convex/Reg_sample_image1.JPG",
        "data/pocus_videos/convex/Cov-Sample-+(1).gif",
        "data/pocus_videos/convex/Pneu_northumbria_0101_set1_vid1.avi",
    ],
}
LOCAL_ITEMS = {
    "dicom": ["DICOMDIR", "P1/IM000001", "P1/IM000002", "P2/IM000001", "P2/MR000001", "P2/notes.dcm"],
    "volumes": ["case01/us.nii.gz", "case01/us_label.nii.gz", "case02/sweep.mha"],
    "ward": ["lecture/slide_07.jpg", "lecture/slide_08", "scan.dcm"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a corpus") / "raw"
    assert sample.write(root, seed=0) == len(walk(root)[0])
    return root


@pytest.fixture(scope="module")
def listed(folder: Path) -> list[str]:
    """Every file that some source takes, relative to the sample's folder."""
    paths = [f"{slug}/{item.path}" for slug in ITEMS for item in sources.load(slug).items(folder / slug)]
    return paths + [f"_local/{name}/{item.path}" for name in LOCAL_ITEMS for item in archive(folder, name)]


@pytest.fixture(scope="module")
def decoded(folder: Path, listed: list[str]) -> dict[str, list[decode.Frame]]:
    """The frames of every file that is meant to have some."""
    return {p: list(decode.frames(folder / p, PARAMS)) for p in listed if p not in PLANTED.rejected}


def archive(folder: Path, name: str) -> list[local.Item]:
    params = from_yaml(folder / "_local" / "params.yaml")
    root = folder / "_local" / name
    return list(local.source(name, params.local[name]).items(root))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_same_seed_gives_the_same_bytes_in_another_process(folder: Path, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from openus import sample; sample.write(Path(sys.argv[1]), 0)"
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path / "again")], check=True)
    names = walk(folder)[0]
    assert walk(tmp_path / "again")[0] == names
    assert [n for n in names if (folder / n).read_bytes() != (tmp_path / "again" / n).read_bytes()] == []


def test_another_seed_gives_other_pictures_under_the_same_names_and_replaces_the_old(
    folder: Path, listed: list[str], tmp_path: Path
) -> None:
    left = tmp_path / "busi" / "Dataset_BUSI_with_GT" / "benign" / "benign (99).png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of an earlier version")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "scan.png").write_bytes(b"a person's own")
    for marked in (tmp_path, tmp_path / "busi"):
        (marked / sample.MARK_FILE).write_text("Synthetic")
    sample.write(tmp_path, seed=-1)
    assert walk(tmp_path)[0] == sorted([*walk(folder)[0], "own/scan.png"])
    pictures = [p for p in listed if not p.endswith(("DICOMDIR", "notes.dcm", "us_label.nii.gz"))]
    assert [p for p in pictures if (folder / p).read_bytes() == (tmp_path / p).read_bytes()] == []


@pytest.mark.parametrize("foreign", ["scan.png", "bus-bra/BUSBRA/Images/bus_0001-l.png"])
def test_refuses_a_folder_that_holds_other_files(tmp_path: Path, foreign: str) -> None:
    (tmp_path / foreign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / foreign).write_bytes(b"somebody's")
    if "/" in foreign:
        (tmp_path / sample.MARK_FILE).write_text("Synthetic")
    before = walk(tmp_path)[0]
    with pytest.raises(UsageError, match="not a sample's"):
        sample.write(tmp_path)
    assert walk(tmp_path)[0] == before
    with pytest.raises(UsageError, match="no folder"):
        sample.write(tmp_path / foreign)


def test_is_small(folder: Path) -> None:
    assert sum((folder / name).stat().st_size for name in walk(folder)[0]) < 6_000_000


@pytest.mark.parametrize("slug", ITEMS)
def test_adapters_list_exactly_the_pictures(folder: Path, slug: str) -> None:
    assert [item.path for item in sources.load(slug).items(folder / slug)] == ITEMS[slug]


@pytest.mark.parametrize("name", LOCAL_ITEMS)
def test_own_archives_offer_pictures_and_decoys(folder: Path, name: str) -> None:
    assert [item.path for item in archive(folder, name)] == LOCAL_ITEMS[name]


def test_adapters_find_patients_labels_splits_spacing_masks_and_licences(folder: Path) -> None:
    found = {slug: list(sources.load(slug).items(folder / slug)) for slug in ITEMS}
    assert Counter(item.label for item in found["bus-bra"]) == {"benign": 15, "malignant": 15}
    assert Counter(item.split for item in found["bus-bra"]) == {f"fold-{k}": 6 for k in range(1, 6)}
    assert all(item.patient and len(item.masks) == 1 for item in found["bus-bra"])
    assert {item.path: len(item.masks) for item in found["busi"] if len(item.masks) != 1} == {
        "Dataset_BUSI_with_GT/benign/benign (4).png": 2
    }
    assert all(item.spacing_mm[0] for item in found["hc18"])
    assert [item.label for item in found["blues"]] == ["0.0", "2.0", "3.0", "0.0", "3.0"]
    assert {item.licence.commercial_use for item in found["pocus"] if item.licence} == {True, False}
    assert len({item.patient for item in found["pocus"]}) == 3


def test_every_medium_is_there_and_decodes(folder: Path, decoded: dict[str, list[decode.Frame]]) -> None:
    formats = {media.sniff(folder / path) for path in decoded}
    assert formats == {"png", "jpg", "gif", "avi", "mp4", "dicom", "nifti", "mha"}
    counts = {p: len(frames) for p, frames in decoded.items() if len(frames) != 1}
    assert counts == {
        **{f"blues/{p}": 16 if "L1" in p else 14 for p in ITEMS["blues"]},
        **{f"pocus/{p}": 8 for p in ITEMS["pocus"][2:]},
        "_local/dicom/P1/IM000002": 5,
        "_local/volumes/case01/us.nii.gz": 20,
        "_local/volumes/case02/sweep.mha": 12,
    }
    coloured = {p for p, frames in decoded.items() if frames[0].pixels.ndim == 3}
    assert coloured == {
        "busi/Dataset_BUSI_with_GT/malignant/malignant (2).png", "_local/dicom/P1/IM000002"
    }  # fmt: skip
    assert decoded["_local/dicom/P1/IM000002"][0].spacing_mm == (0.2, 0.2)
    assert decoded["_local/volumes/case01/us.nii.gz"][0].spacing_mm == (0.5, 0.5)


@pytest.mark.parametrize("path", PLANTED.rejected)
def test_decoys_yield_nothing(folder: Path, path: str) -> None:
    with pytest.raises(FileError):
        list(decode.frames(folder / path, PARAMS))


def test_bus_bra_folds_are_disjoint_by_patient_but_their_validation_flags_are_not(folder: Path) -> None:
    root = folder / "bus-bra" / "BUSBRA"
    case_of = {row["ID"]: row["Case"] for row in rows(root / "bus_data.csv")}
    for folds in (5, 10):
        table = rows(root / f"{folds}-fold-cv.csv")
        assert [row["ID"] for row in table] == list(case_of)
        test_folds, kinds = defaultdict(set), defaultdict(set)
        for row in table:
            test_folds[case_of[row["ID"]]].add(row["kFold"])
            kinds[row["kFold"]].add(row["Pathology"])
        assert all(len(of_case) == 1 for of_case in test_folds.values())
        assert kinds == {str(k): {"benign", "malignant"} for k in range(1, folds + 1)}
        for k in range(1, folds + 1):
            uses = defaultdict(set)
            for row in table:
                assert (row[f"valid_{k}"] == "NaN") == (row["kFold"] == str(k))
                uses[case_of[row["ID"]]].add(row[f"valid_{k}"])
            assert {"0", "1"} in uses.values()


def test_bus_bra_table_says_what_names_and_masks_say(folder: Path) -> None:
    root = folder / "bus-bra" / "BUSBRA"
    for row in rows(root / "bus_data.csv"):
        assert (row["Side"][0], int(row["Case"])) == (row["ID"][-1], int(row["ID"][4:8]))
        with Image.open(root / "Masks" / f"mask_{row['ID'][4:]}.png") as image:
            assert (image.mode, image.size) == ("1", (int(row["Width"]), int(row["Height"])))
            y, x = np.nonzero(np.array(image))
        box = [int(number) for number in row["BBOX"].strip("[]").split(",")]
        assert box == [x.min() + 1, y.min() + 1, np.ptp(x), np.ptp(y)]


def test_malignant_lesions_cast_a_shadow_and_benign_ones_do_not(
    folder: Path, decoded: dict[str, list[decode.Frame]]
) -> None:
    for item in sources.load("bus-bra").items(folder / "bus-bra"):
        picture = decoded[f"bus-bra/{item.path}"][0].pixels
        mask = cv2.imread(str(folder / "bus-bra" / item.masks[0]), cv2.IMREAD_GRAYSCALE)
        x, y, w, h = cv2.boundingRect(mask)
        below = slice(y + h + 5, y + h + 35)
        under = picture[below, x + w // 3 : x + 2 * w // 3].mean()
        beside = np.concatenate([picture[below, : x // 2], picture[below, (x + w + picture.shape[1]) // 2 :]], 1).mean()
        assert (under < beside) == (item.label == "malignant"), item.path


def test_hc18_circumference_is_that_of_the_outline(folder: Path) -> None:
    for row in rows(folder / "hc18" / "training_set_pixel_size_and_HC.csv"):
        path = folder / "hc18" / "training_set" / row["filename"].replace(".png", "_Annotation.png")
        outline = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(outline)) == {0, 255}
        contours, _ = cv2.findContours(outline, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        _, axes, _ = cv2.fitEllipse(contours[0])
        by_ellipse = math.pi * (axes[0] + axes[1]) / 2 * float(row["pixel size(mm)"])
        assert float(row["head circumference (mm)"]) == pytest.approx(by_ellipse, rel=0.03)


def test_planted_pairs_are_what_they_claim(decoded: dict[str, list[decode.Frame]]) -> None:
    for a, b in PLANTED.exact:
        assert np.array_equal(decoded[a][0].pixels, decoded[b][0].pixels)
    for a, b in (*PLANTED.near, *(pair[::-1] for pair in PLANTED.leaks)):
        large, small = decoded[a][0].pixels, decoded[b][0].pixels
        again = cv2.resize(large, small.shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.corrcoef(again.ravel(), small.ravel())[0, 1] > 0.97
        assert small.shape < large.shape or np.array_equal(small, large)


def test_planted_frames_are_what_they_claim(decoded: dict[str, list[decode.Frame]]) -> None:
    black = {p: tuple(k for k, f in enumerate(fs) if f.pixels.max() < 8) for p, fs in decoded.items()}
    assert {p: indices for p, indices in black.items() if indices} == PLANTED.blank
    repeated = {}
    for path, frames in decoded.items():
        selector = Selector(SelectParams())
        for index, frame in enumerate(frames):
            if index not in black[path]:
                selector.offer(index, thumbnail(frame.pixels))
        repeated[path] = tuple(k for k, made in selector.finish().items() if made.choice == "redundant-frame")
    assert {p: indices for p, indices in repeated.items() if indices} == PLANTED.held


def test_one_patient_lies_in_two_archives(decoded: dict[str, list[decode.Frame]]) -> None:
    named = defaultdict(list)
    for path, frames in decoded.items():
        if frames[0].header.patient:
            named[frames[0].header.patient].append(path)
    assert sorted(PLANTED.one_patient) in [sorted(paths) for paths in named.values()]
    assert len(named) == 3


def test_duplicate_search_finds_what_is_planted_and_nothing_else(decoded: dict[str, list[decode.Frame]]) -> None:
    frames = [(path, frame.pixels) for path, of_file in decoded.items() for frame in of_file]
    files = {path: number for number, path in enumerate(decoded)}
    table = Fingerprints(
        thumbs=np.stack([thumbnail(pixels) for _, pixels in frames]),
        sha=[pixel_sha256(pixels) for _, pixels in frames],
        group=np.array([files[path] for path, _ in frames]),
    )
    found = {frozenset((frames[m.i][0], frames[m.j][0])) for m in matches(table, None, DedupParams())}
    assert found == {frozenset(pair) for pair in (*PLANTED.exact, *PLANTED.near, *PLANTED.leaks)}


def test_files_say_that_they_are_synthetic(folder: Path, listed: list[str]) -> None:
    for path in listed:
        format = media.sniff(folder / path)
        if format in ("png", "jpg", "gif"):
            with Image.open(folder / path) as image:
                said = str(image.info.get("Description") or image.info.get("comment"))
        elif format == "dicom":
            dataset = pydicom.dcmread(folder / path, stop_before_pixels=True)
            assert str(dataset.PatientName) == "SYNTHETIC^OPENUS"
            said = dataset.ImageComments
        elif format in ("nifti", "dicomdir"):
            continue
        else:
            said = (folder / path).read_bytes().decode("latin-1")
        assert "Synthetic: openus sample" in said, path
    for part in ("", *ITEMS, *(f"_local/{name}" for name in LOCAL_ITEMS)):
        assert "Synthetic" in (folder / part / "SYNTHETIC.md").read_text()


def test_local_options_name_every_archive_and_the_parameters(folder: Path) -> None:
    words = shlex.split(sample.local_options(folder))
    assert words[::2] == ["--local"] * 3 + ["--params"]
    named = dict(word.split("=", 1) for word in words[1:-1:2])
    assert {name: Path(path) for name, path in named.items()} == {n: folder / "_local" / n for n in LOCAL_ITEMS}
    assert set(from_yaml(Path(words[-1])).local) == set(LOCAL_ITEMS)


def test_speckle_is_fully_developed() -> None:
    """Mean over standard deviation of the envelope is 1.91 (Burckhardt 1978)."""
    echoes = us.blurred(us.scatterers(np.zeros((400, 400), np.float32), np.random.default_rng(0)))
    envelope = np.hypot(echoes[..., 0], echoes[..., 1])
    assert envelope.mean() / envelope.std() == pytest.approx(math.sqrt(math.pi / (4 - math.pi)), rel=0.02)
    assert (envelope**2).mean() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("probe", [us.linear(60, 80, margin=3), us.convex(90, 120), us.phased(90, 120)])
def test_fields_have_the_shape_of_their_probe(probe: us.Probe) -> None:
    shown = us.scan_conversion(probe)(np.full(probe.beams, 200, np.uint8))
    assert shown.shape == (probe.rows, probe.columns)
    lit = (shown > 100).sum(axis=1)
    middle = shown[probe.margin + 6 : probe.rows - probe.margin - 3, probe.columns // 2]
    assert middle.min() > 100
    top, bottom = lit[probe.margin + 4], lit[-probe.margin - 12]
    ratio = {"linear": (1, 1), "convex": (1.5, 5), "phased": (5, 40)}[probe.kind]
    assert ratio[0] <= bottom / top <= ratio[1]
