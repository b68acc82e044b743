"""What callers may rely on in the errors."""

import pytest

from tfchain.core.errors import DivergedError, InputError, MissingPackageError, TfchainError, first_line


def test_errors_can_be_caught_as_pythons_own() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(DivergedError, InputError)
    assert issubclass(MissingPackageError, ImportError)
    assert issubclass(MissingPackageError, TfchainError)


def test_an_error_of_input_may_name_its_argument() -> None:
    error = InputError("wrong", argument="top_k")
    assert (str(error), error.argument) == ("wrong", "top_k")
    assert InputError("wrong").argument is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("first\nsecond\nthird"), "first"),
        (ValueError("a" * 300), "a" * 200),
        (ValueError(), "ValueError"),
        (KeyError("name"), "'name'"),
        (OSError("\nsecond"), "OSError"),
    ],
)
def test_the_first_line_of_an_error_is_quoted_and_its_type_if_it_is_empty(error: Exception, expected: str) -> None:
    assert first_line(error) == expected


def test_a_quotation_may_be_shorter() -> None:
    assert first_line(ValueError("abcdef"), length=3) == "abc"
