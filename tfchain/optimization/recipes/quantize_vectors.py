"""The recipe that keeps an index's vectors in fewer bits."""

from dataclasses import dataclass
from typing import Literal, get_args

from tfchain.core.errors import InputError
from tfchain.models.indexes.storage import BinaryCodes, VectorStorage

QuantizedVectorPrecision = Literal["int8", "binary"]


@dataclass(frozen=True)
class QuantizeVectors:
    """Keeps the documents' vectors in fewer bits; the model and the vectors that it gives stay in float32.

    It is applied where vectors go into an index, and in the version that is exported: `search` and the server look
    through the small ones. `int8` takes a quarter of the memory and hardly changes a ranking. `binary` takes a 32nd;
    it ranks all documents by their bits, fast, and then scores the best ones again by the query in float32. The more
    dimensions, the less it loses.

    Args:
        precision: `int8` or `binary`.
        rescore_multiplier: For `binary`: of how many times `top_k` documents the score is worked out again; None for
            not at all. Default: 4.
        codes: For `binary`: `learned` fits what the bits stand for to the index's first vectors (4,096, and at least 16
            a dimension), which ranks better and takes a matrix of `dim` times `dim` numbers; it needs four different
            vectors a dimension, and is `signs` with a warning where there are fewer. `signs` takes the vector's own.
            Default: `learned`.

    Raises:
        InputError: if a value is out of range.
    """

    precision: QuantizedVectorPrecision
    rescore_multiplier: int | None = 4
    codes: BinaryCodes = "learned"

    def __post_init__(self) -> None:
        known = get_args(QuantizedVectorPrecision)
        if not isinstance(self.precision, str) or self.precision not in known:
            raise InputError(
                f"`precision` of QuantizeVectors must be one of {', '.join(known)}. "
                f"Received: precision={self.precision!r}."
            )
        object.__setattr__(self, "rescore_multiplier", self.storage.rescore_multiplier)

    @property
    def storage(self) -> VectorStorage:
        """What an index does."""
        return VectorStorage(self.precision, self.rescore_multiplier, self.codes)

    @property
    def label(self) -> str:
        """Its name in a report."""
        if self.precision == "int8":
            return "int8 vectors"
        rescored = "not rescored" if self.rescore_multiplier is None else f"rescored x{self.rescore_multiplier}"
        return f"binary vectors ({rescored}{', signs' if self.codes == 'signs' else ''})"
