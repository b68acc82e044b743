"""The precisions in which an encoder computes vectors, and the engines of each."""

from typing import Any, Literal, get_args

from tfchain.core.errors import InputError

Precision = Literal["float32", "bfloat16", "float16", "int8"]
EngineName = Literal["auto", "tensorflow", "litert", "native", "numpy"]
CALIBRATED = "calibrated int8"
# The table of engines by precision, in the order in which `auto` tries them. A faster engine is added at the
# beginning of a row.
ENGINES_OF: dict[str, tuple[EngineName, ...]] = {
    "float32": ("litert", "tensorflow"),
    "bfloat16": ("tensorflow",),
    "float16": ("litert",),
    "int8": ("native", "litert"),
    CALIBRATED: ("tensorflow",),
}
# The same for static encoders, tables of token vectors. TensorFlow has their int8 and float16, too.
STATIC_ENGINES_OF: dict[str, tuple[EngineName, ...]] = {
    "float32": ("numpy", "litert", "tensorflow"),
    "bfloat16": ("tensorflow",),
    "float16": ("numpy", "tensorflow"),
    "int8": ("numpy", "tensorflow"),
    CALIBRATED: ("tensorflow",),
}
# The largest difference between two correct computations of a vector or a score, relative to the largest value if that
# is above 1. It comes from rounding, which depends on padding and batch. bfloat16 has 8 bits: 2**-8 is 0.004, and the
# errors of layers add up. With int8, a value between two steps may be rounded to either. With float16, only weights
# are rounded; the computation is in float32.
TOLERANCES = {"float32": 1e-5, "float16": 1e-5, "bfloat16": 1e-2, "int8": 1e-2}


def find_engines(precision: str, calibrated: bool = False, is_static: bool = False) -> tuple[EngineName, ...]:
    """Returns the engines that compute in a precision, in the order in which `auto` prefers them.

    Args:
        precision: A `Precision`.
        calibrated: Whether the ranges of activations are measured before; for `int8`. Default: False.
        is_static: Whether the encoder is a static one, a table of token vectors. Default: False.
    """
    return (STATIC_ENGINES_OF if is_static else ENGINES_OF)[CALIBRATED if calibrated else precision]


def check_precision(precision: Any, engine: str = "auto", calibrated: bool = False, is_static: bool = False) -> None:
    """Checks that a precision is known, and that the engine has it.

    Args:
        precision: The value to check.
        engine: `auto`, `tensorflow`, `litert`, `native` or `numpy`. Default: `auto`, which has every precision.
        calibrated: Whether the ranges of activations are measured before. Default: False.
        is_static: Whether the encoder is a static one. Default: False.

    Raises:
        InputError: if the precision is unknown, or cannot be combined with the engine or a calibration.
    """
    if not isinstance(precision, str) or precision not in get_args(Precision):
        raise InputError(
            f"`precision` must be one of {', '.join(get_args(Precision))}. Received: precision={precision!r}."
        )
    if calibrated and precision != "int8":
        raise InputError(f"`calibration` is only for 'int8'. Received: precision={precision!r}. Leave it out.")
    engines = find_engines(precision, calibrated, is_static)
    if engine != "auto" and engine not in engines:
        name, known = CALIBRATED if calibrated else precision, " or ".join(map(repr, sorted(engines)))
        advice = ", which is 'native' after Quantize('int8')" if engine == "native" else ", or precision='float32'"
        raise InputError(
            f"`engine` must support the `precision`: {name} is computed by {known}. "
            f"Received: engine={engine!r}, precision={precision!r}. Use engine='auto'{advice}."
        )


def needs_flatbuffer(precision: str, calibrated: bool = False, is_static: bool = False) -> bool:
    """Returns whether TensorFlow does not compute in a precision, so that a quantized flatbuffer is exported."""
    return "tensorflow" not in find_engines(precision, calibrated, is_static)
