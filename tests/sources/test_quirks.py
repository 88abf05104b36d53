"""What breaks a naive reader of a source, each by what comes of it: frames that lie upright, in order, once; ids that
hold; words that mean something. What is a matter of names alone stands in the layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import miniature
import nibabel
import numpy as np
import pyarrow.parquet
import pytest
from conftest import openus
from layouts import layouts, write

from openus import decode, sources
from openus.data import Frame, Item
from openus.fetch.archive import unpack_all
from openus.params import DecodeParams

LAYOUTS = layouts()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], tuple[Path, list[Item]]]:
    """A source in miniature, unpacked, and its items."""

    def make(slug: str) -> tuple[Path, list[Item]]:
        miniature.write(LAYOUTS[slug], tmp_path / slug)
        unpack_all(tmp_path / slug, keep=False)
        return tmp_path / slug, list(sources.load(slug).items(tmp_path / slug))

    return make


def frames(root: Path, item: Item) -> list[Frame]:
    return list(decode.frames(root / item.path, DecodeParams(), item.reading))


def stored(root: Path, item: Item) -> np.ndarray:
    """The volume as (x, y, z)."""
    return np.asarray(nibabel.load(root / item.path).dataobj)


UPRIGHT: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "camus": lambda volume, k: volume[:, :, k].T,  # neither turned nor mirrored
    "cardiacudc": lambda volume, k: np.flip(volume[:, :, k].T, (0, 1)),
    "echocp": lambda volume, k: np.flip(volume[:, :, k].T, (0, 1)),
    "segthy": lambda volume, k: np.flip(volume[:, :, k].T, (0, 1)),
    "microseg": lambda volume, k: volume[:, :, k].T[::-1],
    "regpro": lambda volume, k: np.flip(volume[k].T, (0, 1)),  # sagittal: rows along z
}


@pytest.mark.parametrize("slug", UPRIGHT)
def test_frames_lie_upright(slug: str, unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    root, items = unpacked(slug)
    for item in items:
        found = frames(root, item) if item.path.endswith((".nii", ".nii.gz")) else []
        for frame in found:
            assert np.array_equal(frame.pixels, UPRIGHT[slug](stored(root, item), frame.index or 0))
    assert any(len(frames(root, item)) > 1 for item in items)


def test_acouslic_is_cut_into_its_sweeps(unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    root, items = unpacked("acouslic")
    sweeps = [[frame.index for frame in frames(root, item)] for item in items[:6]]
    assert sweeps == [list(range(140 * k, 140 * (k + 1))) for k in range(6)]
    assert len({item.path for item in items[:6]}) == 1 and len({item.video for item in items[:6]}) == 6


def test_a_cine_clip_comes_in_the_order_of_its_frames(unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    root, items = unpacked("thyroid-cineclip")
    rows = {item.member: [frame.index for frame in frames(root, item)] for item in items}
    assert rows == {"159": [2, 3, 0], "3": [1, 4], "88": [6, 5]}


@pytest.mark.parametrize("damage", [b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(4096)])
def test_a_damaged_file_of_clips_is_rejected_by_name_not_lost(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "thyroid-cineclip").mkdir()
    (tmp_path / "thyroid-cineclip" / "dataset.hdf5").write_bytes(damage)
    ran = openus("build-shards", "thyroid-cineclip", "--root", tmp_path, "--out", tmp_path / "out", "--workers", 1)
    assert "Traceback" not in ran.stderr
    rejected = pyarrow.parquet.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert [row["path"] for row in rejected] == ["dataset.hdf5"]


@pytest.mark.parametrize("slug", ["fh-ps-aop", "psfhs"])
def test_planes_first_are_one_picture(slug: str, unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    root, items = unpacked(slug)
    for item in items:
        (frame,) = frames(root, item)
        assert frame.index is None and frame.pixels.ndim == 2


def test_upbd_reads_tiff_under_the_name_of_jpeg(unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    root, items = unpacked("upbd")
    first = {item.id: (root / item.path).read_bytes()[:2] for item in items}
    assert {b"II", b"\xff\xd8"} == set(first.values())
    assert all(len(frames(root, item)) == 1 for item in items)
    assert {"1_0.jpg", "1_00.jpg"} <= set(first)


def test_camus_of_2019_needs_the_folders_that_tell_its_two_archives_apart(tmp_path: Path) -> None:
    new, old = "patient0070/patient0070_4CH_half_sequence.nii.gz", "patient0070/patient0070_4CH_sequence.mhd"
    for path in (f"database_nifti/testing/{new}", f"training.zip.unpacked/{old}", f"my_testing/{old}", f"loose/{old}"):
        write(tmp_path / path, b"")
    write(tmp_path / "database_split/subgroup_testing.txt", "patient0070\n")
    found = {item.path.split("/")[0]: (item.patient, item.split) for item in sources.load("camus").items(tmp_path)}
    assert found == {
        "database_nifti": ("patient0070", "testing"),
        "training.zip.unpacked": ("training/patient0070", None),
        "my_testing": ("testing/patient0070", None),
    }


def test_pediatric_clips_that_both_folders_hold_are_of_the_view_that_lists_them(tmp_path: Path) -> None:
    stems = {"A4C": "CR32a95e6-CR3dcad12-000058", "PSAX": "CR32a95e6-CR3dcad12-000061"}
    for view, listed in stems.items():
        for stem in stems.values():
            write(tmp_path / view / "Videos" / f"{stem}.avi", b"")
        write(tmp_path / view / "FileList.csv", f"FileName,Split\n{listed}.avi,9\n")
    assert {item.view: item.video for item in sources.load("echonet-pediatric").items(tmp_path)} == stems
    (tmp_path / "A4C" / "Videos" / f"{stems['A4C']}.avi").unlink()  # what one folder alone holds is never lost
    assert len(list(sources.load("echonet-pediatric").items(tmp_path))) == 2


def test_ddti_takes_a_picture_that_bears_the_name_of_its_case_alone(tmp_path: Path) -> None:
    for name in ("7.jpg", "7_2.jpg", "0001.jpg"):
        write(tmp_path / name, b"")
    write(tmp_path / "7.xml", "<case><number>7</number><tirads>2</tirads></case>")
    found = {item.id: (item.patient, item.label) for item in sources.load("ddti").items(tmp_path)}
    assert found == {"7.jpg": ("7", "2"), "7_2.jpg": ("7", "2")}  # 0001 is no case: some other picture


def test_cactus_grades_stand_in_the_tables_first(tmp_path: Path) -> None:
    for name in ("odd.jpg", "4_D1_frame_7_v2.jpg", "5_D1_frame_8_v2.jpg"):
        write(tmp_path / "Images Dataset" / "SC" / name, b"")
    table = "Image Name,Subfolder Name,Grade\nodd.jpg,SC,6\n5_D1_frame_8_v2.jpg,SC,7\n"
    write(tmp_path / "Grades" / "SC_grades.csv", table)
    found = {item.path.rpartition("/")[2]: item.label for item in sources.load("cactus").items(tmp_path)}
    assert found == {"odd.jpg": "6", "4_D1_frame_7_v2.jpg": "4", "5_D1_frame_8_v2.jpg": "7"}


def test_hc18_numbers_are_no_patients_and_begin_again(unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    _, items = unpacked("hc18")
    assert {item.patient for item in items} == {None}
    assert {item.study for item in items if item.id.endswith("/000_HC.png")} == {"training-000", "test-000"}


def test_pediatric_clips_of_both_views_are_of_one_patient(unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    _, items = unpacked("echonet-pediatric")
    views = {
        patient: {item.view for item in items if item.patient == patient} for patient in {i.patient for i in items}
    }
    assert {"A4C", "PSAX"} in views.values()
    assert len({item.id for item in items}) == len(items)


def test_class_words_without_meaning_are_no_labels(unpacked: Callable[[str], tuple[Path, list[Item]]]) -> None:
    _, items = unpacked("ultrasound-fetus")
    assert any("malignant" in item.path for item in items)
    assert {item.label for item in items} == {None}


def test_the_twenty_copies_of_kidneyus_are_known() -> None:
    from openus.sources import kidneyus

    copies = [f"{number}_{image}_anon.png" for image, numbers in kidneyus._COPIES.items() for number in numbers]
    assert len(set(copies)) == 20
    source = sources.load("kidneyus")
    assert {sources.ignore_rule(source, f"kidneyUS_images_14_june_2022/{name}", "png") for name in copies} == {
        "intra-rater copy"
    }


def test_masks_that_lie_turned_are_said_to() -> None:
    assert any("90 degrees" in note for note in sources.load("fallmud").card.notes)


@pytest.mark.parametrize(("slug", "subject"), [("cactus", "phantom"), ("luss-phantom", "phantom")])
def test_phantoms_are_marked(slug: str, subject: str) -> None:
    assert sources.load(slug).card.subject == subject
