"""A person's own archive: globs, patterns, what is taken and what is not."""

from __future__ import annotations

import pickle
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from layouts import write
from PIL import Image

from openus import media, sources
from openus.errors import ParamsError, UnreadableFile, UsageError
from openus.params import LocalParams, from_mapping
from openus.sources import local
from openus.storage import walk


def taken(root: Path, **params: object) -> list[str]:
    return [item.path for item in local.source("mine", LocalParams(**params)).items(root)]


def reference(glob: list[str], path: list[str]) -> bool:
    """The meaning of a glob, component by component, by recursion."""
    if not glob:
        return not path
    if glob[0] == "**":
        rest = glob[1:]
        if not rest:
            return bool(path)
        return reference(rest, path) or bool(path and reference(glob, path[1:]))
    return bool(path) and fnmatchcase(path[0], glob[0]) and reference(glob[1:], path[1:])


component = st.one_of(
    st.just("**"), st.text("ab.*?", min_size=1, max_size=4), st.sampled_from(["[ab]", "[!a]b", "[a-c]*"])
)
globs = st.lists(component, min_size=2, max_size=5).map("/".join)
paths = st.lists(st.text("abcA.", min_size=1, max_size=4), min_size=1, max_size=5).map("/".join)


@settings(deadline=None)
@given(globs, paths)
@example("a/a/**", "a/b")
@example("**/**/a", "a")
@example("**/x", "x")
@example("a/**/b", "a/b")
@example("a/**", "a")
def test_a_glob_means_what_the_reference_says(glob: str, path: str) -> None:
    assert bool(re.search(local.glob_regex(glob), path)) == reference(glob.split("/"), path.split("/"))


@settings(deadline=None)
@given(st.text(min_size=1, max_size=12), paths)
@example("[z-a]", "a")
@example("[]]", "]")
@example("[!]]", "a")
@example("[a--b]", "a")
@example("[[a]", "[")
@example("[^a]", "^")
@example("a[", "a[")
@example("[-a]", "-")
def test_any_text_is_a_glob(glob: str, path: str) -> None:
    found = bool(re.search(local.glob_regex(glob), path))
    if "/" not in glob and "**" not in glob and "/" not in path:
        assert found == fnmatchcase(path, glob)


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.png", "a.png", True),
        ("*.png", "deep/below/a.png", True),
        ("*.png", "a.PNG", False),
        ("sub/*.png", "sub/a.png", True),
        ("sub/*.png", "sub/b/a.png", False),
        ("sub/*.png", "x/sub/a.png", False),
        ("**/sub/*.png", "x/y/sub/a.png", True),
        ("**/sub/*.png", "sub/a.png", True),
        ("a/**/b.png", "a/b.png", True),
        ("a/**/b.png", "a/x/y/b.png", True),
        ("a/**/b.png", "xa/b.png", False),
        ("masks/", "masks/x/1.png", True),
        ("masks/", "masks", False),
        ("**", "a/b", True),
        ("a+(b).png", "a+(b).png", True),
        ("case[0-9].png", "case5.png", True),
        ("case[!0-9].png", "case5.png", False),
        ("a?b", "a/b", False),
        ("x/a[!b]c", "x/a/c", False),
    ],
)
def test_globs_by_example(glob: str, path: str, fits: bool) -> None:
    assert bool(re.search(local.glob_regex(glob), path)) == fits


def test_what_is_or_pretends_to_be_a_medium_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "scan.png", b"")
    write(tmp_path / "no_suffix", b"\x89PNG\r\n\x1a\n")
    write(tmp_path / "broken.dcm", b"not DICOM")
    write(tmp_path / "clip.wmv", b"whatever")
    write(tmp_path / "notes.txt", b"text")
    write(tmp_path / "noise", b"noise")
    write(tmp_path / "table.csv", b"a,b")
    assert taken(tmp_path) == ["broken.dcm", "clip.wmv", "no_suffix", "scan.png"]
    source = local.source("mine", LocalParams())
    assert {sources.ignore_rule(source, path, None) for path in ("notes.txt", "noise", ".DS_Store")} == {"not a medium"}


def test_include_and_exclude(tmp_path: Path) -> None:
    for path in ("a/1.png", "a/1_mask.png", "b/1.png", "c.png"):
        write(tmp_path / path, b"")
    assert taken(tmp_path, include=("a/*",), exclude=("*_mask.png",)) == ["a/1.png"]
    assert taken(tmp_path, include=("a/*", "c.png")) == ["a/1.png", "a/1_mask.png", "c.png"]
    assert taken(tmp_path, exclude=("**/1.png",)) == ["a/1_mask.png", "c.png"]
    source = local.source("mine", LocalParams(include=("a/*",), exclude=("*_mask.png",)))
    rules = {path: sources.ignore_rule(source, path, "png") for path in ("a/1_mask.png", "b/1.png", "c.png")}
    assert set(rules.values()) == {"excluded"}


def test_a_pattern_reads_the_path(tmp_path: Path) -> None:
    write(tmp_path / "ward 3/P12/benign/s7_apical.png", b"")
    write(tmp_path / "other.png", b"")
    pattern = r"(?P<patient>P\d+)/(?P<label>\w+)/(?P<study>s\d+)_(?P<view>[a-z]*)(?P<video>x*)"
    other, item = local.source("mine", LocalParams(pattern=pattern)).items(tmp_path)
    assert (item.id, item.path) == ("ward 3/P12/benign/s7_apical.png",) * 2
    assert (item.patient, item.study, item.label, item.view, item.video) == ("P12", "s7", "benign", "apical", None)
    assert (other.patient, other.study, other.label, other.view, other.video) == (None,) * 5


def test_the_card_says_what_the_block_says() -> None:
    block = LocalParams(role="held-out", anatomy="liver", species="mouse", licence="CC0-1.0", commercial_use=True)
    card = local.source("ward-3", block).card
    assert (card.slug, card.index, card.role, card.anatomy, card.species) == (
        "local-ward-3",
        None,
        "held-out",
        "liver",
        "mouse",
    )
    assert (card.licence.name, card.licence.commercial_use, card.licence.redistribution) == ("CC0-1.0", True, None)


@pytest.mark.parametrize("name", ["", "Ward", "a_b", "a/b", "ä", "a b", "a\n"])
def test_a_bad_name(name: str) -> None:
    with pytest.raises(UsageError):
        local.source(name, LocalParams())


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"pattern": "(?P<patient"}, "local.x.pattern"),
        ({"pattern": r"(?P<doctor>\d)"}, "doctor"),
        ({"anatomy": "livver"}, "local.x.anatomy"),
        ({"anatomy": "livver"}, "did you mean liver"),
        ({"include": ("",)}, "local.x.include"),
    ],
)
def test_a_bad_block_is_named(params: dict[str, object], says: str) -> None:
    with pytest.raises(ParamsError) as error:
        local.source("x", LocalParams(**params))
    assert says in str(error.value)


def test_a_file_that_cannot_be_read_is_left_to_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IM000001", "scan.png", "notes.txt"):
        write(tmp_path / name, b"")

    def refuse(path: Path) -> str:
        raise UnreadableFile(f"{path.name}: Permission denied.")

    monkeypatch.setattr(local, "sniff", refuse)
    assert taken(tmp_path) == ["IM000001", "scan.png"]


def test_a_dangling_link_that_pretends_to_be_a_picture_is_taken(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert taken(tmp_path) == ["gone.png"]


def test_the_data_part_of_a_pair_is_no_picture_of_its_own(tmp_path: Path) -> None:
    header = (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = deep/scan.raw\n"
    )
    write(tmp_path / "a/scan.mhd", header)
    write(tmp_path / "a/deep/scan.raw", b"\x89PNG\r\n\x1a\n")  # bytes that happen to begin like a picture
    write(tmp_path / "b.hdr", bytes(344) + b"ni1\0")
    write(tmp_path / "b.img", b"\xff\xd8\xff")
    assert taken(tmp_path) == ["a/scan.mhd", "b.hdr"]
    rule = sources.ignore_rule(local.source("mine", LocalParams()), "a/deep/scan.raw", "png")
    assert rule == "data part of a header/data pair"


def test_a_header_hides_values_by_any_path_but_no_picture(tmp_path: Path) -> None:
    head = "ObjectType = Image\nNDims = 2\nDimSize = 9 9\nElementType = MET_UCHAR\nElementDataFile = "
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.mhd").write_text(head + "../a/./values.bmp\n")
    (tmp_path / "a" / "values.bmp").write_bytes(bytes(81))
    (tmp_path / "two.mhd").write_text(head + "scan.png\n")
    Image.new("L", (9, 9)).save(tmp_path / "scan.png")
    (tmp_path / "gone.mhd").symlink_to(tmp_path / "nowhere")
    found = [item.path for item in local.source("mine", LocalParams()).items(tmp_path)]
    assert found == ["a/one.mhd", "gone.mhd", "scan.png", "two.mhd"]


def test_real_archives(real: Path) -> None:
    import yaml

    blocks = from_mapping(yaml.safe_load((real / "local.yaml").read_text(encoding="utf-8"))).local
    found = {
        name: list(local.source(name, blocks[name]).items(real / folder))
        for name, folder in {
            "trus": "archives/deepreg-trus",
            "mouse": "archives/itkultrasound",
            "muscle": "archives/timtrack-muscle",
            "sparq": "archives/philips-sparq-plexus",
            "busicopy": "copies/busi-resized-copy",
            "tg3kcopy": "copies/tg3k-256",
        }.items()
    }
    assert all(found.values())
    assert all("/fixed_images/" in item.path and (item.patient or "").isdigit() for item in found["trus"])
    assert [item.path for item in found["mouse"]] == ["examples/MouseLiverB.mha"]
    assert {item.label for item in found["busicopy"]} == {"benign", "malignant", "normal"}
    assert all(item.path.startswith("tg3k/thyroid-image/") for item in found["tg3kcopy"])
    assert any("." not in Path(item.path).name for item in found["sparq"])
    everything = walk(real / "archives/philips-sparq-plexus")[0]
    media_files = [p for p in everything if media.sniff(real / "archives/philips-sparq-plexus" / p)]
    assert [item.path for item in found["sparq"]] == media_files


def test_a_source_travels_to_another_process(tmp_path: Path) -> None:
    write(tmp_path / "p1.png", b"")
    source = pickle.loads(pickle.dumps(local.source("mine", LocalParams(pattern=r"(?P<patient>p\d)", exclude=("x",)))))
    assert [item.patient for item in source.items(tmp_path)] == ["p1"]
    assert pickle.loads(pickle.dumps(sources.load("busi"))) == sources.load("busi")
