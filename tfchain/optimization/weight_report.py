"""What pruning and clustering left in an encoder's matrices, and what that does to the size of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.measure import measure_files, measure_zipped_files
from tfchain.optimization.weight_matrices import find_matrices


@dataclass(frozen=True, kw_only=True)
class MatrixReport:
    """Zeros and different values of one matrix.

    Args:
        path: The layer's path.
        shape: Inputs and outputs of a Dense layer.
        num_zeros: Weights that are zero.
        num_values: Different values, zero among them.
    """

    path: str
    shape: tuple[int, ...]
    num_zeros: int
    num_values: int

    @property
    def sparsity(self) -> float:
        """The share of zeros."""
        return self.num_zeros / self.size

    @property
    def size(self) -> int:
        """The number of weights."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, kw_only=True)
class WeightReport:
    """Zeros and different values by matrix, and the files' sizes; `print(report)` shows a table.

    Zeros and shared values make no file smaller before it is zipped, and nothing faster on a CPU: compare
    `size_bytes` and `zipped_bytes` with those of the model before, and measure the speed.

    Args:
        matrices: One report each.
        num_weights: Of the whole encoder.
        size_bytes: All files that a server of the model needs.
        zipped_bytes: The same, each zipped by gzip.
    """

    matrices: Sequence[MatrixReport]
    num_weights: int
    size_bytes: int
    zipped_bytes: int

    @property
    def sparsity(self) -> float:
        """The share of zeros in all these matrices together."""
        return self.num_zeros / sum(one.size for one in self.matrices)

    @property
    def num_zeros(self) -> int:
        """The zeros in all these matrices together."""
        return sum(one.num_zeros for one in self.matrices)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain values for JSON; `sparsity_of_all` is the share of zeros among all of the encoder's weights."""
        return {
            "sparsity": self.sparsity,
            "sparsity_of_all": self.num_zeros / self.num_weights,
            "size_bytes": self.size_bytes,
            "zipped_bytes": self.zipped_bytes,
            "matrices": {
                one.path: {"shape": list(one.shape), "sparsity": one.sparsity, "num_values": one.num_values}
                for one in self.matrices
            },
        }

    def __str__(self) -> str:
        width = max(len(one.path) for one in self.matrices)
        lines = [
            f"{one.path:{width}}  {' x '.join(map(str, one.shape)):>12}  {one.sparsity:7.2%} zeros  "
            f"{one.num_values:>9,} values"
            for one in self.matrices
        ]
        return "\n".join(
            [
                *lines,
                f"zeros: {self.sparsity:.2%} of these matrices, {self.num_zeros / self.num_weights:.2%} of all weights",
                f"files: {self.size_bytes / 1e6:.1f} MB on disk, {self.zipped_bytes / 1e6:.1f} MB zipped",
            ]
        )


def report_weights(text_encoder: TextEncoder, layers: Sequence[str] = ()) -> WeightReport:
    """Counts zeros and different values; writes the files that a server needs, zips them, and removes them again.

    Args:
        text_encoder: Any text encoder with products.
        layers: Patterns of layer paths, as in `Prune`. Default: all products, and no embedding.

    Raises:
        InputError: if there are no such matrices.
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or the disk is full.
    """
    found = find_matrices(text_encoder.own_encoder, layers, recipe="A report of weights")
    arrays = [np.array(one.variable) for one in found]
    return WeightReport(
        matrices=tuple(
            MatrixReport(
                path=one.path,
                shape=tuple(array.shape),
                num_zeros=int(np.sum(array == 0)),
                num_values=len(np.unique(array)),
            )
            for one, array in zip(found, arrays, strict=True)
        ),
        num_weights=int(text_encoder.own_encoder.count_params()),
        size_bytes=sum(measure_files(text_encoder).values()),
        zipped_bytes=sum(measure_zipped_files(text_encoder).values()),
    )
