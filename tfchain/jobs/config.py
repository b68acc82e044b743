"""Reads the file that `tfchain train` runs; every error names file and line."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_type_hints

from tfchain.chains.chain_types import check_task
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HYPERPARAMETER_NAMES, Hyperparameters
from tfchain.data.documents.passages import PassageMode
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.shards.files import list_files
from tfchain.data.shards.pair_shards import Uneven
from tfchain.data.steps.step import Step
from tfchain.jobs.cluster import HOST
from tfchain.jobs.plan import (
    DatasetPlan,
    LossPlan,
    Mixing,
    NewModel,
    TrainingPlan,
    TuningPlan,
    ValidationPlan,
)
from tfchain.jobs.yaml_lines import Node, located, read_yaml, suggest, to_short
from tfchain.models.encoders.config import PoolingMode, TransformerConfig
from tfchain.training.distributed.strategies import StrategyName
from tfchain.training.mining.options import Mining

KEYS = (
    *("task", "chain", "model", "encoder", "new_model", "max_length", "passages", "dataset", "split", "mixing"),
    *("loss", "validation", "guide", "mining", "hyperparameters", "strategy", "checkpoint", "checkpoint_every"),
    *("log_path", "output", "length_groups", "data_service", "augment", "recipes", "tuning"),
)
VALIDATION_OPTIONS: dict[str, Any] = {
    "every": Literal["epoch"] | int,
    "metrics": list[str],
    "monitor": str,
    "patience": int,
    "restore_best": bool,
}
TUNING_OPTIONS: dict[str, Any] = {
    "tuner": Literal["random", "bayesian", "hyperband", "grid"],
    "max_trials": int,
    "objective": str,
    "max_latency_ms": float,
    "max_size_mb": float,
    "seed": int,
}
SEARCH = "search"  # the task of a file that names none
MINING_NAMES = tuple(field.name for field in dataclasses.fields(Mining))
NESTED = ("layer", "rotary", "disentangled")  # groups of values, which a file does not have
TRANSFORMER_FIELDS = {field.name: field for field in dataclasses.fields(TransformerConfig) if field.name not in NESTED}
TRANSFORMER_TYPES = get_type_hints(TransformerConfig)


def read_plan(path: Path | str, *, check_files: bool = True) -> TrainingPlan:
    """Reads and checks the file of a training.

    Args:
        path: The YAML file. Relative paths in it are relative to its folder.
        check_files: Whether datasets and models must exist on this machine, and the output must be free. Default: True.

    Raises:
        InputError: names file and line, what was expected and what was received.
    """
    path = Path(path)
    root = read_yaml(path)
    return PlanReader(path.absolute().parent, check_files).read(path, root)


class PlanReader:
    """Turns the nodes of a file into a plan.

    Args:
        folder: The folder that relative paths are relative to.
        check_files: Whether paths are checked on this machine.
    """

    def __init__(self, folder: Path, check_files: bool) -> None:
        self.folder = folder
        self.check_files = check_files

    def read(self, path: Path, root: Node) -> TrainingPlan:
        """Reads the whole file."""
        found = root.entries(KEYS, needed=("dataset", "output"))
        given = [name for name in ("model", "encoder", "new_model") if name in found]
        if len(given) > 1:
            raise found[given[1]].error(f"Give `{given[0]}` or `{given[1]}`, not both. Received: both.")
        task = read_task(found)
        if task == SEARCH and not given:
            raise root.error("`model` is missing: a folder or a hub name, or `new_model` to train one from scratch.")
        split = found["split"].read(str) if "split" in found else "train"
        values: dict[str, Any] = {
            "task": task,
            "datasets": self.read_datasets(found["dataset"], split),
            "output": self.read_output(found["output"]),
        }
        plain = {"passages": PassageMode, "mixing": Mixing, "strategy": StrategyName}
        values |= {name: found[name].read(kind) for name, kind in plain.items() if name in found}
        values |= {name: self.to_path(found[name]) for name in ("checkpoint", "log_path") if name in found}
        if "mixing" in found and len(values["datasets"]) == 1:
            raise found["mixing"].error("`mixing` is for several datasets. Received: one. Leave it out.")
        if "checkpoint_every" in found and "checkpoint" not in found:
            raise found["checkpoint_every"].error("`checkpoint_every` needs `checkpoint`, a folder. Received: none.")
        values |= {n: read_whole_number(found[n]) for n in ("max_length", "checkpoint_every") if n in found}
        if "length_groups" in found:
            values["length_groups"] = read_whole_number(found["length_groups"], least=0)
        check_shards(found, is_sharded=any(dataset.shards is not None for dataset in values["datasets"].values()))
        if task != SEARCH:
            check_rows(found, values["datasets"])
        readers = {
            "chain": read_chain,
            "model": self.read_model,
            "encoder": self.read_model,
            "new_model": lambda node: self.read_new_model(node, task),
            "guide": self.read_model,
            "loss": read_loss,
            "mining": self.read_mining,
            "augment": read_augment,
            "data_service": read_data_service,
            "validation": lambda node: self.read_validation(node, task),
            "hyperparameters": read_hyperparameters,
            "recipes": read_recipes,
            "tuning": self.read_tuning,
        }
        values |= {name: reader(found[name]) for name, reader in readers.items() if name in found}
        return TrainingPlan(path=path, places=find_places(root), **values)

    def read_model(self, node: Node) -> str | Path:
        """Reads a folder if it exists or looks like a path, else a hub name."""
        name: str = node.read(str)
        is_path = name.startswith((".", "/", "~")) or (self.folder / name).is_dir()
        return self.to_path(node, must_exist=True) if is_path else name

    def read_new_model(self, node: Node, task: str = SEARCH) -> NewModel | dict[str, Any]:
        """Reads the shape of a model without weights: of an encoder of texts, or of whatever a task makes it of."""
        if task != SEARCH and isinstance(node.value, dict) and "transformer" not in node.value:
            return {name: inner.to_plain() for name, inner in node.value.items()}
        found = node.entries(
            ("vocabulary", "transformer", "lower_case", "pooling", "normalize"), needed=("vocabulary", "transformer")
        )
        kinds = {"lower_case": bool, "pooling": PoolingMode, "normalize": bool}
        return NewModel(
            vocabulary=self.to_path(found["vocabulary"], must_exist=True),
            transformer=read_transformer(found["transformer"]),
            **{name: found[name].read(kind) for name, kind in kinds.items() if name in found},
        )

    def read_datasets(self, node: Node, split: str) -> dict[str, DatasetPlan]:
        """Reads one path, shards that are streamed, or a mapping from names to paths and losses."""
        if isinstance(node.value, str):
            return {"": DatasetPlan(path=self.to_path(node, must_exist=True), split=split)}
        if not isinstance(node.value, dict) or not node.value:
            raise node.error(
                "`dataset` must be a path, `shards` with a path, or a mapping from names to `path` and `loss`. "
                f"Received: {node.to_plain()!r:.80}."
            )
        if "shards" in node.value and not isinstance(node.value["shards"].value, dict):  # else a dataset of that name
            return {"": self.read_shards(node)}
        datasets = {}
        for name, inner in node.value.items():
            found = inner.entries(("path", "split", "loss"), needed=("path",))
            datasets[name] = DatasetPlan(
                path=self.to_path(found["path"], must_exist=True),
                split=found["split"].read(str) if "split" in found else split,
                loss=read_loss(found["loss"]) if "loss" in found else None,
            )
        return datasets

    def read_shards(self, node: Node) -> DatasetPlan:
        """Reads files of TFRecord or Parquet that are larger than memory."""
        found = node.entries(("shards", "shuffle_rows", "uneven"), needed=("shards",))
        options: dict[str, Any] = {}
        if "shuffle_rows" in found:
            options["shuffle_rows"] = read_whole_number(found["shuffle_rows"])
        if "uneven" in found:
            options["uneven"] = found["uneven"].read(Uneven)
        path = self.to_path(found["shards"], must_exist=True)
        if self.check_files:
            with located(found["shards"].place):
                list_files(path)
        return DatasetPlan(path=path, shards=options)

    def read_mining(self, node: Node) -> Mining:
        """Reads the arguments of `Mining`, in their ranges; its corpus is a path."""
        found = node.entries(MINING_NAMES)
        values = {name: inner.to_plain() for name, inner in found.items() if name != "corpus"}
        if "corpus" in found:
            values["corpus"] = self.to_path(found["corpus"], must_exist=True)
        try:
            return Mining(**values)
        except InputError as error:
            raise locate_value(error, found, node) from error

    def read_validation(self, node: Node, task: str = SEARCH) -> ValidationPlan:
        """Reads a path, or a mapping of a path and options; the metrics of other tasks are checked by their chains."""
        if isinstance(node.value, str):
            return ValidationPlan(path=self.to_path(node, must_exist=True))
        found = node.entries(("path", "split", *VALIDATION_OPTIONS), needed=("path",))
        options = {name: found[name].read(kind) for name, kind in VALIDATION_OPTIONS.items() if name in found}
        for name in ("every", "patience"):
            if isinstance(options.get(name), int):
                read_whole_number(found[name])
        if "metrics" in found and task == SEARCH:
            from tfchain.tasks.ranking_metrics import largest_cutoff

            with located(found["metrics"].place):
                largest_cutoff(options["metrics"])
        return ValidationPlan(
            path=self.to_path(found["path"], must_exist=True),
            split=found["split"].read(str) if "split" in found else "test",
            options=options,
        )

    def read_tuning(self, node: Node) -> TuningPlan:
        """Reads a space, which the search itself checks, and options."""
        found = node.entries(("space", "path", *TUNING_OPTIONS), needed=("space",))
        if not isinstance(found["space"].value, dict):
            raise found["space"].error(
                f"`tuning.space` must be a mapping from names to choices or ranges. "
                f"Received: {found['space'].to_plain()!r:.80}."
            )
        return TuningPlan(
            space=found["space"].to_plain(),
            path=self.to_path(found["path"]) if "path" in found else None,
            options={name: found[name].read(kind) for name, kind in TUNING_OPTIONS.items() if name in found},
        )

    def read_output(self, node: Node) -> Path:
        """Reads a folder that is free."""
        path = self.to_path(node)
        if self.check_files and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise node.error(f"`output` must be a new or an empty folder. Received: {path}. Name another one.")
        return path

    def to_path(self, node: Node, *, must_exist: bool = False) -> Path:
        """Makes a path absolute."""
        text: str = node.read(str)
        if not text:
            raise node.error(f"`{node.name}` must be a path. Received: an empty text.")
        path = self.folder / Path(text).expanduser()
        if must_exist and self.check_files and not path.exists():
            raise node.error(f"`{node.name}` must exist. Received: {text}, but {path} does not exist.")
        return path


def read_task(found: Mapping[str, Node]) -> str:
    """Reads the name of the task, `search` by default."""
    if "task" not in found:
        return SEARCH
    task: str = found["task"].read(str)
    with located(found["task"].place):
        check_task(task)
    return task


def read_chain(node: Node) -> dict[str, Any]:
    """Reads the settings of a chain; their names and values are checked where it is opened."""
    if not isinstance(node.value, dict):
        raise node.error(f"`chain` must be a mapping of settings. Received: {to_short(node.to_plain())}.")
    return {name: inner.to_plain() for name, inner in node.value.items()}


def check_rows(found: Mapping[str, Node], datasets: Mapping[str, DatasetPlan]) -> None:
    """Rejects what needs columns of pairs, which only a search reads itself; the other tasks read one set of rows."""
    if len(datasets) > 1 or any(dataset.shards is not None for dataset in datasets.values()):
        what = "several datasets" if len(datasets) > 1 else "shards"
        raise found["dataset"].error(
            f"`dataset` must be one path for this task, which reads the rows itself. Received: {what}."
        )


def check_shards(found: Mapping[str, Node], *, is_sharded: bool) -> None:
    """Rejects what does not go with shards, or needs them."""
    for name, why in (
        ("mining", "needs all queries in memory"),
        ("augment", "needs the rows in memory"),
        ("split", "is for rows that are read into memory"),
    ):
        if is_sharded and name in found:
            raise found[name].error(f"`{name}` {why}. Received: `dataset.shards`. Leave `{name}` out, or name a path.")
    if not is_sharded and "data_service" in found:
        raise found["data_service"].error(
            "`data_service` reads shards. Received: rows that are read into memory. Write `dataset: {shards: PATH}`."
        )


def read_whole_number(node: Node, *, least: int = 1) -> int:
    """Reads a whole number that is not too small."""
    number: int = node.read(int)
    if number < least:
        raise node.error(f"`{node.name}` must be at least {least}. Received: {number}.")
    return number


def read_augment(node: Node) -> tuple[Step, ...]:
    """Reads the steps that disturb rows anew in each epoch.

    Raises:
        InputError: names file and line of a step or setting that does not exist.
    """
    if not isinstance(node.value, list) or not node.value:
        raise node.error(f"`augment` must be a list of steps. Received: {to_short(node.to_plain())}.")
    try:
        return tuple(make_steps(node.to_plain()))
    except InputError as error:
        raise node.error(str(error).replace("`steps[", "`augment[")) from error


def read_data_service(node: Node) -> str:
    """Reads the address of a `tf.data` service."""
    address: str = node.read(str)
    port = HOST.fullmatch(address.removeprefix("grpc://"))
    if not address.startswith("grpc://") or port is None or not 0 < int(port[1]) < 65536:
        raise node.error(f"`data_service` must be grpc://host:port. Received: {address}.")
    return address


def read_loss(node: Node) -> LossPlan:
    """Reads a name, or a mapping of `name` and the loss's arguments."""
    if isinstance(node.value, str) and node.value:
        return node.value
    if isinstance(node.value, dict) and "name" in node.value:
        node.value["name"].read(str)
        loss: dict[str, Any] = node.to_plain()
        return loss
    raise node.error(
        f"`{node.name}` must be a loss's name, or a mapping of `name` and its arguments. "
        f"Received: {node.to_plain()!r:.80}."
    )


def read_hyperparameters(node: Node) -> dict[str, Any]:
    """Reads values by name; checks each alone, so that the error has its line, and then all together."""
    if not isinstance(node.value, dict):
        raise node.error(f"`hyperparameters` must be a mapping. Received: {node.to_plain()!r:.80}.")
    values: dict[str, Any] = {}
    for name, inner in node.value.items():
        if name not in HYPERPARAMETER_NAMES:
            raise inner.error(f"There is no hyperparameter `{name}`. {suggest(name, HYPERPARAMETER_NAMES)}")
        values[name] = inner.to_plain()
        with located(inner.place):
            Hyperparameters(**{name: values[name]})
    with located(node.place):
        Hyperparameters(**values)
    return values


def read_recipes(node: Node) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Reads a list of mappings from one recipe's name to its arguments, which may be left out."""
    usage = "a list of recipes, each a name with its arguments, such as [{prune: {sparsity: 0.5}}]"
    if not isinstance(node.value, list):
        raise node.error(f"`recipes` must be {usage}. Received: {to_short(node.to_plain())}.")
    recipes = []
    for item in node.value:
        if not isinstance(item.value, dict) or len(item.value) != 1:
            raise item.error(f"`recipes` must be {usage}. Received: {to_short(item.to_plain())}.")
        ((name, arguments),) = item.value.items()
        if not isinstance(arguments.value, dict | None):
            raise arguments.error(
                f"`{arguments.name}` must be a mapping from its arguments to values. "
                f"Received: {to_short(arguments.to_plain())}."
            )
        recipes.append((name, arguments.to_plain() or {}))
    return tuple(recipes)


def read_transformer(node: Node) -> dict[str, Any]:
    """Reads the arguments of `TransformerConfig`, with the right types and in their ranges."""
    optional = ("architecture", "vocabulary_size")
    needed = [
        name
        for name, field in TRANSFORMER_FIELDS.items()
        if field.default is dataclasses.MISSING and name not in optional
    ]
    found = node.entries(tuple(TRANSFORMER_FIELDS), needed=needed)
    values: dict[str, Any] = {"architecture": "bert"}
    for name, inner in found.items():
        value = inner.read(TRANSFORMER_TYPES[name])
        values[name] = tuple(value) if isinstance(value, list) else value
    if values["architecture"] == "bert":
        values.setdefault("num_token_types", 2)  # every BERT has two; its folders require them
    try:
        TransformerConfig(**{"vocabulary_size": 1, **values})
    except InputError as error:
        raise locate_value(error, found, node) from error
    return values


def locate_value(error: InputError, found: Mapping[str, Node], node: Node) -> InputError:
    """Moves an error to the line of the argument that it is about, or of the whole node if it is not in the file."""
    return found.get(error.argument or "", node).error(str(error))


def find_places(node: Node) -> dict[str, str]:
    """Maps every value's name to its file and line."""
    inner = node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    places = {node.name: node.place}
    for child in inner:
        places |= find_places(child)
    return places
