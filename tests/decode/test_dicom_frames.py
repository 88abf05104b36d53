"""The frames of DICOM pixel data: fragments, JPEG of every kind, clips, and counts that lie or are cut."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import phantom
import pydicom
import pytest
from phantom import JPEG, LOSSLESS, one, ybr
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_extended

from openus.data import Frame
from openus.decode import frames
from openus.errors import DecodeError, UnsupportedMedium
from openus.params import DecodeParams

PARAMS = DecodeParams()
F = phantom.letter_f()
RGB = phantom.coloured(F)


def collected(path: Path) -> tuple[list[Frame], str]:
    found: list[Frame] = []
    try:
        for frame in frames(path, PARAMS):
            found.append(frame)
    except DecodeError as error:
        return found, error.message
    return found, ""


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


# --- lies and cuts -------------------------------------------------------------------------------------------------


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
