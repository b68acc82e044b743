"""`DocumentChain`: a chain whose state is documents with their vectors: added, removed, forgotten, encoded again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tfchain.chains.base import Chain
from tfchain.core.ids import to_ids
from tfchain.data.documents.reading import DocumentSource, read_for_index
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.read_session import ReadSession
from tfchain.data.preparation.report import PreparationReport
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.run import StepsRun
from tfchain.models.step_callables import make_step_callables
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.live_index import Encoding, LiveIndex
from tfchain.tasks.search.search import PassageConfig
from tfchain.tasks.search.task import SearchTask

if TYPE_CHECKING:
    from tfchain.chains.forget import ForgetReceipt, Versions

logger = logging.getLogger(__name__)


class DocumentChain(Chain):
    """What chains that answer from documents share; use a subclass, such as `NeuralSearchChain`.

    The documents are in memory, each with the vectors of its passages. When the model changes, they are encoded again
    at the next call that needs them.
    """

    task: SearchTask
    preparation: PreparationReport | None = None
    """What the steps of the last `add` with steps did; `None` if there was none."""

    def __len__(self) -> int:
        """Returns the number of documents."""
        return len(self._live)

    @property
    def passages(self) -> PassageConfig:
        """How documents longer than the model's maximum length are handled."""
        return self.task.passages

    @property
    def index(self) -> DocumentIndex:
        """Documents and vectors."""
        return self._live.index

    @property
    def is_stale(self) -> bool:
        """Whether the model has changed since the documents were encoded."""
        return self._live.is_stale

    def add(
        self,
        documents: DocumentSource,
        *,
        steps: Sequence[Any] = (),
        empty: Literal["skip", "error"] = "skip",
        max_broken: int = 0,
        broken_file: Path | str | None = None,
        limits: ReadLimits | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Adds documents in memory; `save` writes them to disk.

        Args:
            documents: Texts, dicts (`id`, `title`, `text`, `metadata`), `Document`s, a path (a folder of text, PDF,
                HTML and Office files, .jsonl, .csv, .tsv, .parquet, an archive, a BEIR folder), a pattern, a URL, or a
                generator of these; see `data.documents.reading`. A document without an id gets its number in the order
                of adding; an existing id is replaced.
            steps: Steps that the documents pass first, such as `["repair_text", {"filter_length": {"least": 200}}]`:
                see `prepare`. What they did is then in `preparation`. Default: none.
            empty: What becomes of documents with neither text nor title: `skip` leaves them out with a warning, `error`
                adds nothing. An index holds none. Default: `skip`.
            max_broken: How many files or records that cannot be read are left out, with a warning, before one is an
                error. Default: 0.
            broken_file: Where to write them, as lines of JSON. Default: not kept.
            limits: How much a file may take. Default: `ReadLimits()`.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The chain.

        Raises:
            InputError: if a document cannot be read or is not text, an id is repeated, or a step is unknown; nothing is
                added then.
        """
        reader = read_for_index(documents, empty=empty, session=ReadSession(max_broken, broken_file, limits))
        if not steps:
            self._live.add(reader, self._encoding(progress))
            return self
        callables = make_step_callables(self.text_encoder, batch_size=self.hyperparameters.batch_size)
        run = StepsRun([step.bind(**callables) for step in make_steps(steps)])
        read = self._live.add(reader, self._encoding(progress), run)
        self.preparation = PreparationReport(read, run.logs[-1].passed, tuple(run.logs))
        logger.info("Prepared documents: %s", self.preparation)
        return self

    def remove(self, ids: str | int | Iterable[str | int]) -> Self:
        """Removes documents by id.

        Args:
            ids: An id, or several; a whole number means its decimal text, as in `add`.

        Returns:
            The chain.

        Raises:
            InputError: if an id does not exist; nothing is removed then.
        """
        self._live.remove(ids)
        return self

    def forget(
        self,
        ids: str | int | Iterable[str | int],
        paths: str | Path | Sequence[str | Path] = (),
        *,
        texts: Iterable[str] = (),
        versions: Versions = "report",
    ) -> ForgetReceipt:
        """Removes documents for good: from memory, from the folder of this chain, and from other places on disk.

        `remove` and `save` leave a removed document's text in its file until most of the index is written anew; this
        rewrites the file. Use it when someone asks for their data to be deleted.

        Args:
            ids: The documents' ids. Ids that the chain does not hold are looked for on disk all the same.
            paths: Other places: see `forget`. Default: the folder that the chain was loaded from or saved to.
            texts: As in `forget`. The texts of the documents that the chain holds are known.
            versions: As in `forget`.

        Returns:
            The receipt. Its `remaining` lists what still holds a document.

        Raises:
            InputError: if a path does not exist; nothing is removed then.
            IndexFolderError: if another process is writing a saved chain, or has written this one's folder meanwhile.
        """
        from tfchain.chains.forget import forget

        wanted = to_ids(ids)
        given = [paths] if isinstance(paths, str | Path) else list(paths)
        with self._saving:
            present = [document for id in wanted if (document := self.index.get(id)) is not None]
            folder = self._folder if self._folder is not None and self._folder.path.is_dir() else None
            if folder is not None:
                folder.check()
                given = [folder.path, *given]
            known = [text for document in present for text in (document.text, document.full_text)]
            receipt = forget(wanted, given, texts=[*texts, *known], versions=versions)
            if folder is not None:
                folder.follow_purge()
            if present:
                self._live.remove([document.id for document in present])
        return receipt

    def reindex(self, *, progress: bool | None = None) -> Self:
        """Encodes all documents again, such as after a change of the model's weights."""
        self.text_encoder.refresh()
        self._live.encode_again(self._encoding(progress))
        return self

    def _make_live(self, model: TextEncoder, state: Any) -> LiveIndex:
        return LiveIndex(model, state)

    def _current(self, progress: bool | None = None) -> contextlib.AbstractContextManager[Current]:
        return self._live.current(self._encoding(progress))

    def _encoding(self, progress: bool | None) -> Encoding:
        return Encoding(self.passages, self.hyperparameters.batch_size, progress)
