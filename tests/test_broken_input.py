"""A folder full of broken files ends as a finished build with one clear row each."""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import openus

from openus import manifest

PICTURE = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)


def png_header(columns: int, rows: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def nifti_without_slices() -> bytes:
    """A NIfTI-1 header whose third dimension is 0."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 8, 8, 0, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    return bytes(header)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    good = cv2.imencode(".png", PICTURE)[1].tobytes()
    jpeg = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    files = {
        "good.png": good,
        "mit Leerzeichen/Größe ü.png": cv2.imencode(".png", PICTURE[::-1])[1].tobytes(),
        "empty.png": b"",
        "empty.dcm": b"",
        "cut.png": good[: len(good) // 2],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "text.dcm": b"This is no DICOM file.\n" * 20,
        "no slices.nii.gz": gzip.compress(nifti_without_slices(), mtime=0),
        "no frames.mp4": struct.pack(">I4s4sI", 20, b"ftyp", b"isom", 0) + b"isom" + struct.pack(">I4s", 8, b"moov"),
        "huge.png": png_header(60_000, 60_000),
        "ümläut/kaputt é.jpg": b"\xff\xd8\xff\xe0 no picture",
        "secret.png": good + b"x",
        "notes.txt": b"not a medium",
        "array.mat": b"MATLAB 5.0 MAT-file" + b"\0" * 200,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "secret.png").chmod(0)
    return folder


def without_root_powers() -> None:
    """Before exec: a root that must mind permissions like anybody (drops CAP_DAC_OVERRIDE and _READ_SEARCH)."""
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None).prctl
        prctl(24, 1, 0, 0, 0)
        prctl(24, 2, 0, 0, 0)


def test_one_clear_row_each_and_a_finished_build(broken: Path, tmp_path: Path) -> None:
    words = ["build-shards", "--local", f"mine={broken}", "--out", str(tmp_path / "o"), "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "openus.cli", *words],
        capture_output=True,
        text=True,
        timeout=280,
        preexec_fn=without_root_powers,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    rows = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
    rejected = manifest.read(tmp_path / "o" / "rejected.parquet").to_pylist()
    assert sorted(row["raw_path"] for row in rows) == ["good.png", "mit Leerzeichen/Größe ü.png"]
    reasons = {row["path"]: row for row in rejected}
    assert len(reasons) == len(rejected)
    assert set(reasons) == {
        "empty.png", "empty.dcm", "cut.png", "cut.jpg", "text.dcm", "no slices.nii.gz", "no frames.mp4", "huge.png",
        "ümläut/kaputt é.jpg", "secret.png", "array.mat",
    }  # fmt: skip
    for path, row in reasons.items():
        assert row["source"] == "local-mine" and row["frame_index"] is None
        assert Path(path).name in row["message"] and len(row["message"]) < 300, row["message"]
        assert "Traceback" not in row["message"] and str(broken) not in row["message"]
    assert reasons["secret.png"]["error"] == "UnreadableFile" and "ermission" in reasons["secret.png"]["message"]
    assert reasons["huge.png"]["error"] == "DecodeError" and "60" in reasons["huge.png"]["message"]
    files = json.loads(ran.stdout)["sources"]["local-mine"]["files"]
    assert (files["taken"], files["rejected"], files["ignored"]) == (2, 11, {"not a medium": 1})


def test_what_could_not_be_read_is_tried_again(broken: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "openus.cli", "build-shards", "--local", f"mine={broken}", "--out", tmp_path / "o"]
    subprocess.run(words, preexec_fn=without_root_powers, check=True, capture_output=True, timeout=280)
    (broken / "secret.png").chmod(0o600)
    again = openus("build-shards", "--local", f"mine={broken}", "--out", tmp_path / "o", "--json").json
    # its bytes are those of good.png and one byte more, so it decodes
    assert (again["stages"]["curate"]["decoded_files"], again["sources"]["local-mine"]["rejected"]) == (1, 10)


def test_a_header_goes_with_its_data_file(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "v.mhd").write_text(
        "ObjectType = Image\nNDims = 2\nDimSize = 128 96\nElementType = MET_UCHAR\nElementDataFile = v.raw\n"
    )
    words = ["build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o", "--json"]
    assert openus(*words).json["sources"]["local-mine"]["rejected"] == 1
    (row,) = manifest.read(tmp_path / "o" / "rejected.parquet").to_pylist()
    assert (row["error"], "v.raw is not beside it" in row["message"]) == ("UnreadableFile", True)
    seen = []
    for picture in (PICTURE, np.ascontiguousarray(PICTURE[::-1]), PICTURE):
        (raw / "v.raw").write_bytes(picture.tobytes())
        assert openus(*words).exit_code == 0
        (row,) = manifest.read(tmp_path / "o" / "manifest.parquet").to_pylist()
        assert row["raw_sha256"] == hashlib.sha256((raw / "v.mhd").read_bytes()).hexdigest()
        seen.append(row["pixel_sha256"])
    assert seen[0] == seen[2] != seen[1]


def test_an_unlistable_folder_is_one_row(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "locked").mkdir(parents=True)
    (raw / "locked" / "a.png").write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    (raw / "b.png").write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    (raw / "locked").chmod(0)
    words = [sys.executable, "-m", "openus.cli", "build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o"]
    ran = subprocess.run(
        words, preexec_fn=without_root_powers, capture_output=True, text=True, timeout=280, check=False
    )
    (raw / "locked").chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    (row,) = manifest.read(tmp_path / "o" / "rejected.parquet").to_pylist()
    assert (row["path"], row["stage"], row["error"]) == ("locked", "list", "UnreadableFile")


def test_names_that_are_no_utf8_and_names_that_look_alike(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    pictures = [cv2.imencode(".png", np.rot90(PICTURE, turns))[1].tobytes() for turns in range(3)]
    for name, content in zip((b"bad\xff.png", "é.png".encode(), "e\u0301.png".encode()), pictures, strict=True):
        (raw / os.fsdecode(name)).write_bytes(content)
    (raw / os.fsdecode(b"empty\xfe.dcm")).touch()
    (raw / "bad\\xff.png").write_bytes(pictures[0])  # what is written of the first name
    ran = openus("build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o")
    assert ran.exit_code == 0, ran.stderr
    rejected = {row["path"]: row["error"] for row in manifest.read(tmp_path / "o" / "rejected.parquet").to_pylist()}
    assert rejected == {"empty\\xfe.dcm": "DecodeError", "é.png": "NameClash", "bad\\xff.png": "NameClash"}
    assert openus("verify", tmp_path / "o").exit_code == 0
    assert openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", raw, "--json").json["ok"] is False


def test_a_folder_that_may_be_listed_but_not_entered(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "shut").mkdir(parents=True)
    for name in ("shut/a.png", "b.png"):
        (raw / name).write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    (raw / "shut").chmod(0o444)
    words = [sys.executable, "-m", "openus.cli", "build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o"]
    ran = subprocess.run(
        words, preexec_fn=without_root_powers, capture_output=True, text=True, timeout=280, check=False
    )
    (raw / "shut").chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    (row,) = manifest.read(tmp_path / "o" / "rejected.parquet").to_pylist()
    assert (row["path"], row["error"]) == ("shut/a.png", "UnreadableFile")


def test_pipes_links_and_overlaps(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.png").write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    os.mkfifo(raw / "pipe.png")
    (raw / "again").symlink_to(raw)
    assert openus("build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o").exit_code == 0
    (row,) = manifest.read(tmp_path / "o" / "rejected.parquet").to_pylist()
    assert row["path"] == "again" and "link" in row["message"]
    for out, staging in (
        (raw / "o", tmp_path / "s"),
        (tmp_path / "o", tmp_path / "o" / "shards"),
        (tmp_path / "p", raw),
        (tmp_path / "q", tmp_path / "q"),
    ):
        ran = openus("build-shards", "--local", f"mine={raw}", "--out", out, "--staging", staging)
        assert ran.exit_code == 2 and "lies in" in ran.stderr


def test_damaged_staging_is_decoded_again(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.png").write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    words = ["build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o", "--json"]
    openus(*words)
    shard = (tmp_path / "o" / "shards" / "pretrain-000000.tar").read_bytes()
    staging = tmp_path / "o.staging" / "local-mine"
    for damage in ("segment-*.tar", "segment-*.parquet", "items.parquet"):
        (path,) = staging.glob(damage)
        path.write_bytes(path.read_bytes()[:100])
        again = openus(*words)
        assert again.exit_code == 0, again.stderr
        assert again.json["stages"]["curate"]["decoded_files"] == (0 if damage == "items.parquet" else 1)
        assert (tmp_path / "o" / "shards" / "pretrain-000000.tar").read_bytes() == shard


def test_a_flipped_bit_in_staging_reaches_no_shard(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.png").write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    words = ["build-shards", "--local", f"mine={raw}", "--out", tmp_path / "o"]
    assert openus(*words).exit_code == 0
    (segment,) = (tmp_path / "o.staging" / "local-mine").glob("segment-*.tar")
    content = bytearray(segment.read_bytes())
    content[1000] ^= 1  # within the picture
    segment.write_bytes(content)
    before = (tmp_path / "o" / "shards" / "pretrain-000000.tar").read_bytes()
    ran = openus(*words)
    assert ran.exit_code == 1 and f"{segment.name} in staging is damaged" in ran.stderr
    assert (tmp_path / "o" / "shards" / "pretrain-000000.tar").read_bytes() == before
    assert openus("verify", tmp_path / "o").exit_code == 0
