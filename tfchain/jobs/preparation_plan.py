"""Reads the file that `tfchain prepare` runs; every error names file and line."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.documents.reading import Empty, ReadOptions
from tfchain.data.files.shard_manifest import ShardFormat
from tfchain.data.preparation.card import check_fields
from tfchain.data.preparation.prepare import check_name
from tfchain.data.preparation.record_source import ReadAs
from tfchain.data.preparation.step_names import STEP_TYPES, find_step_type, make_step
from tfchain.data.steps.step import Step
from tfchain.jobs.yaml_lines import Node, located, read_yaml, suggest, to_short

KEYS = (
    *(
        "source",
        "read",
        "empty",
        "max_broken",
        "broken_file",
        "steps",
        "output",
        "format",
        "shard_records",
        "side_file",
        "card",
    ),
    *("model", "num_workers", "checkpoint_seconds"),
)


@dataclass(frozen=True)
class PreparationPlan:
    """A preparation as its file describes it.

    Args:
        source: The files and folders to read; one that is alone is given alone.
        steps: The steps.
        output: The folder to make.
        model: The folder or hub name of the model that steps may need; `None` if the file names none.
        options: Other arguments of `prepare`.
    """

    source: Path | list[Path]
    steps: list[Step]
    output: Path
    model: str | Path | None
    options: Mapping[str, Any]


def read_preparation(path: Path) -> PreparationPlan:
    """Reads and checks the file of a preparation.

    Args:
        path: The YAML file. Relative paths in it are relative to its folder.

    Raises:
        InputError: names file and line, what was expected and what was received.
    """
    root = read_yaml(path)
    folder = path.absolute().parent
    output = root.entries(KEYS, needed=("source", "output"))["output"]
    return read_preparation_node(root, folder, folder / Path(output.read(str)).expanduser())


def read_preparation_node(root: Node, folder: Path, output: Path) -> PreparationPlan:
    """Reads and checks a preparation within a file.

    Args:
        root: The mapping with the keys of a preparation.
        folder: The folder that relative paths are relative to.
        output: The folder to make.

    Raises:
        InputError: names file and line, what was expected and what was received.
    """
    found = root.entries(KEYS, needed=("source",))
    options: dict[str, Any] = {}
    for name, kind in (("read", ReadAs), ("format", ShardFormat)):
        if name in found:
            options[name] = found[name].read(kind)
    reading = read_reading(found, folder)
    if reading:
        options["reading"] = ReadOptions(**reading)
    for name in ("shard_records", "num_workers"):
        if name in found:
            options[name] = found[name].read(int)
            if options[name] < 1:
                raise found[name].error(f"`{name}` must be at least 1. Received: {options[name]}.")
    if "checkpoint_seconds" in found:
        options["checkpoint_seconds"] = found["checkpoint_seconds"].read(float)
    if "side_file" in found:
        with located(found["side_file"].place):
            options["side_file"] = check_name(found["side_file"].read(str))
    if "card" in found:
        with located(found["card"].place):
            options["card"] = check_fields(found["card"].to_plain())
    steps = read_steps(found["steps"]) if "steps" in found else []
    model = read_model(found["model"], folder) if "model" in found else None
    needed = [(step.name, name) for step in steps for name in step.missing()]
    if needed and model is None:
        raise found["steps"].error(
            f"The step {needed[0][0]} needs `{needed[0][1]}` of a model. Received: none. Add `model: FOLDER`."
        )
    return PreparationPlan(
        source=read_source(found["source"], folder),
        steps=steps,
        output=output,
        model=model,
        options=options,
    )


def read_reading(found: Mapping[str, Node], folder: Path) -> dict[str, Any]:
    """Reads what becomes of empty documents and broken records: the arguments of `ReadOptions` that the file has."""
    values: dict[str, Any] = {}
    if "empty" in found:
        values["empty"] = found["empty"].read(Empty)
    if "max_broken" in found:
        values["max_broken"] = found["max_broken"].read(int)
        if values["max_broken"] < 0:
            raise found["max_broken"].error(f"`max_broken` must be at least 0. Received: {values['max_broken']}.")
    if "broken_file" in found:
        values["broken_file"] = folder / Path(found["broken_file"].read(str)).expanduser()
    if "empty" in values and "read" in found and found["read"].value == "rows":
        raise found["empty"].error("`empty` says what becomes of documents, and the file has `read: rows`.")
    return values


def read_source(node: Node, folder: Path) -> Path | list[Path]:
    """Reads a path that exists, or a list of them."""
    if isinstance(node.value, list) and node.value:
        return [to_path(item, folder) for item in node.value]
    return to_path(node, folder)


def to_path(node: Node, folder: Path) -> Path:
    """Reads the path of a file or folder that exists."""
    text: str = node.read(str)
    path = folder / Path(text).expanduser()
    if not text or not path.exists():
        raise node.error(f"`{node.name}` must be a file or a folder that exists. Received: {text!r}.")
    return path


def read_model(node: Node, folder: Path) -> str | Path:
    """Reads a folder if it exists or looks like a path, else a hub name."""
    name: str = node.read(str)
    is_path = name.startswith((".", "/", "~")) or (folder / name).is_dir()
    return to_path(node, folder) if is_path else name


def read_steps(node: Node) -> list[Step]:
    """Reads a list of steps, each a name, or a mapping of a name and its settings."""
    if not isinstance(node.value, list):
        raise node.error(
            "`steps` must be a list of steps, each a name or a name with its settings, such as [repair_text, "
            f"{{filter_length: {{least: 200}}}}]. Received: {to_short(node.to_plain())}."
        )
    return [read_step(item, number) for number, item in enumerate(node.value)]


def read_step(node: Node, number: int) -> Step:
    """Reads one step."""
    settings: Node | None = None
    if isinstance(node.value, dict) and len(node.value) == 1:
        ((name, settings),) = node.value.items()
    elif isinstance(node.value, str):
        name = node.value
    else:
        raise node.error(
            f"`{node.name}` must be a step's name, or one name with its settings. Received: "
            f"{to_short(node.to_plain())}."
        )
    if name not in STEP_TYPES:
        raise (settings or node).error(f"There is no step `{name}`. {suggest(name, sorted(STEP_TYPES))}")
    if settings is None or settings.value is None:
        with located(node.place):
            return make_step(name, number)
    step_type = find_step_type(name, node.name)
    known = [field.name for field in dataclasses.fields(step_type) if field.init and field.name not in step_type.needs]
    found = settings.entries(known)
    try:
        return make_step({name: settings.to_plain()}, number)
    except InputError as error:
        raise found.get(error.argument or "", settings).error(str(error)) from error
