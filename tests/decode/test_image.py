"""Pictures: depths, palettes, alpha, turns, pages, sizes, cuts; and what is a label map."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import phantom
import pytest
from PIL import Image

from openus.data import Pixels
from openus.decode import frames
from openus.decode.pixels import is_label, over_black, to_uint8, value_range
from openus.errors import DecodeError, NotUltrasound
from openus.params import DecodeParams

PARAMS = DecodeParams()
F = phantom.letter_f()


def one(path: Path) -> Pixels:
    (frame,) = frames(path, PARAMS)
    return frame.pixels


def test_three_equal_channels_are_gray_and_colour_stays(tmp_path: Path) -> None:
    gray = phantom.write_image(tmp_path / "g.png", [np.repeat(F[..., None], 3, axis=2)])
    np.testing.assert_array_equal(one(gray), F)
    almost = np.repeat(F[..., None], 3, axis=2)
    almost[20, 21, 2] ^= 1
    assert one(phantom.write_image(tmp_path / "c.png", [almost])).shape == (*F.shape, 3)


@pytest.mark.parametrize(("top", "scale"), [(255, 255), (1000, 1023), (4095, 4095), (9000, 16383), (65535, 65535)])
def test_deep_pictures_map_the_smallest_depth_that_holds_them(tmp_path: Path, top: int, scale: int) -> None:
    deep = np.linspace(0, top, F.size).reshape(F.shape).astype(np.uint16)
    for name in ("d.png", "d.tif"):
        cv2.imwrite(str(tmp_path / name), deep)
        np.testing.assert_array_equal(one(tmp_path / name), np.rint(deep * (255 / scale)).astype(np.uint8))


def test_float_tiff(tmp_path: Path) -> None:
    for scale, offset in ((1.0, 0.0), (255.0, 0.0), (50.0, -60.0)):
        values = F.astype(np.float32) / 255 * scale + offset
        values[0, 0] = np.nan
        Image.fromarray(values).save(tmp_path / "f.tif")
        found = one(tmp_path / "f.tif")
        assert phantom.likeness(found[1:], F[1:]) > 0.999 and found[0, 0] == 0


def test_palette_one_bit_cmyk(tmp_path: Path) -> None:
    Image.fromarray(F).convert("P").save(tmp_path / "p.png")
    np.testing.assert_array_equal(one(tmp_path / "p.png"), F)
    Image.fromarray(F).convert("RGB").convert("CMYK").save(tmp_path / "k.jpg", quality=95)
    found = one(tmp_path / "k.jpg")
    assert phantom.likeness(found if found.ndim == 2 else found[..., 1], F) > 0.97
    with pytest.raises(NotUltrasound):
        Image.fromarray(F > 150).save(tmp_path / "b.png")
        one(tmp_path / "b.png")


def test_alpha_is_composited_onto_black_not_dropped(tmp_path: Path) -> None:
    rgba = np.dstack([F, F, F, np.full_like(F, 255)])
    rgba[:10, :10] = (255, 255, 255, 0)
    rgba[-10:, -10:, 3] = 128
    for name in ("a.png", "a.tif", "a.webp"):
        Image.fromarray(rgba).save(tmp_path / name, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
        found = one(tmp_path / name)
        assert found.ndim == 2 and not found[:10, :10].any()
        np.testing.assert_array_equal(found[10:-10], F[10:-10])
        np.testing.assert_allclose(found[-10:, -10:], F[-10:, -10:] * (128 / 255), atol=1)


def test_composited_colours_are_rounded() -> None:
    colours, alpha = np.array([[200, 200, 1]], np.uint8), np.array([[127, 128, 127]], np.uint8)
    assert over_black(colours, alpha).tolist() == [[100, 100, 0]]  # 99.6, 100.4, 0.498


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["e.jpg", "e.png", "e.tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, name: str) -> None:
    stored = {
        1: F, 2: F[:, ::-1], 3: F[::-1, ::-1], 4: F[::-1], 5: F.T, 6: np.rot90(F), 7: F[::-1, ::-1].T,
        8: np.rot90(F, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif)
    assert phantom.likeness(one(tmp_path / name), F) > 0.97


def test_pages_of_a_tiff_are_frames_on_one_scale(tmp_path: Path) -> None:
    pages = [(F.astype(np.uint16) + 1) * factor for factor in (4, 16)]
    Image.fromarray(pages[0]).save(tmp_path / "m.tif", save_all=True, append_images=[Image.fromarray(pages[1])])
    found = list(frames(tmp_path / "m.tif", PARAMS))
    assert [frame.index for frame in found] == [0, 1]
    for frame, page in zip(found, pages, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.rint(page * (255 / 4095)).astype(np.uint8))


def test_a_tiff_named_jpg_is_a_tiff(tmp_path: Path) -> None:
    phantom.write_image(tmp_path / "t.tif", [F]).rename(tmp_path / "t.jpg")
    np.testing.assert_array_equal(one(tmp_path / "t.jpg"), F)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["big.png", "big.bmp", "big.jpg"])
def test_an_impossible_size_is_refused_by_the_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "big.png":
        path.write_bytes(png_claiming(60_000, 60_000))
    elif name == "big.bmp":
        made = bytearray(phantom.write_image(path, [F]).read_bytes())
        made[18:26] = struct.pack("<ii", 60_000, 60_000)
        path.write_bytes(made)
    else:
        made = bytearray(phantom.jpeg(F))
        at = made.index(b"\xff\xc0")
        made[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
        path.write_bytes(made)
    with pytest.raises(DecodeError, match=r"60000|3600000000|pixels"):
        one(path)


def test_every_page_of_a_tiff_is_bounded(tmp_path: Path) -> None:
    large = Image.fromarray(np.kron(F, np.ones((2, 2), np.uint8)))
    Image.fromarray(F).save(tmp_path / "m.tif", save_all=True, append_images=[large])
    with pytest.raises(DecodeError, match="claims 128 x 96 pixels"):
        list(frames(tmp_path / "m.tif", DecodeParams(max_pixels=F.size)))
    with pytest.raises(DecodeError, match="2 pages"):
        list(frames(tmp_path / "m.tif", DecodeParams(max_frames=1)))


@pytest.mark.parametrize("name", ["f.png", "f.jpg", "f.bmp", "f.tif", "f.webp"])
def test_a_cut_picture_is_no_picture(tmp_path: Path, name: str) -> None:
    whole = phantom.STILLS[name](tmp_path / name, [F]).read_bytes()
    for share in (0.2, 0.5, 0.8, 0.95):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DecodeError):
            one(tmp_path / name)


@pytest.mark.parametrize("size", [(256, 256), (64, 64)])
@pytest.mark.parametrize("quality", [None, 50, 90])
def test_masks_are_labels_however_stored(size: tuple[int, int], quality: int | None) -> None:
    mask = np.zeros((512, 512), np.uint8)
    cv2.ellipse(mask, (250, 260), (120, 80), 20, 0, 360, 255, -1)
    small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    if quality:
        small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
    assert is_label(np.asarray(small, np.uint8))


def test_what_is_no_label() -> None:
    assert not is_label(F)
    assert not is_label(np.full((20, 20), 7, np.uint8)), "blank is not a label"
    assert not is_label(np.full((20, 20, 3), (200, 10, 10), np.uint8)), "blank in colour is not a label"
    assert is_label(np.eye(20, dtype=np.uint8)), "values 0 and 1"
    outline = np.zeros((40, 40, 3), np.uint8)
    outline[5:20, 5:20] = (128, 0, 0)
    assert is_label(outline)
    equal_gray = np.zeros((40, 40, 3), np.uint8)  # two colours of one brightness
    equal_gray[:] = (255, 0, 0)
    equal_gray[:20] = (0, 130, 0)
    assert is_label(equal_gray)


def test_value_range_and_to_uint8() -> None:
    assert value_range(0, 200, integer=True) == (0, 255)
    assert value_range(-60, 0, integer=False) == (-60, 0)
    assert value_range(0, 0.9, integer=False) == (0, 1)
    assert value_range(0, 1e6, integer=True) == (0, 1e6)
    np.testing.assert_array_equal(to_uint8(np.array([np.nan, -np.inf, np.inf, 0.5]), 0, 1), [0, 0, 255, 128])
    assert not to_uint8(np.full((2, 2), 5.0), 5, 5).any()


DECOYS = (
    "sources/busi/**/*_mask*", "sources/stu-hospital/**/mask_*", "sources/fast-u-net/**/mask/*",
    "sources/kidneyus/**/*",
    "sources/bus-bra/BUSBRA/Masks/*", "sources/mmotu-2d/**/annotations/*", "sources/brest/**/*_tumor.png",
    "sources/brest/**/*_other*.png", "sources/hc18/**/*_Annotation*", "sources/ccaui/**/Expert mask images/*",
    "tables/tn3k/**/test-mask/*", "copies/tg3k-256/**/thyroid-mask/*", "copies/busi-resized-copy/**/*mask*/*",
    "copies/**/*_mask*", "copies/**/*_Annotation*",
)  # fmt: skip
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def test_every_real_mask_is_refused_and_no_real_picture_is(real: Path, capfd: pytest.CaptureFixture[str]) -> None:
    decoys = {path for pattern in DECOYS for path in real.glob(pattern) if path.suffix.lower() in PICTURES}
    assert len(decoys) > 400
    everything = [path for path in sorted(real.rglob("*")) if path.suffix.lower() in PICTURES]
    wrong = []
    for path in everything:
        try:
            found = one(path)
        except NotUltrasound:
            wrong += [] if path in decoys else [path]
        else:
            wrong += [path] if path in decoys and found.min() != found.max() else []
    assert not wrong
    assert not any(capfd.readouterr())


def test_a_png_whose_data_are_damaged_is_no_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = bytearray(phantom.write_image(tmp_path / "d.png", [F]).read_bytes())
    for at in range(60, len(whole) - 8, len(whole) // 9):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        (tmp_path / "d.png").write_bytes(damaged)
        with pytest.raises(DecodeError):
            one(tmp_path / "d.png")
    assert not any(capfd.readouterr())


def test_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 2 µ"
    folder.mkdir()
    np.testing.assert_array_equal(one(phantom.write_image(folder / "bild (1) ü.png", [F])), F)
    shutil.copy(folder / "bild (1) ü.png", folder / "noext")
    np.testing.assert_array_equal(one(folder / "noext"), F)
