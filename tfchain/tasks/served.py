"""What a version serves of a model in a precision: the parts of its SavedModel, and the flatbuffer beside it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.models.litert_signature import SIGNATURE
from tfchain.models.precision import is_litert_precision
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.document_index import DocumentIndex
from tfchain.tasks.search import PassageConfig, make_index

logger = logging.getLogger(__name__)
TFLITE_FILE = "model.tflite"  # where TensorFlow Serving's --prefer_tflite_model looks


@dataclass(frozen=True)
class Served:
    """The parts of a version.

    Args:
        text_encoder: What the SavedModel computes with, in `float32` or `bfloat16`.
        index: The documents, encoded by it; None, there is no search.
        files: What lies beside `saved_model.pb`, name → content.
        description: Plain values that tell of the precision.
    """

    text_encoder: TextEncoder
    index: DocumentIndex | None
    files: Mapping[str, bytes]
    description: Mapping[str, Any]


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

    In `float32` and `bfloat16` the SavedModel computes as Python does, and both are served as they are. What LiteRT
    alone computes, `int8` and `float16`, comes as `model.tflite` for token ids beside a SavedModel in `float32`, for
    which the documents are encoded again: a query's vector and a document's must be made by the same model.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents, encoded by it; None or empty, there is no search.
        passages: How long documents are treated.
        signatures: As in `make_search_graph`; `ids` needs no documents. Default: `text`.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops.
    """
    vectors = text_encoder.vector_storage.to_dict()
    if not is_litert_precision(text_encoder.precision):
        return Served(text_encoder, index, {}, {"precision": text_encoder.precision, "vectors": vectors})
    flatbuffer = text_encoder.runner.make_flatbuffer()
    served = text_encoder.with_precision("float32", engine="tensorflow")
    if index is not None and signatures != "ids":
        logger.info("The SavedModel computes in float32: encoding %d documents for it.", len(index))
        index = make_index(served, list(index), passages, batch_size=batch_size, progress=progress)
    logger.warning(
        "The version's SavedModel computes in float32; %s beside it is the encoder in %s. A stock server with "
        "--prefer_tflite_model serves that file alone, and so offers token ids only: its clients tokenize, and send "
        "`token_ids` and `padding_mask` (signature %s).",
        *(TFLITE_FILE, text_encoder.precision, SIGNATURE),
    )
    beside = {
        "file": TFLITE_FILE,
        "precision": text_encoder.precision,
        "fingerprint": text_encoder.fingerprint,
        "signatures": [SIGNATURE],
    }
    description = {"precision": "float32", "vectors": vectors, "tflite": beside}
    return Served(served, index, {TFLITE_FILE: flatbuffer}, description)
