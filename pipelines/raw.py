"""Stage `raw`: what lies under each source's folder, as one digest a source, so that DVC sees raw files change
without hashing them. Runs at every `dvc repro`; only sources whose digest changed are curated again."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from openus.build import salt_from
from openus.errors import CorpusError
from openus.relations import is_own
from openus.storage import walk
from pipelines.settings import load, stage, write_json


def listing(folder: Path) -> dict[str, Any]:
    """How many files lie below `folder`, and a digest of their paths, sizes and times, and of what cannot be looked at
    (a link that leads nowhere, a shut folder): the build accounts for that too."""
    digest = hashlib.sha256()
    paths, unlisted = walk(folder)
    for path in paths:
        try:
            stat = (folder / path).stat()
            line = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        except OSError:
            line = f"{path}\0None\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    for path, reason in unlisted:
        digest.update(f"{path}/\0{reason}\n".encode("utf-8", "surrogateescape"))
    return {"files": len(paths), "listing": digest.hexdigest()}


if __name__ == "__main__":
    with stage():
        settings = load()
        shutil.rmtree("results/raw", ignore_errors=True)
        for slug in settings.slugs:
            folder = settings.folder(slug)
            if not folder.is_dir():
                raise CorpusError(f"{slug}: there is no folder {folder}.", f"`openus info {slug}` says how to get it.")
            found = listing(folder)
            if is_own(slug):  # another key makes other patient ids
                found["salt"] = salt_from().fingerprint
            write_json(Path("results/raw") / f"{slug}.json", found)
