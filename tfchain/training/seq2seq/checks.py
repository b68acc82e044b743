"""What of the chain's hyperparameters and options a training from text to text takes, and what it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.checks import check_whole_number, check_writable
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.training.distributed.strategies import find_task, is_tpu
from tfchain.training.fit.callback_checks import check_callbacks_fit
from tfchain.training.fit.checks import check_replicas
from tfchain.training.fit.divergence import find_not_finite
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation

# What has no meaning here: the field, the value that asks for nothing, and why it cannot be taken.
REFUSED_HYPERPARAMETERS: Sequence[tuple[str, Any, str]] = (
    ("mini_batch_size", None, "it is for losses over a whole batch; use a smaller batch and `accumulation_steps`"),
    ("mask_false_negatives", True, "there are no negatives"),
    ("remat", False, "layers of a decoder are not recomputed"),
    ("jit_compile", False, "batches have the lengths of their texts"),
    ("drop_remainder", False, "every row is trained on; batches need not be full"),
)
REFUSED_OPTIONS: Sequence[tuple[str, Any, str]] = (
    ("loss", None, "the loss is the cross entropy of the target's tokens; set `label_smoothing`"),
    ("mining", None, "there are no negatives to mine"),
    ("cross_check", None, "there are no negatives to check"),
    ("guide", None, "a teacher writes the targets: see `TranslationChain.write_targets`"),
    ("augment", (), "change the rows before training, such as with `TranslationChain.write_sources`"),
    ("data_service", None, "rows are in memory"),
    ("mixing", "round_robin", "there is one dataset: join several, and repeat the rows that are to count more"),
    ("length_groups", 4, "rows of a batch have similar lengths already"),
)


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """How targets are taught, and how many tokens a batch has.

    Args:
        label_smoothing: The part of the target distribution that is spread over the vocabulary, in [0, 1): see
            `smoothed_cross_entropy`. Default: 0.1.
        batch_tokens: The most tokens of a batch's sources, and of its targets, padding included; then `batch_size`
            counts for generation only. Default: none, a batch has `batch_size` rows.

    Raises:
        InputError: if a value is out of range.
    """

    label_smoothing: float = 0.1
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        is_number = isinstance(self.label_smoothing, int | float) and not isinstance(self.label_smoothing, bool)
        if not is_number or not 0 <= self.label_smoothing < 1:
            raise InputError(
                f"`label_smoothing` must be in [0, 1). Received: label_smoothing={self.label_smoothing!r}. 0.1 is "
                "usual.",
                argument="label_smoothing",
            )
        if self.batch_tokens is not None:
            check_whole_number("batch_tokens", self.batch_tokens, advice="4096 is usual.")


def check_options(hyperparameters: Hyperparameters, options: FitOptions) -> None:
    """Raises an `InputError` for what a training from text to text does not have."""
    for values, refused in ((hyperparameters, REFUSED_HYPERPARAMETERS), (options, REFUSED_OPTIONS)):
        for name, nothing, why in refused:
            given = getattr(values, name)
            if given != nothing and not (nothing == () and not given):
                raise InputError(
                    f"`{name}` does not apply to a training of translations: {why}. Received: {name}={given!r:.60}. "
                    "Leave it out.",
                    argument=name,
                )


def check_arguments(
    network: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
    evaluate: Evaluate | None,
    validation: Validation | None,
) -> None:
    """Raises an `InputError` if the arguments do not fit together."""
    check_options(hyperparameters, options)
    check_replicas(hyperparameters, strategy)
    if is_tpu(strategy):
        raise InputError("A training of translations has batches of any length, which TPUs do not compute. Use GPUs.")
    if validation is not None and evaluate is None:
        raise InputError(
            "`validation` needs a function that measures. Received: evaluate=None. Give one, or use `chain.fit`."
        )
    metrics = () if evaluate is None else (validation or Validation(dataset=None)).metrics
    check_callbacks_fit(options.callbacks, hyperparameters, metrics)
    if options.log_path is not None and find_task(strategy)[0] == 0:
        check_writable("log_path", Path(options.log_path))
    found = find_not_finite(network.weights)
    if found is not None:
        raise InputError(
            f"The model's weights must be finite numbers. Received: NaN or infinity in {found}. Load the model again "
            "from a sound copy."
        )
