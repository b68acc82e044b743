"""Precisions: the numbers that an encoder computes vectors with, and which engine computes in each."""

from typing import Any, Literal, get_args

from tfchain.core.errors import InputError

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
