"""Volumes and sequences: axes, Plus orientations, ranges, labels, radio frequency, trackers, missing and cut data."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import phantom
import pytest
import SimpleITK as sitk  # noqa: N813

from openus.decode import frames
from openus.errors import DecodeError, NotUltrasound, UnreadableFile, UnsupportedMedium
from openus.params import DecodeParams

PARAMS = DecodeParams()
F = phantom.letter_f()


def sequence(path: Path, array: np.ndarray, **tags: str) -> Path:
    image = sitk.GetImageFromArray(array)
    for key, value in tags.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize(
    ("code", "stored"),
    [("MF", F), ("MFA", F), ("UF", F[:, ::-1]), ("MN", F[::-1]), ("UND", F[::-1, ::-1]), ("FM", F.T),
     ("FU", F[:, ::-1].T), ("NM", F[::-1].T), ("XX", F), ("", F)],
)  # fmt: skip
def test_plus_orientations_become_mf(tmp_path: Path, code: str, stored: np.ndarray) -> None:
    array = np.ascontiguousarray(np.stack([stored] * 2))
    path = sequence(tmp_path / "s.mha", array, UltrasoundImageOrientation=code)
    for frame in frames(path, PARAMS):
        np.testing.assert_array_equal(frame.pixels, F)


def test_radio_frequency_is_refused_by_name_and_by_its_values(tmp_path: Path) -> None:
    path = sequence(tmp_path / "n.mha", np.stack([F, F[::-1]]), UltrasoundImageType="RF_REAL")
    with pytest.raises(NotUltrasound, match="RF_REAL"):
        list(frames(path, PARAMS))
    wave = (np.random.default_rng(0).normal(0, 900, (3, 48, 64))).astype(np.int16)
    with pytest.raises(NotUltrasound, match="oscillate"):
        list(frames(sequence(tmp_path / "w.mha", wave), PARAMS))
    envelope = np.abs(wave)
    envelope[:, 0] *= -1  # as far below zero as above, yet seldom: no oscillation
    assert len(list(frames(sequence(tmp_path / "e.mha", envelope), PARAMS))) in (1, 3)
    scored = ((F - F.mean()) / F.std()).astype(np.float32)
    assert len(list(frames(sequence(tmp_path / "z.mha", np.stack([scored, scored + 4])), PARAMS))) == 2


def test_labels_are_refused(tmp_path: Path) -> None:
    label = (np.stack([F, F[::-1]]) > 150).astype(np.float64)
    for name, values in (("a.mha", label), ("b.nrrd", (label * 3).astype(np.uint8)), ("c.nii.gz", label)):
        with pytest.raises(NotUltrasound, match="label"):
            list(frames(sequence(tmp_path / name, values), PARAMS))
    blank = sequence(tmp_path / "blank.mha", np.zeros((3, 48, 64), np.uint8))
    assert len(list(frames(blank, PARAMS))) == 3, "blank is not a label"


@pytest.mark.parametrize("name", ["d.mha", "d.nrrd", "d.nii", "d.nii.gz"])
@pytest.mark.parametrize("kind", ["u2", "i2", "f4"])
def test_one_range_for_the_whole_file(tmp_path: Path, name: str, kind: str) -> None:
    values = np.stack([F.astype(kind) * 2, F.astype(kind) * 12])
    found = list(frames(sequence(tmp_path / name, values), PARAMS))
    low, high = (0, 4095) if kind != "f4" else (float(values.min()), float(values.max()))
    for frame, picture in zip(found, values, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.rint((picture - low) * (255.0 / (high - low))).astype(np.uint8))


def test_nan_and_rescale(tmp_path: Path) -> None:
    values = F.astype(np.float32)
    values[0, :5] = np.nan, np.inf, -np.inf, 0, 1
    (frame,) = frames(sequence(tmp_path / "n.nii", values), PARAMS)
    assert frame.pixels[0, :3].tolist() == [0, 255, 0]
    image = nibabel.Nifti1Image(F.T.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(str(tmp_path / "s.nii.gz"))
    (frame,) = frames(tmp_path / "s.nii.gz", PARAMS)
    expected = nibabel.load(tmp_path / "s.nii.gz").get_fdata().T
    np.testing.assert_array_equal(frame.pixels, np.rint(expected).astype(np.uint8))


def test_four_dimensions_run_in_file_order(tmp_path: Path) -> None:
    values = np.stack([np.stack([np.roll(F, 3 * z + t, axis=0) for z in range(3)]) for t in range(2)])
    image = nibabel.Nifti1Image(values.transpose(3, 2, 1, 0), np.eye(4))
    image.to_filename(str(tmp_path / "t.nii.gz"))
    found = list(frames(tmp_path / "t.nii.gz", PARAMS))
    assert [frame.index for frame in found] == list(range(6))
    for frame, picture in zip(found, values.reshape(6, *F.shape), strict=True):
        np.testing.assert_array_equal(frame.pixels, picture)


def test_colours_planes_and_interleaved_frames(tmp_path: Path) -> None:
    rgb = phantom.coloured(F)
    for name in ("v.mha", "v.nrrd", "v.nii"):
        sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(tmp_path / name))
        (frame,) = frames(tmp_path / name, PARAMS)
        np.testing.assert_array_equal(frame.pixels, rgb)
    (frame,) = frames(sequence(tmp_path / "planes.mha", np.ascontiguousarray(rgb.transpose(2, 0, 1))), PARAMS)
    assert frame.index is None
    np.testing.assert_array_equal(frame.pixels, rgb)
    (frame,) = frames(sequence(tmp_path / "equal.mha", np.stack([F] * 3)), PARAMS)
    np.testing.assert_array_equal(frame.pixels, F)
    pictures = np.stack(phantom.clip(7))
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 7 64 48\nkinds: list domain domain\nencoding: raw\n\n"
    (tmp_path / "i.nrrd").write_bytes(header.encode() + np.ascontiguousarray(np.moveaxis(pictures, 0, -1)).tobytes())
    for frame, picture in zip(frames(tmp_path / "i.nrrd", PARAMS), pictures, strict=True):
        np.testing.assert_array_equal(frame.pixels, picture)


@pytest.mark.parametrize("word", ["True", "true", "TRUE", "T", "1", "False", "false", "0", "yes", ""])
@pytest.mark.parametrize(
    "key",
    ["BinaryDataByteOrderMSB", "ElementByteOrderMSB", "ElementByteOrderMSB = True\nBinaryDataByteOrderMSB",
     "CompressedData", "BinaryData"],
)  # fmt: skip
def test_metaimage_flags_are_read_as_simpleitk_reads_them(tmp_path: Path, key: str, word: str) -> None:
    values = np.linspace(0, 65535, F.size).astype(np.uint16).reshape(F.shape)
    data = values.tobytes()
    if key == "CompressedData" and word in ("True", "true", "TRUE", "T", "1"):
        data = zlib.compress(data)
    binary = "" if key == "BinaryData" else "BinaryData = True\n"
    head = f"{binary}{key} = {word}\nCompressedDataSize = {len(data)}\nDimSize = 64 48\nElementType = MET_USHORT\n"
    (tmp_path / "f.mha").write_bytes(f"NDims = 2\n{head}ElementDataFile = LOCAL\n".encode() + data)
    try:
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "f.mha")))
    except RuntimeError:
        with pytest.raises(UnsupportedMedium, match="text"):
            list(frames(tmp_path / "f.mha", PARAMS))
        return
    (frame,) = frames(tmp_path / "f.mha", PARAMS)
    np.testing.assert_array_equal(frame.pixels, np.rint(expected * (255 / 65535)))


def test_nrrd_byte_order_in_capitals(tmp_path: Path) -> None:
    head = "NRRD0004\ntype: ushort\ndimension: 2\nsizes: 64 48\nendian: BIG\nencoding: raw\n\n"
    (tmp_path / "b.nrrd").write_bytes(head.encode() + (F * np.uint16(256)).astype(">u2").tobytes())
    (frame,) = frames(tmp_path / "b.nrrd", PARAMS)
    np.testing.assert_array_equal(frame.pixels, np.rint(F * (256 * 255 / 65535)))


@pytest.mark.parametrize("name", ["c.mha", "c.mhd", "c.nrrd", "c.nii", "c.nii.gz", "c.nhdr"])
def test_a_cut_volume_gives_its_whole_slices_and_then_an_error(tmp_path: Path, name: str) -> None:
    pictures = phantom.clip(10)
    path = tmp_path / name
    if name == "c.nhdr":
        sequence(path, np.stack(pictures))
    else:
        phantom.CLIPS[name](path, pictures)
    data = next((p for p in sorted(tmp_path.iterdir()) if p != path), path)
    data.write_bytes(data.read_bytes()[: int(data.stat().st_size * 0.6)])
    found, message = [], ""
    try:
        for frame in frames(path, PARAMS):
            found.append(frame)
    except DecodeError as error:
        message = error.message
    assert 0 < len(found) < 10 and f"{len(found)} of 10 declared" in message
    for frame, picture in zip(found, pictures, strict=False):
        np.testing.assert_array_equal(frame.pixels, picture)


def test_missing_and_foreign_data_files(tmp_path: Path) -> None:
    path = phantom.CLIPS["c.mhd"](tmp_path / "c.mhd", phantom.clip(3))
    text = path.read_text()
    (tmp_path / "c.raw").rename(tmp_path / "elsewhere.raw")
    with pytest.raises(UnreadableFile, match=r"c\.raw is not beside it"):
        list(frames(path, PARAMS))
    for name in ("../secret.raw", str(tmp_path / "elsewhere.raw")):
        path.write_text(text.replace("c.raw", name))
        with pytest.raises(DecodeError, match="outside its folder"):
            list(frames(path, PARAMS))


def test_header_size_minus_one_means_that_the_values_end_the_file(tmp_path: Path) -> None:
    path = phantom.CLIPS["c.mhd"](tmp_path / "c.mhd", phantom.clip(3))
    path.write_text(path.read_text().replace("ElementDataFile", "HeaderSize = -1\nElementDataFile"))
    data = tmp_path / "c.raw"
    data.write_bytes(b"a header of its own" + data.read_bytes())
    for frame, picture in zip(frames(path, PARAMS), phantom.clip(3), strict=True):
        np.testing.assert_array_equal(frame.pixels, picture)


def nifti_header(shape: tuple[int, ...], kind: type) -> nibabel.Nifti1Header:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(kind)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1\0", 352
    return header


def test_impossible_headers(tmp_path: Path) -> None:
    bomb = nifti_header((30000, 30000, 30000), np.uint8).binaryblock + b"\0" * 4
    for name, data in (("b.nii", bomb), ("b.nii.gz", gzip.compress(bomb))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DecodeError, match="claims"):
            list(frames(tmp_path / name, PARAMS))
    empty = bytearray(nifti_header((64, 48, 1), np.uint8).binaryblock + b"\0" * 4)
    empty[46:48] = b"\0\0"  # dim[3]
    empty[40:42] = b"\3\0"
    (tmp_path / "z.nii").write_bytes(bytes(empty))
    with pytest.raises(DecodeError, match="no picture"):
        list(frames(tmp_path / "z.nii", PARAMS))
    text = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 64 48 2\nencoding: bzip2\n\nxx"
    (tmp_path / "e.nrrd").write_bytes(text)
    with pytest.raises(UnsupportedMedium):
        list(frames(tmp_path / "e.nrrd", PARAMS))


def test_spacing_is_never_invented(tmp_path: Path) -> None:
    for name in ("s.mha", "s.nrrd"):
        (frame,) = frames(phantom.write_volume(tmp_path / name, [F], (1, 1)), PARAMS)
        assert frame.spacing_mm == (None, None)
    header = nifti_header((64, 48), np.uint8)
    header["pixdim"][1:3] = 2e-4, 3e-4
    header.set_xyzt_units("meter")
    (tmp_path / "m.nii").write_bytes(header.binaryblock + b"\0" * 4 + F.tobytes())
    (frame,) = frames(tmp_path / "m.nii", PARAMS)
    assert frame.spacing_mm == pytest.approx((0.2, 0.3))


def test_memory_stays_at_a_few_slices(tmp_path: Path) -> None:
    import tracemalloc

    size, count = 600, 60
    header = nifti_header((size, size, count), np.uint8)
    picture = np.random.default_rng(0).integers(0, 255, size * size, np.uint8).tobytes()
    with gzip.open(tmp_path / "l.nii.gz", "wb", compresslevel=1) as file:
        file.write(header.binaryblock + b"\0" * 4)
        for _ in range(count):
            file.write(picture)
    tracemalloc.start()
    assert sum(1 for _ in frames(tmp_path / "l.nii.gz", PARAMS)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * size * size, f"{peak:,} bytes for slices of {size * size:,}"


REFUSED = ("*_labels*", "MouseLiverRF*", "EightLandmark*", "Prostate10_tracker*")


def test_real_volumes_agree_with_simpleitk(real: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcome: Counter[str] = Counter()
    for path in sorted((real / "archives").rglob("*")):
        if not path.name.endswith((".mha", ".mhd", ".nrrd", ".nii.gz")):
            continue
        decoy = any(path.match(pattern) or path.parent.match(pattern) for pattern in REFUSED)
        try:
            found = np.stack([frame.pixels for frame in frames(path, PARAMS)])
        except NotUltrasound:
            assert decoy, path
            outcome["refused"] += 1
            continue
        except UnreadableFile as error:
            assert path.name == "MetaImageSequenceIOTest1.igs.mhd" and "zraw" in error.message
            continue
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        if array.ndim == 3 and array.shape[2] == 97:  # SimpleITK's view of a sequence as NRRD
            array = np.moveaxis(array, -1, 0)
        np.testing.assert_array_equal(found.ravel(), array.ravel())
        assert not decoy, path
        outcome["read"] += 1
    assert outcome == {"refused": 26 + 4, "read": 26 + 11}
    assert not any(capfd.readouterr())
