"""The border: errors become exit codes and one sentence, warnings a sentence, and nothing of it stays behind."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click
import pytest

from openus.command import NEW_FILE, PATH, RAW_PATH, border
from openus.errors import CorpusError, UsageError

ENDS = {
    UsageError("No.", "Do this."): (2, "openus: No. Do this.\n"),
    CorpusError("No."): (1, "openus: No.\n"),
    KeyboardInterrupt(): (130, "openus: stopped; run the same command again to go on.\n"),
    KeyError("x"): (1, "openus: KeyError: 'x' This is unexpected: --debug shows where.\n"),
}


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_what_ends_a_program_is_one_sentence_and_an_exit_code(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, border(debug=False):
        raise error
    assert (ended.value.code, capsys.readouterr().err) == ENDS[error]


@pytest.mark.parametrize("error", [UsageError("No."), KeyError("x")])
def test_debug_lets_errors_through(error: Exception) -> None:
    with pytest.raises(type(error)), border(debug=True):
        raise error


def test_a_program_without_debug_shows_where_the_unexpected_was() -> None:
    with pytest.raises(KeyError), border(debug=None):
        raise KeyError("x")
    with pytest.raises(SystemExit), border(debug=None):
        raise UsageError("No.")


def test_warnings_are_told_with_the_program_s_name_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("openus.somewhere")
    before = logging.getLogger("openus").handlers
    with border(debug=False):
        logger.warning("%s is odd.", "this")
        logger.info("nobody asked")
    assert capsys.readouterr().err == "openus: this is odd.\n"
    assert logging.getLogger("openus").handlers == before and logging.getLogger("openus").propagate


def test_a_name_that_an_error_tells_does_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), border(debug=False):
        logging.getLogger("openus").warning("\x1b]0;x\x07.png is odd.")
        raise CorpusError("\x1b[2J.png is damaged:\nsee here.")
    assert (
        capsys.readouterr().err == "openus: \\x1b]0;x\\x07.png is odd.\nopenus: \\x1b[2J.png is damaged:\nsee here.\n"
    )


@pytest.mark.parametrize("name", ["s3://bucket/corpus", "gs://b", "file:///data", os.fsdecode(b"caf\xe9")])
def test_what_is_no_path_here_or_has_no_name_in_utf8_is_wrong_use(name: str) -> None:
    with pytest.raises(click.BadParameter):
        PATH.convert(name, None, None)


def test_raw_files_may_lie_in_a_folder_of_any_name() -> None:
    for name in (os.fsdecode(b"caf\xe9"), "a:/b", "café"):
        assert RAW_PATH.convert(name, None, None) == Path(name)
    with pytest.raises(click.BadParameter):
        RAW_PATH.convert("s3://bucket/raw", None, None)


def test_where_no_file_can_be_made_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("", "file/page.html"):
        with pytest.raises(click.BadParameter):
            NEW_FILE.convert(str(tmp_path / name), None, None)
    for name in ("file", "new/folder/page.html"):
        assert NEW_FILE.convert(str(tmp_path / name), None, None) == tmp_path / name
