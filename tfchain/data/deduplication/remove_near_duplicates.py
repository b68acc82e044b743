"""The step that removes records whose texts nearly repeat an earlier record's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.deduplication.compared_text import check_columns, compared_texts
from tfchain.data.deduplication.growing_array import GrowingArray
from tfchain.data.deduplication.shingles import SHINGLE_SIZE, check_shingle_size, make_shingles
from tfchain.data.deduplication.sketches import (
    NUM_SLOTS,
    check_threshold,
    choose_rows,
    make_band_keys,
    make_sketches,
    sketch_version,
)
from tfchain.data.deduplication.sorted_runs import SortedRuns
from tfchain.data.steps.record import Record, record_id
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

RECORDS_AT_ONCE = 128
PAIRS_AT_ONCE = 8192
KEY_BITS = 32

Array = np.ndarray[Any, Any]


@dataclass
class NearState:
    """The records kept so far: their signatures, whether they are short, their ids, and the keys that find them."""

    sketches: GrowingArray = field(default_factory=lambda: GrowingArray(np.empty((0, NUM_SLOTS), np.uint16)))
    short: GrowingArray = field(default_factory=lambda: GrowingArray(np.empty(0, np.bool_)))
    ids: list[str] = field(default_factory=list)
    keys: SortedRuns = field(default_factory=SortedRuns)


@dataclass(frozen=True)
class RemoveNearDuplicates(Step):
    """Removes records whose texts nearly repeat those of an earlier record that stays.

    Texts are compared by the words, or Chinese characters, that stand side by side in them, with MinHash signatures
    (Broder 1997) and bands of them (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3). The default
    finds copies with up to every fifth word edited, and leaves texts on one topic alone: docs/cleaning.md has figures.

    It keeps about 1,200 bytes for each different record (at a threshold of 0.35; 730 at 0.8), and their ids.

    Args:
        threshold: The least similarity that makes a duplicate: the shingles that two texts share over those that
            either has. Default: 0.35.
        min_words: Texts of fewer words (characters, in Chinese) are duplicates only if they have the same shingles: in
            a short question one word makes another question. Default: 20.
        shingle_size: Words of a shingle. Default: 2.
        columns: Columns of rows to compare, such as `["positive"]`. Default: all texts.

    Raises:
        InputError: if a setting is out of range.
        MissingPackageError: in a run, if rensa is not installed.
    """

    name: ClassVar[str] = "remove_near_duplicates"
    per_record: ClassVar[bool] = False
    threshold: float = 0.35
    min_words: int = 20
    shingle_size: int = SHINGLE_SIZE
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        check_shingle_size(self.shingle_size)
        check_columns(self.columns)
        if not isinstance(self.min_words, int) or isinstance(self.min_words, bool) or self.min_words < 0:
            raise InputError(
                f"`min_words` must be a whole number of at least 0. Received: min_words={self.min_words!r}.",
                argument="min_words",
            )

    def new_state(self) -> NearState:
        """Returns the state of a run that has seen no record."""
        return NearState()

    def process(self, records: Sequence[Record], log: StepLog, state: NearState) -> list[Record]:
        """Keeps the records that resemble none that was kept before. A record without texts stays."""
        kept: list[Record] = []
        for start in range(0, len(records), RECORDS_AT_ONCE):
            part = records[start : start + RECORDS_AT_ONCE]
            shingles = [self.shingles(record) for record in part]
            compared = [place for place, found in enumerate(shingles) if found]
            repeats = self.find_repeats([shingles[place] for place in compared], [part[p] for p in compared], state)
            dropped = {compared[place]: detail for place, detail in repeats.items()}
            for place, record in enumerate(part):
                if place in dropped:
                    log.drop(record, "near-duplicate", dropped[place])
                else:
                    kept.append(record)
        return kept

    def shingles(self, record: Record) -> list[str]:
        """Returns the shingles of a record's texts; none if it has no text."""
        text = "\n".join(compared_texts(record, self.columns).values())
        return make_shingles(text, self.shingle_size) if text.strip() else []

    def find_repeats(self, shingles: list[list[str]], records: list[Record], state: NearState) -> dict[int, str]:
        """Returns which records repeat one that stays, and what to say of each; the others join the state."""
        sketches = make_sketches(shingles)
        keys = make_band_keys(sketches, choose_rows(self.threshold), KEY_BITS).astype(np.uint32)
        short = np.array([len(one) + self.shingle_size - 1 < self.min_words for one in shingles], np.bool_)
        best = self.best_earlier(sketches, keys, short, state)
        same_band = np.any(keys[:, None, :] == keys[None, :, :], axis=2)
        kept: list[int] = []
        repeats: dict[int, str] = {}
        for place in range(len(records)):
            similarity, kept_id = best.get(place, (0.0, ""))
            near = [other for other in kept if same_band[place, other]]
            if near:
                equal = np.mean(sketches[near] == sketches[place], axis=1)
                equal = np.where(short[near] | short[place], equal == 1, equal)
                if equal.max() > similarity:
                    similarity, kept_id = float(equal.max()), record_id(records[near[int(equal.argmax())]])
            if similarity >= self.threshold:
                repeats[place] = f"repeats {kept_id} (similarity {similarity:.2f})"
            else:
                kept.append(place)
        self.keep(state, sketches[kept], short[kept], keys[kept], [record_id(records[place]) for place in kept])
        return repeats

    def best_earlier(
        self, sketches: Array, keys: Array, short: Array, state: NearState
    ) -> dict[int, tuple[float, str]]:
        """Returns for records that may repeat an earlier one the greatest similarity, and that one's id."""
        places, numbers = state.keys.find(keys.reshape(-1))
        pairs = np.unique((places // max(1, keys.shape[1]) << 32) | numbers)
        best: dict[int, tuple[float, str]] = {}
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            new, old = part >> 32, part & 0xFFFFFFFF
            equal = np.mean(sketches[new] == state.sketches.rows[old], axis=1)
            equal = np.where(short[new] | state.short.rows[old], equal == 1, equal)
            for at in np.flatnonzero(equal >= self.threshold):
                if equal[at] > best.get(int(new[at]), (0.0, ""))[0]:
                    best[int(new[at])] = (float(equal[at]), state.ids[old[at]])
        return best

    def keep(self, state: NearState, sketches: Array, short: Array, keys: Array, ids: list[str]) -> None:
        """Adds records to the state."""
        numbers = np.arange(len(state.ids), len(state.ids) + len(ids), dtype=np.uint32)
        state.keys.add(keys.reshape(-1), np.repeat(numbers, keys.shape[1]))
        state.sketches.add(sketches)
        state.short.add(short)
        state.ids += ids

    def save_state(self, state: NearState, folder: Path) -> None:
        """Writes the signatures and ids; the keys follow from them."""
        np.save(folder / "sketches.npy", state.sketches.rows)
        np.save(folder / "short.npy", state.short.rows)
        (folder / "ids.json").write_text(json.dumps(state.ids), encoding="utf-8")
        (folder / "state.json").write_text(json.dumps({"sketch_version": sketch_version()}), encoding="utf-8")

    def load_state(self, folder: Path) -> NearState:
        """Reads what `save_state` wrote.

        Raises:
            InputError: if it was written with a rensa whose signatures differ.
        """
        version = json.loads((folder / "state.json").read_text(encoding="utf-8"))["sketch_version"]
        if version != sketch_version():
            raise InputError(
                f"The state of {self.name} was written with signatures of version {version}, and the installed rensa "
                f"makes version {sketch_version()}. Start the preparation anew, or install the rensa it began with."
            )
        state = NearState()
        sketches, short = (np.load(folder / name, allow_pickle=False) for name in ("sketches.npy", "short.npy"))
        ids: list[str] = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        rows = choose_rows(self.threshold)
        for start in range(0, len(ids), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            keys = make_band_keys(sketches[part], rows, KEY_BITS).astype(np.uint32)
            self.keep(state, sketches[part], short[part], keys, ids[part])
        return state
