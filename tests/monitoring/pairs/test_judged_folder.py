"""Judgments become a folder that the readers of training and evaluation take."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.judged import read_judged
from tfchain.data.pairs.reading import read_pairs
from tfchain.monitoring.pairs.impressions import Impression
from tfchain.monitoring.pairs.judged_folder import write_judged_folder
from tfchain.monitoring.pairs.judgments import Judgment, is_for_evaluation

DOCUMENTS = [Document("d1", "the cat sleeps", "Cats"), Document("d2", "stocks fell"), Document("d3", "你好")]
TRAIN = next(f"train {number}" for number in range(99) if not is_for_evaluation(f"train {number}", 0.5))
TEST = next(f"test {number}" for number in range(99) if is_for_evaluation(f"test {number}", 0.5))


def judgment(query: str, document_id: str, grade: int) -> Judgment:
    return Judgment(query, document_id, 0.5, 3, 6, 6.0, grade)


JUDGMENTS = [
    judgment(TRAIN, "d1", 2),
    judgment(TRAIN, "d2", 0),
    judgment(TRAIN, "d3", -1),
    judgment(TEST, "d3", 1),
    judgment("nothing relevant", "d2", 0),
    judgment(TEST, "gone", 2),
]


def test_our_readers_take_the_folder(tmp_path: Path) -> None:
    shown = [Impression(TRAIN, ("d1",), text=TRAIN.upper())]
    made = write_judged_folder(
        tmp_path / "made",
        JUDGMENTS,
        DOCUMENTS,
        impressions=shown,
        propensities=np.array([1.0, 0.5]),
        evaluation_share=0.5,
    )
    assert (made.queries, made.positives, made.negatives, made.missing) == (
        {"train": 1, "test": 1},
        {"train": 1, "test": 1},
        {"train": 1, "test": 0},
        1,
    )
    test = read_judged(made.path, split="test")
    assert list(test.queries.values()) == [TEST]
    assert test.qrels == {"q1": {"d3": 1}}
    assert [document.id for document in test.documents()] == ["d1", "d2", "d3"]
    train = read_judged(made.path, split="train")
    assert (train.queries, train.qrels) == ({"q0": TRAIN.upper()}, {"q0": {"d1": 2, "d2": 0}})
    pairs = read_pairs(made.path / "pairs.jsonl")
    assert pairs.columns == ([TRAIN.upper()], ["Cats the cat sleeps"])
    assert len(read_pairs(made.path, split="train")) == 1
    assert json.loads((made.path / "propensities.json").read_text()) == {"propensities": [1.0, 0.5]}
    assert len((made.path / "judgments.jsonl").read_text().splitlines()) == 6


def test_a_log_that_says_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The feedback says of no document that it is relevant. Received: 1 pairs"):
        write_judged_folder(tmp_path / "made", [judgment("q", "d1", -1)], DOCUMENTS)
    with pytest.raises(InputError, match="`evaluation_share` must be from 0 to 1. Received: 2."):
        write_judged_folder(tmp_path / "made", JUDGMENTS, DOCUMENTS, evaluation_share=2)
    assert list(tmp_path.iterdir()) == []
