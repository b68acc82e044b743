"""Tests of finding equal ids in a file of digests, one part of them at a time."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.data.preparation import id_file
from tfchain.data.preparation.id_file import find_equal_ids


@pytest.mark.parametrize("part_ids", [1 << 18, 16])
def test_equal_digests_are_found_wherever_they_are(
    part_ids: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_file, "PART_IDS", part_ids)
    digests = np.random.default_rng(0).integers(0, 2**63, size=(100, 2), dtype=np.uint64)
    digests[5, 0] = digests[6, 0]  # half of a digest is not a digest
    path = tmp_path / "ids"
    path.write_bytes(digests.tobytes())
    assert find_equal_ids(path) is None
    digests[90] = digests[17]
    path.write_bytes(digests.tobytes())
    assert find_equal_ids(path) == (17, 90)
    path.write_bytes(b"")
    assert find_equal_ids(path) is None
