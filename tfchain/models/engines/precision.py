"""Precisions: what numbers an encoder computes vectors with, which engine has them, and the copies that compute so."""

from typing import TYPE_CHECKING, Any, Literal, get_args

from tfchain.core.errors import InputError

if TYPE_CHECKING:  # a recipe names a precision without TensorFlow
    import keras

    from tfchain.models.encoders.weight_watch import SharedModel
    from tfchain.models.engines.calibration import Calibration

Precision = Literal["float32", "bfloat16", "float16", "int8"]
EngineName = Literal["auto", "tensorflow", "litert", "native"]
CALIBRATED = "calibrated int8"
# The one table of what computes what: the engines of each precision, in the order in which `auto` looks for one that
# can run here. A faster kernel is another name in front of a row.
ENGINES_OF: dict[str, tuple[EngineName, ...]] = {
    "float32": ("litert", "tensorflow"),
    "bfloat16": ("tensorflow",),
    "float16": ("litert",),
    "int8": ("native", "litert"),
    CALIBRATED: ("tensorflow",),
}
# How far two correct computations of a vector's or a score's values may lie apart, relative to the largest where that
# is above 1: rounding, which another padding or batch shifts. bfloat16 keeps 8 bits: 2**-8 is 0.004, and layers add up.
# int8: a value between two steps may fall on either side. float16 is
# that of weights, which are computed with in float32.
TOLERANCES = {"float32": 1e-5, "float16": 1e-5, "bfloat16": 1e-2, "int8": 1e-2}


def find_engines(precision: str, calibrated: bool = False) -> tuple[EngineName, ...]:
    """The engines that compute in a precision, the ones that `auto` prefers first.

    Args:
        precision: A `Precision`.
        calibrated: Whether the ranges of activations are measured before, which is a row of its own for `int8`.
    """
    return ENGINES_OF[CALIBRATED if calibrated else precision]


def check_precision(precision: Any, engine: str = "auto", calibrated: bool = False) -> None:
    """Stops an unknown precision, and one that the engine has not.

    Args:
        precision: What was given.
        engine: `auto`, `tensorflow`, `litert` or `native`. Default: `auto`, which every precision goes with.
        calibrated: Whether the ranges of activations are measured before. Default: False.

    Raises:
        InputError: if they are out of range, or do not go together.
    """
    if not isinstance(precision, str) or precision not in get_args(Precision):
        raise InputError(
            f"`precision` must be one of {', '.join(get_args(Precision))}. Received: precision={precision!r}."
        )
    if calibrated and precision != "int8":
        raise InputError(f"`calibration` is for 'int8' alone. Received: precision={precision!r}. Leave it out.")
    engines = find_engines(precision, calibrated)
    if engine != "auto" and engine not in engines:
        name, known = CALIBRATED if calibrated else precision, " or ".join(map(repr, sorted(engines)))
        advice = ", which is 'native' after Quantize('int8')" if engine == "native" else ", or precision='float32'"
        raise InputError(
            f"`engine` and `precision` must go together: {name} is computed by {known}. "
            f"Received: engine={engine!r}, precision={precision!r}. Use engine='auto'{advice}."
        )


def needs_flatbuffer(precision: str, calibrated: bool = False) -> bool:
    """Whether TensorFlow does not compute with it: what leaves Python is a quantized flatbuffer."""
    return "tensorflow" not in find_engines(precision, calibrated)


def check_encoder(shared: "SharedModel", precision: str, calibrated: bool = False) -> None:
    """Stops a model that no copy can be made of in this precision.

    Raises:
        InputError: if the precision is `bfloat16` or calibrated, and the encoder is not tfchain's own.
    """
    if (precision == "bfloat16" or calibrated) and shared.config is None:
        name = "calibrated 'int8'" if calibrated else f"{precision!r}"
        raise InputError(
            f"`precision` {name} needs one of tfchain's own encoders. "
            f"Received: {type(shared.model).__name__}. Use 'int8' or 'float16', which LiteRT makes of any Keras model."
        )


def make_compute_copy(
    encoder: "keras.Model", precision: Precision, calibration: "Calibration | None" = None, *, pad_token_id: int = 0
) -> "keras.Model":
    """The Keras model that the TensorFlow graph computes with; the encoder itself keeps its float weights.

    Args:
        encoder: The encoder.
        precision: `bfloat16` gives a copy with weights and products in bfloat16, pooling, heads and output in float32;
            `int8` with a calibration gives one with weights and products in int8, the rest in float32; all others give
            the encoder itself.
        calibration: The texts that ranges are measured on. Default: none.
        pad_token_id: Fills shorter ones of them up. Default: 0.

    Raises:
        InputError: if a range is not finite.
        TfchainError: if TensorFlow has no int8 products here.
    """
    from tfchain.models.encoders.encoder import make_blank_encoder

    if calibration is not None:
        from tfchain.models.engines.calibration import measure_input_ranges
        from tfchain.models.engines.int8_encoder import make_int8_copy
        from tfchain.models.engines.int8_product import check_int8_products

        check_int8_products()
        return make_int8_copy(encoder, measure_input_ranges(encoder, calibration, pad_token_id=pad_token_id))
    if precision != "bfloat16":
        return encoder
    copy = make_blank_encoder(encoder.config, name=encoder.name, dtype="bfloat16")
    copy.set_weights(encoder.get_weights())
    return copy
