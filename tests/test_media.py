"""Formats by their first bytes, and the files that belong together."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import pytest

from openus.errors import UnreadableFile
from openus.media import (
    FAMILY,
    SUFFIXES,
    companions,
    content_sha256,
    size_and_time,
    sniff,
    sniff_bytes,
    suffix_format,
)  # fmt: skip
from openus.storage import sha256_file


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff\xe0", "jpg"), (b"GIF89a", "gif"), (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"), (b"BM" + b"\0" * 30, "bmp"), (b"RIFF\0\0\0\0WEBP", "webp"), (b"RIFF\0\0\0\0AVI ", "avi"),
        (b"\0\0\0\x18ftypisom", "mp4"), (b"\0\0\0\x14ftypqt  ", "mov"), (b"\0\0\0\x08wide", "mov"),
        (b"\0\0\x01\xba", "mpeg"), (b"\x1a\x45\xdf\xa3", "webm"), (b"NRRD0004\n", "nrrd"), (b"\x93NUMPY", "npy"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"), (b"MATLAB 5.0 MAT-file, ", "mat"), (b"ObjectType = Image\nNDims = 3\n", "mha"),
        (b"NDims = 2\nDimSize = 3 4\n", "mha"), (b"\0" * 128 + b"DICM", "dicom"),
        (b"II*\0" + b"\0" * 124 + b"DICM", "dicom"), (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", "dicom"),
        (b"\0" * 344 + b"n+1\0", "nifti"), (b"", None), (b"hello = world\n", None), (b"PK\x03\x04", None),
        (b"\x08\0\x05\0\xff\xff\xff\xff" + b"x" * 20, None), (b"Rar!\x1a\x07", None),
    ],
)  # fmt: skip
def test_sniffing(first: bytes, expected: str | None) -> None:
    assert sniff_bytes(first) == expected


def test_gzip_is_nifti_only_when_nifti_is_inside() -> None:
    assert sniff_bytes(gzip.compress(b"\0" * 344 + b"n+1\0" + b"\0" * 100), "a.bin") == "nifti"
    assert sniff_bytes(gzip.compress(b"\0" * 600), "a.nii.gz") is None
    assert sniff_bytes(b"\x1f\x8b\x08\0\xff", "a.nii.gz") is None


def test_a_dicomdir_is_told_from_a_file_that_mentions_one() -> None:
    meta = b"\0" * 128 + b"DICM"
    assert sniff_bytes(meta + b"\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10") == "dicomdir"
    assert sniff_bytes(meta + b"\x02\0\x02\0UI\x1c\x001.2.840.10008.5.1.4.1.1.6.1\0 1.2.840.10008.1.3.10") == "dicom"


def test_every_suffix_pretends_to_a_known_format() -> None:
    assert set(SUFFIXES.values()) <= set(FAMILY)
    assert suffix_format("a.b.NII.GZ") == "nifti"
    assert suffix_format("a.gz") is None and suffix_format("LICENSE") is None


def test_companions(tmp_path: Path) -> None:
    cases = {
        "a.mhd": (b"ObjectType = Image\nNDims = 2\nDimSize = 2 2\nElementDataFile = a.zraw\n", "a.zraw"),
        "b.nhdr": (
            b"NRRD0004\ntype: uchar\ndimension: 2\nsizes: 2 2\nencoding: raw\ndata file: b.raw.gz\n",
            "b.raw.gz",
        ),
        "c.hdr": (b"\0" * 344 + b"ni1\0", "c.img"),
    }
    for name, (header, data) in cases.items():
        (tmp_path / name).write_bytes(header)
        assert companions(tmp_path / name) == [], "not there"
        (tmp_path / data).write_bytes(b"1234")
        assert companions(tmp_path / name) == [data]
        assert companions(tmp_path / data) == []
        alone = (content_sha256(tmp_path / data), size_and_time(tmp_path / data))
        assert alone[0] == sha256_file(tmp_path / data) and alone[1][0] == 4
        before = (content_sha256(tmp_path / name), size_and_time(tmp_path / name))
        assert before[1][0] == len(header) + 4
        (tmp_path / data).write_bytes(b"4321")
        os.utime(tmp_path / data, (1, 1))
        assert content_sha256(tmp_path / name) != before[0] and size_and_time(tmp_path / name) != before[1]
    (tmp_path / "d.mha").write_bytes(b"ObjectType = Image\nNDims = 2\nElementDataFile = LOCAL\n")
    (tmp_path / "e.nii").write_bytes(b"\0" * 344 + b"n+1\0")
    (tmp_path / "f.mhd").write_bytes(b"ObjectType = Image\nNDims = 2\n")
    (tmp_path / "g.mhd").write_bytes(b"ObjectType = Image\nNDims = 2\nElementDataFile = " + b"g" * 300 + b"\n")
    assert [companions(tmp_path / name) for name in ("d.mha", "e.nii", "f.mhd", "g.mhd")] == [[], [], [], []]
    with pytest.raises(UnreadableFile):
        companions(tmp_path / "absent.mhd")
    inner = tmp_path / "inner"
    inner.mkdir()
    for number, name in enumerate(("../a.raw", str(tmp_path / "a.raw"))):  # no decoder would follow it either
        header = inner / f"{number}.mhd"
        header.write_text(f"ObjectType = Image\nNDims = 2\nElementDataFile = {name}\n")
        assert companions(header) == [] and content_sha256(header) == sha256_file(header)
    for name in ("a.mhd", cases["a.mhd"][1]):
        os.utime(tmp_path / name, (4_733_510_400, 4_733_510_400))  # 2120: the sum must still fit into the table
    assert 0 <= size_and_time(tmp_path / "a.mhd")[1] < 1 << 63


def test_real_files_are_what_the_check_table_says(real: Path) -> None:
    with (real / "CHECK.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    families = {
        "dicom": "dicom",
        "dicomdir": "dicom",
        "image": "image",
        "nifti": "volume",
        "video": "video",
        "volume": "volume",
    }
    for row in rows:
        kind = sniff(real / row["path"])
        if row["kind"] in families:
            assert FAMILY[kind or ""] == families[row["kind"]], row["path"]
        else:
            assert kind is None, row["path"]
    plus = real / "archives" / "plus-toolkit" / "TestImages"
    assert companions(plus / "Prostate10_video.igs.mhd") == ["Prostate10_video.raw"]
    assert companions(plus / "MetaImageSequenceIOTest1.igs.mhd") == []
