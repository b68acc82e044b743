"""Finds the passages that a reader reads: the best of a retriever's documents, and where each is in its document."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tfchain.core.types import Document
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig, cut_documents

MOST_DOCUMENTS = 100_000  # whose passages are remembered


@dataclass(frozen=True)
class FoundPassage:
    """A passage of a document.

    Args:
        document: The document.
        start: Where the passage starts in what is read of the document, in characters.
        end: Where it ends.
        score: The retriever's score of it. Default: 0.
    """

    document: Document
    start: int
    end: int
    score: float = 0.0

    @property
    def text(self) -> str:
        """The passage's text."""
        return read_text(self.document)[self.start : self.end]


class PassagePlaces:
    """Knows where the passages of documents are, which an index does not keep. Threads may share it.

    Args:
        most_documents: How many documents' passages it remembers. Default: 100,000.
    """

    def __init__(self, most_documents: int = MOST_DOCUMENTS) -> None:
        self._most = most_documents
        self._lock = threading.Lock()
        self._key: tuple[str, PassageConfig] | None = None
        self._known: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def find(
        self, model: TextEncoder, documents: Sequence[Document], passages: PassageConfig
    ) -> list[list[tuple[int, int]]]:
        """Returns where each document's passages start and end, in the order of their vectors.

        Args:
            model: The retriever's text encoder.
            documents: The documents.
            passages: How the retriever cuts documents.
        """
        with self._lock:
            key = (model.fingerprint, passages)
            if self._key != key or len(self._known) > self._most:
                self._key, self._known = key, {}
            known = self._known
        asked = {(document.title, document.text): document for document in documents}
        missing = [pair for pair in asked if pair not in known]
        made = {}
        if missing:
            cuts = cut_documents(model, [asked[pair] for pair in missing], passages)
            made = {pair: [(part.start, part.end) for part in cut] for pair, cut in zip(missing, cuts, strict=True)}
            with self._lock:
                if self._known is known:
                    known.update(made)
        found = [made.get(pair) or known[pair] for pair in ((one.title, one.text) for one in documents)]
        return [
            [(0, len(read_text(document)))] * len(places) if not document.text.strip() else places
            for document, places in zip(documents, found, strict=True)
        ]


def find_passages(
    model: TextEncoder,
    index: DocumentIndex,
    questions: Sequence[str],
    passages: PassageConfig,
    *,
    top: int,
    places: PassagePlaces,
    batch_size: int = 32,
) -> list[list[FoundPassage]]:
    """Finds the best passages for questions, best first.

    Args:
        model: The retriever's text encoder.
        index: Its documents.
        questions: The questions.
        passages: How it cuts documents.
        top: The most passages of a question.
        places: Where the passages of documents are.
        batch_size: The most questions in a step. Default: 32.
    """
    vectors = model.encode_query(list(questions), batch_size=batch_size)
    found = index.search_passages(vectors, top)
    made = []
    for listed in found:
        bounds = places.find(model, [document for document, _, _ in listed], passages)
        made.append(
            [
                FoundPassage(document, *own[place], score)
                for (document, place, score), own in zip(listed, bounds, strict=True)
            ]
        )
    return made


def read_text(document: Document) -> str:
    """Returns what is read of a document: its text, or its title if it has no text."""
    return document.text if document.text.strip() else document.title
