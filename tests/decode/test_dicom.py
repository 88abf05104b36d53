"""DICOM objects: what is ultrasound, however it begins; spacing and header; real files."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import phantom
import pydicom
import pytest
from phantom import LOSSLESS, one
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from openus.data import Header
from openus.decode import frames
from openus.errors import DecodeError, NotUltrasound
from openus.params import DecodeParams

PARAMS = DecodeParams()
F = phantom.letter_f()
RGB = phantom.coloured(F)


# --- what is ultrasound, and how it begins -------------------------------------------------------------------------


def test_modality_decides_and_the_sop_class_where_it_is_absent(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    phantom.save(made, tmp_path / "a.dcm", F.tobytes())
    np.testing.assert_array_equal(one(tmp_path / "a.dcm"), F)
    made.Modality = ""
    phantom.save(made, tmp_path / "a.dcm", F.tobytes())
    np.testing.assert_array_equal(one(tmp_path / "a.dcm"), F)
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    phantom.save(made, tmp_path / "a.dcm", F.tobytes())
    with pytest.raises(NotUltrasound, match="no modality"):
        one(tmp_path / "a.dcm")
    for modality in ("MR", "SEG", "OT"):
        made.Modality = modality
        phantom.save(made, tmp_path / "a.dcm", F.tobytes())
        with pytest.raises(NotUltrasound, match=modality):
            one(tmp_path / "a.dcm")


def test_objects_without_pictures(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.save_as(tmp_path / "lost.dcm", enforce_file_format=True)
    with pytest.raises(DecodeError, match="pixel data are missing"):
        one(tmp_path / "lost.dcm")
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        del made[keyword]
    made.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    with pytest.raises(NotUltrasound, match="no picture"):
        one(tmp_path / "report.dcm")


def test_no_preamble_and_no_file_meta(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.PixelData = F.tobytes()
    made["PixelData"].VR = "OB"
    for implicit in (True, False):
        buffer = io.BytesIO()
        bare = Dataset()
        bare.update(made)
        bare.save_as(buffer, implicit_vr=implicit, little_endian=True)
        (tmp_path / "IM0001").write_bytes(buffer.getvalue())
        np.testing.assert_array_equal(one(tmp_path / "IM0001"), F)


def test_a_tiff_preamble_does_not_hide_dicom(tmp_path: Path) -> None:
    path = phantom.write_dicom(tmp_path / "t.tif", [F])
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    np.testing.assert_array_equal(one(path), F)


def test_deflated(tmp_path: Path) -> None:
    made = phantom.dataset(RGB, "1.2.840.10008.1.2.1.99")
    path = phantom.save(made, tmp_path / "z.dcm", RGB.tobytes())
    np.testing.assert_array_equal(one(path), RGB)
    with pytest.raises(DecodeError, match="inflates to more"):
        list(frames(path, DecodeParams(max_pixels=1000)))


def test_zlib_is_bounded(tmp_path: Path) -> None:
    """A deflated object of zeros does not fill the memory."""
    head = phantom.save(phantom.dataset(F, "1.2.840.10008.1.2.1.99"), tmp_path / "z.dcm", F.tobytes()).read_bytes()
    meta = 144 + int.from_bytes(head[140:144], "little")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    (tmp_path / "z.dcm").write_bytes(head[:meta] + squeeze.compress(bytes(20_000_000)) + squeeze.flush())
    with pytest.raises(DecodeError, match="inflates"):
        list(frames(tmp_path / "z.dcm", DecodeParams(max_pixels=1_000_000)))


# --- spacing and header --------------------------------------------------------------------------------------------


def region(spatial: int, kind: int, box: tuple[int, int, int, int], delta: float, units: int = 3) -> Dataset:
    made = Dataset()
    made.RegionSpatialFormat, made.RegionDataType, made.RegionFlags = spatial, kind, 0
    made.RegionLocationMinX0, made.RegionLocationMinY0, made.RegionLocationMaxX1, made.RegionLocationMaxY1 = box
    made.PhysicalUnitsXDirection = made.PhysicalUnitsYDirection = units
    made.PhysicalDeltaX, made.PhysicalDeltaY = delta, -2 * delta
    return made


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([region(1, 1, (0, 0, 60, 40), 0.02)], (0.2, 0.4)),
        ([region(1, 1, (0, 0, 10, 10), 0.05), region(1, 1, (0, 0, 60, 40), 0.02)], (0.2, 0.4)),
        ([region(1, 2, (0, 0, 60, 40), 0.05), region(1, 1, (0, 0, 20, 20), 0.02)], (0.2, 0.4)),
        ([region(4, 10, (0, 0, 60, 40), 0.02)], (None, None)),
        ([region(1, 1, (0, 0, 60, 40), 0.02, units=4)], (None, None)),
        ([region(1, 1, (0, 0, 60, 40), 0.0)], (None, None)),
        ([region(1, 1, (0, 0, 600, 400), 0.02)], (None, None)),
        ([], (None, None)),
    ],
)
def test_spacing_of_regions(tmp_path: Path, regions: list[Dataset], expected: tuple[float | None, ...]) -> None:
    made = phantom.dataset(F)
    made.SequenceOfUltrasoundRegions = regions
    (frame,) = frames(phantom.save(made, tmp_path / "s.dcm", F.tobytes()), PARAMS)
    assert frame.spacing_mm == (pytest.approx(expected) if expected[0] else expected)


def test_spacing_of_the_plain_elements_is_row_distance_first(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.ImagerPixelSpacing = [0.5, 0.4]
    (frame,) = frames(phantom.save(made, tmp_path / "s.dcm", F.tobytes()), PARAMS)
    assert frame.spacing_mm == (0.4, 0.5)
    made.PixelSpacing = [0.3, 0.2]
    (frame,) = frames(phantom.save(made, tmp_path / "s.dcm", F.tobytes()), PARAMS)
    assert frame.spacing_mm == (0.2, 0.3)


def test_a_librarys_surprise_does_not_quote_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprised(dataset: Dataset) -> None:
        raise RuntimeError(f"what is {dataset.PatientID}?")

    made = phantom.dataset(F)
    made.PatientID = "DOE^JANE"
    path = phantom.save(made, tmp_path / "x.dcm", F.tobytes())
    monkeypatch.setattr("openus.decode.dicom.layout", surprised)
    with pytest.raises(DecodeError, match=r"does not decode \(RuntimeError\)") as error:
        one(path)
    assert "DOE" not in str(error.value)


def test_header_is_raw_but_stripped_and_absent_is_none(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.IssuerOfPatientID = ""
    (frame,) = frames(phantom.save(made, tmp_path / "h.dcm", F.tobytes()), PARAMS)
    assert frame.header == Header(patient="P-1", issuer="", study="1.2.3", body_part=None)


NAME = "MUELLER^HANS 1953"


def misfilled(path: Path, **elements: tuple[str, Any]) -> Path:
    """A deep gray picture whose header has words where none belong: keyword -> (value representation, value)."""
    deep = F.astype(np.uint16) * 257
    made = phantom.dataset(deep)
    with warnings.catch_warnings(action="ignore"):
        for keyword, (kind, value) in elements.items():
            made[keyword] = pydicom.DataElement(keyword, kind, value)
        return phantom.save(made, path, deep.tobytes())


def test_pydicom_says_nothing_of_a_header_that_is_filled_in_wrongly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = misfilled(tmp_path / "w.dcm", StudyInstanceUID=("UI", NAME), SpecificCharacterSet=("CS", NAME))
    caplog.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        (frame,) = frames(path, PARAMS)
    assert not told and not caplog.records and frame.header is not None and frame.header.study == NAME


@pytest.mark.parametrize(
    ("elements", "error", "words"),
    [
        ({"Modality": ("CS", NAME)}, NotUltrasound, "its modality is not US"),
        ({"Modality": ("CS", "DOE")}, NotUltrasound, "its modality is not US"),
        ({"Modality": ("CS", ""), "SOPClassUID": ("UI", NAME)}, NotUltrasound, "no valid SOP class"),
        ({"Rows": ("LO", NAME)}, DecodeError, "no Rows"),
        ({"PhotometricInterpretation": ("CS", "PALETTE COLOR"),
          "RedPaletteColorLookupTableDescriptor": ("LO", [NAME] * 3)}, DecodeError, "its palette is damaged"),
    ],
)  # fmt: skip
def test_errors_quote_no_words_of_the_header(
    tmp_path: Path, elements: dict[str, tuple[str, Any]], error: type, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        one(misfilled(tmp_path / "w.dcm", **elements))
    assert not {"MUELLER", "HANS", "1953"} & set(re.split(r"\W", caught.value.message.upper()))


def test_a_window_that_is_no_number_is_none(tmp_path: Path) -> None:
    path = misfilled(tmp_path / "w.dcm", WindowCenter=("LO", NAME), WindowWidth=("DS", 9))
    path.write_bytes(path.read_bytes().replace(b"\x28\0\x50\x10LO", b"\x28\0\x50\x10DS"))
    np.testing.assert_array_equal(one(path), F)


# --- real files ----------------------------------------------------------------------------------------------------


def test_real_objects_agree_with_pydicom(real: Path, capfd: pytest.CaptureFixture[str]) -> None:
    count = 0
    for path in sorted((real / "archives" / "dicom-us-samples").rglob("*")) + sorted(
        (real / "archives" / "philips-sparq-plexus" / "DICOM 12-08").glob("*/*")
    ):
        if not path.is_file() or path.name == "SOURCE.md":
            continue
        found = [frame.pixels for frame in frames(path, PARAMS)]
        count += 1
        made = pydicom.dcmread(path)
        if made.file_meta.TransferSyntaxUID == LOSSLESS:  # no pydicom plugin here reads it
            assert found[0].shape == (768, 1024) and found[0].std() > 10
            continue
        expected = pixel_array(made)
        if made.PhotometricInterpretation == "PALETTE COLOR":
            if path.name == "OBXXXX1A_expb.dcm":  # pydicom 3.0 reads its big-endian table as little-endian
                (twin,) = frames(path.with_name("OBXXXX1A.dcm"), PARAMS)
                np.testing.assert_array_equal(found[0], twin.pixels)
                continue
            expected = apply_color_lut(expected, made)
            expected = (expected >> 8).astype(np.uint8) if expected.dtype == np.uint16 else expected
        stack = np.stack(found) if len(found) > 1 else found[0]
        np.testing.assert_array_equal(stack, expected, err_msg=path.name)
    assert count == 30
    with pytest.raises(NotUltrasound, match="DICOMDIR"):
        list(frames(real / "archives" / "philips-sparq-plexus" / "DICOM 12-08" / "DICOMDIR", PARAMS))
    assert not any(capfd.readouterr())


def test_real_twins_in_other_transfer_syntaxes_are_equal(real: Path) -> None:
    folder = real / "archives" / "dicom-us-samples" / "pydicom-data" / "data_store" / "data"
    for first, *others in (("US1_UNCR.dcm", "US1_J2KR.dcm"), ("color-px.dcm", "color-pl.dcm"),
                           ("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm", "OBXXXX1A_expb.dcm"),
                           ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm")):  # fmt: skip
        for other in others:
            np.testing.assert_array_equal(one(folder / first), one(folder / other), err_msg=other)
