"""Shards have bytes that depend on their samples alone, read by anybody's reader, and `verify` sees every damage."""

from __future__ import annotations

import gc
import hashlib
import io
import shutil
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import openus
from hypothesis import given
from hypothesis import strategies as st

from openus import manifest
from openus.errors import CorpusError
from openus.leakage import read_side
from openus.params import Params
from openus.shards.read import decoded, digest, picture_bytes, pictures_digest, samples
from openus.shards.sheet import contact_sheet
from openus.shards.verify import verify
from openus.shards.write import Sample, sample_json, write_shards


def _picture(seed: int, rows: int = 20, columns: int = 30) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (rows, columns), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def _row(number: int) -> dict[str, Any]:
    key = f"busi-{number:016x}-000000"
    given = {
        "key": key,
        "source": "busi",
        "role": "pretrain",
        "status": "kept",
        "width": 30,
        "height": 20,
        "channels": 1,
    }
    (row,) = manifest.table([given]).to_pylist()
    return dict(row)


def _samples(count: int) -> list[Sample]:
    rows = [_row(number) for number in range(count)]
    return [Sample(row["key"], "png", _picture(n), manifest.sample_meta(row)) for n, row in enumerate(rows)]


def _corpus(folder: Path, count: int = 5) -> Path:
    rows = {row["key"]: row for row in map(_row, range(count))}
    written = {s.key: s for s in _samples(count)}
    for address in write_shards(written.values(), folder / "shards", "pretrain", max_samples=2, max_bytes=10**9):
        digest = hashlib.sha256(written[address.key].picture).hexdigest()
        found = {"shard": address.shard, "offset": address.offset, "size": address.size, "sha256": digest}
        rows[address.key] |= found
    dropped = {"key": "busi-dropped-000000", "source": "busi", "role": "pretrain", "status": "dropped"}
    manifest.write(manifest.table([*rows.values(), dropped]), folder / "manifest.parquet")
    return folder


def test_bytes_are_a_function_of_the_samples(tmp_path: Path) -> None:
    for name in "ab":
        list(write_shards(_samples(7), tmp_path / name / "shards", "pretrain", max_samples=3, max_bytes=10**9))
    a, b = (sorted((tmp_path / name / "shards").glob("*")) for name in "ab")
    assert [p.name for p in a] == [f"pretrain-{n:06d}.tar" for n in range(3)]
    assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]


def test_the_json_of_a_sample_is_canonical() -> None:
    assert sample_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


def test_the_digest_of_a_corpus_is_over_names_and_bytes_in_order(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, 20)
    names = ["manifest.parquet", *(f"shards/pretrain-{number:06d}.tar" for number in range(10))]
    listing = [f"{name}\0{hashlib.sha256((corpus / name).read_bytes()).hexdigest()}\n" for name in names]
    assert digest(corpus) == hashlib.sha256("".join(listing).encode()).hexdigest()


def test_headers_say_nothing_of_time_user_or_machine(tmp_path: Path) -> None:
    list(write_shards(_samples(2), tmp_path / "shards", "pretrain", max_samples=9, max_bytes=10**9))
    with tarfile.open(tmp_path / "shards" / "pretrain-000000.tar") as tar:
        members = tar.getmembers()
    assert [m.name.split(".")[1] for m in members] == ["png", "json"] * 2
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_a_shard_closes_by_bytes_too(tmp_path: Path) -> None:
    list(write_shards(_samples(4), tmp_path / "shards", "p", max_samples=100, max_bytes=1))
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 4


def test_addresses_lead_to_the_bytes(tmp_path: Path) -> None:
    written = {s.key: s for s in _samples(6)}
    for address in list(write_shards(written.values(), tmp_path / "shards", "p", max_samples=4, max_bytes=10**9)):
        found = picture_bytes(tmp_path, address.shard, address.offset, address.size)
        assert found == written[address.key].picture


@given(st.binary(min_size=1, max_size=3000), st.binary(min_size=1, max_size=3000))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, one: bytes, two: bytes) -> None:
    folder = tmp_path_factory.mktemp("any") / "shards"
    given_samples = [Sample("a-1", "jpg", one, {"key": "a-1"}), Sample("a-2", "png", two, {"key": "a-2"})]
    list(write_shards(given_samples, folder, "p", max_samples=9, max_bytes=10**9))
    back = list(samples(folder / "p-000000.tar"))
    assert [(s.key, s.extension, s.picture, s.meta) for s in back] == [
        (s.key, s.extension, s.picture, s.meta) for s in given_samples
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_them(tmp_path: Path) -> None:
    import webdataset as wds

    folder = _corpus(tmp_path) / "shards"
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    found = list(wds.WebDataset(urls, shardshuffle=False).decode("pil"))
    gc.collect()  # webdataset leaves its files to the collector: let it find them in this test
    assert [s["__key__"] for s in found] == [s.key for s in _samples(5)]
    assert all(s["png"].size == (30, 20) and s["json"]["source"] == "busi" for s in found)


def test_verify_of_a_whole_corpus(tmp_path: Path) -> None:
    verdict = verify(_corpus(tmp_path))
    assert (verdict.ok, verdict.shards, verdict.samples, verdict.faults) == (True, 3, 5, ())


def test_no_memory_is_no_fault_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        error = cv2.error("Insufficient memory")
        error.code = -4
        raise error

    monkeypatch.setattr(cv2, "imdecode", refused)
    with pytest.raises(MemoryError):
        decoded(b"a picture")


def test_verify_of_what_is_no_folder_is_wrong_use(tmp_path: Path) -> None:
    for name, told in ((str(tmp_path / "none"), "There is no folder"), ("", "an empty name is no path")):
        ran = openus("verify", name)
        assert ran.exit_code == 2 and told in ran.stderr


def test_verify_sees_a_flipped_bit(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    shard = corpus / "shards" / "pretrain-000001.tar"
    content = bytearray(shard.read_bytes())
    content[512 + 100] ^= 1
    shard.write_bytes(bytes(content))
    verdict = verify(corpus)
    assert not verdict.ok
    assert {fault.shard for fault in verdict.faults} == {"shards/pretrain-000001.tar"}
    assert any("checksum" in fault.error for fault in verdict.faults)


def test_verify_sees_altered_json(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    shard = corpus / "shards" / "pretrain-000000.tar"
    shard.write_bytes(shard.read_bytes().replace(b'"role":"pretrain"', b'"role":"held-out"'))
    assert {fault.error for fault in verify(corpus).faults} == {"its JSON says another role than the manifest"}


def _altered(corpus: Path, picture: bytes | None, meta: bytes | None) -> str:
    """Another picture or JSON in the first sample of a corpus; its key."""
    shard = corpus / "shards" / "pretrain-000000.tar"
    with tarfile.open(shard) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    key = members[0][0].name.partition(".")[0]
    with tarfile.open(shard, "w") as tar:
        for number, (member, was) in enumerate(members):
            content = {0: picture, 1: meta}.get(number)
            content = was if content is None else content
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return key


def _claiming(side: int) -> bytes:
    """A PNG whose header says that it is so large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        _picture(0)[:8]
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\0\0\0\4IDAT1234\0\0\0\0"
    )


@pytest.mark.parametrize(
    ("picture", "meta", "said"),
    [
        (b"", None, "does not decode"),
        (_claiming(60_000), None, "does not decode"),
        (None, b'{"source": ["busi"]}', "source"),
        (None, b"[1]", "is no object"),
        (None, b'{"source": "\\ud800"}', "cannot be read"),
        (None, b"[" * 100_000, "cannot be read"),
    ],
)
def test_whatever_stands_in_a_shard_verify_and_gate_name_it(
    tmp_path: Path, picture: bytes | None, meta: bytes | None, said: str
) -> None:
    key = _altered(_corpus(tmp_path), picture, meta)
    ran = openus("verify", tmp_path, "--json")
    assert ran.exit_code == 1 and any(
        key in (fault["key"] or fault["error"]) and fault["shard"] == "shards/pretrain-000000.tar"
        for fault in ran.json["errors"]
    )
    with pytest.raises(CorpusError, match=rf"pretrain-000000\.tar.*{key}.*{said}"):
        read_side(tmp_path / "shards", Params())
    if picture is not None:
        rows = manifest.read(tmp_path / "manifest.parquet").to_pylist()
        rows[0]["size"] = len(picture)
        manifest.write(manifest.table(rows), tmp_path / "manifest.parquet")
        with pytest.raises(CorpusError, match=f"{key} does not decode"):
            contact_sheet(tmp_path, tmp_path / "sheet.png")


@pytest.mark.parametrize("cut", [100, 700, 1600])
def test_verify_sees_a_cut(tmp_path: Path, cut: int) -> None:
    corpus = _corpus(tmp_path)
    shard = corpus / "shards" / "pretrain-000000.tar"
    shard.write_bytes(shard.read_bytes()[:cut])
    assert not verify(corpus).ok


def test_verify_sees_missing_and_extra_shards_and_samples(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    (corpus / "shards" / "pretrain-000002.tar").unlink()
    shutil.copy(corpus / "shards" / "pretrain-000000.tar", corpus / "shards" / "pretrain-000009.tar")
    errors = {(fault.shard, fault.error) for fault in verify(corpus).faults}
    assert ("shards/pretrain-000002.tar", "the manifest names it, but it is not there") in errors
    assert ("shards/pretrain-000009.tar", "no row of the manifest names it") in errors


def test_verify_sees_rows_that_point_elsewhere(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    rows = manifest.read(corpus / "manifest.parquet").to_pylist()
    rows[0]["offset"], rows[1]["offset"] = rows[1]["offset"], rows[0]["offset"]
    rows[2]["width"] = 31
    manifest.write(manifest.table(rows), corpus / "manifest.parquet")
    keys = {fault.key for fault in verify(corpus).faults}
    assert keys == {rows[0]["key"], rows[1]["key"], rows[2]["key"]}


def _faults(corpus: Path, rows: list[dict[str, Any]]) -> set[tuple[str | None, str]]:
    manifest.write(manifest.table(rows), corpus / "manifest.parquet")
    return {(fault.key, fault.error) for fault in verify(corpus).faults}


def test_verify_sees_rows_that_contradict_themselves_or_each_other(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    rows = manifest.read(corpus / "manifest.parquet").to_pylist()
    key, shard = rows[0]["key"], rows[0]["shard"]
    assert _faults(corpus, [*rows, rows[0]]) == {(key, "2 rows have this key")}
    elsewhere = rows[0] | {"shard": rows[2]["shard"]}
    assert _faults(corpus, [elsewhere, *rows[1:]]) == {(key, "it does not lie where the manifest says")}
    dropped = rows[-1] | {"shard": shard}
    assert _faults(corpus, [*rows[:-1], dropped]) == {(dropped["key"], f"status dropped and shard {shard}")}


def test_verify_sees_a_sample_that_its_shard_lost_and_a_picture_of_another_kind(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, 2)
    lost = _row(7) | {"shard": "shards/pretrain-000000.tar", "offset": 512, "size": 9}
    rows = [*manifest.read(corpus / "manifest.parquet").to_pylist(), lost]
    assert _faults(corpus, rows) == {(lost["key"], "the shard does not hold it")}
    row = _row(0) | {"channels": 3}  # as sample and table say together
    sample = Sample(row["key"], "png", _picture(0), manifest.sample_meta(row))
    (address,) = write_shards([sample], tmp_path / "b" / "shards", "pretrain", max_samples=2, max_bytes=10**9)
    row |= {"shard": address.shard, "offset": address.offset, "size": address.size}
    row["sha256"] = hashlib.sha256(sample.picture).hexdigest()
    assert _faults(tmp_path / "b", [row]) == {(row["key"], "the picture is 30 × 20 × 1, not as the row says")}


def test_an_address_behind_the_end_of_a_shard_is_an_error(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    size = (corpus / "shards" / "pretrain-000000.tar").stat().st_size
    with pytest.raises(CorpusError, match="ends before byte"):
        picture_bytes(corpus, "shards/pretrain-000000.tar", size - 5, 6)


def test_the_digest_of_pictures_does_not_depend_on_their_order() -> None:
    pairs = [("a", "1"), ("b", "2"), ("c", "0")]
    assert pictures_digest(pairs) == pictures_digest(pairs[::-1]) != pictures_digest([*pairs[:2], ("c", "1")])


def test_no_manifest_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"manifest\.parquet is not there"):
        verify(tmp_path)
    (tmp_path / "manifest.parquet").write_text("no parquet")
    with pytest.raises(CorpusError, match="no readable manifest"):
        verify(tmp_path)
