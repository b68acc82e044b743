"""README's table of tasks: each mark is a test that exists, and each such test has its mark."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("fit", "evaluate", "tune", "compress", "SavedModel", "REST", "gRPC", "stock ops")
LINE = re.compile(r"^- ([a-z ]+), ([A-Za-z ]+): `(tests/[\w/]+\.py)::(test_\w+)`$")
ROW = re.compile(r"^\| \[([a-z ]+)\]\([^)]*\)[^|]*\|(.*)\|$")

pytestmark = pytest.mark.skipif(
    not (ROOT / "Makefile").is_file(), reason="needs the whole repository, which is not here"
)


def read_tests() -> dict[tuple[str, str], tuple[str, str]]:
    """Task and column → file and name of the test, as docs/tasks.md has them."""
    lines = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8").splitlines()
    found = [LINE.match(line) for line in lines if line.startswith("- ")]
    assert all(found), "a line of docs/tasks.md is not `- task, column: `file::test``"
    return {(match[1], match[2]): (match[3], match[4]) for match in found if match}


def read_marks() -> dict[tuple[str, str], bool]:
    """Task and column → whether README's table has a mark there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    header, *rows = [line for line in text[text.index("## Tasks") :].splitlines() if line.startswith("|")]
    names = tuple(cell.strip() for cell in header.split("|")[2:-1])
    assert names[: len(COLUMNS)] == COLUMNS
    marks = {}
    for row in rows[1:]:
        match = ROW.match(row)
        if match is None:
            break  # the next table
        cells = [cell.strip() for cell in match[2].split("|")]
        assert set(cells) <= {"✓", ""}
        marks |= {(match[1], column): cell == "✓" for column, cell in zip(COLUMNS, cells, strict=True)}
    return marks


def test_each_mark_is_a_test_and_each_test_has_a_mark() -> None:
    marked = {cell for cell, is_marked in read_marks().items() if is_marked}
    assert marked == set(read_tests())


def test_the_tests_exist() -> None:
    for file, name in set(read_tests().values()):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
