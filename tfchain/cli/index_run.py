"""The work of `tfchain index`: opens or makes the chain, and adds new documents in commits."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.chains.search import NeuralSearchChain
from tfchain.cli.folders import is_chain
from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.types import Document
from tfchain.data.documents.reading import DocumentReader, DocumentSource
from tfchain.models.bundled import find_bundled_model
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.manifest import read_manifest
from tfchain.tasks.search.index_folder import LoadedFolder, load_index_folder

logger = logging.getLogger(__name__)

# Documents without an id get their number in the call from the reader. Counting from here distinguishes these numbers
# from ids that users gave.
NUMBERS_OF_NAMELESS = 10**18


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The command line's settings of the chain; None if an option is not given.

    Args:
        model: A folder or a hub name. A new index without one uses the small model that comes with tfchain.
        passages: `split`, `sentences`, `structure` or `truncate`.
        overlap_tokens: Tokens that neighbouring passages share.
        max_length: The most tokens of a passage.
        batch_size: Texts in one step.
        engine: The engine that runs the encoder.
    """

    model: str | None = None
    passages: str | None = None
    overlap_tokens: int | None = None
    max_length: int | None = None
    batch_size: int | None = None
    engine: str = "auto"


@dataclass(frozen=True)
class Opened:
    """A chain to add to.

    Args:
        chain: The chain.
        to_encode: The saved folder that another model or other settings made, whose documents must be encoded again;
            None if there is none.
    """

    chain: NeuralSearchChain
    to_encode: LoadedFolder | None = None


def open_chain(out: Path, settings: Settings, *, reindex: bool) -> Opened:
    """Opens the chain in a folder, or makes a new one.

    Args:
        out: The folder.
        settings: The command line's settings.
        reindex: Whether documents in the folder may be encoded again.

    Raises:
        FingerprintError: if the model, or another setting that vectors depend on, differs from the folder's.
    """
    if not is_chain(out):
        return Opened(make_chain(settings.model or find_bundled_model(), settings))
    if reindex:
        return open_to_reindex(out, settings)
    chain = NeuralSearchChain.load(out, engine=to_any(settings.engine))
    check_same_settings(chain, out, settings)
    if settings.batch_size is not None:
        chain.hyperparameters = dataclasses.replace(chain.hyperparameters, batch_size=settings.batch_size)
    return Opened(chain)


def open_to_reindex(out: Path, settings: Settings) -> Opened:
    """Makes a chain of the new model or settings, and keeps the old documents for encoding."""
    loaded = load_index_folder(out)
    old = loaded.settings["passages"]
    settings = dataclasses.replace(
        settings,
        passages=settings.passages or old["mode"],
        overlap_tokens=old["overlap_tokens"] if settings.overlap_tokens is None else settings.overlap_tokens,
        batch_size=settings.batch_size or loaded.settings["hyperparameters"]["batch_size"],
    )
    chain = make_chain(settings.model or loaded.model_path, settings)
    is_same = chain.text_encoder.fingerprint == loaded.index.fingerprint and chain.passages.to_dict() == old
    if is_same:
        logger.info("%s was made by this model with these settings: nothing is encoded again.", out)
        opened = NeuralSearchChain.load(out, engine=to_any(settings.engine))
        if opened.fingerprint != chain.fingerprint:  # another encoder for queries, which made none of the vectors
            opened.text_encoder = chain.text_encoder
            opened.save(out)
        return Opened(opened)
    return Opened(chain, loaded)


def make_chain(model: Any, settings: Settings) -> NeuralSearchChain:
    """Makes a chain without documents."""
    given: dict[str, Any] = {
        "passages": settings.passages,
        "overlap_tokens": settings.overlap_tokens,
        "max_length": settings.max_length,
        "batch_size": settings.batch_size,
    }
    return NeuralSearchChain.from_pretrained(
        model, engine=to_any(settings.engine), **{name: value for name, value in given.items() if value is not None}
    )


def check_same_settings(chain: NeuralSearchChain, out: Path, settings: Settings) -> None:
    """Rejects settings that would mix vectors that do not belong together.

    Raises:
        FingerprintError: says which setting differs, and what to do.
    """
    encoder = chain.text_encoder
    others = []
    if settings.model is not None:
        changes: dict[str, Any] = {} if settings.max_length is None else {"max_length": settings.max_length}
        given = TextEncoder.from_pretrained(settings.model, **changes).model_fingerprint
        found = encoder.model_fingerprint
        if given != found:
            others.append(f"model {given[:12]}, there model {found[:12]}")
    elif settings.max_length not in (None, encoder.tokenizer.max_length):
        others.append(f"--max-length {settings.max_length}, there {encoder.tokenizer.max_length}")
    for name, asked, there in (
        ("passages", settings.passages, chain.passages.mode),
        ("overlap-tokens", settings.overlap_tokens, chain.passages.overlap_tokens),
    ):
        if asked not in (None, there):
            others.append(f"--{name} {asked}, there {'the default' if there is None else there}")
    if others:
        raise FingerprintError(
            f"Expected the model and the settings that made {out}. Received: {'; '.join(others)}. Leave the option "
            f"out, or add --reindex to encode its {len(chain)} documents again."
        )


class IndexRun:
    """Adds documents to a saved chain, and counts them.

    Args:
        chain: The chain.
        out: The chain's folder.
        commit_every: Documents between two saves; the first save waits for more if the index learns from its vectors.
    """

    def __init__(self, chain: NeuralSearchChain, out: Path, *, commit_every: int) -> None:
        self.chain = chain
        self.out = out
        self.commit_every = commit_every
        self.added = self.replaced = self.skipped = self.empty = self.broken = self.encoded_again = 0
        self._documents_before = len(chain)
        self._next_number = chain.index.next_number  # for documents without an id
        self._contents: dict[tuple[str, str, str], str] | None = None

    def encode_again(self, loaded: LoadedFolder) -> None:
        """Encodes the documents of an older index, and publishes them in one step; until then the old index counts."""
        self.chain.add(list(loaded.index))
        self.chain.index.next_number = max(self.chain.index.next_number, loaded.index.next_number)
        self.encoded_again = len(loaded.index)
        self.chain.save(self.out)

    def add(self, documents: DocumentSource | DocumentReader) -> None:
        """Adds documents that are new or changed.

        Args:
            documents: The documents, or a reader of them; its numbers are set so that they differ from users' ids.

        Raises:
            InputError: if a document cannot be read; earlier saves stay.
        """
        batch: list[Document] = []
        size = max(self.commit_every, self.chain.index.vectors.num_to_learn)
        reader = documents if isinstance(documents, DocumentReader) else DocumentReader(documents)
        reader.next_number = NUMBERS_OF_NAMELESS
        try:
            for document in self._changed(reader):
                batch.append(document)
                if len(batch) == size:
                    self._commit(batch)
                    batch, size = [], self.commit_every
        finally:
            self.empty, self.broken = reader.num_empty, reader.session.broken
        if batch:
            self._commit(batch)
        if not len(self.chain):
            raise InputError("Expected documents. Received none.")

    def tell_committed(self) -> str:
        """Says what is saved, for the end of an error; empty if this run has saved nothing."""
        documents = read_manifest(self.out)["documents"] if is_chain(self.out) else 0
        if documents == self._documents_before:
            return ""
        return f" {self.out} holds {documents:,} documents now; the same command resumes from there."

    def _changed(self, documents: DocumentReader) -> Iterator[Document]:
        """Reads documents, skips those already in the index, and numbers those without an id."""
        numbered: set[str] = set()
        for document in documents:
            number = documents.next_number - 1
            index = self.chain.index
            if document.id == str(number):
                found = self._find_content(document)
                if found is not None:
                    self.skipped += 1
                    continue
                document = dataclasses.replace(document, id=self._take_number(number - NUMBERS_OF_NAMELESS, numbered))
                self._contents_by_id()[to_content(document)] = document.id
            elif document.id in numbered:
                raise InputError(
                    f"The id {document.id!r} appears twice: a document without an id got this number before. "
                    "Give all documents an id, or none."
                )
            old = index.get(document.id)
            if old == document:
                self.skipped += 1
                continue
            if old is None:
                self.added += 1
            else:
                self.replaced += 1
            yield document

    def _take_number(self, place: int, numbered: set[str]) -> str:
        """The document's place in the call, as `chain.add` would name it; the next free number if that is taken."""
        number = place
        while str(number) in self.chain.index or str(number) in numbered:
            number = self._next_number
            self._next_number += 1
        numbered.add(str(number))
        return str(number)

    def _find_content(self, document: Document) -> str | None:
        return self._contents_by_id().get(to_content(document))

    def _contents_by_id(self) -> dict[tuple[str, str, str], str]:
        if self._contents is None:
            self._contents = {to_content(document): document.id for document in self.chain.index}
        return self._contents

    def _commit(self, batch: Sequence[Document]) -> None:
        start = time.monotonic()
        self.chain.add(batch)
        self.chain.save(self.out)
        seconds = time.monotonic() - start
        logger.info("Saved %d more documents, %.0f per second.", len(batch), len(batch) / seconds)


def to_content(document: Document) -> tuple[str, str, str]:
    """What makes two documents without an id the same."""
    return document.title, document.text, repr(sorted(document.metadata.items()))


def to_any(value: str) -> Any:
    """Passes on a choice that click has checked, for an argument that takes a literal."""
    return value
