"""The recipe that computes with smaller numbers after training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Materials, Recipe

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder

QuantizedPrecision = Literal["int8", "float16", "bfloat16"]


@dataclass(frozen=True)
class Quantize(Recipe):
    """Computes vectors with smaller numbers after training; the float weights stay, and a second `fit` trains them.

    On a CPU `int8` is the smallest and fastest: weights of 8 bits, activations quantized at run time, on tfchain's own
    kernels (x86-64 Linux with AVX-512 VNNI) or by LiteRT (which needs VNNI or similar to be fast). The two round
    differently: their vectors differ from each other about as much as from float32's. With `calibrated=True` the
    activations' ranges are measured once, on texts, and TensorFlow computes through oneDNN, in Python and in a version
    for TensorFlow Serving, with the same vectors; one query takes longer. Without it, an export measures them on the
    chain's documents. `bfloat16` stays in TensorFlow, so a version for stock TensorFlow Serving computes in it, too; it
    needs a processor that multiplies in bfloat16 to be fast. `float16` halves the weights of LiteRT's model and
    computes as float32 does.

    Args:
        precision: `int8`, `float16` or `bfloat16`.
        calibrated: Whether the activations' ranges are measured on texts, for `int8`. Default: False.

    Raises:
        InputError: if the precision is unknown, or `calibrated` does not go with it.
    """

    place: ClassVar[int] = 7

    precision: QuantizedPrecision
    calibrated: bool = False

    def __post_init__(self) -> None:
        known = get_args(QuantizedPrecision)
        if not isinstance(self.precision, str) or self.precision not in known:
            raise InputError(
                f"`precision` of Quantize must be one of {', '.join(known)}. Received: precision={self.precision!r}."
            )
        if not isinstance(self.calibrated, bool) or (self.calibrated and self.precision != "int8"):
            raise InputError(
                "`calibrated` of Quantize must be False, or True with 'int8'. "
                f"Received: precision={self.precision!r}, calibrated={self.calibrated!r}. Leave it out."
            )

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        return f"{self.precision}, calibrated" if self.calibrated else self.precision

    @property
    def needs_text_encoder(self) -> bool:
        """Whether it works on text encoders only, as a calibration on texts does."""
        return self.calibrated

    def check_processor(self) -> None:
        if self.calibrated:
            from tfchain.models.engines.int8_product import check_int8_products

            check_int8_products()

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        calibration = text_encoder.calibrate(materials.texts or ()) if self.calibrated else None
        return text_encoder.with_precision(self.precision, calibration=calibration)
