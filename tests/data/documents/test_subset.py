"""Parts of a corpus that hold every judged document."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import read_beir
from tfchain.data.documents.subset import read_subset, subset_corpus

CORPUS = [Document(id=str(number), text=f"text {number}") for number in range(50)]
JUDGED = {"a": {"3": 1, "40": 0}, "b": {"3": 2, "not there": 1}}


def ids(documents: list[Document]) -> list[str]:
    return [one.id for one in documents]


def test_judged_documents_are_all_there_in_the_order_of_the_corpus() -> None:
    made = subset_corpus(CORPUS, JUDGED, 10)
    assert len(made) == 10
    assert {"3", "40"} <= set(ids(made))
    assert made == [one for one in CORPUS if one in made]
    assert ids(subset_corpus(CORPUS, JUDGED, 2)) == ["3", "40"]
    assert subset_corpus(CORPUS, JUDGED, 1000) == CORPUS


def test_the_draw_is_the_seeds_alone() -> None:
    made = ids(subset_corpus(CORPUS, JUDGED, 10))
    assert sorted(ids(subset_corpus(CORPUS[::-1], JUDGED, 10))) == sorted(made)
    assert set(made) < set(ids(subset_corpus(CORPUS, JUDGED, 20)))
    assert ids(subset_corpus(CORPUS, JUDGED, 10, seed=1)) != made


def test_a_size_below_the_judged_ones_is_named() -> None:
    with pytest.raises(InputError, match="at least the number of judged documents, 2. Received: size=1"):
        subset_corpus(CORPUS, JUDGED, 1)
    with pytest.raises(InputError, match="`size` must be a whole number"):
        subset_corpus(CORPUS, JUDGED, 0)


def test_scifacts_subset_holds_what_both_splits_judge(shared_data: Path) -> None:
    made = set(ids(read_subset(shared_data / "scifact")))
    assert len(made) == 1000
    for split in ("train", "test"):
        judged = read_beir(shared_data / "scifact", split=split).qrels
        assert {id for grades in judged.values() for id in grades} <= made


def test_a_folder_without_judgments_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a BEIR folder"):
        read_subset(tmp_path)


def test_a_query_that_two_splits_judge_keeps_the_documents_of_both(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text("".join(f'{{"_id": "{number}", "text": "x"}}\n' for number in range(9)))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "one"}\n')
    (tmp_path / "qrels" / "dev.tsv").write_text("q\t2\t1\n")
    (tmp_path / "qrels" / "test.tsv").write_text("q\t5\t1\n")
    assert ids(read_subset(tmp_path, 2)) == ["2", "5"]
