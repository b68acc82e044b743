"""Precisions: what numbers an encoder computes vectors with, which engine has them, and the copies that compute so."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

from tfchain.core.errors import InputError

if TYPE_CHECKING:  # a recipe names a precision without TensorFlow
    import keras

Precision = Literal["float32", "bfloat16", "float16", "int8"]
ENGINES_OF: dict[str, tuple[str, ...]] = {
    "float32": ("tensorflow", "litert"),
    "bfloat16": ("tensorflow",),
    "float16": ("litert",),
    "int8": ("litert",),
}
# How far two correct computations of a vector's or a score's values may lie apart, relative to the largest where that
# is above 1: rounding, which another padding or batch shifts. bfloat16 keeps 8 bits: 2**-8 is 0.004, and layers add up.
TOLERANCES = {"float32": 1e-5, "bfloat16": 1e-2}


def check_precision(precision: Any, engine: str = "auto") -> None:
    """Stops an unknown precision, and one that the engine has not.

    Args:
        precision: What was given.
        engine: `auto`, `tensorflow` or `litert`. Default: `auto`, which every precision goes with.

    Raises:
        InputError: if they are out of range, or do not go together.
    """
    if not isinstance(precision, str) or precision not in ENGINES_OF:
        raise InputError(
            f"`precision` must be one of {', '.join(get_args(Precision))}. Received: precision={precision!r}."
        )
    if engine != "auto" and engine not in ENGINES_OF[precision]:
        raise InputError(
            f"`engine` and `precision` must go together: {precision} is computed by {ENGINES_OF[precision][0]!r}. "
            f"Received: engine={engine!r}, precision={precision!r}. Use engine='auto', or precision='float32'."
        )


def is_litert_precision(precision: str) -> bool:
    """Whether LiteRT alone computes with it: its vectors come from a quantized flatbuffer."""
    return "tensorflow" not in ENGINES_OF[precision]


def check_encoder(encoder: "keras.Model", precision: str) -> None:
    """Stops a model that no copy can be made of in this precision.

    Raises:
        InputError: if the precision is `bfloat16` and the encoder is not tfchain's own.
    """
    from tfchain.models.encoder import Encoder

    if precision == "bfloat16" and not isinstance(encoder, Encoder):
        raise InputError(
            "`precision` 'bfloat16' needs one of tfchain's own encoders. "
            f"Received: {type(encoder).__name__}. Use 'int8' or 'float16', which LiteRT makes of any Keras model."
        )


def make_compute_copy(encoder: "keras.Model", precision: Precision) -> "keras.Model":
    """The Keras model that the TensorFlow graph computes with; the encoder itself keeps its float weights.

    Args:
        encoder: The encoder.
        precision: `bfloat16` gives a copy with weights and products in bfloat16, pooling, heads and output in float32;
            all others give the encoder itself.
    """
    from tfchain.models.encoder import Encoder

    if precision != "bfloat16":
        return encoder
    with dtype_policy("bfloat16"):
        copy = Encoder(encoder.config, name=encoder.name)
    copy.set_weights(encoder.get_weights())
    return copy


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Gives the layers that are made in the block a type; other threads do not notice."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
