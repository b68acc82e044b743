"""The recipe that stores an index's vectors in fewer bits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.models.indexes.storage import BinaryCodes, VectorStorage
from tfchain.optimization.recipes.base import Materials, Recipe

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder

QuantizedVectorPrecision = Literal["int8", "binary"]


@dataclass(frozen=True)
class QuantizeVectors(Recipe):
    """Stores the documents' vectors in fewer bits; the model and its vectors stay in float32.

    It takes effect when vectors go into an index, and in an exported version: `search` and the server look through the
    small vectors. `int8` takes a quarter of the memory and hardly changes a ranking. `binary` takes a 32nd; it ranks
    all documents by their bits, fast, and then rescores the best ones with the float32 query. The more dimensions, the
    less it loses.

    Args:
        precision: `int8` or `binary`.
        rescore_multiplier: For `binary`: rescores this many times `top_k` documents; None rescores none. Default: 4.
        codes: For `binary`: `learned` fits the values that the bits represent to the index's first vectors (4,096, and
            at least 16 per dimension), which ranks better and takes a matrix of `dim` times `dim` numbers; it needs
            four distinct vectors per dimension, and falls back to `signs` with a warning if there are fewer. `signs`
            uses the signs of the vector's own values. Default: `learned`.

    Raises:
        InputError: if a value is out of range.
    """

    place: ClassVar[int] = 8

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
        """How an index stores its vectors."""
        return VectorStorage(self.precision, self.rescore_multiplier, self.codes)

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        if self.precision == "int8":
            return "int8 vectors"
        rescored = "not rescored" if self.rescore_multiplier is None else f"rescored x{self.rescore_multiplier}"
        return f"binary vectors ({rescored}{', signs' if self.codes == 'signs' else ''})"

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        return text_encoder.with_vector_storage(self.storage)
