"""`import tfchain` and `tfchain --help` are quick: they import none of the heavy packages."""

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "transformers", "numpy", "grpc", "pyarrow", "rich", "tqdm", "google.protobuf")


def find_heavy_imports(code: str) -> tuple[list[str], str]:
    """Runs code in a Python of its own; gives which heavy packages it imported, and what it printed."""
    program = f"""
import sys
try:
    {code}
finally:
    print("imported:", *(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    shown, _, imported = done.stdout.rpartition("imported:")
    return imported.split(), shown


def test_import_tfchain_imports_nothing_heavy() -> None:
    assert find_heavy_imports("import tfchain") == ([], "")


def test_the_values_that_pass_between_rooms_import_nothing_heavy() -> None:
    assert find_heavy_imports("from tfchain import Document, Hit, SearchResult, TfchainError") == ([], "")


@pytest.mark.parametrize(
    "command",
    [
        *("", "index", "search", "evaluate", "export", "serve", "info", "train", "tune", "launch"),
        *("prepare", "check", "forget", "monitor", "release", "releases", "promote", "rollback", "plan", "deploy"),
        *("lifecycle", "approve", "compress", "predict"),
    ],
)
def test_the_help_imports_nothing_heavy(command: str) -> None:
    arguments = [*command.split(), "--help"]
    imported, shown = find_heavy_imports(f"from tfchain.cli import main; main({arguments!r})")

    assert imported == []
    assert shown.startswith("Usage: tfchain")


def test_an_unknown_name_is_an_attribute_error() -> None:
    import tfchain

    with pytest.raises(AttributeError, match="no attribute 'NeuralSearchChian'"):
        _ = tfchain.NeuralSearchChian
    assert "NeuralSearchChain" in dir(tfchain)
