"""What steps of preparing data need of a model, as plain functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.models.text_encoder import TextEncoder


@dataclass(frozen=True)
class StepCallable:
    """A function of a model that knows which model it is.

    Args:
        function: The function.
        text_encoder: The model.
    """

    function: Callable[..., Any]
    text_encoder: TextEncoder

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    @property
    def fingerprint(self) -> str:
        """The model's fingerprint, by which a run that is continued knows another model."""
        return self.text_encoder.fingerprint


def make_step_callables(text_encoder: TextEncoder, *, batch_size: int = 32) -> dict[str, StepCallable]:
    """Makes the callables that steps may need.

    Args:
        text_encoder: The model.
        batch_size: The most texts in one step of encoding. Default: 32.

    Returns:
        `count_tokens`, the number of tokens of each text without special tokens, and `encode`, the vectors of
        documents, float32 `(texts, dim)`.
    """

    def encode(texts: Sequence[str]) -> Any:
        return text_encoder.encode_document(texts, batch_size=batch_size, progress=False)

    return {
        "count_tokens": StepCallable(text_encoder.tokenizer.count_tokens, text_encoder),
        "encode": StepCallable(encode, text_encoder),
    }
