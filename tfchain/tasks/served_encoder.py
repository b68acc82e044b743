"""Prepares the encoders of a version for a precision: the SavedModel's, and the flatbuffer beside it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.signatures import EMBED_IDS, TFLITE_FILE
from tfchain.models.engines.int8_product import has_int8_products
from tfchain.models.text_encoder import TextEncoder

logger = logging.getLogger(__name__)
NEEDS_ONEDNN = (
    "Its products are oneDNN's, which TensorFlow Serving for x86-64 has on by default on processors with AVX-512 VNNI, "
    "AVX-VNNI or AMX, where they are fast. Do not serve it on other processors: there it does not load, and with "
    "TF_ENABLE_ONEDNN_OPTS=1 in the environment its sums overflow and its vectors are inexact."
)


@dataclass(frozen=True)
class ServedEncoder:
    """The encoders of a version.

    Args:
        text_encoder: The SavedModel's encoder, in `float32`, `bfloat16` or `int8`.
        files: The files beside `saved_model.pb`, name → content.
        description: Plain values that describe the precision.
        litert: The text encoder of the flatbuffer in `files`, run by LiteRT whatever engine Python uses. Default: none.
    """

    text_encoder: TextEncoder
    files: Mapping[str, bytes]
    description: Mapping[str, Any]
    litert: TextEncoder | None = None


def to_served_encoder(text_encoder: TextEncoder, texts: Sequence[str] = ()) -> ServedEncoder:
    """Prepares a text encoder for a version.

    In `float32`, `bfloat16` and calibrated `int8` the SavedModel computes as Python does. Any other `int8` or `float16`
    model becomes `model.tflite`, a function of token ids, beside a SavedModel with numbers of its own: for `float16` it
    computes in float32; for `int8` in int8, calibrated on the texts, or in float32 if that is impossible (fewer than
    eight texts, an encoder that is not tfchain's own, or a process without oneDNN). `model.tflite` holds the documents'
    encoder alone: where queries have their own (`query_route`), the SavedModel computes it, in float32 instead of an
    `int8` or `float16` that TensorFlow does not have.

    Args:
        text_encoder: Tokenizer and encoder.
        texts: Texts like those that the version will answer, for a calibration. Default: none.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops.
    """
    if not text_encoder.runner.needs_flatbuffer:
        served = to_tensorflow(text_encoder, texts)
        return ServedEncoder(served, {}, _describe(served))
    litert = text_encoder.with_precision(text_encoder.precision, engine="litert")
    flatbuffer = litert.runner.make_flatbuffer()
    served = to_tensorflow(text_encoder, texts)
    logger.warning(
        "The version's SavedModel computes in %s; %s beside it is the encoder in %s. A stock server with "
        "--prefer_tflite_model serves only that file, and so only token ids: its clients tokenize, and send "
        "`token_ids` and `padding_mask` (signature %s); it also needs --enable_model_warmup=false, as the version's "
        "warm-up records send texts. The embedded server with that flag answers texts.",
        *(served.precision, TFLITE_FILE, text_encoder.precision, EMBED_IDS),
    )
    if served.query_route is not None:
        logger.warning("%s encodes documents only: queries have an encoder of their own, a Router's.", TFLITE_FILE)
    described = {
        "file": TFLITE_FILE,
        "precision": text_encoder.precision,
        "fingerprint": text_encoder.fingerprint,
        "signatures": [EMBED_IDS],
    }
    return ServedEncoder(served, {TFLITE_FILE: flatbuffer}, {**_describe(served), "tflite": described}, litert)


def to_tensorflow(text_encoder: TextEncoder, texts: Sequence[str]) -> TextEncoder:
    """Returns the SavedModel's encoder for a text encoder; another one if TensorFlow does not compute in its precision.

    An encoder of its own for queries then computes in float32: there are no queries to calibrate it on.

    Args:
        text_encoder: Tokenizer and encoder.
        texts: Texts for a calibration of int8, at least eight.
    """
    made, route = _find_computed(text_encoder, texts), text_encoder.query_route
    if route is None or not route.runner.needs_flatbuffer:
        return made
    logger.info("The SavedModel encodes queries in float32, as TensorFlow does not compute in %s.", route.precision)
    shared = made.with_vector_storage(made.vector_storage)  # not to change what was given
    shared.query_route = route.with_precision("float32", engine="tensorflow")
    return shared


def _find_computed(text_encoder: TextEncoder, texts: Sequence[str]) -> TextEncoder:
    if not text_encoder.runner.needs_flatbuffer:
        return text_encoder
    if text_encoder.precision == "int8":
        try:
            if not has_int8_products():
                raise InputError("oneDNN is off in this process, or the processor has no int8 instructions.")
            calibration = text_encoder.calibrate(texts)
            return text_encoder.with_precision("int8", engine="tensorflow", calibration=calibration)
        except InputError as error:
            logger.warning("The SavedModel cannot compute in int8, so it computes in float32. %s", error)
    return text_encoder.with_precision("float32", engine="tensorflow")


def _describe(text_encoder: TextEncoder) -> dict[str, Any]:
    """Describes the SavedModel's precision and index; logs what int8 needs."""
    vectors = text_encoder.vector_storage.to_dict()
    described: dict[str, Any] = {"precision": text_encoder.precision, "vectors": vectors}
    has_products = text_encoder.config is None or not text_encoder.config.transformer.is_static
    if text_encoder.precision == "int8" and has_products:
        logger.warning("The version computes in int8. %s", NEEDS_ONEDNN)
        described["needs"] = NEEDS_ONEDNN
    return described
