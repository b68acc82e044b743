"""The hyperparameters of training and encoding, checked when they are set."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt"]
Batches = Literal["random", "no_duplicates", "length", "no_duplicates_by_length"]
DTypePolicy = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class HyperparameterOptions(TypedDict, total=False):
    """The keyword arguments of `fit` and of the chain's constructor; `Hyperparameters` documents each."""

    weight_decay: float
    warmup: float
    schedule: Schedule
    max_gradient_norm: float | None
    accumulation_steps: int
    mini_batch_size: int | None
    ema_momentum: float | None
    dtype_policy: DTypePolicy
    dropout: float | None
    freeze: Sequence[str]
    lora_rank: int | None
    remat: bool
    jit_compile: bool
    batches: Batches
    mask_false_negatives: bool
    drop_remainder: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """A chain's hyperparameters.

    Args:
        learning_rate: The optimizer's largest step size, above 0 and at most 1. Default: 2e-5.
        batch_size: Texts per encoding step and pairs per training step, over all replicas. Default: 32.
        epochs: Passes over the training data, at least 1. Default: 1.
        weight_decay: AdamW's decoupled decay (Loshchilov and Hutter 2019), in [0, 1), of all weights except biases and
            normalisations. Default: 0.
        warmup: Steps over which the learning rate rises from 0: below 1 a share of all steps, otherwise a number of
            steps. Default: 0.1.
        schedule: How the learning rate falls after the warmup: `linear` or `cosine`, to 0 after the last step;
            `inverse_sqrt`, with the root of the steps, as translation models are trained from nothing; or `constant`.
            Default: `linear`.
        max_gradient_norm: Gradients with a larger norm (over all weights together) are scaled down to it; None disables
            clipping. Default: 1.
        accumulation_steps: Batches whose gradients are averaged before the weights change. In-batch negatives do not
            cross batches: for more negatives, use `mini_batch_size`. Default: 1.
        mini_batch_size: GradCache: the number of texts encoded at once, so that a `batch_size` of thousands needs the
            memory of this many texts; costs one more forward pass. Default: none, the whole batch at once.
        ema_momentum: The trained model is an exponential moving average of the weights; this is the share of the old
            average kept in each step, in (0, 1), such as 0.999. Default: none, no averaging.
        dtype_policy: `float32`; `mixed_bfloat16` computes in bfloat16 with float32 weights (GPUs from Ampere on, TPUs,
            CPUs with AVX-512 BF16 or AMX); `mixed_float16` is for older GPUs, with loss scaling. Default: `float32`.
        dropout: The rate of all of the encoder's dropouts during training, in [0, 1). Default: the model's own rates.
        freeze: `fnmatch` patterns of the paths of layers that are not trained, such as `embeddings` or `layer_[0-3]`;
            where queries have an encoder of their own: `documents`, `queries`, `queries/embeddings`. Default: none.
        lora_rank: Trains low-rank additions to the products' kernels (Hu et al. 2021) instead of the weights, which
            takes less memory for the optimizer; merged at the end. Default: none, all weights are trained.
        remat: Discards the layers' activations and recomputes them for the gradients: less memory, a third more time.
            Default: False.
        jit_compile: Compiles the step with XLA. It was slower on two CPU cores; on a GPU, use it with texts of equal
            length. Default: False.
        batches: `random`; `no_duplicates`: no text twice in a batch; `length`: texts of similar length together, which
            saves padding; `no_duplicates_by_length`: both. Default: `no_duplicates`.
        mask_false_negatives: Whether documents that are not negatives (the same text, the same query's, judged
            relevant) are left out of in-batch softmaxes. Default: True.
        drop_remainder: Whether the last batch of an epoch is left out if it is not full. TPUs need it. Default: False.
        seed: The seed of shuffling, dropout and new weights, at least 0. Default: 0.

    Raises:
        InputError: if a value has the wrong type or is out of range.
    """

    learning_rate: float = 2e-5
    batch_size: int = 32
    epochs: int = 1
    weight_decay: float = 0.0
    warmup: float = 0.1
    schedule: Schedule = "linear"
    max_gradient_norm: float | None = 1.0
    accumulation_steps: int = 1
    mini_batch_size: int | None = None
    ema_momentum: float | None = None
    dtype_policy: DTypePolicy = "float32"
    dropout: float | None = None
    freeze: Sequence[str] = ()
    lora_rank: int | None = None
    remat: bool = False
    jit_compile: bool = False
    batches: Batches = "no_duplicates"
    mask_false_negatives: bool = True
    drop_remainder: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_number("learning_rate", 0, 1, "2e-5 is usual for a pretrained encoder.", above=True, up_to=True)
        self._check_number("weight_decay", 0, 1, "0.01 is usual.")
        self._check_number("warmup", 0, math.inf, "0.1 warms up over a tenth of all steps.")
        if self.warmup >= 1 and self.warmup != int(self.warmup):
            raise InputError(
                f"`warmup` must be a share of all steps below 1, or a whole number of steps. Received: "
                f"warmup={self.warmup}.",
                argument="warmup",
            )
        for name, advice in (("max_gradient_norm", "1.0 is usual."), ("ema_momentum", "0.999 is usual.")):
            if getattr(self, name) is not None:
                self._check_number(name, 0, 1 if name == "ema_momentum" else math.inf, advice, above=True)
        if self.dropout is not None:
            self._check_number("dropout", 0, 1, "0.1 is usual.")
        for name, least in (("batch_size", 1), ("epochs", 1), ("accumulation_steps", 1), ("seed", 0)):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name), least=least))  # never NumPy's
        for name in ("mini_batch_size", "lora_rank"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_whole_number(name, getattr(self, name)))
        self._check_choices()
        patterns = (self.freeze,) if isinstance(self.freeze, str) else self.freeze
        if not isinstance(patterns, Sequence) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise InputError(
                f"`freeze` must be a list of patterns of layer paths. Received: freeze={self.freeze!r}.",
                argument="freeze",
            )
        object.__setattr__(self, "freeze", tuple(patterns))

    def _check_choices(self) -> None:
        for name, choices in (("schedule", Schedule), ("batches", Batches), ("dtype_policy", DTypePolicy)):
            if getattr(self, name) not in get_args(choices):
                raise InputError(
                    f"`{name}` must be one of {', '.join(get_args(choices))}. "
                    f"Received: {name}={getattr(self, name)!r}.",
                    argument=name,
                )
        for name in ("remat", "jit_compile", "mask_false_negatives", "drop_remainder"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(
                    f"`{name}` must be True or False. Received: {name}={getattr(self, name)!r}.", argument=name
                )

    def _check_number(
        self, name: str, least: float, most: float, advice: str, *, above: bool = False, up_to: bool = False
    ) -> None:
        value = getattr(self, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if (
            not is_number
            or not (least < value if above else least <= value)
            or not (value < most or (up_to and value == most))
        ):
            lower = f"above {least}" if above else f"at least {least}"
            upper = "" if most == math.inf else f" and at most {most}" if up_to else f" and below {most}"
            raise InputError(
                f"`{name}` must be a number {lower}{upper}. Received: {name}={value!r}. {advice}", argument=name
            )

    def replace(self, **changes: Any) -> "Hyperparameters":
        """Returns a copy with other values.

        Raises:
            InputError: if a name is not a hyperparameter, or a value is out of range.
        """
        unknown = [name for name in changes if name not in HYPERPARAMETER_NAMES]
        if unknown:
            raise InputError(
                f"There is no hyperparameter `{unknown[0]}`. Expected one of: {', '.join(HYPERPARAMETER_NAMES)}."
            )
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**dataclasses.asdict(self), "freeze": list(self.freeze)}


HYPERPARAMETER_NAMES = tuple(field.name for field in dataclasses.fields(Hyperparameters))
