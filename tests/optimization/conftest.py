"""What the tests of the optimization room share."""

import pytest


@pytest.fixture(autouse=True)
def _each_conversion_once(shared_conversions: None) -> None:
    """In all tests of this folder."""
