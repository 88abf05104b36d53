"""DICOM: what is ultrasound, every way pixels are stored, spacing, header, lying and cut files."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import phantom
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_extended
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from openus.data import Frame, Header, Pixels
from openus.decode import frames
from openus.errors import DecodeError, NotUltrasound, UnsupportedMedium
from openus.params import DecodeParams

PARAMS = DecodeParams()
F = phantom.letter_f()
RGB = phantom.coloured(F)
JPEG, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"


def one(path: Path) -> Pixels:
    (frame,) = frames(path, PARAMS)
    return frame.pixels


def collected(path: Path) -> tuple[list[Frame], str]:
    found: list[Frame] = []
    try:
        for frame in frames(path, PARAMS):
            found.append(frame)
    except DecodeError as error:
        return found, error.message
    return found, ""


def ybr(rgb: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2, YBR_FULL."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    return np.clip(np.rint(rgb @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)


# --- what is ultrasound -------------------------------------------------------------------------------------------


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


# --- how pixels are stored ----------------------------------------------------------------------------------------


def test_planar_configurations_and_byte_orders(tmp_path: Path) -> None:
    made = phantom.dataset(RGB)
    made.PlanarConfiguration = 1
    phantom.save(made, tmp_path / "p.dcm", np.ascontiguousarray(RGB.transpose(2, 0, 1)).tobytes())
    np.testing.assert_array_equal(one(tmp_path / "p.dcm"), RGB)
    deep = F.astype(np.uint16) * 16
    for syntax, order in ((ExplicitVRBigEndian, ">u2"), (ImplicitVRLittleEndian, "<u2")):
        made = phantom.dataset(deep, syntax)
        made.BitsStored, made.HighBit = 12, 11
        phantom.save(made, tmp_path / "b.dcm", deep.astype(order).tobytes())
        np.testing.assert_array_equal(one(tmp_path / "b.dcm"), np.rint(deep * (255 / 4095)).astype(np.uint8))


@pytest.mark.parametrize("name", ["YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"])
def test_raw_ybr_becomes_the_right_colours(tmp_path: Path, name: str) -> None:
    smooth = cv2.resize(RGB[:8, :16], (16, 8))
    picture = np.ascontiguousarray(np.tile(smooth, (4, 4, 1)))
    stored = ybr(picture)
    if name == "YBR_PARTIAL_422":  # ITU-R BT.601 studio range
        stored = np.rint(
            stored * [219 / 255, 224 / 255, 224 / 255] + [16, 128 * (1 - 224 / 255), 128 * (1 - 224 / 255)]
        )
        stored = stored.astype(np.uint8)
    made = phantom.dataset(picture)
    made.PhotometricInterpretation = name
    if name == "YBR_FULL":
        data = stored.tobytes()
    else:
        pairs = stored.reshape(-1, 2, 3)
        data = np.concatenate([pairs[:, :, 0], pairs[:, 0, 1:]], axis=1).tobytes()
    found = one(phantom.save(made, tmp_path / "y.dcm", data))
    assert np.abs(found.astype(int) - picture)[:, 2:-2].max() <= 3


def test_monochrome1_is_inverted_and_few_bits_fill_the_range(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_array_equal(one(phantom.save(made, tmp_path / "m.dcm", (255 - F).tobytes())), F)
    made.PhotometricInterpretation, made.BitsStored, made.HighBit = "MONOCHROME2", 6, 5
    dirty = (F >> 2) | 0xC0  # bits above Bits Stored mean nothing
    np.testing.assert_array_equal(
        one(phantom.save(made, tmp_path / "s.dcm", dirty.tobytes())), np.rint((F >> 2) * (255 / 63))
    )


def test_deep_gray_by_window_or_by_bits_stored(tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, F.size).reshape(F.shape).astype(np.uint16)
    made = phantom.dataset(deep)
    made.BitsStored, made.HighBit = 12, 11
    np.testing.assert_array_equal(
        one(phantom.save(made, tmp_path / "d.dcm", deep.tobytes())), np.rint(deep * (255 / 4095))
    )
    made.WindowCenter, made.WindowWidth, made.RescaleSlope, made.RescaleIntercept = [1000, 7], [501, 9], 2, -100
    found = one(phantom.save(made, tmp_path / "w.dcm", deep.tobytes()))
    shown = deep * 2.0 - 100
    expected = np.clip(((shown - 999.5) / 500 + 0.5) * 255, 0, 255)  # PS3.3 C.11.2.1.2.1
    np.testing.assert_allclose(found, expected, atol=0.51)
    signed = (deep.astype(np.int32) - 2048).astype(np.int16)
    made = phantom.dataset(signed)
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, 1
    np.testing.assert_array_equal(
        one(phantom.save(made, tmp_path / "i.dcm", signed.tobytes())), np.rint(deep * (255 / 4095))
    )


@pytest.mark.parametrize("syntax", [phantom.ExplicitVRLittleEndian, phantom.RLE])
@pytest.mark.parametrize(("factor", "high"), [(1, 255), (16, 4095), (256, 65535)])
def test_sixteen_bits_stored_of_sixteen_are_taken_by_the_values_of_all_frames(
    tmp_path: Path, syntax: str, factor: int, high: int
) -> None:
    clip = [(picture * np.uint16(factor)) for picture in (F // 8, F, F // 4)]
    made = phantom.dataset(clip[0], frames=3)
    made.PixelData = b"".join(picture.tobytes() for picture in clip)
    made["PixelData"].VR = "OW"
    if syntax == phantom.RLE:
        made.compress(syntax, generate_instance_uid=False)
    made.save_as(tmp_path / "d.dcm", enforce_file_format=True)
    for frame, picture in zip(frames(tmp_path / "d.dcm", PARAMS), clip, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.rint(picture * (255 / high)))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "window"), [(8, False), (12, False), (12, True)])
def test_a_negative_slope_inverts(tmp_path: Path, photometric: str, bits: int, window: bool) -> None:
    full = (1 << bits) - 1
    stored = np.linspace(0, full, F.size).reshape(F.shape).astype(np.uint8 if bits == 8 else np.uint16)
    made = phantom.dataset(stored)
    made.BitsStored, made.HighBit, made.PhotometricInterpretation = bits, bits - 1, photometric
    made.RescaleSlope, made.RescaleIntercept = -1, full
    shown = (full - stored.astype(float)) * (255 / full)
    if window:  # of the rescaled values 1000 to 1500 (PS3.3 C.11.2.1.2.1)
        made.WindowCenter, made.WindowWidth = 1250.5, 501
        shown = np.clip((full - stored.astype(float) - 1000) * (255 / 500), 0, 255)
    found = one(phantom.save(made, tmp_path / "n.dcm", stored.tobytes()))
    np.testing.assert_allclose(found, shown if photometric == "MONOCHROME2" else 255 - shown, atol=0.51)


def test_eight_bit_pictures_are_taken_as_they_are(tmp_path: Path) -> None:
    made = phantom.dataset(F)
    made.WindowCenter, made.WindowWidth = 60, 20
    np.testing.assert_array_equal(one(phantom.save(made, tmp_path / "e.dcm", F.tobytes())), F)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_palettes(tmp_path: Path, big: bool, bits: int) -> None:
    table = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 40)]).astype(np.uint16)
    made = phantom.dataset(F, ExplicitVRBigEndian if big else phantom.ExplicitVRLittleEndian)
    made.PhotometricInterpretation = "PALETTE COLOR"
    for row, colour in zip(table, ("Red", "Green", "Blue"), strict=True):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        data = (row << 8 | 0x3C if bits == 16 else row).astype(">u2" if big else "<u2").tobytes()
        setattr(made, f"{colour}PaletteColorLookupTableData", data)
    found = one(phantom.save(made, tmp_path / "p.dcm", F.tobytes()))
    np.testing.assert_array_equal(found, table.T[F])


@pytest.mark.parametrize(
    ("picture", "word", "signed"),
    [(F, "MONOCHROM", 0), (F, "", 0), (F, "RGB", 0), (F, "PALETTE COLOR", 1), (RGB, "HSV", 0), (RGB, "MONOCHROME2", 0)],
)
def test_samples_that_nobody_can_know_the_meaning_of(
    tmp_path: Path, picture: np.ndarray, word: str, signed: int
) -> None:
    made = phantom.dataset(picture)
    made.PhotometricInterpretation, made.PixelRepresentation = word, signed
    for colour in ("Red", "Green", "Blue"):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(made, f"{colour}PaletteColorLookupTableData", bytes(range(256)))
    with pytest.raises(UnsupportedMedium, match="palette are signed" if signed else "Photometric Interpretation"):
        one(phantom.save(made, tmp_path / "u.dcm", picture.tobytes()))


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


def offset_table(streams: Sequence[bytes], path: Path, made: Dataset) -> Path:
    packed, offsets, lengths = encapsulate_extended(list(streams))
    made.PixelData, made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = packed, offsets, lengths
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    made.save_as(path, enforce_file_format=True)
    return path


def fragmented(streams: Sequence[bytes], path: Path, made: Dataset) -> Path:
    """Three fragments a frame, an empty offset table."""
    items = b"\xfe\xff\x00\xe0" + struct.pack("<L", 0)
    for stream in streams:
        step = (len(stream) // 3 + 1) & ~1
        for start in (0, step, 2 * step):
            piece = stream[start : start + step] if start < 2 * step else stream[start:]
            piece += b"\0" * (len(piece) % 2)
            items += b"\xfe\xff\x00\xe0" + struct.pack("<L", len(piece)) + piece
    made.PixelData = items
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("write", [offset_table, fragmented])
def test_fragments_and_offset_tables(tmp_path: Path, write: Any) -> None:
    pictures = phantom.clip(5)
    path = write([phantom.jpeg(p) for p in pictures], tmp_path / "f.dcm", phantom.dataset(F, JPEG, frames=5))
    found = list(frames(path, PARAMS))
    assert [frame.index for frame in found] == [0, 1, 2, 3, 4]
    for frame, picture in zip(found, pictures, strict=True):
        assert phantom.likeness(frame.pixels, picture) > 0.97


def jpeg_with(rgb: np.ndarray, *, convert: bool, adobe: int | None = None, ids: bytes = b"\1\2\3") -> bytes:
    """A 4:4:4 JPEG whose samples are YCbCr (`convert`) or RGB, with or without the marker that tells which."""
    stored = ybr(rgb) if convert else rgb
    planes = Pillow().merge("YCbCr", stored)
    at = planes.index(b"\xff\xe0")
    planes = planes[:at] + planes[at + 2 + int.from_bytes(planes[at + 2 : at + 4], "big") :]  # no JFIF marker
    if adobe is not None:
        planes = planes[:2] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe]) + planes[2:]
    made = bytearray(planes)
    frame, scan = made.index(b"\xff\xc0") + 10, made.index(b"\xff\xda") + 5
    for number, identity in enumerate(ids):
        made[frame + 3 * number] = identity
        made[scan + 2 * number] = identity
    return bytes(made)


class Pillow:
    """JPEG streams of three planes as they are."""

    def merge(self, mode: str, planes: np.ndarray) -> bytes:
        from PIL import Image

        buffer = io.BytesIO()
        Image.merge(mode, [Image.fromarray(planes[..., i]) for i in range(3)]).save(
            buffer, "JPEG", quality=98, subsampling=0
        )
        return buffer.getvalue()


@pytest.mark.parametrize(
    ("convert", "adobe", "ids", "photometric"),
    [
        (True, None, b"\1\2\3", "YBR_FULL_422"), (True, 1, b"\1\2\3", "YBR_FULL_422"),
        (True, None, b"\1\2\3", "YBR_FULL"),
        (False, None, b"\1\2\3", "RGB"), (False, 0, b"\1\2\3", "RGB"), (False, None, b"RGB", "RGB"),
        (False, None, b"RGB", "YBR_FULL_422"), (True, 1, b"\1\2\3", "RGB"),
    ],
)  # fmt: skip
def test_jpeg_colours_whatever_tells_them(
    tmp_path: Path, convert: bool, adobe: int | None, ids: bytes, photometric: str
) -> None:
    made = phantom.dataset(RGB, JPEG)
    made.PhotometricInterpretation = photometric
    stream = jpeg_with(RGB, convert=convert, adobe=adobe, ids=ids)
    found = one(phantom.save(made, tmp_path / "c.dcm", b"", packed=[stream]))
    np.testing.assert_allclose(found[3, 3], (230, 30, 30), atol=12)
    np.testing.assert_allclose(found[-3, -3], (30, 30, 230), atol=12)


def lossless_jpeg(picture: np.ndarray) -> bytes:
    """Lossless JPEG (ITU-T T.81 annex H), predictor 1, of an 8-bit gray or three-component picture."""
    planes = picture[..., None] if picture.ndim == 2 else picture
    rows, columns, count = planes.shape
    values = planes.astype(int)
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 128
    bits: list[str] = []
    for difference in (values - predicted).reshape(-1):
        size = int(abs(difference)).bit_length()
        bits.append(
            f"{size:04b}"
            + (f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}" if size else "")
        )
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    coded = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes([0] * 3 + [9] + [0] * 12) + bytes(range(9))  # nine codes of four bits: sizes 0 to 8
    frame = struct.pack(">BHHB", 8, rows, columns, count) + b"".join(bytes([i + 1, 0x11, 0]) for i in range(count))
    scan = bytes([count]) + b"".join(bytes([i + 1, 0]) for i in range(count)) + bytes([1, 0, 0])

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    return b"\xff\xd8" + segment(0xC4, b"\0" + table) + segment(0xC3, frame) + segment(0xDA, scan) + coded + b"\xff\xd9"


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "RGB", "YBR_FULL"])
def test_lossless_jpeg(tmp_path: Path, photometric: str) -> None:
    picture = F if photometric == "MONOCHROME2" else RGB
    made = phantom.dataset(picture, LOSSLESS)
    made.PhotometricInterpretation = photometric
    stored = ybr(picture) if photometric == "YBR_FULL" else picture
    found = one(phantom.save(made, tmp_path / "l.dcm", b"", packed=[lossless_jpeg(stored)]))
    assert np.abs(found.astype(int) - picture).max() <= (2 if photometric == "YBR_FULL" else 0)


@pytest.mark.parametrize(
    ("syntax", "codec", "container", "form"),
    [
        ("100", "mpeg2video", "mpeg", "yuv420p"),
        ("102", "libx264", "mp4", "yuv420p"),
        ("107", "libx265", "hevc", "yuv420p"),
    ],
)
def test_video_transfer_syntaxes(tmp_path: Path, syntax: str, codec: str, container: str, form: str) -> None:
    pictures = [cv2.resize(p, (160, 120)) for p in phantom.clip(8)]
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    try:
        stream = phantom.write_video(codec, "yuv420p", container, **options)(tmp_path / "s", pictures).read_bytes()
    except (ValueError, av.FFmpegError):
        pytest.skip(f"this FFmpeg encodes no {codec}")
    made = phantom.dataset(pictures[0], f"1.2.840.10008.1.2.4.{syntax}", frames=8)
    half = len(stream) // 2 & ~1
    for packed in ([stream], [stream[:half], stream[half:]]):
        made.PixelData = phantom.encapsulate(packed, has_bot=False)
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        made.save_as(tmp_path / "v.dcm", enforce_file_format=True)
        found = list(frames(tmp_path / "v.dcm", PARAMS))
        assert len(found) == 8
        for frame, picture in zip(found, pictures, strict=True):
            assert phantom.likeness(frame.pixels if frame.pixels.ndim == 2 else frame.pixels[..., 1], picture) > 0.9


def test_compressed_pixel_data_of_defined_length(tmp_path: Path) -> None:
    made = phantom.dataset(F, JPEG)
    path = phantom.save(made, tmp_path / "d.dcm", b"", packed=[phantom.jpeg(F)])
    data = path.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OB") + 8
    path.write_bytes(data[:at] + struct.pack("<L", len(data) - at - 4) + data[at + 4 :])
    assert phantom.likeness(one(path), F) > 0.97


def test_twelve_bit_jpeg_is_unsupported_and_says_what_reads_it(tmp_path: Path) -> None:
    stream = bytearray(lossless_jpeg(F))
    stream[stream.index(b"\xff\xc3") + 4] = 12
    made = phantom.dataset(F.astype(np.uint16), LOSSLESS)
    made.BitsStored, made.HighBit = 12, 11
    with pytest.raises(UnsupportedMedium, match=r"12 bits.*python-gdcm"):
        one(phantom.save(made, tmp_path / "t.dcm", b"", packed=[bytes(stream)]))


# --- lies and cuts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["c.dcm", "rle.dcm", "jpeg.dcm", "jls.dcm"])
def test_number_of_frames_that_lies(tmp_path: Path, name: str) -> None:
    path = phantom.CLIPS[name](tmp_path / name, phantom.clip(6))
    for declared in (9, 4):
        made = pydicom.dcmread(path)
        made.NumberOfFrames = declared
        made.save_as(tmp_path / "lie.dcm", enforce_file_format=True)
        found, message = collected(tmp_path / "lie.dcm")
        assert [frame.index for frame in found] == list(range(6)), "what is there is decoded"
        assert ("6 of 9 declared" in message) == (declared == 9)


def test_frames_beyond_the_declared_ones_are_bounded_too(tmp_path: Path) -> None:
    made = pydicom.dcmread(phantom.CLIPS["c.dcm"](tmp_path / "c.dcm", phantom.clip(6)))
    made.NumberOfFrames = 1
    made.save_as(tmp_path / "lie.dcm", enforce_file_format=True)
    found = []
    with pytest.raises(DecodeError, match="max_frames is 4"):
        for frame in frames(tmp_path / "lie.dcm", DecodeParams(max_frames=4)):
            found.append(frame)
    assert len(found) == 4


@pytest.mark.parametrize("name", ["c.dcm", "rle.dcm", "jpeg.dcm", "jls.dcm"])
def test_cut_pixel_data_give_their_whole_frames_and_then_an_error(tmp_path: Path, name: str) -> None:
    path = phantom.CLIPS[name](tmp_path / name, phantom.clip(8))
    reference = [frame.pixels for frame in frames(path, PARAMS)]
    whole = path.read_bytes()
    for share in (0.5, 0.75, 0.97):
        path.write_bytes(whole[: int(len(whole) * share)])
        found, message = collected(path)
        assert 0 < len(found) < 8 and f"{len(found)} of 8 declared" in message
        for frame, pixels in zip(found, reference, strict=False):
            np.testing.assert_array_equal(frame.pixels, pixels)


def test_impossible_sizes_are_refused_before_decoding(tmp_path: Path) -> None:
    made = phantom.dataset(F, JPEG)
    made.Rows = made.Columns = 60_000
    with pytest.raises(DecodeError, match="60000 x 60000"):
        one(phantom.save(made, tmp_path / "r.dcm", b"", packed=[phantom.jpeg(F)]))
    stream = bytearray(phantom.jpeg(F))
    at = stream.index(b"\xff\xc0") + 5
    stream[at : at + 4] = struct.pack(">HH", 30_000, 30_000)
    with pytest.raises(DecodeError, match="30000 x 30000 in 64 x 48"):
        one(phantom.save(phantom.dataset(F, JPEG), tmp_path / "j.dcm", b"", packed=[bytes(stream)]))
    made = phantom.dataset(F, frames=2_000_000)
    with pytest.raises(DecodeError, match="2,000,000 frames"):
        one(phantom.save(made, tmp_path / "n.dcm", F.tobytes()))


# --- spacing and header -------------------------------------------------------------------------------------------


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


# --- real files ---------------------------------------------------------------------------------------------------


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


def test_zlib_is_bounded(tmp_path: Path) -> None:
    """A deflated object of zeros does not fill the memory."""
    head = phantom.save(phantom.dataset(F, "1.2.840.10008.1.2.1.99"), tmp_path / "z.dcm", F.tobytes()).read_bytes()
    meta = 144 + int.from_bytes(head[140:144], "little")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    (tmp_path / "z.dcm").write_bytes(head[:meta] + squeeze.compress(bytes(20_000_000)) + squeeze.flush())
    with pytest.raises(DecodeError, match="inflates"):
        list(frames(tmp_path / "z.dcm", DecodeParams(max_pixels=1_000_000)))
