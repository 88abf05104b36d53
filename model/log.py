"""The history of a run: DVCLive's files for tools, one line at a time for a person."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import click

Line = dict[str, float]
"""step, epoch, lr, loss (mean since the last line), images_per_s, data_wait (share of the time spent on waiting)."""
Log = Callable[[Line], None]


@contextmanager
def writing(folder: Path, steps: int, history: Sequence[Line]) -> Iterator[Log]:
    """A function that takes the next line of the history: to DVCLive's `folder`, and to standard error.

    The folder is written anew from the history of the saved state, so that it holds no line of steps that a killed
    process did after its last save.
    """
    from dvclive.live import Live

    # Live looks for a repository around the working folder, fails in one without commits and would set up DVC in any
    # other. Its files are all that is wanted here, so it starts where there is none.
    place = str(folder.absolute())
    with tempfile.TemporaryDirectory() as nowhere, chdir(nowhere):
        opened = Live(place, dvcyaml=None, save_dvc_exp=False, report=None, monitor_system=False)
    with opened as live:

        def write(line: Line, *, told: bool = True) -> None:
            live.step = int(line["step"])
            for name in ("loss", "lr", "images_per_s", "data_wait"):
                live.log_metric(name, line[name])
            live.make_summary()
            if told:
                click.echo(
                    f"step {int(line['step'])}/{steps}  epoch {line['epoch']:.2f}  loss {line['loss']:.4f}  "
                    f"lr {line['lr']:.2e}  {line['images_per_s']:.0f} images/s  waiting {line['data_wait']:.0%}",
                    err=True,
                )

        for line in history:
            write(line, told=False)
        yield write
