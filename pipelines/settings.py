"""What every stage reads: `params.yaml`, parted into the build's parameters and the pipeline's own section."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from openus import sources
from openus.command import border
from openus.params import LocalParams, Params, from_yaml
from openus.relations import is_own, own_name, own_slug
from openus.sources import Source, local

FILE = Path("params.yaml")


@dataclass(frozen=True)
class Settings:
    """`pipeline:` of params.yaml beside the build's parameters."""

    params: Params
    sample: int | None
    root: Path
    staging: Path
    out: Path
    workers: int
    archives: dict[str, Path]

    def folder(self, slug: str) -> Path:
        """Where the raw files of a source lie."""
        return self.archives[own_name(slug)] if is_own(slug) else self.root / slug

    def source(self, slug: str) -> Source:
        """A source by slug; `local-NAME` is the archive of that name."""
        if is_own(slug):
            name = own_name(slug)
            return local.source(name, self.params.local.get(name, LocalParams()))
        return sources.load(slug)

    @property
    def slugs(self) -> list[str]:
        """All sources of this run: the keys of `sources:` and the archives."""
        return [*self.params.sources, *map(own_slug, self.archives)]


def load(path: Path = FILE) -> Settings:
    """The settings in force."""
    own: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["pipeline"]
    return Settings(
        params=from_yaml(path),
        sample=own["sample"],
        root=Path(own["root"]),
        staging=Path(own["staging"]),
        out=Path(own["out"]),
        workers=own["workers"],
        archives={name: Path(folder) for name, folder in (own["archives"] or {}).items()},
    )


def stage() -> AbstractContextManager[None]:
    """A stage's work: an error of ours is one sentence, not a traceback."""
    return border(debug=None)


def write_json(path: Path, value: Any) -> None:
    """A metrics file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
