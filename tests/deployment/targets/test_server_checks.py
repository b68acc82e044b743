"""Versions that a server cannot run: refused with the op, the signature and the way out."""

from pathlib import Path

import pytest

from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.served_version import ServedVersion, read_version
from tfchain.deployment.targets.server_checks import check_can_run


def read(path: Path, **options: object) -> ServedVersion:
    return read_version(write_small_version(path / "docs" / "1", **options))  # type: ignore[arg-type]


def test_an_op_that_the_image_lacks_is_named_with_its_signature(tmp_path: Path) -> None:
    version = read(tmp_path, signatures={"embed": ["MatMul"], "serving_default": ["TFText>RoundRobinTrim"]})

    check_can_run(version, "stock")
    with pytest.raises(InputError, match=r"'serving_default' needs the op 'TFText>RoundRobinTrim'.*2\.20"):
        check_can_run(version, "stock", image="tensorflow/serving:2.19.1")


@pytest.mark.parametrize("server", ["stock", "own"])
def test_an_op_that_no_server_has_is_refused(tmp_path: Path, server: str) -> None:
    with pytest.raises(InputError, match="'embed' needs the op 'MyOwnOp'"):
        check_can_run(read(tmp_path, signatures={"embed": ["MyOwnOp"]}), server)


def test_a_version_without_signatures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no signature, so no client can ask it"):
        check_can_run(read(tmp_path, signatures={}), "stock")


def test_an_engine_without_files_is_refused(tmp_path: Path) -> None:
    version = read(tmp_path)
    check_can_run(version, "own", engine="auto")
    with pytest.raises(InputError, match="Received: engine=native"):
        check_can_run(version, "own", engine="native")


def test_without_tensorflow_the_native_engine_must_answer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no files for the native engine.*--set server=own"):
        check_can_run(read(tmp_path), "lean")
    with pytest.raises(InputError, match=r"cannot answer the signature serving_default.*engine answers embed"):
        check_can_run(read(tmp_path / "partly", native=["embed"]), "lean")
    check_can_run(read(tmp_path / "whole", native=["embed", "serving_default"]), "lean")
