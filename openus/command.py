"""The border of a program: errors and warnings leave as sentences on standard error, errors as exit codes too."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from openus.errors import OpenusError


class _Path(click.Path):
    """A path on this machine, with a name in UTF-8, since reports tell it; the folder of raw files may have any."""

    def __init__(self, *, any_name: bool = False, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)
        self.any_name = any_name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Path, when it is one."""
        name = os.fsdecode(value)
        if not name:
            self.fail("an empty name is no path (a variable that is not set?).", param, ctx)
        if re.match("[a-z][a-z0-9+.-]+://", name, re.IGNORECASE):
            self.fail(f"{shown(name)} is no path on this machine: name a folder or file here.", param, ctx)
        if not self.any_name and any("\ud800" <= char <= "\udfff" for char in name):
            self.fail(f"{shown(name)} has a name that is no UTF-8: rename it, or link to it.", param, ctx)
        return super().convert(value, param, ctx)


class _NewFile(_Path):
    """A file that will be written, in place of one of that name: known before the work whether it can be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Path, when a file can be made there."""
        path: Path = super().convert(value, param, ctx)
        folder = next(one for one in path.absolute().parents if os.access(one, os.F_OK))
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            self.fail(f"nothing can be written into {folder}: name another place.", param, ctx)
        return path


PATH = _Path()
RAW_PATH = _Path(any_name=True)
NEW_FILE = _NewFile(dir_okay=False)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
DEBUG = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


def shown(text: str, *, lines: bool = False) -> str:
    """`text` as a terminal may have it: what is not printable (in a file's name, say) stands as an escape.

    With `lines`, new lines are meant.

    >>> shown("scan\\n\\x1b[2J.png")
    'scan\\\\n\\\\x1b[2J.png'
    """
    return "".join(
        char if char.isprintable() or (lines and char == "\n") else char.encode("unicode_escape").decode()
        for char in text
    )


class Command(click.Command):
    """A command with the border around it; `--debug`, where the program has it, shows tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises becomes an exit code."""
        with border(debug=bool(ctx.find_root().params.get("debug"))):
            return super().invoke(ctx)


class Group(click.Group):
    """The commands, in the order of work."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added."""
        return list(self.commands)


@contextlib.contextmanager
def border(*, debug: bool | None) -> Iterator[None]:
    """The work of a program. Warnings of ours are sentences on standard error, and so is what ends it early.

    Args:
        debug: whether errors go through with their traceback. None for a program that has no option for it: then
            those that nobody expected do, since there is no second run that would show where.

    Raises SystemExit: the exit code of an OpenusError, 130 for Ctrl-C, 1 for a closed pipe (unless `debug` is None) and
    the unexpected.
    """
    with _warnings_told():
        try:
            yield
        except OpenusError as error:
            if debug:
                raise
            _leave(str(error), error.exit_code)
        except KeyboardInterrupt:
            _leave("stopped; run the same command again to go on.", 130)
        except BrokenPipeError:
            if debug is None:  # of a worker, perhaps
                raise
            sys.stderr.close()  # a closed pipe (`| head`) is no error to tell of
            sys.exit(1)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if debug is not False:
                raise
            _leave(f"{type(error).__name__}: {error} This is unexpected: --debug shows where.", 1)


def _leave(sentence: str, code: int) -> None:
    click.echo(f"openus: {shown(sentence, lines=True)}", err=True)
    sys.exit(code)


@contextlib.contextmanager
def _warnings_told() -> Iterator[None]:
    """What is logged as a warning goes to standard error, like all else that is not asked for."""
    logger = logging.getLogger("openus")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Told(logging.WARNING)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"openus: {shown(record.getMessage(), lines=True)}", err=True)
