"""One contract over every discovered source, on its declared layout and on the real files."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import io
import os
import random
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from conftest import REAL
from hypothesis import given
from hypothesis import strategies as st
from layouts import Layout, layouts, write

from openus import anatomy, media, sources
from openus.data import Item
from openus.errors import UnknownSource
from openus.sources import _layout
from openus.storage import is_hidden, walk

LAYOUTS = layouts()
SLUGS = sources.slugs()
HELD_OUT = {"bus-bra", "mmotu-2d", "gist514-db"}
every_source = pytest.mark.parametrize("slug", SLUGS)
every_place = pytest.mark.parametrize(
    ("slug", "top"), [(slug, top) for slug in SLUGS for top in LAYOUTS[slug].top_folders]
)


def module_name(slug: str) -> str:
    return f"openus.sources.{slug.replace('-', '_')}"


def listed(slug: str, root: Path) -> list[Item]:
    return list(sources.load(slug).items(root))


def expected(layout: Layout, top: str, without: tuple[str, ...] = ()) -> list[Item]:
    """The items that a layout declares, below the folders `top`, with the fields `without` empty."""
    items = []
    for path, fields in layout.items():
        known = {name: value for name, value in fields.items() if name not in (*without, "masks")}
        masks = tuple(top + mask for mask in fields.get("masks", ()))
        items.append(Item(path=top + path, masks=masks, **known))
    return sorted(items, key=lambda item: (item.path, item.id))


def test_each_source_has_a_layout_and_each_layout_a_source() -> None:
    assert set(LAYOUTS) == set(SLUGS)


def test_the_list_is_ordered_by_number_extras_last() -> None:
    indices = [sources.load(slug).card.index for slug in SLUGS]
    numbered = [index for index in indices if index is not None]
    assert numbered == sorted(set(numbered))
    assert all(1 <= index <= 46 for index in numbered)
    assert indices[len(numbered) :] == [None] * (len(indices) - len(numbered))


@every_source
def test_the_card_is_complete_or_says_none(slug: str) -> None:
    card = sources.load(slug).card
    assert card.slug == slug
    assert re.fullmatch(r"[a-z0-9-]+", slug)
    assert all((card.name, card.title, card.anatomy_detail, card.media, card.access.kind, card.access.steps))
    assert re.match(r"https?://", card.access.url)
    assert card.access.gated in {None, "none", "login", "licence-click", "application"}
    assert anatomy.check(card.anatomy or "") == card.anatomy
    assert card.subject in {"in-vivo", "ex-vivo", "phantom", "simulation"}
    assert card.role == ("held-out" if slug in HELD_OUT else "pretrain")
    assert set(card.media) <= set(media.FAMILY)
    assert card.citation.startswith("@")
    assert not re.search(r"[=\n]", card.licence.name or "")
    assert card.notes
    unknown = [f.name for f in dataclasses.fields(card) if getattr(card, f.name) in ("unknown", "unverified", "none")]
    assert unknown == []
    for file in card.files:
        assert re.fullmatch(r"[0-9a-f]{32}", file.md5 or "0" * 32)
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "0" * 64)


def test_counts_of_cards_are_the_ones_that_a_full_download_is_held_to() -> None:
    told = {slug: (sources.load(slug).card.expected_images, LAYOUTS[slug].full[0]) for slug in SLUGS}
    assert {slug: both for slug, both in told.items() if None not in both and both[0] != both[1]} == {
        "acouslic": (300, 1800),  # six sweeps a file
        "fast-u-net": (1411, 1414),  # three test pictures that the paper does not count
        "kidneyus": (534, 514),  # without the 20 copies
    }


@every_source
def test_the_layout_holds_the_media_of_the_card(slug: str, tmp_path: Path) -> None:
    LAYOUTS[slug].build(tmp_path)
    assert set(sources.load(slug).card.media) <= {media.sniff(tmp_path / path) for path in LAYOUTS[slug].images}


@every_place
def test_items_are_exactly_the_declared_ones(slug: str, top: str, tmp_path: Path) -> None:
    layout = LAYOUTS[slug]
    layout.build(tmp_path, top)
    found = listed(slug, tmp_path)
    assert sorted(found, key=lambda item: (item.path, item.id)) == expected(layout, top)
    assert [item.path for item in found] == sorted(item.path for item in found)
    assert len({item.id for item in found}) == len(found)


@every_source
def test_a_top_folder_changes_no_id(slug: str, tmp_path: Path) -> None:
    ids = []
    for number, top in enumerate(LAYOUTS[slug].top_folders):
        LAYOUTS[slug].build(tmp_path / str(number), top)
        ids.append(sorted(item.id for item in listed(slug, tmp_path / str(number))))
    assert ids[0]
    assert ids == [ids[0]] * len(ids)


FOLDER = st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(above=st.lists(FOLDER.filter(lambda name: not name.startswith(".")), max_size=3))
def test_no_folder_above_changes_an_id(above: list[str]) -> None:
    top = "".join(f"{folder}/" for folder in above)
    for slug, layout in LAYOUTS.items():
        pattern = re.compile(sources.load(slug).images or "")
        for path in layout.images:
            plain, wrapped = pattern.fullmatch(path), pattern.fullmatch(top + path)
            assert plain and wrapped and plain.groupdict() == wrapped.groupdict(), (slug, path)


def folders_of(layout: Layout) -> list[str]:
    """Every folder of a layout, as a path from its root and by its name alone."""
    parents = {path.rpartition("/")[0] for path in [*layout.images, *layout.decoys, *layout.tables]}
    names = {name for parent in parents for name in parent.split("/")}
    return sorted((parents | names) - {""})


@every_source
def test_a_folder_above_may_be_called_like_one_of_the_layout(slug: str, tmp_path: Path) -> None:
    layout, pattern = LAYOUTS[slug], re.compile(sources.load(slug).images or "")
    if layout.separate_tables:
        pytest.skip("its tables lie apart from its images")
    place = tmp_path / "0"
    layout.build(place)
    for number, folder in enumerate(folders_of(layout), 1):
        top = folder + "/"
        if is_hidden(top) or not all(pattern.fullmatch(top + path) for path in layout.images):
            continue  # a folder that holds copies of the layout's own paths: what the pattern says on purpose
        root = tmp_path / str(number)
        (root / top).parent.mkdir(parents=True)
        place.rename(root / top)
        place = root / top
        found = sorted(listed(slug, root), key=lambda item: (item.path, item.id))
        assert found == expected(layout, top), top


def test_few_folders_are_refused_above() -> None:
    refused = {
        slug
        for slug, layout in LAYOUTS.items()
        for folder in folders_of(layout)
        for path in layout.images
        if not re.fullmatch(sources.load(slug).images or "", f"{folder}/{path}")
    }
    assert refused == {
        "pocus",
        "s1",
        "dfhi",
        "bus-uclm",
    }  # their derived pictures lie under the very paths of the originals


@every_source
def test_a_missing_table_loses_no_image(slug: str, tmp_path: Path) -> None:
    layout = LAYOUTS[slug]
    layout.build(tmp_path, tables=False)
    found = sorted(listed(slug, tmp_path), key=lambda item: (item.path, item.id))
    blank = [dataclasses.replace(item, licence=None, patient=None) for item in found]
    wanted = [dataclasses.replace(i, licence=None, patient=None) for i in expected(layout, "", layout.from_tables)]
    assert blank == wanted


@every_source
@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe\x00,\x00\n\x00", b"PK\x03\x04 no workbook", b'"\n' * 9, b"\0" * 999]
)
def test_a_damaged_table_loses_no_image(slug: str, damage: bytes, tmp_path: Path) -> None:
    layout = LAYOUTS[slug]
    layout.build(tmp_path)
    for path in layout.tables:
        (tmp_path / path).write_bytes(damage)
    assert [item.path for item in listed(slug, tmp_path)] == [item.path for item in expected(layout, "")]


@every_source
def test_files_that_are_no_image_have_a_named_rule(slug: str, tmp_path: Path) -> None:
    layout, source = LAYOUTS[slug], sources.load(slug)
    layout.build(tmp_path)
    rules = {path: sources.ignore_rule(source, path, media.sniff(tmp_path / path)) for path in layout.decoys}
    assert rules == layout.decoys
    own = {rule for rule, _ in source.ignored}
    for path in layout.tables:
        assert sources.ignore_rule(source, path, None) in own | {"table"}
    assert sources.ignore_rule(source, "fetch.lock.json", None) == "lock"


@every_source
def test_no_item_fits_a_rule_that_names_it_no_image(slug: str, tmp_path: Path) -> None:
    LAYOUTS[slug].build(tmp_path)
    source = sources.load(slug)
    for item in listed(slug, tmp_path):
        assert _layout.rule_of(item.path, source.ignored) is None
        assert source.images and re.fullmatch(source.images, item.path)
        assert (tmp_path / item.path).is_file()
        assert all((tmp_path / mask).is_file() for mask in item.masks)
        assert not any(_layout.rule_of(mask, source.ignored) is None for mask in item.masks)


@every_source
def test_the_order_of_a_directory_listing_does_not_matter(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LAYOUTS[slug].build(tmp_path, LAYOUTS[slug].top_folders[-1])
    straight = listed(slug, tmp_path)
    plain = os.walk
    shuffle = random.Random(slug).shuffle

    def shuffled(*args: object, **more: object):
        for folder, folders, names in plain(*args, **more):
            shuffle(folders)
            shuffle(names)
            yield folder, folders, names

    monkeypatch.setattr(os, "walk", shuffled)
    assert listed(slug, tmp_path) == straight


@every_source
def test_listing_opens_no_image(slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = LAYOUTS[slug]
    layout.build(tmp_path)
    opened: list[str] = []
    plain = io.open

    def recording(file: object, *args: object, **more: object):
        opened.append(Path(str(file)).as_posix())
        return plain(file, *args, **more)

    monkeypatch.setattr(io, "open", recording)
    monkeypatch.setattr(builtins, "open", recording)
    listed(slug, tmp_path)
    assert not {(tmp_path / path).as_posix() for path in [*layout.images, *layout.decoys]} & set(opened)


@every_source
def test_the_module_imports_little(slug: str) -> None:
    siblings = {module_name(other) for other in SLUGS} | {"openus.sources"}
    allowed = set(sys.stdlib_module_names) | {"openus.data", "openus.sources._layout"} | siblings
    tree = ast.parse(Path(str(import_module(module_name(slug)).__file__)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert all(name in allowed or name.split(".")[0] in allowed for name in names)


def test_listing_the_sources_imports_nothing_heavy() -> None:
    heavy = ("pandas", "cv2", "PIL", "pydicom", "SimpleITK", "av", "h5py", "pyarrow", "python_calamine", "yaml")
    code = f"import sys, openus.sources as s; s.slugs(); print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("slug", ["busbra", "BUS-BRA", "bus_bra", "local", "_layout", "local-mine", "", "../busi"])
def test_an_unknown_source_is_named_with_a_hint(slug: str) -> None:
    with pytest.raises(UnknownSource) as error:
        sources.load(slug)
    assert "openus list" in error.value.hint
    if "bra" in slug.lower():
        assert "bus-bra" in error.value.hint


def test_general_rules(tmp_path: Path) -> None:
    source = sources.load("busi")
    rules = {
        "__MACOSX/benign/._x.csv": "hidden",
        ".DS_Store": "hidden",
        "a/notes.txt": "table",
        "a/LICENSE.txt": "document",
        "LICENCE": "document",
        "a/SOURCE.md": "document",
        "a.tar.gz": "archive",
        "x.RAR": "archive",
        "x.raw": "data part of a header/data pair",
        "x.png": "not a medium",
        "weights.h5": "not a medium",
        "elsewhere/benign/benign (1).png": "second copy",
    }
    assert {path: sources.ignore_rule(source, path, None) for path in rules} == rules
    assert sources.ignore_rule(source, "cover.png", "png") == "unlisted medium"
    assert sources.ignore_rule(source, "README.md", "jpg") == "unlisted medium"
    write(tmp_path / "benign/benign (1).png", b"")
    write(tmp_path / "old/benign/benign (1).png", b"")
    assert [item.path for item in source.items(tmp_path)] == ["benign/benign (1).png"]


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if (REAL / "sources" / slug).is_dir()])
def test_real_files(slug: str, real: Path) -> None:
    root = real / "sources" / slug
    source = sources.load(slug)
    items = listed(slug, root)
    taken = {item.path for item in items}
    assert (len(items), len({item.patient for item in items} - {None})) == LAYOUTS[slug].real
    decoy = re.compile(
        r"(?i)(?:^|/)(?:[^/]*_)?mask[^/]*$|(?:^|/)(?:(?:Expert )?masks?(?: images)?|annotations|labels)/"
    )
    assert [path for path in taken if decoy.search(path) or re.search(r"_(?:tumor|other|Annotation)", path)] == []
    rest = {
        path: sources.ignore_rule(source, path, media.sniff(root / path)) for path in walk(root)[0] if path not in taken
    }
    assert {
        path: rule for path, rule in rest.items() if rule in ("unlisted medium", "not a medium", "second copy")
    } == {}
    assert all(media.sniff(root / path) for path in taken)


def test_real_tables(real: Path) -> None:
    by_slug = {
        slug: {i.id: i for i in listed(slug, real / "sources" / slug)}
        for slug in SLUGS
        if (real / "sources" / slug).is_dir()
    }
    bra = by_slug["bus-bra"]
    assert all(item.label and item.split and item.masks for item in bra.values())
    folds = {item.patient: item.split for item in bra.values()}
    assert all(folds[item.patient] == item.split for item in bra.values())
    assert bra["Images/bus_0001-l.png"].split == "fold-3"
    spaced = {item.split: item.spacing_mm[0] is not None for item in by_slug["hc18"].values()}
    assert spaced == {"training": True, "test": False}
    assert all(0.0434 <= (item.spacing_mm[0] or 0) <= 0.1389 for item in by_slug["brest"].values())
    assert {item.label for item in by_slug["brest"].values()} == {"benign", "malignant", "normal"}
    assert {item.label for item in by_slug["mmotu-2d"].values()} == {None}
    assert {item.label for item in by_slug["ddti"].values()} == {None, "2", "3", "4a", "4b", "4c", "5"}
    assert {item.label for item in by_slug["blues"].values()} == {"0.0", "1.0", "2.0", "3.0"}


def test_real_pocus_licences_and_groups(real: Path) -> None:
    root = real / "sources" / "pocus"
    rows = [line.split("\t") for line in (root / "LICENCES_PER_FILE.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    published = {path: (licence, group, label) for path, licence, _, group, label in rows}
    items = {item.path: item for item in listed("pocus", root)}
    assert set(items) == set(published)
    for path, item in items.items():
        licence, group, label = published[path]
        assert item.label == label
        assert item.licence is not None
        assert item.licence.commercial_use == ("NC" not in licence)
        if group.startswith("pid"):
            assert item.patient == group.removeprefix("pid")
        elif group == "Reg_pat1":
            assert item.patient == "4"
        else:
            assert item.patient == group
