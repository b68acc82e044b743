"""How an index keeps its vectors, as plain values: in float32, in int8, or as signs alone."""

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
        precision: `float32`, 4 bytes a dimension; `int8`, one byte a dimension and a scale of 4 bytes a vector;
            `binary`, one bit a dimension. Default: `float32`.
        rescore_multiplier: For `binary`: of how many times `top_k` documents the score is worked out again with the
            query in float32, after all were compared by their bits alone; None for not at all. Default: 4.
        codes: For `binary`: `signs` are the vector's own; `learned` fits what the bits stand for (see
            `indexes.binary_codebook`) to the vectors that come in first: 4,096 and at least 16 a dimension, or all that
            come at once. Where these are fewer than four different ones a dimension, signs are taken, and a warning
            says so. An index that is made again (`reindex`) learns anew. Default: `learned`.

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
            asked = check_whole_number(
                "rescore_multiplier", self.rescore_multiplier, advice="Give None for no rescoring."
            )
            object.__setattr__(self, "rescore_multiplier", asked)

    def check_similarity(self, similarity: str) -> None:
        """Stops bits for scalar products: they keep directions, not lengths.

        Raises:
            InputError: if vectors are binary and the similarity is `dot`.
        """
        if self.precision == "binary" and similarity == "dot":
            raise InputError(
                "Binary vectors need the similarity 'cosine', as they do not keep lengths. "
                "Received: similarity='dot'. Use int8 vectors."
            )

    @property
    def is_plain(self) -> bool:
        """Whether vectors are kept as the model gives them."""
        return self.precision == "float32"

    def to_dict(self) -> dict[str, Any]:
        """What counts for this precision, as plain values for JSON; `from_dict` reads them."""
        return dataclasses.asdict(self) if self.precision == "binary" else {"precision": self.precision}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> "VectorStorage":
        """Reads what `to_dict` wrote; float32 for None."""
        check_known_settings(values or {}, [one.name for one in dataclasses.fields(cls)])
        return cls(**(values or {}))


FLOAT_VECTORS = VectorStorage()
