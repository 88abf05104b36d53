"""What a source knows of a file that its bytes do not say: turned pictures, other axes, some frames, HDF5."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import phantom
import pytest

from openus import decode
from openus.data import Frame, Reading
from openus.errors import DecodeError, NotUltrasound, UnsupportedMedium
from openus.params import DecodeParams

PARAMS = DecodeParams()
VOLUME = np.random.default_rng(3).integers(0, 256, (11, 20, 30), np.uint8)


def frames(path: Path, **reading: object) -> list[Frame]:
    return list(decode.frames(path, PARAMS, Reading(**reading)))


def metaimage(path: Path, volume: np.ndarray, *, compressed: bool = False) -> Path:
    size = " ".join(map(str, volume.shape[::-1]))
    head = f"ObjectType = Image\nNDims = 3\nDimSize = {size}\nElementSpacing = 0.1 0.2 0.5\nElementType = MET_UCHAR\n"
    head += f"CompressedData = {compressed}\nElementDataFile = LOCAL\n"
    data = volume.tobytes()
    path.write_bytes(head.encode() + (zlib.compress(data) if compressed else data))
    return path


@pytest.fixture(params=["raw", "zlib", "nifti", "nifti-gz"])
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param in ("raw", "zlib"):
        return metaimage(tmp_path / "v.mha", VOLUME, compressed=request.param == "zlib")
    import nibabel

    path = tmp_path / ("v.nii.gz" if request.param == "nifti-gz" else "v.nii")
    image = nibabel.Nifti1Image(VOLUME.T, np.diag([0.1, 0.2, 0.5, 1]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    ("turn", "wanted"),
    [
        ("rotate-180", lambda a: np.rot90(a, 2)),
        ("flip-top-bottom", np.flipud),
        ("flip-left-right", np.fliplr),
        (None, lambda a: a),
    ],
)
def test_turned_pictures_are_upright(turn: str | None, wanted, tmp_path: Path, volume: Path) -> None:
    letter = phantom.letter_f()
    (still,) = frames(phantom.write_image(tmp_path / "f.png", [letter]), turn=turn)
    assert np.array_equal(still.pixels, wanted(letter))
    turned = frames(volume, turn=turn)
    assert all(np.array_equal(f.pixels, wanted(VOLUME[f.index])) for f in turned) and len(turned) == len(VOLUME)


def test_only_the_wanted_slices_come_under_their_own_numbers(volume: Path) -> None:
    found = frames(volume, frames=(4, 5, 9))
    assert [frame.index for frame in found] == [4, 5, 9]
    assert all(np.array_equal(frame.pixels, VOLUME[frame.index]) for frame in found)
    assert found[0].spacing_mm == pytest.approx((0.1, 0.2))


def test_parts_of_a_file_add_up_to_the_whole(volume: Path) -> None:
    parts = [frames(volume, frames=tuple(range(k, min(k + 4, 11)))) for k in (0, 4, 8)]
    assert np.array_equal(np.stack([f.pixels for part in parts for f in part]), VOLUME)


def test_a_slice_that_is_not_there_is_told_after_those_that_are(volume: Path) -> None:
    found = []
    with pytest.raises(DecodeError, match=r"2 of 3 declared slices came: the file has 11"):
        for frame in decode.frames(volume, PARAMS, Reading(frames=(9, 10, 11))):
            found.append(frame.index)
    assert found == [9, 10]


def test_another_axis(volume: Path) -> None:
    found = frames(volume, axes=(2, 1, 0))  # columns: slices of the file; rows: its rows; slices: its columns
    assert len(found) == 30
    assert all(np.array_equal(frame.pixels, VOLUME[:, :, frame.index].T) for frame in found)
    assert found[0].spacing_mm == pytest.approx((0.5, 0.2))
    assert [f.index for f in frames(volume, axes=(2, 1, 0), frames=(3,))] == [3]


def test_another_axis_of_a_cut_volume_is_told(tmp_path: Path) -> None:
    path = metaimage(tmp_path / "v.mha", VOLUME)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DecodeError, match="ends within its values"):
        frames(path, axes=(2, 1, 0))


def hdf5(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_hdf5_frames_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "d.hdf5", image=VOLUME, mask=VOLUME // 255)
    found = frames(path, dataset="image", frames=(7, 2))
    assert [frame.index for frame in found] == [7, 2]
    assert all(np.array_equal(frame.pixels, VOLUME[frame.index]) for frame in found)
    assert len(frames(path, dataset="image")) == len(VOLUME)
    colour = hdf5(tmp_path / "c.hdf5", image=np.stack([VOLUME] * 3, axis=-1))
    assert frames(colour, dataset="image", frames=(1,))[0].pixels.shape == VOLUME.shape[1:]


def test_hdf5_numbers_share_one_range(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "d.hdf5", image=VOLUME.astype(np.float32) / 255)
    assert all(np.array_equal(frame.pixels, VOLUME[frame.index]) for frame in frames(path, dataset="image"))


@pytest.mark.parametrize(
    ("reading", "error", "words"),
    [
        ({"dataset": "pictures"}, DecodeError, "no data set 'pictures'"),
        ({"dataset": "flat"}, DecodeError, "the shape"),
        ({"dataset": "image", "frames": (0, 11)}, DecodeError, "none at 11"),
        ({"dataset": "image", "frames": (0, -1)}, DecodeError, "none at -1"),
        ({"dataset": "words"}, NotUltrasound, "no numbers"),
        ({}, UnsupportedMedium, "no common layout"),
    ],
)
def test_hdf5_that_is_not_as_the_source_says(reading: dict, error: type, words: str, tmp_path: Path) -> None:
    text = np.full((2, 9, 9), b"x")
    path = hdf5(tmp_path / "d.hdf5", image=VOLUME, flat=VOLUME.ravel(), words=text)
    with pytest.raises(error, match=words):
        frames(path, **reading)


@pytest.mark.parametrize("bound", [{"max_frames": 10}, {"max_pixels": 599}])
def test_hdf5_is_bounded(tmp_path: Path, bound: dict[str, int]) -> None:
    path, reading = hdf5(tmp_path / "d.hdf5", image=VOLUME), Reading(dataset="image")
    with pytest.raises(DecodeError, match=r"11 pictures|claims 20 x 30 pixels"):
        list(decode.frames(path, DecodeParams(**bound), reading))
    assert len(list(decode.frames(path, DecodeParams(max_frames=11, max_pixels=600), reading))) == 11


def test_what_is_too_large_for_another_axis_is_refused_by_its_header(tmp_path: Path) -> None:
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2000 2000 600\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "v.mha").write_bytes(head.encode() + bytes(9000))
    with pytest.raises(DecodeError, match="too many to slice along another axis"):
        frames(tmp_path / "v.mha", axes=(2, 1, 0))


def test_broken_hdf5_is_one_sentence(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "d.hdf5", image=VOLUME)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DecodeError, match=r"d\.hdf5"):
        frames(path, dataset="image")


def test_a_colour_clip_of_three_frames_is_three_frames(tmp_path: Path) -> None:
    head = "ObjectType = Image\nNDims = 3\nDimSize = 30 20 3\nElementNumberOfChannels = 3\nElementType = MET_UCHAR\n"
    values = np.random.default_rng(1).integers(0, 256, (3, 20, 30, 3), np.uint8)
    (tmp_path / "c.mha").write_bytes(head.encode() + b"ElementDataFile = LOCAL\n" + values.tobytes())
    found = frames(tmp_path / "c.mha")
    assert [frame.index for frame in found] == [0, 1, 2]
    assert np.array_equal(np.stack([frame.pixels for frame in found]), values)


def test_of_three_slices_the_wanted_one_and_of_three_planes_the_picture(tmp_path: Path) -> None:
    slices = metaimage(tmp_path / "s.mha", VOLUME[:3])
    assert [frame.index for frame in frames(slices, frames=(1,))] == [1]
    planes = metaimage(tmp_path / "p.mha", np.repeat(VOLUME[:1], 3, axis=0))
    assert [frame.index for frame in frames(planes, frames=(0, 1, 2))] == [None]


def test_hdf5_that_leads_into_another_file_is_refused(tmp_path: Path) -> None:
    hdf5(tmp_path / "other.hdf5", image=VOLUME)
    with h5py.File(tmp_path / "link.hdf5", "w") as file:
        file["image"] = h5py.ExternalLink("other.hdf5", "image")
        file.create_dataset("raw", (11, 20, 30), np.uint8, external=[(str(tmp_path / "other.hdf5"), 0, 6600)])
        layout = h5py.VirtualLayout((11, 20, 30), np.uint8)
        layout[:] = h5py.VirtualSource("other.hdf5", "image", (11, 20, 30))
        file.create_virtual_dataset("virtual", layout)
        file["small"] = VOLUME[:, :4]
    for name in ("image", "raw", "virtual"):
        with pytest.raises(DecodeError, match=r"lies? in (an)?other file"):
            frames(tmp_path / "link.hdf5", dataset=name)
    with pytest.raises(NotUltrasound, match="no pictures"):
        frames(tmp_path / "link.hdf5", dataset="small")
