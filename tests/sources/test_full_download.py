"""`pytest --real ROOT`: every source on somebody's whole download, `ROOT/<slug>/`, against what is published of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from layouts import layouts

from openus import decode, media, sources
from openus.data import Item
from openus.params import DecodeParams
from openus.storage import walk

LAYOUTS = layouts()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Once for each source that lies under ROOT."""
    root = metafunc.config.getoption("--real")
    found = [slug for slug in sources.slugs() if root and (root / slug).is_dir()]
    metafunc.parametrize("slug", found)


@pytest.fixture
def download(slug: str, request: pytest.FixtureRequest) -> tuple[str, Path, list[Item]]:
    root = request.config.getoption("--real") / slug
    return slug, root, list(sources.load(slug).items(root))


def test_counts_are_the_published_ones(download: tuple[str, Path, list[Item]]) -> None:
    slug, _, items = download
    images, patients = LAYOUTS[slug].full
    assert items
    assert images is None or len(items) == images
    assert patients is None or len({item.patient for item in items} - {None}) == patients


def test_every_file_is_an_image_or_has_a_rule(download: tuple[str, Path, list[Item]]) -> None:
    slug, root, items = download
    source, taken = sources.load(slug), {item.path for item in items}
    rules = Counter(
        sources.ignore_rule(source, path, media.sniff(root / path)) for path in walk(root)[0] if path not in taken
    )
    assert rules["unlisted medium"] == 0, rules


def test_the_first_and_the_last_decode(download: tuple[str, Path, list[Item]]) -> None:
    _, root, items = download
    for item in {item.id: item for item in (*items[:1], *items[-1:])}.values():
        frame = next(decode.frames(root / item.path, DecodeParams(), item.reading))
        assert min(frame.pixels.shape[:2]) >= 32
