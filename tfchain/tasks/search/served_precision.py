"""Prepares a search for a version in a precision: the encoders, and the documents' vectors made for them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig, make_index
from tfchain.tasks.served_encoder import to_served_encoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """The parts of a version.

    Args:
        text_encoder: The SavedModel's encoder, in `float32`, `bfloat16` or `int8`.
        index: The documents, encoded by it; None if there is no search.
        files: The files beside `saved_model.pb`, name → content.
        description: Plain values that describe the precision.
        litert: The text encoder of the flatbuffer in `files`, run by LiteRT whatever engine Python uses. Default: none.
    """

    text_encoder: TextEncoder
    index: DocumentIndex | None
    files: Mapping[str, bytes]
    description: Mapping[str, Any]
    litert: TextEncoder | None = None


def to_served(
    text_encoder: TextEncoder,
    index: DocumentIndex | None,
    passages: PassageConfig,
    *,
    signatures: str = "text",
    batch_size: int = 32,
    progress: bool | None = None,
) -> Served:
    """Prepares a text encoder and its documents for a version.

    If the SavedModel computes differently from Python (see `to_served_encoder`), the documents are encoded again for
    it: the same model must make the vectors of queries and documents. `int8` is calibrated on the documents.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents, encoded by it; if None or empty, there is no search.
        passages: How to handle documents longer than the maximum length.
        signatures: As in `make_search_graph`; `ids` needs no documents. Default: `text`.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops.
    """
    index = None if index is None else index.snapshot()
    served = to_served_encoder(text_encoder, [document.full_text for document in index or ()])
    made = served.text_encoder
    if made is not text_encoder and index is not None and signatures != "ids":
        logger.info("The SavedModel computes in %s: encoding %d documents for it.", made.precision, len(index))
        index = make_index(made, list(index), passages, batch_size=batch_size, progress=progress)
    return Served(made, index, served.files, served.description, served.litert)
