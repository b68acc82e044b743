"""A life cycle as its file describes it: plain values, checked by the reader; paths are absolute."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.jobs.lifecycle.limits import Limits


@dataclass(frozen=True, kw_only=True)
class TrainSection:
    """How the model is trained.

    Args:
        dataset: What to train on, in any form that the task reads from disk. Default: what `prepare` made, if that is
            rows.
        split: The split to read. Default: `train`.
        start: Whether a training begins with `model` (`base`) or with the live version's model (`live`). Default:
            `base`.
        feedback: Whether pairs from feedback are added. Default: True, if there is a section `feedback`.
        hyperparameters: Values of `Hyperparameters` by name.
        loss: A loss's name, or a mapping of `name` and arguments. Default: the one that suits the data.
        mining: Arguments of `Mining` by name. Default: no negatives are added.
        augment: Steps that disturb the rows anew in each epoch, as plain values. Default: none.
        recipes: Names and arguments of recipes that act while training. Default: none.
        validation: What is evaluated while training, in any form that `evaluate` reads from disk. Default: nothing.
        checkpoint_every: Steps between two saves, in addition to the ends of epochs. Default: none.
    """

    dataset: Path | None = None
    split: str = "train"
    start: str = "base"
    feedback: bool = True
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    loss: Any = None
    mining: Mapping[str, Any] | None = None
    augment: tuple[Any, ...] = ()
    recipes: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    validation: Path | None = None
    checkpoint_every: int | None = None


@dataclass(frozen=True, kw_only=True)
class LifecyclePlan:
    """A life cycle as its file describes it.

    Args:
        path: The file.
        task: The name of a task, such as `search`, or `module:Class` of a chain of your own.
        folder: Where everything is written down. Default: beside the file, `NAME-lifecycle`.
        model: The model that trainings begin with, a folder or a hub name. Default: the chain's own.
        encoder: In its place an encoder that the chain gives new outputs, such as a reranker's. Default: none.
        chain: The chain's own settings, arguments such as `max_length`.
        documents: What a search searches; other tasks have none.
        base_path: The folder of the version folders.
        limits: What a cycle may use.
        keep_cycles: Of how many cycles what the steps made is kept. Default: 5.
        train: How the model is trained.
        sections: The other sections of the file by step, each a mapping of checked values; a section that the file
            does not have is missing.
        approve: The names of the steps that a person must approve.
        places: File and line of each key by its dotted name, for later errors.
    """

    path: Path
    task: str
    folder: Path
    model: str | Path | None = None
    encoder: str | Path | None = None
    chain: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    documents: Path | None = None
    base_path: Path
    limits: Limits = dataclasses.field(default_factory=Limits)
    keep_cycles: int = 5
    train: TrainSection
    sections: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    approve: frozenset[str] = frozenset()
    places: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def training_step(self) -> str:
        """The name of the step that trains: `tune` if the file has that section, else `train`."""
        return "tune" if "tune" in self.sections else "train"
