"""Who and what a frame is: keys, and patient, study and video ids that never carry a name.

Ids of published sources are `namespace:word`, the namespace being the source, or the group of sources that share
patients. Ids of a person's own archives are HMAC-SHA256 (RFC 2104) under a key of theirs, in one namespace `local`,
so that a patient who lies in two folders is one patient and nobody without the key can test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from openus import relations
from openus.data import Header, Item

_PLACEHOLDERS = frozenset(
    "anon anonymous anonymized anonymised deidentified de-identified deid id none null nil n/a na nan no nobody "
    "patient patientid patient^id removed redacted test unknown unidentified undefined unnamed xxx dummy default "
    "tbd blank empty missing".split()
)


@dataclass(frozen=True, slots=True)
class Salt:
    """The HMAC key of own archives. `fingerprint` may be written down, the key never."""

    key: bytes
    is_default: bool

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell two keys apart and tell nothing of either."""
        return hashlib.sha256(b"openus salt fingerprint\0" + self.key).hexdigest()[:16]

    def __repr__(self) -> str:  # the key must not reach a log by accident
        return f"Salt({self.fingerprint})"


DEFAULT = Salt(b"openus", is_default=True)
"""The fixed key: it keeps ids apart, but anybody can test a guess against it."""


def salt_from(environment: Mapping[str, str] = os.environ) -> Salt:
    """The key in `OPENUS_SALT`, or the fixed default one."""
    value = environment.get("OPENUS_SALT", "")
    return Salt(os.fsencode(value), is_default=False) if value else DEFAULT


def key(slug: str, item_id: str, frame_index: int | None) -> str:
    """The sample key, `[a-z0-9_-]` only.

    The id is taken in Unicode NFC, since the same file name comes decomposed from some file systems.

    >>> key("busi", "benign/benign (1).png", None)
    'busi-429f257fd79ac75a-000000'
    """
    name = same_name(item_id).encode("utf-8", "surrogateescape")
    return f"{slug}-{hashlib.sha256(name).hexdigest()[:16]}-{frame_index or 0:06d}"


def same_name(item_id: str) -> str:
    """What two ids have in common that make one key: Unicode NFC."""
    return unicodedata.normalize("NFC", item_id)


def is_placeholder(value: str) -> bool:
    """True for an id that names nobody: empty, zeros, `ANONYMOUS`, `N/A`, `xxx` …

    >>> is_placeholder("0000"), is_placeholder("Anonymous"), is_placeholder("4711")
    (True, True, False)
    """
    plain = value.strip().strip("^-_. ").lower()
    return not plain.strip("0*?x^-_. ") or plain in _PLACEHOLDERS


def _named(value: str | None) -> str | None:
    """What a pattern found, None for a placeholder. Zeros are a number like any other there: `case000`."""
    return None if value is None or (is_placeholder(value) and not value.isdigit()) else value.strip()


def hashed(salt: Salt, *parts: str) -> str:
    """32 hex digits of the HMAC over `parts`, each with its length so that ("ab", "c") is not ("a", "bc")."""
    encoded = [part.encode("utf-8", "surrogateescape") for part in parts]  # a name on disk may be no UTF-8
    message = b"".join(b"%d:" % len(part) + part for part in encoded)
    return hmac.new(salt.key, message, hashlib.sha256).hexdigest()[:32]


def header_ids(header: Header, salt: Salt) -> tuple[str | None, str | None]:
    """(patient, study) of a file's header, hashed: HMAC over issuer and Patient ID, and over Study Instance UID.

    None for absent and placeholder ids.
    """
    patient = (header.patient or "").strip()
    study = (header.study or "").strip()
    return (
        None if is_placeholder(patient) else hashed(salt, "patient", (header.issuer or "").strip(), patient),
        None if is_placeholder(study) else hashed(salt, "study", study),
    )


@dataclass(frozen=True, slots=True)
class Ids:
    """Namespaced ids of an item; None is unknown. `clip` names the file itself, for frames without a named video."""

    patient: str | None
    study: str | None
    video: str | None
    clip: str


def ids(slug: str, item: Item, salt: Salt) -> Ids:
    """The ids that an adapter or pattern gives to `item`, in the source's namespace, hashed for own archives."""
    patient, study, video = item.patient or None, item.study or None, item.video or None
    clip = item.id
    if relations.is_own(slug):
        patient, study = _named(patient), _named(study)
        study = study and hashed(salt, "study", patient or slug, study)
        patient = patient and hashed(salt, "patient", "", patient)
        video = video and hashed(salt, "video", slug, video)
        clip = hashed(salt, "video", slug, clip)
    return Ids(namespaced(slug, patient), namespaced(slug, study), namespaced(slug, video), f"{slug}:{clip}")


def namespaced(slug: str, value: str | None) -> str | None:
    """`value` in the namespace of `slug` (its patient group where sources share patients), None for None."""
    return f"{relations.namespace(slug)}:{value}" if value else None
