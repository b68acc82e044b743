"""Without Apache Beam, one error says what to install."""

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.data.beam import package

pytestmark = pytest.mark.beam


def test_a_missing_beam_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    package.check_beam()
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"need the package apache-beam.*pip install 'tfchain\[beam\]'"):
        package.check_beam()
