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

if __name__ == "__main__":
    with stage():
        settings = load()
        shutil.rmtree("results/raw", ignore_errors=True)
        for slug in settings.slugs:
            folder = settings.folder(slug)
            if not folder.is_dir():
                raise CorpusError(f"{slug}: there is no folder {folder}.", f"`openus info {slug}` says how to get it.")
            digest = hashlib.sha256()
            paths, _ = walk(folder)
            for path in paths:
                stat = (folder / path).stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            listing: dict[str, Any] = {"files": len(paths), "listing": digest.hexdigest()}
            if is_own(slug):  # another key makes other patient ids
                listing["salt"] = salt_from().fingerprint
            write_json(Path("results/raw") / f"{slug}.json", listing)
