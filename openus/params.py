"""Every knob, as frozen dataclasses read strictly from YAML: an unknown key is an error that names its path.

A parameter file may hold any part of `Params`; the rest is default. Inside the code these are plain dataclasses;
pydantic stands only at the border.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Gt, Le

from openus.data import Role
from openus.errors import ParamsError

_STRICT = {"extra": "forbid"}
T = TypeVar("T")

OTHERS = frozenset({"pipeline", "pretrain", "evaluate"})
"""Sections of a parameter file that the pipeline and `model` read; a build leaves them alone."""

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class DecodeParams:
    """Bounds on what a file may ask of this machine."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    max_pixels: Count = 100_000_000
    """Largest rows × columns of one frame; more is rejected before any pixel is allocated."""
    max_frames: Count = 100_000
    """Most frames of one file."""
    timeout_s: Annotated[float, Gt(0), Le(7 * 86_400)] = 600.0
    """Wall-clock limit of one file; a file that takes longer is rejected and tried again by the next run."""


@dataclass(frozen=True)
class NormaliseParams:
    """How a decoded frame becomes the stored picture."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    longest_side: Annotated[int, Ge(16)] = 512
    """Larger pictures are reduced to it by area interpolation, aspect kept; smaller ones are never enlarged."""
    sector_crop: bool = True
    """Cut away what is not the ultrasound field (borders, bars, text beside it)."""
    format: Literal["jpg", "png"] = "jpg"
    """Of the stored picture; png is lossless and about four times as large."""
    jpeg_quality: Annotated[int, Ge(1), Le(100)] = 95


@dataclass(frozen=True)
class SelectParams:
    """Which frames of a clip or volume are kept."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    redundant: Share = 0.90
    """A frame whose local structure (32 x 32) correlates with the last kept one's at least so much is
    `redundant-frame`. At 0.95 neighbours still look alike to the eye; at 0.90 they differ visibly."""
    max_per_clip: Count | None = 64
    """More kept frames than that are thinned evenly (`over-cap`); None: no cap."""


@dataclass(frozen=True)
class DedupParams:
    """When two frames are one picture. See `openus.dedup`."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    near: bool = True
    """False: only pictures with equal pixels match."""
    candidate: Share = 0.60
    """Cosine of the coarse descriptors that makes a pair worth aligning."""
    neighbours: Count = 16
    """At most so many candidates of each picture are aligned, the most similar first."""
    verdict: Share = 0.80
    """Correlation of the aligned local structures that makes a pair one picture."""


@dataclass(frozen=True)
class LeakageParams:
    """What happens to pretrain frames that match a held-out one."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    drop: bool = True
    """False keeps them, so that the gate fires: for tests of the gate, never for a corpus."""


@dataclass(frozen=True)
class ShardParams:
    """How the corpus is cut into tar files."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    max_samples: Count = 10_000
    """Most samples of one shard."""
    max_bytes: Count = 256 * 1024 * 1024
    """A shard that has reached so many bytes takes no further sample."""


@dataclass(frozen=True)
class SourceParams:
    """Overrides for one source: of a section only the keys named here differ from the general one."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    decode: DecodeParams | None = None
    normalise: NormaliseParams | None = None
    select: SelectParams | None = None


@dataclass(frozen=True)
class LocalParams:
    """A person's own archive, described. `pattern` runs over the relative path (re.search)."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    role: Role = "pretrain"
    anatomy: str | None = None
    """A word of the vocabulary; null: as DICOM Body Part Examined says."""
    species: str | None = "human"
    subject: str | None = "in-vivo"
    """in-vivo, ex-vivo, phantom or simulation."""
    licence: str | None = None
    """SPDX identifier or your own words."""
    commercial_use: bool | None = None
    redistribution: bool | None = None
    include: tuple[str, ...] = ()
    """Globs over the relative path; none: everything. `**` is any number of folders."""
    exclude: tuple[str, ...] = ()
    """Globs of what is left out; they go before `include`."""
    pattern: str | None = None
    """Regular expression with any of the groups patient, study, video, label, view."""


@dataclass(frozen=True)
class Params:
    """All parameters of a build."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    seed: int = 0
    """Of the order in the shards."""
    held_out: tuple[str, ...] | None = None
    """Slugs that are held out (own archives as local-NAME), and no others; None: as cards and `local.*.role` say."""
    decode: DecodeParams = field(default_factory=DecodeParams)
    normalise: NormaliseParams = field(default_factory=NormaliseParams)
    select: SelectParams = field(default_factory=SelectParams)
    dedup: DedupParams = field(default_factory=DedupParams)
    leakage: LeakageParams = field(default_factory=LeakageParams)
    shards: ShardParams = field(default_factory=ShardParams)
    sources: Mapping[str, SourceParams] = field(default_factory=dict)
    """Slug (or local-NAME) -> what differs for that source."""
    local: Mapping[str, LocalParams] = field(default_factory=dict)
    """Name -> how an own archive is described."""

    def for_source(self, slug: str) -> Params:
        """These parameters with the overrides of `slug` in force."""
        override = self.sources.get(slug)
        if override is None:
            return self
        return replace(
            self,
            decode=override.decode or self.decode,
            normalise=override.normalise or self.normalise,
            select=override.select or self.select,
        )


def from_mapping(value: Mapping[str, Any] | None, where: str = "parameters") -> Params:
    """Params out of plain data, strictly. Raises ParamsError naming the path of what does not fit."""
    return _strictly(Params, _inherited(dict(value or {})), f"{where}: ")


def _strictly(kind: type[T], value: Mapping[str, Any], where: str) -> T:
    """Plain data as a dataclass; `where` stands before the path of what does not fit."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        what = "unknown key" if first["type"] in ("unexpected_keyword_argument", "extra_forbidden") else first["msg"]
        what = "it is no list" if first["type"] == "tuple_type" else what  # of which YAML knows
        raise ParamsError(f"{where}{path}: {what}.", "docs/parameters.md lists every key.") from error


def _inherited(value: dict[str, Any]) -> dict[str, Any]:
    """A source's section holds what the general one says, but for the keys that it names itself."""
    sources = value.get("sources")
    if not isinstance(sources, Mapping):
        return value
    filled = {}
    for slug, override in sources.items():
        filled[slug] = override
        if isinstance(override, Mapping):
            filled[slug] = {
                name: {**value[name], **section}
                if isinstance(section, Mapping) and isinstance(value.get(name), Mapping)
                else section
                for name, section in override.items()
            }
    return value | {"sources": filled}


def from_yaml(path: Path | None) -> Params:
    """Params of a YAML file (None: the defaults). The sections of `OTHERS` are read elsewhere and left out here.

    Raises ParamsError when the file is missing, not YAML, or does not fit.
    """
    if path is None:
        return Params()
    return from_mapping({k: v for k, v in _mapping(path).items() if k not in OTHERS}, where=str(path))


def read_section(path: Path, name: str, kind: type[T]) -> T:
    """Section `name` of a YAML file as a dataclass; absent is all default. Raises ParamsError as `from_yaml` does."""
    section = _mapping(path).get(name)
    if section is not None and not isinstance(section, Mapping):
        raise ParamsError(f"{path}: {name} is no mapping.", "A parameter file is `section: {key: value}`.")
    return _strictly(kind, section or {}, f"{path}: {name}.")


def _mapping(path: Path) -> dict[str, Any]:
    """What a YAML file holds."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        value, twice = yaml.safe_load(text), _twice(yaml.compose(text, yaml.SafeLoader))
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror or error}.", "Name a readable parameter file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not YAML: {error}.", "Mend the file.") from error
    if twice:
        raise ParamsError(f"{path}, {twice}, the last of which would count.", "Write it once.")
    if value is not None and not isinstance(value, dict):
        raise ParamsError(f"{path} holds no mapping.", "A parameter file is `section: {key: value}`.")
    return value or {}


def _twice(document: Any) -> str | None:
    """A key that a YAML document holds twice, and on which line: the last one would count, in silence."""
    waiting, looked_at = [(document, "")], set()
    while waiting:
        node, where = waiting.pop()
        if node is None or node.id == "scalar" or id(node) in looked_at:  # an alias may lead back
            continue
        looked_at.add(id(node))
        if node.id == "sequence":
            waiting += [(value, where) for value in node.value]
            continue
        keys: set[str] = set()
        for key, value in node.value:
            if key.value in keys:
                return f"line {key.start_mark.line + 1}: it holds {where}{key.value} twice"
            keys.add(key.value)
            waiting.append((value, f"{where}{key.value}."))
    return None


def to_mapping(params: Params) -> dict[str, Any]:
    """Plain data of the parameters, as build.json shows them."""
    value: dict[str, Any] = json.loads(json.dumps(asdict(params)))
    return value


def digest(*parts: Any) -> str:
    """16 hex digits that change when any of the (dataclass or plain) parts does."""
    plain = [asdict(p) if hasattr(p, "__dataclass_fields__") else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
