"""The docstrings of Python's standard library: real documents that every machine has."""

import ast
import importlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document

SKIPPED_MODULES = {
    "idlelib",
    "lib2to3",
    "turtledemo",
    "test",
    "tests",
    "site-packages",
    "antigravity",
    "this",
    "_bundled",
}

# Modules (or parts of them) written in C, which have no Python source to read. Importing them has no side effects.
COMPILED_MODULES = (
    *("array", "binascii", "builtins", "cmath", "collections", "contextvars", "datetime", "decimal", "errno", "fcntl"),
    *("functools", "gc", "grp", "hashlib", "io", "itertools", "json", "marshal", "math", "mmap", "operator", "os"),
    *("pickle", "pwd", "random", "re", "resource", "select", "signal", "socket", "sqlite3", "struct", "sys", "termios"),
    *("threading", "time", "types", "unicodedata", "weakref", "zlib"),
)

Found = tuple[str, str, str]  # name, title, documentation
Function = ast.FunctionDef | ast.AsyncFunctionDef
ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")


def read_python_docs() -> Iterator[Document]:
    """Reads the docstrings of the running Python's modules, classes and functions.

    Python sources are parsed, not run; parts written in C are imported and inspected. Private names, tests and repeated
    texts are left out. The order is always the same.

    Yields:
        Documents whose id is the qualified name (`heapq.merge`), whose title is the name with its signature, and
        whose text is the docstring.

    Raises:
        InputError: if this Python comes without the sources of its standard library.
    """
    root = Path(sysconfig.get_path("stdlib"))
    if not (root / "heapq.py").is_file():
        raise InputError(
            f"Expected the sources of Python's standard library in {root}. Received a Python without them."
        )
    names: set[str] = set()
    texts: set[str] = set()
    for name, title, text in read_all(root):
        if name not in names and text not in texts:
            names.add(name)
            texts.add(text)
            yield Document(name, text, title)


def read_all(root: Path) -> Iterator[Found]:
    """Reads the modules in alphabetical order: first their sources, then what is written in C."""
    for module in sorted(name for name in sys.stdlib_module_names if is_public(name) and name not in SKIPPED_MODULES):
        for path in source_paths(root, module):
            yield from read_source(
                path, ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            )
        if module in COMPILED_MODULES:
            yield from read_compiled(module)


def source_paths(root: Path, module: str) -> list[Path]:
    """Returns the source files of a module or package, without private and skipped files."""
    if (root / f"{module}.py").is_file():
        return [root / f"{module}.py"]
    paths = []
    for path in sorted((root / module).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if all(part == "__init__" or (is_public(part) and part not in SKIPPED_MODULES) for part in parts):
            paths.append(path)
    return paths


def read_source(path: Path, module: str) -> Iterator[Found]:
    """Parses a file and reads its docstrings."""
    tree = ast.parse(path.read_bytes())
    if text := ast.get_docstring(tree):
        yield module, module, text
    yield from read_body(tree, module)


def read_body(parent: ast.AST, prefix: str) -> Iterator[Found]:
    """Reads the classes and functions of a module or class, including those inside an `if`, `try` or `with`."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from read_body(node, prefix)
        elif isinstance(node, ast.ClassDef | Function) and is_public(node.name):
            name = f"{prefix}.{node.name}"
            if text := ast.get_docstring(node):
                yield name, name + signature_of_node(node), text
            if isinstance(node, ast.ClassDef):
                yield from read_body(node, name)


def signature_of_node(node: ast.ClassDef | Function) -> str:
    """Returns the arguments as written in the source; for a class, those of its `__init__` without `self`."""
    if isinstance(node, ast.ClassDef):
        made = next((inner for inner in node.body if isinstance(inner, Function) and inner.name == "__init__"), None)
        if made is None:
            return ""
        return "(" + ast.unparse(made.args).partition(",")[2].strip() + ")"
    return f"({ast.unparse(node.args)})"


def read_compiled(name: str) -> Iterator[Found]:
    """Imports a module and reads the docstrings of what is written in C."""
    try:
        module = importlib.import_module(name)
    except ImportError:  # this Python was built without it
        return
    if text := inspect.getdoc(module):
        yield name, name, text
    for member in sorted(filter(is_public, dir(module))):
        # `sys.__excepthook__` and the like are the originals, before a debugger or a test runner set its own hook.
        value = vars(module).get(f"__{member}__", getattr(module, member))
        if inspect.isclass(value) and belongs(value, module):
            yield from describe(value, f"{name}.{member}")
            for inner in sorted(filter(is_public, vars(value))):
                if callable(method := getattr(value, inner)):
                    yield from describe(method, f"{name}.{member}.{inner}")
        elif inspect.isbuiltin(value) and belongs(value, module):
            yield from describe(value, f"{name}.{member}")


def belongs(value: Any, module: ModuleType) -> bool:
    """Returns whether a value is defined in a module, or in the C module behind it, and not merely imported there."""
    home = getattr(value, "__module__", None) or ""
    return home.lstrip("_") == module.__name__ or (module.__name__, home) in {("os", "posix"), ("io", "_io")}


def describe(value: Any, name: str) -> Iterator[Found]:
    """Yields the docstring of a name, if it has one."""
    text = inspect.getdoc(value)
    if not text:
        return
    try:
        signature = ADDRESS.sub("...", str(inspect.signature(value)))
    except (AttributeError, TypeError, ValueError):  # many C functions give their signature only in the text
        signature = ""
    yield name, name + signature, text


def is_public(name: str) -> bool:
    """Returns whether a name is public."""
    return not name.startswith("_")
