"""The step that removes records whose texts mean the same as an earlier record's, by an encoder that is handed in."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.deduplication.compared_text import check_columns, compared_texts
from tfchain.data.deduplication.growing_array import GrowingArray
from tfchain.data.deduplication.sketches import check_threshold
from tfchain.data.steps.record import Record, record_id
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

RECORDS_AT_ONCE = 1024
VECTORS_AT_ONCE = 16384
STORAGES = ("float32", "int8")

Array = np.ndarray[Any, Any]
Encode = Callable[[Sequence[str]], Any]


@dataclass
class SemanticState:
    """The vectors of the records kept so far, and their ids; no vectors before the first record."""

    vectors: GrowingArray | None = None
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RemoveSemanticDuplicates(Step):
    """Removes records whose texts mean the same as an earlier record's that stays: cosine of their vectors.

    Each record is compared with all that were kept before, so the time grows with the square of their number; for
    millions of records let `RemoveNearDuplicates` go first, or run it by parts. It keeps each vector: 4 bytes a value,
    or 1 with `int8`, which changes a cosine by up to 0.01.

    What makes two texts mean the same depends on the encoder: look at what a threshold drops before you rely on it.

    Args:
        threshold: The least cosine that makes a duplicate. Default: 0.95.
        storage: How vectors are kept: `float32` or `int8`. Default: `float32`.
        columns: Columns of rows to compare, such as `["positive"]`. Default: all texts.
        encode: Takes texts, returns their vectors, `(n, dim)`, such as a chain's `encode`. A file of settings cannot
            name it: whoever runs the steps binds it.

    Raises:
        InputError: if a setting is out of range; in a run, if there is no `encode`, or it returns no vectors.
    """

    name: ClassVar[str] = "remove_semantic_duplicates"
    per_record: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("encode",)
    threshold: float = 0.95
    storage: str = "float32"
    columns: tuple[str, ...] = ()
    encode: Encode | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        check_columns(self.columns)
        if self.storage not in STORAGES:
            raise InputError(
                f"`storage` must be one of: {', '.join(STORAGES)}. Received: storage={self.storage!r}.",
                argument="storage",
            )
        if self.encode is not None and not callable(self.encode):
            raise InputError(
                f"`encode` must be a function from texts to vectors. Received: encode={self.encode!r}. Leave it out of "
                "a file: the chain that prepares the data brings its encoder.",
                argument="encode",
            )

    def settings(self) -> dict[str, Any]:
        """Returns the plain settings, and as `encoder` the encoder's fingerprint, if it has one."""
        values = super().settings()
        fingerprint = getattr(self.encode, "fingerprint", None)
        return {**values, "encoder": fingerprint} if isinstance(fingerprint, str) else values

    def new_state(self) -> SemanticState:
        """Returns the state of a run that has seen no record.

        Raises:
            InputError: if there is no `encode`.
        """
        self.check_bound()
        return SemanticState()

    def process(self, records: Sequence[Record], log: StepLog, state: SemanticState) -> list[Record]:
        """Keeps the records whose vectors are far from all that were kept before. A record without texts stays."""
        kept: list[Record] = []
        for start in range(0, len(records), RECORDS_AT_ONCE):
            part = records[start : start + RECORDS_AT_ONCE]
            texts = ["\n".join(compared_texts(record, self.columns).values()) for record in part]
            places = [place for place, text in enumerate(texts) if text.strip()]
            dropped: dict[int, str] = {}
            if places:
                vectors = self.unit_vectors([texts[place] for place in places])
                repeats = self.find_repeats(vectors, [part[place] for place in places], state)
                dropped = {places[number]: detail for number, detail in repeats.items()}
            for place, record in enumerate(part):
                if place in dropped:
                    log.drop(record, "semantic duplicate", dropped[place])
                else:
                    kept.append(record)
        return kept

    def unit_vectors(self, texts: list[str]) -> Array:
        """Returns the vectors of texts, of length 1, as the storage keeps them. `(n, dim)`."""
        assert self.encode is not None
        vectors = np.asarray(self.encode(texts), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise InputError(
                f"`encode` must return one vector of finite numbers for each text. Received: an array of shape "
                f"{vectors.shape} for {len(texts)} texts.",
                argument="encode",
            )
        if self.storage == "int8":
            largest = np.abs(vectors).max(axis=1, keepdims=True)
            return np.rint(vectors / np.maximum(largest, 1e-30) * 127).astype(np.int8)
        return to_unit(vectors)

    def find_repeats(self, vectors: Array, records: list[Record], state: SemanticState) -> dict[int, str]:
        """Returns which records repeat one that stays, and what to say of each; the others join the state."""
        if state.vectors is None:
            state.vectors = GrowingArray(np.empty((0, vectors.shape[1]), vectors.dtype))
        unit = to_unit(vectors)
        best, best_number = np.full(len(unit), -2.0, np.float32), np.zeros(len(unit), np.int64)
        for start in range(0, len(state.vectors), VECTORS_AT_ONCE):
            cosines = unit @ to_unit(state.vectors.rows[start : start + VECTORS_AT_ONCE]).T  # (records, kept)
            nearest = cosines.argmax(axis=1)
            highest = cosines[np.arange(len(unit)), nearest]
            better = highest > best
            best[better], best_number[better] = highest[better], nearest[better] + start
        among = unit @ unit.T
        kept: list[int] = []
        repeats: dict[int, str] = {}
        for place in range(len(records)):
            cosine, one = float(best[place]), ""
            if cosine >= self.threshold:
                one = state.ids[int(best_number[place])]
            if kept and float(among[place, kept].max()) > cosine:
                nearest_kept = kept[int(among[place, kept].argmax())]
                cosine, one = float(among[place, nearest_kept]), record_id(records[nearest_kept])
            if cosine >= self.threshold:
                repeats[place] = f"means the same as {one} (cosine {cosine:.3f})"
            else:
                kept.append(place)
        state.vectors.add(vectors[kept])
        state.ids += [record_id(records[place]) for place in kept]
        return repeats

    def save_state(self, state: SemanticState, folder: Path) -> None:
        """Writes vectors and ids."""
        if state.vectors is not None:
            np.save(folder / "vectors.npy", state.vectors.rows)
        (folder / "ids.json").write_text(json.dumps(state.ids), encoding="utf-8")

    def load_state(self, folder: Path) -> SemanticState:
        """Reads what `save_state` wrote."""
        state, path = self.new_state(), folder / "vectors.npy"
        if path.exists():
            state.vectors = GrowingArray(np.load(path, allow_pickle=False))
        state.ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        return state


def to_unit(vectors: Array) -> Array:
    """Returns vectors as float32 of length 1; a vector of zeros stays."""
    floats = vectors.astype(np.float32)
    return floats / np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), 1e-30)
