"""A training as its file describes it: plain values, checked when they were read."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import PoolingMode
from tfchain.training.distributed.strategies import StrategyName
from tfchain.training.mining.options import Mining

Mixing = Literal["round_robin", "proportional"]
LossPlan = str | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewModel:
    """A model to train from nothing.

    Args:
        vocabulary: A WordPiece vocabulary, one token a line.
        transformer: Arguments of `TransformerConfig`. Default of `vocabulary_size`: the tokenizer's; of `architecture`:
            `bert`; of a BERT's `num_token_types`: 2.
        lower_case: Whether the tokenizer lower-cases and drops accents. Default: True.
        pooling: How token vectors become one. Default: `mean`.
        normalize: Whether vectors get length one. Default: True.
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
        path: A file or folder as `read_pairs` reads it.
        split: Which part of it. Default: `train`.
        loss: Its own loss. Default: the plan's.
        shards: Where the files are read as they are needed: the options of `PairShards` that the file gives. Default:
            none, all rows are read into memory.
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
        split: Which of its judgements. Default: `test`.
        options: Those of every, metrics, monitor, patience and restore_best that the file gives.
    """

    path: Path
    split: str = "test"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """How hyperparameters are searched for.

    Args:
        space: Choices (lists) and ranges (mappings of min, max, step and sampling) by name.
        path: The folder that keeps the search. Default: beside the output.
        options: Those of tuner, max_trials, objective, max_latency_ms, max_size_mb and seed that the file gives.
    """

    space: Mapping[str, Any]
    path: Path | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A training as its file describes it; paths are absolute.

    Args:
        path: The file.
        model: A folder, or a name on the Hugging Face hub; None where `new_model` is given.
        new_model: A model to train from nothing.
        datasets: Pairs by name; one alone, without a name, under the empty name.
        output: The folder that the trained model is saved to.
        max_length: The most tokens of a text. Default: what the model says.
        passages: Whether long documents are split or cut off in evaluation. Default: `split`.
        mixing: How several datasets are mixed. Default: what `fit` does.
        loss: A loss's name, or a mapping of `name` and arguments. Default: what suits the columns.
        guide: The model that a guided loss asks, a folder or a hub name. Default: none.
        mining: How hard negatives are added; its corpus is a path. Default: none are.
        validation: What is evaluated while training. Default: nothing.
        hyperparameters: Values of `Hyperparameters` by name.
        strategy: How the training is spread over devices. Default: `auto`.
        checkpoint: The folder to go on from after a stop. Default: none.
        checkpoint_every: Steps between two saves, beside epochs' ends. Default: none.
        log_path: The folder of the logs. Default: none.
        length_groups: Rectangles that a batch's texts are cut into by length. Default: what `fit` does.
        data_service: `grpc://host:port` of a `tf.data` service that reads shards. Default: none.
        recipes: Name and arguments of what acts while training, such as `("prune", {"sparsity": 0.5})`; what they mean
            a room above knows. Default: none.
        tuning: How hyperparameters are searched for; a training does not look at it. Default: they are not.
        places: File and line of each key by its dotted name, for errors that come later.
    """

    path: Path
    model: str | Path | None = None
    new_model: NewModel | None = None
    datasets: Mapping[str, DatasetPlan]
    output: Path
    max_length: int | None = None
    passages: Literal["split", "truncate"] = "split"
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
    recipes: Sequence[tuple[str, Mapping[str, Any]]] = ()
    tuning: TuningPlan | None = None
    places: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)


def check_for_workers(plan: TrainingPlan, workers: int) -> None:
    """Stops a plan that several machines or processes cannot train together.

    Args:
        plan: The plan.
        workers: How many processes there will be.

    Raises:
        InputError: if its strategy is for one process alone.
    """
    if workers > 1 and plan.strategy not in ("auto", "multi_worker"):
        raise InputError(
            f"{plan.places['strategy']}: `strategy` must be auto or multi_worker for {workers} workers. "
            f"Received: {plan.strategy}, which trains in one process."
        )


def check_for_tuning(plan: TrainingPlan) -> None:
    """Stops a plan that says too little for a search.

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
