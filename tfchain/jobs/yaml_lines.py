"""Reads YAML so that every value knows its line, for errors such as `train.yaml:12: …`."""

import contextlib
import dataclasses
import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from tfchain.core.errors import InputError

TAG = "tag:yaml.org,2002:"
LISTS = (list, tuple, Sequence)
MAPPINGS = (dict, Mapping)


class Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the plain values of YAML 1.2: `2e-5` is a number, `no` and `2020-01-01` are texts."""


Yaml12Loader.yaml_implicit_resolvers = {}  # drops the inherited ones
for tag, pattern, first_letters in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    Yaml12Loader.add_implicit_resolver(f"{TAG}{tag}", re.compile(rf"(?:{pattern})\Z"), first_letters)


@dataclass(frozen=True)
class Node:
    """A value and its place in the file.

    Args:
        value: None, a bool, int, float or str, a list of nodes, or a dict of nodes by key.
        name: Its dotted name, `validation.every`; empty for the whole file.
        place: File and line, `train.yaml:12`.
    """

    value: Any
    name: str
    place: str

    def error(self, text: str) -> InputError:
        """Makes an error that names the place."""
        return InputError(f"{self.place}: {text}")

    def to_plain(self) -> Any:
        """Returns the value without places."""
        if isinstance(self.value, dict):
            return {name: node.to_plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.to_plain() for node in self.value]
        return self.value

    def read(self, kind: Any) -> Any:
        """Returns the plain value if it is of a type.

        Args:
            kind: A type as in annotations: `int`, `float`, `str`, `bool`, `None`, `Path`, `Any`, `Literal`, `list[…]`,
                `Sequence[…]`, `tuple[…, ...]`, `Mapping[str, …]`, or a union of them.

        Raises:
            InputError: if it is not.
        """
        value = self.to_plain()
        if not is_of_type(value, kind):
            raise self.error(f"`{self.name}` must be {describe_type(kind)}. Received: {to_short(value)}.")
        return value

    def entries(self, known: Sequence[str], needed: Sequence[str] = ()) -> dict[str, "Node"]:
        """Returns the nodes of a mapping whose keys are known, without those that have no value.

        Args:
            known: The allowed keys.
            needed: The required keys.

        Raises:
            InputError: if it is not a mapping, or a key is unknown or missing.
        """
        if not isinstance(self.value, dict):
            what = f"`{self.name}`" if self.name else "The file"
            raise self.error(f"{what} must have keys: {', '.join(known)}. Received: {to_short(self.to_plain())}.")
        for name, node in self.value.items():
            if name not in known:
                raise node.error(f"There is no key `{node.name}`. {suggest(name, known)}")
        found = {name: node for name, node in self.value.items() if node.value is not None}
        missing = [name for name in needed if name not in found]
        if missing:
            what = ".".join(filter(None, (self.name, missing[0])))
            raise self.error(f"`{what}` is missing. Needed here: {', '.join(needed)}.")
        return found


def read_yaml(path: Path) -> Node:
    """Reads a YAML file of plain values.

    Raises:
        InputError: if the file is missing or not YAML, or holds a key twice, an anchor or a tag.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"No such file: {path}. Check the path (the current folder is {Path.cwd()}).") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: is not UTF-8. Save the file as UTF-8.") from error
    try:
        root = yaml.compose(text, Loader=Yaml12Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise InputError(f"{path}:{mark.line + 1 if mark else 1}: is not YAML: {problem}.") from error
    except yaml.YAMLError as error:
        line = text[: getattr(error, "position", 0)].count("\n") + 1
        raise InputError(f"{path}:{line}: is not YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise InputError(f"{path}:1: is not a configuration: its values are nested too deep.") from error
    if root is None:
        raise InputError(f"{path}:1: the file is empty.")
    return to_node(root, path, "", root.start_mark.line + 1, set())


def to_node(node: yaml.Node, path: Path, name: str, line: int, seen: set[int]) -> Node:
    """Converts one of PyYAML's nodes and all below it."""
    made = Node(None, name, f"{path}:{line}")
    if id(node) in seen:
        raise made.error("anchors (&, *) are not known here. Write the value out.")
    if isinstance(node, yaml.ScalarNode):
        return Node(read_scalar(node, made), name, made.place)
    seen.add(id(node))
    if node.tag not in (f"{TAG}map", f"{TAG}seq"):
        raise made.error(f"the tag {node.tag} is not known here. Write a plain value.")
    if isinstance(node, yaml.SequenceNode):
        items = [
            to_node(item, path, f"{name}[{number}]", item.start_mark.line + 1, seen)
            for number, item in enumerate(node.value)
        ]
        return Node(items, name, made.place)
    entries: dict[str, Node] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{path}:{line}: a key must be a word. Received: a list or a mapping.")
        key = key_node.value
        full = ".".join(filter(None, (name, key)))
        if key in entries:
            raise InputError(
                f"{path}:{line}: `{full}` appears twice, first in line {entries[key].place.rpartition(':')[2]}."
            )
        entries[key] = to_node(value_node, path, full, line, seen)
    return Node(entries, name, made.place)


def read_scalar(node: yaml.ScalarNode, made: Node) -> bool | int | float | str | None:
    """Converts a scalar node to a plain value."""
    text: str = node.value
    match node.tag.removeprefix(TAG):
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "str":
            return text
        case _:
            raise made.error(f"the tag {node.tag} is not known here. Write a plain value.")


def is_of_type(value: Any, kind: Any) -> bool:
    """Whether a plain value of YAML is of a type; whole numbers count as numbers, truth values do not."""
    origin = get_origin(kind)
    if kind is Any:
        return True
    if kind is None or kind is type(None):
        return value is None
    if origin is Literal:
        return value in get_args(kind)
    if origin in (Union, types.UnionType):
        return any(is_of_type(value, option) for option in get_args(kind))
    if origin in LISTS:
        return isinstance(value, list) and all(is_of_type(item, get_args(kind)[0]) for item in value)
    if origin in MAPPINGS:
        return isinstance(value, dict) and all(is_of_type(item, get_args(kind)[1]) for item in value.values())
    if kind in (int, float):
        return isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, str)
    return not isinstance(kind, type) or isinstance(value, kind)  # of a type that no file can hold, the reader says so


def describe_type(kind: Any) -> str:
    """Describes a type in words."""
    origin = get_origin(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(option) for option in get_args(kind))
    if origin in LISTS:
        return f"a list ({describe_type(get_args(kind)[0])} each)"
    if origin in MAPPINGS:
        return f"a mapping (to {describe_type(get_args(kind)[1])} each)"
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", dict: "a mapping"}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return "a mapping"
    return {**words, Path: "a path"}.get(kind, "empty")


def suggest(name: str, known: Sequence[str]) -> str:
    """Suggests what an unknown name might have meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"Expected one of: {', '.join(known)}."


def to_short(value: Any) -> str:
    """A value for an error message, at most one line long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


@contextlib.contextmanager
def located(place: str) -> Iterator[None]:
    """Puts the place before the text of an `InputError` that the block raises."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
