"""The recipe that computes with smaller numbers after training."""

from dataclasses import dataclass
from typing import Literal, get_args

from tfchain.core.errors import InputError

QuantizedPrecision = Literal["int8", "float16", "bfloat16"]


@dataclass(frozen=True)
class Quantize:
    """Computes vectors with smaller numbers after training; the float weights stay, and a second `fit` trains them.

    On a CPU `int8` is the smallest and fastest: LiteRT with weights of 8 bits, activations quantized as they come (it
    needs VNNI or the like to be fast). `bfloat16` stays in TensorFlow, so a version for stock TensorFlow Serving
    computes in it, too; it needs a processor with products in bfloat16 to be fast. `float16` halves the weights of
    LiteRT's model and computes as float32 does.

    Args:
        precision: `int8`, `float16` or `bfloat16`.

    Raises:
        InputError: if it is another one.
    """

    precision: QuantizedPrecision

    def __post_init__(self) -> None:
        known = get_args(QuantizedPrecision)
        if not isinstance(self.precision, str) or self.precision not in known:
            raise InputError(
                f"`precision` of Quantize must be one of {', '.join(known)}. Received: precision={self.precision!r}."
            )

    @property
    def label(self) -> str:
        """Its name in a report."""
        return self.precision
