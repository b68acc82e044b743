"""Near-duplicates across blocks: what one machine drops that reads in order, with the same words of it."""

from typing import Any

import numpy as np
import pytest

from tests.data.beam.corpora import make_documents, run_transform
from tfchain.core.types import Document
from tfchain.data.beam.block import Block, cut_blocks
from tfchain.data.beam.near_candidates import KEY, pair_bands, pair_signatures
from tfchain.data.beam.near_choice import choose
from tfchain.data.beam.near_duplicates import FindNearDuplicates
from tfchain.data.beam.near_pairs import SIMILAR, SimilarPairs
from tfchain.data.deduplication.remove_near_duplicates import RemoveNearDuplicates
from tfchain.data.steps.step_log import StepLog

pytestmark = pytest.mark.beam


def find_drops(blocks: list[Block], step: RemoveNearDuplicates, partitions: int) -> dict[str, str]:
    """Which documents the transform drops, with what it says of them."""
    found = run_transform(blocks, lambda elements: elements | FindNearDuplicates(step, partitions))
    records = {block.number: block.records for block in blocks}
    return {records[number][row].id: detail for number, rows in found for row, detail in rows}


def drop_in_order(documents: list[Document], step: RemoveNearDuplicates) -> dict[str, str]:
    """Which documents the step drops on one machine."""
    entries: list[dict[str, Any]] = []
    step.process(documents, StepLog(step.name, entries.append), step.new_state())
    return {entry["id"]: entry["detail"] for entry in entries}


@pytest.mark.parametrize("threshold", [0.2, 0.35, 0.8])
@pytest.mark.parametrize("block_records", [7, 1000])
def test_the_same_records_are_dropped_as_in_order(threshold: float, block_records: int) -> None:
    documents = make_documents(700, seed=3)
    step = RemoveNearDuplicates(threshold=threshold)
    expected = drop_in_order(documents, step)

    assert find_drops(list(cut_blocks(documents, 0, block_records=block_records)), step, 5) == expected
    assert 100 < len(expected) < 500
    assert len({detail.rpartition(" (")[2] for detail in expected.values()}) > 5  # of different similarities


def test_records_without_texts_stay() -> None:
    rows = [{"id": "1", "label": "a"}, {"id": "2", "label": "a"}]
    step = RemoveNearDuplicates()
    assert run_transform([Block(0, rows)], lambda blocks: blocks | FindNearDuplicates(step, 2)) == []


def similar(pairs: list[tuple[int, int, float, bool]]) -> SimilarPairs:
    """Pairs `(record, earlier record, similarity, same signature)` of records 10 to a block, the ids their numbers."""
    made = np.empty(len(pairs), SIMILAR)
    for place, (record, first, similarity, same) in enumerate(pairs):
        made[place] = (*divmod(record, 10), *divmod(first, 10), similarity, same, record, first)
    return SimilarPairs(made, [str(number) for number in range(30)])


def chosen(*parts: list[tuple[int, int, float, bool]]) -> dict[int, str]:
    return {10 * block + row: detail for block, rows in choose(map(similar, parts)) for row, detail in rows}


def test_what_resembles_a_dropped_record_alone_stays() -> None:
    # 1 repeats 0, so it goes; 12 resembles only 1, so it stays; 23 repeats 12.
    assert chosen([(12, 1, 0.9, False)], [(1, 0, 0.9, False), (23, 12, 0.5, False)]) == {
        1: "repeats 0 (similarity 0.90)",
        23: "repeats 12 (similarity 0.50)",
    }


def test_the_most_similar_is_named_and_of_equal_ones_the_first() -> None:
    assert chosen([(5, 1, 0.6, False), (5, 0, 0.6, False), (6, 0, 0.5, False), (6, 1, 0.75, False)]) == {
        5: "repeats 0 (similarity 0.60)",
        6: "repeats 1 (similarity 0.75)",
    }


def test_equal_signatures_share_their_fate() -> None:
    # 1 goes because of 0, and 2, which has the signature of 1, with it; 4 has the signature of 3, which stays.
    assert chosen([(1, 0, 0.7, False), (2, 1, 1.0, True), (4, 3, 1.0, True)]) == {
        1: "repeats 0 (similarity 0.70)",
        2: "repeats 0 (similarity 0.70)",
        4: "repeats 3 (similarity 1.00)",
    }


def test_of_equal_signatures_a_later_one_names_what_came_between() -> None:
    # 4 has the signature of 1, which goes because of 0. Meanwhile 3 came, which is more like both.
    assert chosen([(1, 0, 0.4, False), (3, 1, 0.8, False), (4, 1, 1.0, True)]) == {
        1: "repeats 0 (similarity 0.40)",
        4: "repeats 3 (similarity 0.80)",
    }


def make_keys(keys: list[int], signatures: list[int]) -> Any:
    entries = np.zeros(len(keys), KEY)
    entries["key"], entries["signature"], entries["row"] = keys, signatures, np.arange(len(keys))
    return entries


def test_records_of_a_common_key_are_paired_once_for_each_signature() -> None:
    # Rows 0, 2 and 4 share a key; 4 has the signature of 0.
    entries = make_keys([7, 8, 7, 9, 7], [1, 2, 3, 4, 1])

    firsts, others = pair_bands(entries)
    assert list(zip(firsts["row"].tolist(), others["row"].tolist(), strict=True)) == [(0, 2)]
    firsts, others = pair_signatures(entries)
    assert list(zip(firsts["row"].tolist(), others["row"].tolist(), strict=True)) == [(0, 4)]


def test_many_records_of_one_key_are_compared_with_the_first_256() -> None:
    firsts, _ = pair_bands(make_keys([7] * 1000, list(range(1000))))

    assert len(firsts) == 256 * 255 // 2 + 744 * 256
    assert firsts["row"].max() == 255
