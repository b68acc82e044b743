"""Base paths without a version to serve."""

from pathlib import Path

import pytest

from tfchain.deployment.server.base_paths import check_has_version, find_problem
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.policies import LatestOf, Specific
from tfchain.deployment.server.status import StatusError


def test_a_base_path_without_a_version_to_serve_is_named(tmp_path: Path) -> None:
    with pytest.raises(StatusError) as caught:
        check_has_version(ModelConfig("m", tmp_path / "gone"))
    assert caught.value.code.name == "INVALID_ARGUMENT"
    gone = tmp_path / "gone"
    assert (
        caught.value.message == f"Could not find base path {gone} for servable m with error NOT_FOUND: {gone} not found"
    )
    with pytest.raises(StatusError) as caught:
        check_has_version(ModelConfig("m", tmp_path))
    assert str(caught.value) == (f"NOT_FOUND: Unable to find a numerical version path for servable m at: {tmp_path}")
    (tmp_path / "3").mkdir()
    check_has_version(ModelConfig("m", tmp_path))
    with pytest.raises(StatusError, match=r"Specific\(versions=frozenset\(\{4\}\)\), chooses none of \[3\]"):
        check_has_version(ModelConfig("m", tmp_path, Specific(frozenset({4}))))


def test_whoever_starts_a_server_is_told_what_to_do(tmp_path: Path) -> None:
    assert "No such file or directory" in find_problem(ModelConfig("m", tmp_path / "gone"))
    assert find_problem(ModelConfig("m", tmp_path)) == (
        f"A base path must hold a version folder (`1`, `2`, …). Received: {tmp_path}, which has none. Export a version "
        "into it first."
    )
    (tmp_path / "3").mkdir()
    assert find_problem(ModelConfig("m", tmp_path)) == ""
    assert "must hold a version folder (`1`, `2`, …) of the source 'mine'" in find_problem(
        ModelConfig("m", tmp_path, LatestOf("mine"))
    )
    assert find_problem(ModelConfig("m", tmp_path, Specific(frozenset({4})))) == (
        "A version policy must choose a version of the base path. Received: Specific(versions=frozenset({4})), and the "
        f"versions [3] in {tmp_path}. Change the policy, or export such a version."
    )


@pytest.mark.parametrize("path", [Path("/") / ("a" * 5000), Path("/dev/null/folder")])
def test_a_base_path_that_cannot_be_looked_at_is_named(path: Path) -> None:
    with pytest.raises(StatusError) as caught:
        check_has_version(ModelConfig("m", path))
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert f"Could not find base path {path} for servable m with error A base path must be" in caught.value.message
