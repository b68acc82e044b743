"""What a version's folder says of itself: signatures with their ops, engines, and what is wrong with a folder."""

from pathlib import Path

import pytest

from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.served_version import find_oldest_server, read_version


def test_a_version_says_which_signature_needs_which_op(tmp_path: Path) -> None:
    signatures = {"serving_default": ["TFText>RoundRobinTrim", "MatMul"], "embed": ["MatMul"]}
    version = read_version(write_small_version(tmp_path / "docs" / "3", signatures=signatures))

    called = ("MatMul", "Placeholder", "StatefulPartitionedCall")
    assert version.signatures == {
        "embed": called,
        "serving_default": ("MatMul", "Placeholder", "StatefulPartitionedCall", "TFText>RoundRobinTrim"),
    }
    assert version.ops == (*called, "TFText>RoundRobinTrim")
    assert (version.number, version.model_name, version.oldest_server) == (3, "docs", "2.20")
    assert (version.task, version.documents, version.fingerprint) == ("search", 3, "abc123")
    assert version.measurement is None


def test_a_version_says_which_engines_it_has_files_for(tmp_path: Path) -> None:
    path = write_small_version(tmp_path / "docs" / "1", native=["embed", "serving_default"])
    (path / "model.tflite").write_bytes(b"")
    version = read_version(path, model_name="papers")

    assert version.engines == ("tensorflow", "litert", "native")
    assert version.native_signatures == ("embed", "serving_default")
    assert version.model_name == "papers"
    assert version.size_bytes == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("ops", "expected"),
    [(("MatMul",), "2.8"), (("FastBertNormalize", "RougeL"), "2.12"), (("MyOwnOp",), None), ((), "2.8")],
)
def test_the_oldest_server_has_every_op(ops: tuple[str, ...], expected: str | None) -> None:
    assert find_oldest_server(ops) == expected


def test_what_is_no_version_is_an_error_that_says_what_it_is(tmp_path: Path) -> None:
    path = write_small_version(tmp_path / "docs" / "1")
    (path.parent / "named").mkdir()
    (path.parent / "named" / "saved_model.pb").write_bytes(b"")

    for wrong, message in (
        (path.parent, f"a base path of versions. Name one of them, such as {path}."),
        (path.parent / "named", "whose folder's name is not a number"),
        (path / "assets.extra", "a folder without saved_model.pb"),
        (tmp_path / "nothing", "not a folder"),
    ):
        with pytest.raises(InputError, match=message):
            read_version(wrong)


def test_a_damaged_saved_model_is_an_error(tmp_path: Path) -> None:
    path = write_small_version(tmp_path / "docs" / "1")
    (path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(InputError, match=r"saved_model\.pb is not a SavedModel"):
        read_version(path)
    (path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match="has no graph with the tag 'serve'"):
        read_version(path)
