"""The objects that a task returns to a chain: a prepared training, a version to write, a folder that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.core.native import NativeParts
from tfchain.core.task import Folder, Task
from tfchain.models.text_encoder import TextEncoder

if TYPE_CHECKING:  # answering needs no training and no graphs
    from tfchain.tasks.text_graph import TextGraph
    from tfchain.training.fit.options import FitOptions


@dataclass(frozen=True)
class Training:
    """A training that is ready to run; see `core.task.Training`."""

    model: TextEncoder
    state: Any
    dataset: Any
    options: FitOptions


@dataclass(frozen=True)
class Served:
    """A version before it is written; see `core.task.Served`."""

    graph: TextGraph
    files: Mapping[str, bytes] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)
    native: NativeParts | None = None


@dataclass(frozen=True)
class Loaded:
    """The content of a saved chain's folder; see `core.task.Loaded`."""

    task: Task
    model_path: Path
    state: Any
    settings: Mapping[str, Any]
    folder: Folder
    advice: str = "Make the chain again."
    model_options: Mapping[str, Any] = field(default_factory=dict)
