"""The recipe that exposes training to the rounding of small numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tfchain.core.checks import check_patterns, check_whole_number
from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Recipe, TrainingRecipe

if TYPE_CHECKING:
    from tfchain.training.fit.training_hook import TrainingHook

MOST_BITS = 8


@dataclass(frozen=True, kw_only=True)
class QuantizeAware(TrainingRecipe):
    """Rounds the encoder's products and embeddings while it trains, so that the weights adapt to the rounding.

    Follow it with `Distill`, or pass it to `chain.fit(..., recipes=[QuantizeAware()])`, and quantize afterwards:
    `[QuantizeAware(), Distill(), Quantize("int8")]`. Values are rounded to the steps of small whole numbers and stay
    floats, and gradients pass as if there were no rounding (the straight-through estimator; Jacob et al. 2018,
    https://arxiv.org/abs/1712.05877): weights to symmetric steps, each output with its own, as in LiteRT's int8; inputs
    to steps between moving averages of their smallest and largest values; and embeddings to steps of the whole table,
    also as in LiteRT's int8. The resulting encoder is a plain one. Without training it has no effect, so it is refused.
    Worth it if `Quantize("int8")` alone costs ranking quality, which it seldom does with 8 bits.

    Args:
        weight_bits: Bits of the weights, 2 to 8. Default: 8.
        activation_bits: Bits of the products' inputs, 2 to 8; None leaves them unchanged. Default: 8.
        embedding_bits: Bits of embedding tables with more than 1,024 values (LiteRT quantizes no smaller ones), 2 to 8;
            None leaves them unchanged. Default: 8.
        ema_decay: Share of the old value in the moving averages, in [0, 1); they begin as a mean of all values so far.
            Default: 0.999.
        layers: Patterns of layer paths, as in `Prune`. Default: all products (Dense layers) and embeddings.

    Raises:
        InputError: if a value is out of range.
    """

    place: ClassVar[int] = 3

    weight_bits: int = 8
    activation_bits: int | None = 8
    embedding_bits: int | None = 8
    ema_decay: float = 0.999
    layers: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits", "embedding_bits"):
            value = getattr(self, name)
            if value is None and name != "weight_bits":
                continue
            checked = check_whole_number(name, value, least=2)
            if checked > MOST_BITS:
                raise InputError(
                    f"`{name}` must be from 2 to {MOST_BITS}. Received: {name}={value!r}. Use 8 for int8.",
                    argument=name,
                )
            object.__setattr__(self, name, checked)
        decay = self.ema_decay
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1:
            raise InputError(
                f"`ema_decay` must be in [0, 1). Received: ema_decay={decay!r}. 0.999 is usual.", argument="ema_decay"
            )
        object.__setattr__(self, "layers", check_patterns("layers", self.layers))

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        activations = "" if self.activation_bits is None else f"a{self.activation_bits}"
        embeddings = {8: "", None: ", float embeddings"}.get(self.embedding_bits, f"e{self.embedding_bits}")
        layers = f", {' '.join(self.layers)}" if self.layers else ""
        return f"qat(w{self.weight_bits}{activations}{embeddings}{layers})"

    def check_list(self, recipes: Sequence[Recipe], *, trains: bool) -> None:
        if not trains:
            raise InputError(
                "QuantizeAware acts only while training. Received: no Distill after it. Add Distill(), or give it to "
                "`chain.fit(..., recipes=[QuantizeAware()])`; without a training take Quantize('int8')."
            )

    def make_hook(self, seed: int = 0) -> "TrainingHook":
        from tfchain.optimization.quantization_aware import QuantizationAwareHook

        return QuantizationAwareHook(self)
