"""A training as its file describes it: plain values, checked by the reader."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import InputError
from tfchain.data.documents.passages import PassageMode
from tfchain.data.steps.step import Step
from tfchain.models.encoders.config import PoolingMode
from tfchain.training.distributed.strategies import StrategyName
from tfchain.training.mining.options import Mining

Mixing = Literal["round_robin", "proportional"]
LossPlan = str | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewModel:
    """A model to train from scratch.

    Args:
        vocabulary: A WordPiece vocabulary, one token per line.
        transformer: Arguments of `TransformerConfig`. Defaults: the tokenizer's `vocabulary_size`; `bert` as
            `architecture`; 2 `num_token_types` for a BERT.
        lower_case: Whether the tokenizer lower-cases and drops accents. Default: True.
        pooling: How token vectors become one vector. Default: `mean`.
        normalize: Whether vectors are scaled to length one. Default: True.
    """

    vocabulary: Path
    transformer: Mapping[str, Any]
    lower_case: bool = True
    pooling: PoolingMode = "mean"
    normalize: bool = True


@dataclass(frozen=True, kw_only=True)
class DatasetPlan:
    """Pairs to train on.

    Args:
        path: A file or folder for `read_pairs`.
        split: The split to read. Default: `train`.
        loss: The dataset's own loss. Default: the plan's.
        shards: The options of `PairShards` that the file gives, if the files are streamed. Default: none, all rows are
            read into memory.
    """

    path: Path
    split: str = "train"
    loss: LossPlan | None = None
    shards: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ValidationPlan:
    """What is evaluated while training.

    Args:
        path: A BEIR folder.
        split: The split of its judgements. Default: `test`.
        options: The values of every, metrics, monitor, patience and restore_best that the file gives.
    """

    path: Path
    split: str = "test"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """How hyperparameters are searched for.

    Args:
        space: Choices (lists) and ranges (mappings of min, max, step and sampling) by name.
        path: The folder that stores the search. Default: beside the output.
        options: The values of tuner, max_trials, objective, max_latency_ms, max_size_mb and seed that the file gives.
    """

    space: Mapping[str, Any]
    path: Path | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A training as its file describes it; paths are absolute.

    Args:
        path: The file.
        task: The task that the model is for, or `module:Class` of a chain of your own. Default: `search`.
        chain: The chain's own settings by name: arguments of its constructor. Default: its defaults.
        model: A folder, or a name on the Hugging Face hub; None if `encoder` or `new_model` is given.
        encoder: The same of an encoder that the task's chain gives new outputs, such as a reranker's. Default: none.
        new_model: A model to train from scratch; or a mapping of fields, which the chain's `from_scratch` takes.
        datasets: Pairs by name; a single dataset without a name has the empty name.
        output: The folder that the trained model is saved to.
        max_length: The most tokens of a text. Default: the model's own.
        passages: How long documents are split, or that they are cut off, in evaluation. Default: the chain's.
        mixing: How several datasets are mixed. Default: that of `fit`.
        loss: A loss's name, or a mapping of `name` and arguments. Default: the one that suits the columns.
        guide: The model that a guided loss consults, a folder or a hub name. Default: none.
        mining: How hard negatives are added; its corpus is a path. Default: none are added.
        validation: What is evaluated while training. Default: nothing.
        hyperparameters: Values of `Hyperparameters` by name.
        strategy: How the training is spread over devices. Default: `auto`.
        checkpoint: The folder to resume from after a stop. Default: none.
        checkpoint_every: Steps between two saves, in addition to the ends of epochs. Default: none.
        log_path: The folder of the logs. Default: none.
        length_groups: Rectangles that a batch's texts are cut into by length. Default: that of `fit`.
        data_service: `grpc://host:port` of a `tf.data` service that reads shards. Default: none.
        augment: Steps that disturb the rows anew in each epoch. Default: none.
        recipes: Names and arguments of recipes that act while training, such as `("prune", {"sparsity": 0.5})`; a room
            above interprets them. Default: none.
        tuning: How hyperparameters are searched for; a training ignores it. Default: no search.
        places: File and line of each key by its dotted name, for later errors.
    """

    path: Path
    task: str = "search"
    chain: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model: str | Path | None = None
    encoder: str | Path | None = None
    new_model: NewModel | Mapping[str, Any] | None = None
    datasets: Mapping[str, DatasetPlan]
    output: Path
    max_length: int | None = None
    passages: PassageMode | None = None
    mixing: Mixing | None = None
    loss: LossPlan | None = None
    guide: str | Path | None = None
    mining: Mining | None = None
    validation: ValidationPlan | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    strategy: StrategyName = "auto"
    checkpoint: Path | None = None
    checkpoint_every: int | None = None
    log_path: Path | None = None
    length_groups: int | None = None
    data_service: str | None = None
    augment: Sequence[Step] = ()
    recipes: Sequence[tuple[str, Mapping[str, Any]]] = ()
    tuning: TuningPlan | None = None
    places: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the chain: those of `chain`, and the two that stand beside it in the file."""
        own = {"max_length": self.max_length, "passages": self.passages}
        return {**self.chain, **{name: value for name, value in own.items() if value is not None}}

    @property
    def setting_places(self) -> dict[str, str]:
        """File and line of each setting, and of the keys that name the chain and its model."""
        return find_setting_places(self.places)


def find_setting_places(places: Mapping[str, str]) -> dict[str, str]:
    """Returns file and line of each setting by its name, and of the keys that name a chain and its model.

    Args:
        places: File and line of each key of the file by its dotted name; the settings are under `chain`.
    """
    names = ("task", "chain", "model", "encoder", "new_model", "max_length", "passages")
    found = {name: places[name] for name in names if name in places}
    inner = {name: place for name, place in places.items() if name.startswith(("chain.", "new_model."))}
    return found | {name.removeprefix("chain."): place for name, place in inner.items()}


def check_for_workers(plan: TrainingPlan, workers: int) -> None:
    """Rejects a plan that several machines or processes cannot train together.

    Args:
        plan: The plan.
        workers: The number of processes.

    Raises:
        InputError: if its strategy is for one process alone.
    """
    if workers > 1 and plan.strategy not in ("auto", "multi_worker"):
        raise InputError(
            f"{plan.places['strategy']}: `strategy` must be auto or multi_worker for {workers} workers. "
            f"Received: {plan.strategy}, which trains in one process."
        )


def check_for_tuning(plan: TrainingPlan) -> None:
    """Rejects a plan that does not suit a search.

    Raises:
        InputError: if `tuning` or `validation` is missing, its strategy is for several machines, or it has recipes.
    """
    for name, what in (("tuning", "a mapping with `space`"), ("validation", "what trials are ranked on")):
        if getattr(plan, name) is None:
            raise InputError(f"{plan.path}:1: `{name}` is missing: {what}. See `tfchain tune --help`.")
    if plan.recipes:
        raise InputError(
            f"{plan.places['recipes']}: `recipes` act in one training, and a search makes many. Received: "
            f"{', '.join(name for name, _ in plan.recipes)}. Leave them out, and train with the values found."
        )
    if plan.strategy == "multi_worker":
        raise InputError(
            f"{plan.places['strategy']}: `strategy` must be for one process, in which a trial runs. Received: "
            "multi_worker. Several workers share the trials: `tfchain launch --tune --workers 2`."
        )
