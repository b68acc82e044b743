"""Errors of workers come out as tfchain's own, whatever form Beam gives them."""

import pytest

from tfchain.core.errors import InputError, TfchainError
from tfchain.data.beam.run_errors import to_error

pytestmark = pytest.mark.beam

TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 1, in process
tfchain.core.errors.InputError: a.jsonl, line 3: not JSON. Mend it. [while running 'Read parts/Read']

During handling of the above exception, another exception occurred:
  File "worker.py", line 9, in run
"""


def test_a_traceback_as_text_is_the_error_in_it() -> None:
    found = to_error(RuntimeError(TRACEBACK))

    assert type(found) is InputError
    assert str(found) == "a.jsonl, line 3: not JSON. Mend it. (In the pipeline's step 'Read parts/Read'.)"


def test_an_error_of_this_process_stays_what_it_is() -> None:
    assert str(to_error(InputError("Wrong. [while running 'a']"))) == "Wrong. (In the pipeline's step 'a'.)"
    assert str(to_error(TfchainError("The disk is full."))) == "The disk is full."


def test_another_failure_is_told_by_its_last_line() -> None:
    found = to_error(RuntimeError("first\nValueError: no such cluster\n"))

    assert type(found) is TfchainError
    assert str(found).startswith("The pipeline failed: ValueError: no such cluster.")
