"""Only the rows of a JPEG that are looked at are decoded, and they are the same to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from model import jpeg, pictures
from model.data import Pictures, Shards, read_pictures
from openus.data import Pixels
from openus.errors import CorpusError


def gradient(height: int, width: int) -> Pixels:
    y, x = np.mgrid[:height, :width]
    return (20 + 100 * x / width + 120 * (y / height) ** 2).astype(np.uint8)


def encoded(picture: Pixels, *settings: int, suffix: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(suffix, picture, settings)[1])


LOOKALIKES = {
    "pgm": b"P5 120 100 255\n" + b"\xff\xc0\0\x0b\x08\0\x64".ljust(11998, b"\x80") + b"\xff\xd9",
    "frame in a comment": (
        b"\xff\xd8\xff\xfe\0\x0d\xff\xc0\0\x0b\x08\0\x64\0\x78\x01\x01"
        + encoded(gradient(100, 120), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)[2:]
    ),
}
"""Files of 100 rows that are no gray baseline JPEGs, with the bytes of such a frame in their beginnings."""


def top_of(content: bytes, channels: int, rows: int) -> Pixels | None:
    """Cut in the middle of a buffer: what lies around it is another picture's, and stays that."""
    before, behind = encoded(gradient(50, 60)), encoded(gradient(100, 100))
    buffer = bytearray(before + content + bytes(jpeg.SLACK) + behind)
    start, end = len(before), len(before) + len(content)
    whole = jpeg.decode(content, channels)
    last = jpeg.cut(buffer, start, end, 100 if whole is None else len(whole), rows)
    assert buffer.startswith(before) and buffer.endswith(behind)
    assert last != end or buffer[start:end] == content, "what is not cut is left as it is"
    return jpeg.decode(memoryview(buffer)[start:last], channels)


@pytest.mark.parametrize("shape", [(64, 64), (61, 83), (300, 8), (9, 9), (512, 400)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_rows_are_the_same_to_the_bit(
    shape: tuple[int, int], channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = encoded(picture, cv2.IMWRITE_JPEG_QUALITY, 95)
    whole = jpeg.decode(content, channels)
    assert whole is not None and whole.shape[:2] == shape
    for rows in range(1, shape[0] + 1, 7):
        top = top_of(content, channels, rows)
        assert top is not None and np.array_equal(top[:rows], whole[:rows]), rows
        assert len(top) == (rows if rows <= shape[0] - 8 else shape[0])
    assert capfd.readouterr().err == "", "the decoder has nothing to complain of"


def turned_by_exif(jpeg: bytes) -> bytes:
    """With the orientation 6 in its Exif segment: a viewer turns it, we do not."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]


@pytest.mark.parametrize("kind", ["progressive", "restarts", "colour", "png", "garbage behind"])
def test_other_files_are_not_cut(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    picture = gradient(100, 120)
    content = {
        "progressive": lambda: encoded(picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restarts": lambda: encoded(picture, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        "colour": lambda: encoded(np.repeat(picture[..., None], 3, axis=2)),
        "png": lambda: encoded(picture, suffix=".png"),
        "garbage behind": lambda: encoded(picture) + b"\0\0",
    }[kind]()
    top = top_of(content, 1, 20)
    assert top is not None and np.array_equal(top, jpeg.decode(content, 1))
    assert capfd.readouterr().err == ""


def test_what_only_looks_like_a_frame_does_not_decode_to_the_rows() -> None:
    """So whoever cuts can tell."""
    content = LOOKALIKES["frame in a comment"]
    top, whole = top_of(content, 1, 20), jpeg.decode(content, 1)
    assert whole is not None and whole.shape == (100, 120)
    assert top is None or len(top) != 20


def test_an_orientation_is_not_followed() -> None:
    """The manifest's width and height are those of the pixels as they are stored."""
    content = encoded(gradient(100, 120))
    for rows in (20, 100):
        turned = top_of(turned_by_exif(content), 1, rows)
        assert turned is not None and np.array_equal(turned, top_of(content, 1, rows))
    assert cv2.imdecode(np.frombuffer(turned_by_exif(content), np.uint8), cv2.IMREAD_GRAYSCALE).shape == (120, 100)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\xff\xd9", b"no picture", bytes(5000)])
def test_what_is_no_picture_is_none(content: bytes) -> None:
    assert jpeg.decode(content, 1) is None
    assert top_of(content, 3, 5) is None


# ---- in a shard


def in_a_shard(folder: Path, corpus: Path, contents: list[bytes]) -> Pictures:
    """Those files, one behind the other, as pictures of 100 × 120 pixels."""
    (folder / "shards").mkdir(exist_ok=True)
    (folder / "shards" / "a.tar").write_bytes(b"".join(contents))
    size = np.array(list(map(len, contents)))
    some = read_pictures(corpus).take([0] * len(contents))
    return replace(
        some, corpus=folder, shard=np.array(["shards/a.tar"] * len(contents), object), size=size,
        offset=np.cumsum(size) - size, width=np.full(len(contents), 120), height=np.full(len(contents), 100),
    )  # fmt: skip


def test_every_file_in_a_shard_gives_its_rows(
    tmp_path: Path, corpus: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever files lie beside each other, however many are read at once; memory is that of what is read at once."""
    gray, noise = gradient(100, 120), np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    files = [encoded(gray), LOOKALIKES["pgm"], encoded(noise), encoded(gray, suffix=".png"),
             LOOKALIKES["frame in a comment"], encoded(noise, cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
             encoded(np.repeat(gray[..., None], 3, axis=2))]  # fmt: skip
    contents = files * 3
    held = in_a_shard(tmp_path, corpus, contents)
    rows = np.random.default_rng(1).permutation(len(contents))
    tops: list[int | None] = [None if row % 5 == 0 else 10 + 4 * int(row) for row in rows]
    for together in (1, 20_000, 4 << 20):
        monkeypatch.setattr(pictures, "READ_AHEAD", together)
        shards = Shards(held)
        found = list(shards.pictures(rows, 1, tops))
        for row, top, picture in zip(rows, tops, found, strict=True):
            whole = jpeg.decode(contents[row], 1)
            assert whole is not None and np.array_equal(picture[:top], whole[:top]), row
        cut = [len(picture) == top for top, picture in zip(tops, found, strict=True)]
        assert any(cut) and not all(cut)
        largest, slack = max(map(len, contents)), jpeg.SLACK * len(contents)
        assert len(shards._buffer) <= min(together + largest, sum(map(len, contents))) + slack
    assert Shards(held).read(0) == contents[0]
    assert capfd.readouterr().err == "", "no file runs into its neighbour"


def test_damage_does_not_reach_the_neighbours(tmp_path: Path, corpus: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    contents = [encoded(noise, cv2.IMWRITE_JPEG_QUALITY, 60 + 5 * n) for n in range(6)]
    whole = [jpeg.decode(content, 1) for content in contents]
    contents[3] = bytes(len(contents[3]))
    shards = Shards(in_a_shard(tmp_path, corpus, contents))
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2]):
        found = []
        with pytest.raises(CorpusError, match="its bytes are no picture"):
            for picture in shards.pictures(np.array(order), 1, [40] * len(order)):
                found.append(picture)
        assert len(found) == order.index(3)
        for row, picture in zip(order, found, strict=False):
            expected = whole[row]
            assert expected is not None and np.array_equal(picture, expected[:40])
