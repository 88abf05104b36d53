"""Stage `curate@SLUG`: decode one source into staging."""

import sys

from openus import engine
from openus.build import curate, salt_from
from openus.build.staging import locked
from pipelines.settings import load, stage

if __name__ == "__main__":
    with stage():
        slug = sys.argv[1]
        settings = load()
        with locked(settings.staging), engine.local(settings.workers) as run:
            done = curate(
                settings.source(slug),
                settings.folder(slug),
                settings.staging,
                settings.params,
                salt=salt_from(),
                run=run,
            )
        print(
            f"{slug}: {done.files_taken} files, {done.decoded_frames} frames decoded, {done.reused_files} files reused"
        )
