"""The configuration of a Dense layer after the pooling: a module of sentence-transformers, or a task's head."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from tfchain.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """A Dense module after the pooling.

    Args:
        in_dim: Width of the input.
        out_dim: Width of the output.
        use_bias: Whether a bias is added. Default: True.
        activation: `tanh`, `linear`, `relu`, `gelu` or `sigmoid`. Default: `tanh`, as in sentence-transformers.
        dropout: Rate on the input while training, in [0, 1), as classifiers of transformers have it. Default: 0.

    Raises:
        InputError: if the rate is out of range.
    """

    in_dim: int
    out_dim: int
    use_bias: bool = True
    activation: Literal["tanh", "linear", "relu", "gelu", "sigmoid"] = "tanh"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"`dropout` must be in [0, 1). Received: dropout={self.dropout!r}.", argument="dropout")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; without a rate of 0, which keeps the fingerprints of encoders without one."""
        values = dataclasses.asdict(self)
        if not self.dropout:
            del values["dropout"]
        return values
