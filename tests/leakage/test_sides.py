"""What cannot be read or seen shuts the gate: a damaged shard, a broken picture, a folder behind a link."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pydicom
from conftest import check, openus
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000MC

from openus import manifest


def test_a_shard_cut_between_two_members_shuts_the_gate(corpus: Path, tmp_path: Path) -> None:
    import tarfile

    shutil.copytree(corpus, tmp_path / "o")
    shard = next((tmp_path / "o" / "shards").glob("held-out-*.tar"))
    with tarfile.open(shard) as tar:
        third = tar.getmembers()[2].offset
    shard.write_bytes(shard.read_bytes()[:third])  # one whole sample, then nothing: tar itself sees no fault
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert ran.exit_code == 1 and "cut off" in ran.stderr
    with shard.open("ab") as file:
        file.write(b"\0" * 1024)  # and with a proper end, but most of its samples gone
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert ran.exit_code == 1 and "29 kept pictures" in ran.stderr


def test_a_damaged_shard_shuts_the_gate(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "o")
    shard = next((tmp_path / "o" / "shards").glob("held-out-*.tar"))
    shard.write_bytes(shard.read_bytes()[:5000])
    ran = openus("check-leakage", "--pretrain", tmp_path / "o", "--held-out", tmp_path / "o")
    assert ran.exit_code == 1 and shard.name in ran.stderr


def test_shards_that_cannot_be_seen_shut_the_gate(sample: Path, tmp_path: Path) -> None:
    import tarfile

    images = sample / "bus-bra" / "BUSBRA" / "Images"
    for name, inside in (("dotted", "a.image.png"), ("other", "a.xyz"), ("empty", None)):
        (tmp_path / name).mkdir()
        with tarfile.open(tmp_path / name / "x.tar", "w") as tar:
            if inside:
                tar.add(images / "bus_0003-s.png", inside)
    assert openus("check-leakage", "--pretrain", tmp_path / "dotted", "--held-out", images).exit_code == 1
    for name, said in (("other", "no picture of a kind"), ("empty", "hold no picture")):
        ran = openus("check-leakage", "--pretrain", tmp_path / name, "--held-out", images)
        assert ran.exit_code == 1 and said in ran.stderr


def test_an_address_that_leads_to_another_picture_shuts_the_gate(corpus: Path, tmp_path: Path) -> None:
    """Who trains reads by the manifest's addresses; the gate reads the shards: both must mean the same picture."""
    shutil.copytree(corpus / "shards", tmp_path / "shards")
    table = manifest.read(corpus / "manifest.parquet")
    rows = table.to_pylist()
    kept = [row for row in rows if row["status"] == "kept"]
    held_out = next(row for row in kept if row["role"] == "held-out")
    victim = next(row for row in kept if row["role"] == "pretrain")
    victim |= {name: held_out[name] for name in ("shard", "offset", "size")}
    manifest.write(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "manifest.parquet")
    ran = openus("check-leakage", "--pretrain", tmp_path, "--held-out", tmp_path)
    assert ran.exit_code == 1 and "address" in ran.stderr


def test_a_picture_that_cannot_be_read_shuts_the_gate(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    (tmp_path / "mine").mkdir()
    picture = (images / "bus_0003-s.png").read_bytes()
    (tmp_path / "mine" / "cut.png").write_bytes(picture[: len(picture) // 2])
    ran = openus("check-leakage", "--pretrain", images, "--held-out", tmp_path / "mine")
    assert ran.exit_code == 1 and "cut.png" in ran.stderr
    for number in range(6):
        (tmp_path / "mine" / f"cut{number}.png").write_bytes(picture[: len(picture) // 2])
    ran = openus("check-leakage", "--pretrain", images, "--held-out", tmp_path / "mine")
    assert ran.exit_code == 1 and "cut3.png" in ran.stderr and "(and 2 more)" in ran.stderr


def test_a_folder_that_cannot_be_listed_shuts_the_gate(sample: Path, tmp_path: Path) -> None:
    """Links to folders are not followed: what lies behind one was not looked at."""
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    (tmp_path / "mine").mkdir()
    shutil.copy(sample / "hc18" / "training_set" / "000_HC.png", tmp_path / "mine")
    assert openus("check-leakage", "--pretrain", tmp_path / "mine", "--held-out", images).exit_code == 0
    (tmp_path / "mine" / "more").symlink_to(images)
    ran = openus("check-leakage", "--pretrain", tmp_path / "mine", "--held-out", images)
    assert ran.exit_code == 1 and "the folder more could not be listed" in ran.stderr


def test_a_medium_that_cannot_be_read_shuts_the_gate_and_what_is_none_does_not(sample: Path, tmp_path: Path) -> None:
    images = sample / "bus-bra" / "BUSBRA" / "Images"
    mine = tmp_path / "mine"
    (mine / "P2").mkdir(parents=True)
    dicom = pydicom.dcmread(sample / "_local" / "dicom" / "P1" / "IM000001")
    dicom.save_as(mine / "P1.dcm")
    (mine / "LICENSE").write_text("Anybody may look.")
    (mine / "table.csv").write_text("ID,fold\n1,2\n")
    (mine / "._P1.dcm").write_bytes(b"\0\x05\x16\7 of a Mac")
    assert check("--pretrain", images, "--held-out", mine)[0] == 0
    dicom.file_meta.TransferSyntaxUID = JPEG2000MC
    dicom.PixelData = encapsulate([b"nobody here reads it"])
    dicom.save_as(tmp_path / "rare.dcm")
    with h5py.File(tmp_path / "pictures.h5", "w") as file:
        file["pictures"] = np.zeros((2, 80, 80), np.uint8)
    for name in ("rare.dcm", "pictures.h5"):
        shutil.copy(tmp_path / name, mine / "P2" / name)
        ran = openus("check-leakage", "--pretrain", images, "--held-out", mine)
        assert (
            ran.exit_code == 1 and f"{mine / 'P2'}: {name}" in ran.stderr and "convert it, or take it out" in ran.stderr
        )
        (mine / "P2" / name).unlink()
    (mine / "P2" / "empty.png").touch()
    code, found = check("--pretrain", images, "--held-out", mine)
    assert (
        code == 0 and f"1 files of {mine} are named like media but are none, P2/empty.png among them" in found["notes"]
    )
