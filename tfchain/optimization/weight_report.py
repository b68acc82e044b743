"""What pruning and clustering leave in an encoder's matrices, and how that changes the size of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.model import Model
from tfchain.optimization.measure import measure_files, measure_zipped_files
from tfchain.optimization.weight_matrices import find_matrices


@dataclass(frozen=True, kw_only=True)
class MatrixReport:
    """Zeros and distinct values of one matrix.

    Args:
        path: The layer's path.
        shape: Inputs and outputs of a Dense layer.
        num_zeros: The number of weights that are zero.
        num_values: The number of distinct values, zero included.
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
    """Zeros and distinct values by matrix, and the files' sizes; `print(report)` shows a table.

    Zeros and shared values make a file smaller only when it is compressed, and make nothing faster on a CPU: compare
    `size_bytes` and `zipped_bytes` with those of the original model, and measure the speed.

    Args:
        matrices: One report for each matrix.
        num_weights: The number of weights of the whole encoder.
        size_bytes: Size of all files that a server of the model needs.
        zipped_bytes: The same, with each file compressed by gzip.
    """

    matrices: Sequence[MatrixReport]
    num_weights: int
    size_bytes: int
    zipped_bytes: int

    @property
    def sparsity(self) -> float:
        """The share of zeros in all these matrices together."""
        return self.num_zeros / sum(matrix.size for matrix in self.matrices)

    @property
    def num_zeros(self) -> int:
        """The zeros in all these matrices together."""
        return sum(matrix.num_zeros for matrix in self.matrices)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain values for JSON; `sparsity_of_all` is the share of zeros among all of the encoder's weights."""
        return {
            "sparsity": self.sparsity,
            "sparsity_of_all": self.num_zeros / self.num_weights,
            "size_bytes": self.size_bytes,
            "zipped_bytes": self.zipped_bytes,
            "matrices": {
                matrix.path: {"shape": list(matrix.shape), "sparsity": matrix.sparsity, "num_values": matrix.num_values}
                for matrix in self.matrices
            },
        }

    def __str__(self) -> str:
        width = max(len(matrix.path) for matrix in self.matrices)
        lines = [
            f"{matrix.path:{width}}  {' x '.join(map(str, matrix.shape)):>12}  {matrix.sparsity:7.2%} zeros  "
            f"{matrix.num_values:>9,} values"
            for matrix in self.matrices
        ]
        return "\n".join(
            [
                *lines,
                f"zeros: {self.sparsity:.2%} of these matrices, {self.num_zeros / self.num_weights:.2%} of all weights",
                f"files: {self.size_bytes / 1e6:.1f} MB on disk, {self.zipped_bytes / 1e6:.1f} MB zipped",
            ]
        )


def report_weights(text_encoder: Model, layers: Sequence[str] = ()) -> WeightReport:
    """Counts zeros and distinct values; writes the files that a server needs, compresses them, and removes them again.

    Args:
        text_encoder: Any text encoder, or model of another task, with products.
        layers: Patterns of layer paths, as in `Prune`. Default: all products, and no embedding.

    Raises:
        InputError: if there are no such matrices.
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or the disk is full.
    """
    found = find_matrices(text_encoder.keras_model, layers, recipe="A report of weights")
    arrays = [np.array(matrix.variable) for matrix in found]
    return WeightReport(
        matrices=tuple(
            MatrixReport(
                path=matrix.path,
                shape=tuple(array.shape),
                num_zeros=int(np.sum(array == 0)),
                num_values=len(np.unique(array)),
            )
            for matrix, array in zip(found, arrays, strict=True)
        ),
        num_weights=int(text_encoder.keras_model.count_params()),
        size_bytes=sum(measure_files(text_encoder).values()),
        zipped_bytes=sum(measure_zipped_files(text_encoder).values()),
    )
