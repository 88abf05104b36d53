"""What breaks a naive reader of a source, each by what comes of it: frames that lie upright, in order, once; ids that
hold; words that mean something. What is a matter of names alone stands in the layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import miniature
import nibabel
import numpy as np
import pytest
from layouts import layouts

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
