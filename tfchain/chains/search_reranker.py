"""The reranker of a search chain: how many documents it reads, within which time, and its place in a saved chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.chains.late_interaction import LateInteractionReranker
from tfchain.chains.model_holder import ModelHolder
from tfchain.chains.reranking import Reranker
from tfchain.core.checks import check_whole_number
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.late_interaction.encoding import TokenMemory
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.late_interaction.task import LateInteractionTask
from tfchain.tasks.reranking.passages import PassageMemory
from tfchain.tasks.reranking.task import RerankingTask
from tfchain.tasks.search.second_stage import SecondStage

SETTING = "reranker"  # in the settings of a saved chain


@dataclass(frozen=True)
class SearchReranker:
    """A reranker with the values that a search chain keeps for it.

    Args:
        reranker: A cross-encoder of one output, or a reranker by late interaction.
        top: How many documents of a search it puts in order. Default: 50.
        within_ms: Its time budget for a query in milliseconds. Default: no limit.
        memory: Remembers documents' passages from query to query. Default: a new one.
        token_memory: Remembers documents' token vectors. Default: a new one.

    Raises:
        InputError: if it is no reranker, has several outputs, or a value is out of range.
    """

    reranker: Reranker | LateInteractionReranker
    top: int = 50
    within_ms: float | None = None
    memory: PassageMemory = field(default_factory=PassageMemory, compare=False, repr=False)
    token_memory: TokenMemory = field(default_factory=TokenMemory, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.reranker, Reranker | LateInteractionReranker):
            raise InputError(
                "`reranker` must be a Reranker, or the folder or hub name of one, or a LateInteractionReranker. "
                f"Received: {type(self.reranker).__name__}. Read one with Reranker.from_pretrained or Reranker.load."
            )
        if isinstance(self.reranker, Reranker) and self.reranker.num_labels != 1:
            raise InputError(
                f"`reranker` must have one output. Received: a model of {self.reranker.num_labels} outputs."
            )
        check_whole_number("rerank_top", self.top)
        is_number = isinstance(self.within_ms, int | float) and not isinstance(self.within_ms, bool)
        if self.within_ms is not None and not (is_number and self.within_ms > 0):
            raise InputError(
                f"`rerank_ms` must be a number of milliseconds above 0. Received: rerank_ms={self.within_ms!r}."
            )

    @classmethod
    def make(cls, reranker: Any, *, top: int, within_ms: float | None, engine: EngineName) -> SearchReranker | None:
        """Makes it from a chain's arguments: a reranker, a folder or hub name, or None."""
        if reranker is None:
            return None
        if isinstance(reranker, str | Path):
            reranker = read_reranker(reranker, engine=engine)
        return cls(reranker, top, within_ms)

    @property
    def stage(self) -> SecondStage:
        """What the steps of a search take."""
        sample = self.reranker.task.learning_texts(self.reranker.state) or ()
        return SecondStage(
            self.reranker.text_encoder,
            self.top,
            self.within_ms,
            tuple(sample),
            self.reranker.options if isinstance(self.reranker, LateInteractionReranker) else None,
            self.memory,
            self.token_memory,
        )

    @property
    def folder(self) -> str:
        """The name of its folder in a saved chain."""
        return f"reranker-{self.reranker.text_encoder.fingerprint[:16]}"

    def to_dict(self) -> dict[str, Any]:
        """Returns its entry in the settings of a saved chain."""
        values = {"folder": self.folder, "top": self.top, "within_ms": self.within_ms}
        if isinstance(self.reranker, LateInteractionReranker):
            return {SETTING: {**values, **self.reranker.task.settings()}}
        return {SETTING: {**values, "activation": self.reranker.activation}}


def load_search_reranker(
    path: Path, settings: Mapping[str, Any], *, engine: EngineName = "auto"
) -> SearchReranker | None:
    """Reads the reranker of a saved search chain; None if it has none.

    Args:
        path: The chain's folder.
        settings: Its settings.
        engine: The engine that runs the reranker. Default: `auto`.

    Raises:
        IndexFolderError: if the settings cannot be read.
        ModelFolderError: if the reranker's folder cannot be read.
    """
    values = settings.get(SETTING)
    if values is None:
        return None
    try:
        folder = path / values["folder"]
        made: Reranker | LateInteractionReranker
        task: RerankingTask | LateInteractionTask
        if "late" in values:
            made = LateInteractionReranker.__new__(LateInteractionReranker)
            task = LateInteractionTask(LateOptions(**values["late"]))
        else:
            made, task = Reranker.__new__(Reranker), RerankingTask(values["activation"])
        ModelHolder.__init__(made, task, TextEncoder.from_pretrained(folder, engine=engine))
        return SearchReranker(made, values["top"], values["within_ms"])
    except (KeyError, TypeError, InputError) as error:
        raise IndexFolderError(
            f"{path} has a reranker that cannot be read: {type(error).__name__}: {error}. Save the chain again."
        ) from error


def read_reranker(path: str | Path, *, engine: EngineName = "auto") -> Reranker | LateInteractionReranker:
    """Reads a saved reranker, or the folder or hub name of a CrossEncoder or of a model of late interaction."""
    from tfchain.models.weights.download import find_folder
    from tfchain.models.weights.late_folder import is_late_folder
    from tfchain.tasks.manifest import MANIFEST, read_manifest

    saved = Path(path).expanduser()
    if (saved / MANIFEST).is_file():
        is_late = read_manifest(saved).get("task") == LateInteractionTask.name
        return (LateInteractionReranker if is_late else Reranker).load(path, engine=engine)
    folder = find_folder(path)
    return (LateInteractionReranker if is_late_folder(folder) else Reranker).from_pretrained(folder, engine=engine)
