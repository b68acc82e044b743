"""The standard library's documentation as documents."""

import hashlib
import heapq
import inspect
import subprocess
import sys

import pytest

from tfchain.core.types import Document
from tfchain.data.documents.python_docs import read_python_docs


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    return {document.id: document for document in read_python_docs()}


def test_there_are_thousands_and_no_text_comes_twice(documents: dict[str, Document]) -> None:
    assert len(documents) > 4000
    assert len({document.text for document in documents.values()}) == len(documents)


def test_a_function_has_its_name_signature_and_documentation(documents: dict[str, Document]) -> None:
    merge = documents["heapq.merge"]
    assert merge.title == "heapq.merge(*iterables, key=None, reverse=False)"
    assert merge.text == inspect.getdoc(heapq.merge)


@pytest.mark.parametrize(
    "name",
    [
        *("json", "json.loads", "argparse.ArgumentParser", "collections.Counter.most_common", "math.sqrt"),
        *("itertools.groupby", "builtins.str.split", "os.listdir", "datetime.date.fromisoformat", "io.StringIO"),
    ],
)
def test_modules_classes_methods_and_what_is_written_in_c_are_there(documents: dict[str, Document], name: str) -> None:
    assert documents[name].title.startswith(name)


def test_private_names_and_tests_are_left_out(documents: dict[str, Document]) -> None:
    parts = {part for name in documents for part in name.split(".")}
    assert not any(part.startswith("_") for part in parts)
    assert not parts & {"idlelib", "lib2to3", "turtledemo", "tests"}
    assert not any(name.startswith("test.") for name in documents)


def test_titles_hold_no_addresses_and_the_order_is_the_same_in_another_process(documents: dict[str, Document]) -> None:
    assert not any("0x" in document.title for document in documents.values())
    program = (
        "import sys, hashlib; from tfchain.data.documents.python_docs import read_python_docs; "
        "print(hashlib.sha256(repr([(d.id, d.title) for d in read_python_docs()]).encode()).hexdigest(), "
        "'this' in sys.modules, 'tkinter' in sys.modules, 'antigravity' in sys.modules)"
    )
    expected = hashlib.sha256(repr([(d.id, d.title) for d in documents.values()]).encode()).hexdigest()
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.split() == [expected, "False", "False", "False"]
