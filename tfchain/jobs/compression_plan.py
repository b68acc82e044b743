"""Reads the file that `tfchain compress` runs; every error names file and line."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.config import PlanReader, find_places, read_chain, read_recipes, read_task
from tfchain.jobs.recipe_values import make_recipes
from tfchain.jobs.yaml_lines import Node, read_yaml
from tfchain.optimization.rule import Keep

KEYS = ("task", "chain", "model", "recipes", "dataset", "split", "keep", "max_loss", "texts", "output", "report")
Candidates = Sequence[Sequence[tuple[str, Mapping[str, Any]]]]


@dataclass(frozen=True, kw_only=True)
class CompressionPlan:
    """A compression as its file describes it; paths are absolute.

    Args:
        path: The file.
        task: The task that the model is for, or `module:Class` of a chain of your own. Default: `search`.
        chain: The chain's own settings by name. Default: its defaults.
        model: A saved chain, a folder, or a name on the Hugging Face hub.
        candidates: Lists of recipes, each a name with its arguments.
        output: The folder that the compressed chain is saved to.
        report: The folder of the report. Default: beside the output.
        dataset: The data that candidates are compared on. Default: none, only the files are measured.
        split: The split of a folder that has several. Default: `test`.
        keep: The property that the kept candidate is best at. Default: that of `compress`.
        max_loss: The largest allowed loss of the float32 model's objective, a fraction of it. Default: that of
            `compress`.
        texts: A file of texts that recipes learn from. Default: the texts that the chain keeps.
        places: File and line of each key by its dotted name, for later errors.
    """

    path: Path
    task: str = "search"
    chain: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model: str | Path
    candidates: Candidates
    output: Path
    report: Path | None = None
    dataset: Path | None = None
    split: str = "test"
    keep: Keep | None = None
    max_loss: float | None = None
    texts: Path | None = None
    places: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def report_path(self) -> Path:
        """The folder of the report: beside the output if the file does not name one."""
        return self.report or self.output.with_name(f"{self.output.name}-report")


def read_compression(path: Path | str) -> CompressionPlan:
    """Reads and checks the file of a compression.

    Args:
        path: The YAML file. Relative paths in it are relative to its folder.

    Raises:
        InputError: names file and line, what was expected and what was received.
    """
    path = Path(path)
    root = read_yaml(path)
    reader = PlanReader(path.absolute().parent, check_files=True)
    found = root.entries(KEYS, needed=("model", "recipes", "output"))
    places = find_places(root)
    values: dict[str, Any] = {
        "task": read_task(found),
        "model": reader.read_model(found["model"]),
        "candidates": read_candidates(found["recipes"], places),
        "output": reader.read_output(found["output"]),
    }
    if "chain" in found:
        values["chain"] = read_chain(found["chain"])
    for name in ("dataset", "texts"):
        if name in found:
            values[name] = reader.to_path(found[name], must_exist=True)
    if "report" in found:
        values["report"] = reader.to_path(found["report"])
    kinds: dict[str, Any] = {"split": str, "keep": Keep, "max_loss": float}
    values |= {name: found[name].read(kind) for name, kind in kinds.items() if name in found}
    if not 0 <= values.get("max_loss", 0) < 1:
        raise found["max_loss"].error(f"`max_loss` must be in [0, 1). Received: {values['max_loss']}.")
    if "dataset" not in found:
        wants = next((found[name] for name in ("keep", "max_loss") if name in found), None)
        if wants is not None or len(values["candidates"]) > 1:
            raise (wants or found["recipes"]).error(
                "Candidates are compared on `dataset`. Received: none. Add it, or give one list of recipes without "
                "`keep` and `max_loss`."
            )
    return CompressionPlan(path=path, places=places, **values)


def read_candidates(node: Node, places: Mapping[str, str]) -> list[list[tuple[str, dict[str, Any]]]]:
    """Reads a list of recipes, or a list of such lists: the candidates of a compression.

    Args:
        node: The list.
        places: File and line of each key of the file by its dotted name.

    Raises:
        InputError: names file and line of an unknown name, a value out of range, or recipes that do not go together.
    """
    items = node.value if isinstance(node.value, list) else []
    nodes = items if items and all(isinstance(item.value, list) for item in items) else [node]
    candidates = []
    for one in nodes:
        recipes = list(read_recipes(one))
        make_recipes(recipes, places, prefix=one.name)
        candidates.append(recipes)
    return candidates


def make_candidates(candidates: Candidates) -> list[Any]:
    """Makes the recipes of candidates that `read_candidates` has checked."""
    if not candidates:
        raise InputError("`recipes` must be a list of recipes, or several such lists. Received: none.")
    return [make_recipes(recipes, {}, prefix="") for recipes in candidates]
