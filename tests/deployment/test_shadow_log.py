from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.shadow_log import ShadowResult, append_result, compare_answers, read_summary


def ids(*rows: str) -> dict[str, np.ndarray]:
    return {"ids": np.array([[id.encode() for id in row] for row in rows], dtype=object)}


def test_rankings_are_compared_row_by_row() -> None:
    result = compare_answers("search", ids("abcd", "abcd"), ids("abcd", "abef"), live_ms=2, shadow_ms=3)
    assert (result.overlap, result.live_ms, result.shadow_ms) == (0.75, 2, 3)
    assert 0.7 < (result.rank_biased_overlap or 0) < 1
    assert result.difference is None


def test_numbers_are_compared_where_they_have_the_same_shape() -> None:
    live, shadow = {"embedding": np.zeros((2, 3), "float32")}, {"embedding": np.full((2, 3), 0.25, "float32")}
    result = compare_answers("embed", live, shadow, live_ms=1, shadow_ms=1)
    assert (result.difference, result.overlap) == (0.25, None)
    other = {"embedding": np.zeros((2, 4), "float32")}
    assert compare_answers("embed", live, other, live_ms=1, shadow_ms=1).difference is None


def test_a_summary_counts_failures_and_takes_means_of_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "shadow-4.jsonl"
    append_result(file, ShadowResult("search", 1.0, 2.0, 1.0, 1.0, 0.0))
    append_result(file, ShadowResult("search", 3.0, 4.0, 0.5, 0.4, 0.1))
    append_result(file, ShadowResult("search", 9.0, error="INTERNAL"))
    with file.open("a") as appended:
        appended.write('{"signature": "cut')  # a process was killed here
    found = read_summary(tmp_path, 4)
    assert (found.num_requests, found.num_failed, found.overlap) == (3, 1, 0.75)
    assert (found.live_p50_ms, found.shadow_p50_ms) == (2.0, 3.0)
    with pytest.raises(InputError, match="Version 5 must have been a shadow of"):
        read_summary(tmp_path, 5)
