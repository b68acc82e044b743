"""How an index keeps its vectors, as plain values: in float32, in int8, or in bits."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.checks import check_known_settings, check_whole_number
from tfchain.core.errors import InputError

VectorPrecision = Literal["float32", "int8", "binary"]
BinaryCodes = Literal["learned", "signs"]


@dataclass(frozen=True)
class VectorStorage:
    """How the vectors of an index are kept, and how they are searched.

    Args:
        precision: `float32`, 4 bytes per dimension; `int8`, a byte per dimension and a scale of 4 bytes per vector;
            `binary`, a bit per dimension. Default: `float32`.
        rescore_multiplier: For `binary`: `top_k` times this number is how many documents are scored again with the
            query in float32, after all have been compared by their bits; None for no rescoring. Default: 4.
        codes: For `binary`: `signs` stores the vector's signs; `learned` fits a codebook (see
            `indexes.binary_codebook`) to the first vectors: 4,096 and at least 16 per dimension, or all that are added
            at once. If there are fewer than four different vectors per dimension, signs are stored, and a warning is
            logged. An index that is made again (`reindex`) learns again. Default: `learned`.

    Raises:
        InputError: if a value is out of range.
    """

    precision: VectorPrecision = "float32"
    rescore_multiplier: int | None = 4
    codes: BinaryCodes = "learned"

    def __post_init__(self) -> None:
        known = get_args(VectorPrecision)
        if not isinstance(self.precision, str) or self.precision not in known:
            raise InputError(
                f"`precision` of vectors must be one of {', '.join(known)}. Received: precision={self.precision!r}."
            )
        if not isinstance(self.codes, str) or self.codes not in get_args(BinaryCodes):
            raise InputError(
                f"`codes` of vectors must be one of {', '.join(get_args(BinaryCodes))}. Received: codes={self.codes!r}."
            )
        if self.rescore_multiplier is not None:
            multiplier = check_whole_number(
                "rescore_multiplier", self.rescore_multiplier, advice="Give None for no rescoring."
            )
            object.__setattr__(self, "rescore_multiplier", multiplier)

    def check_similarity(self, similarity: str) -> None:
        """Checks that the storage suits a similarity: bits keep directions, not lengths.

        Raises:
            InputError: if vectors are binary and the similarity is `dot`.
        """
        if self.precision == "binary" and similarity == "dot":
            raise InputError(
                "Binary vectors need the similarity 'cosine', because they do not keep lengths. "
                "Received: similarity='dot'. Use int8 vectors."
            )

    @property
    def is_plain(self) -> bool:
        """Whether vectors are stored as the model computes them."""
        return self.precision == "float32"

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings that matter for this precision, as plain values for JSON; `from_dict` reads them."""
        return dataclasses.asdict(self) if self.precision == "binary" else {"precision": self.precision}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> "VectorStorage":
        """Reads what `to_dict` wrote; returns float32 storage for None."""
        check_known_settings(values or {}, [item.name for item in dataclasses.fields(cls)])
        return cls(**(values or {}))


FLOAT_VECTORS = VectorStorage()
