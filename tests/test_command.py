"""The border: errors become exit codes and one sentence, warnings a sentence, and nothing of it stays behind."""

from __future__ import annotations

import logging

import pytest

from openus.command import border
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
