"""What every stage reads: `params.yaml`, parted into the build's parameters and the pipeline's own section."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from openus import sources
from openus.command import border
from openus.params import Count, LocalParams, Params, from_yaml, read_section
from openus.relations import is_own, own_name, own_slug
from openus.sources import Source, local

FILE = Path("params.yaml")


@dataclass(frozen=True)
class Section:
    """`pipeline:` of params.yaml."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    sample: int | None
    root: Path
    staging: Path
    out: Path
    workers: Count
    archives: Mapping[str, Path] | None
    """Name of an own archive -> its folder."""


@dataclass(frozen=True)
class Settings(Section):
    """The pipeline's own section beside the build's parameters."""

    params: Params

    def folder(self, slug: str) -> Path:
        """Where the raw files of a source lie."""
        return (self.archives or {})[own_name(slug)] if is_own(slug) else self.root / slug

    def source(self, slug: str) -> Source:
        """A source by slug; `local-NAME` is the archive of that name."""
        if is_own(slug):
            name = own_name(slug)
            return local.source(name, self.params.local.get(name, LocalParams()))
        return sources.load(slug)

    @property
    def slugs(self) -> list[str]:
        """All sources of this run: the keys of `sources:` and the archives, whose overrides stand in `sources:` too."""
        return [*(slug for slug in self.params.sources if not is_own(slug)), *map(own_slug, self.archives or {})]


def load(path: Path = FILE) -> Settings:
    """The settings in force. Raises ParamsError naming the path of what does not fit."""
    return Settings(**vars(read_section(path, "pipeline", Section)), params=from_yaml(path))


def stage() -> AbstractContextManager[None]:
    """A stage's work: an error of ours is one sentence, not a traceback."""
    return border(debug=None)


def write_json(path: Path, value: Any) -> None:
    """A metrics file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
