from collections.abc import Mapping

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.judgement import Question
from tfchain.data.documents.beir import BeirDataset
from tfchain.tasks.search.version_judge import make_search_judge

DATA = BeirDataset({"q1": "cats", "q2": "dogs", "q3": "unjudged"}, {"q1": {"a": 1}, "q2": {"b": 1, "c": 2}})


class Version:
    """Answers from tables: hits by text, or vectors by text."""

    def __init__(self, *, hits: Mapping[str, str] | None = None, vectors: Mapping[str, tuple] | None = None) -> None:
        self.hits, self.vectors = hits, vectors
        self.signatures = ["search"] if hits else ["embed"]
        self.description = {"documents": 3, "text_model": {"similarity": "cosine"}}

    def ask(self, question: Question) -> Mapping[str, np.ndarray]:
        texts = [text.decode() for text in question.inputs["text"]]
        if self.hits is not None:
            return {"ids": np.array([[id.encode() for id in self.hits[text]] for text in texts], dtype=object)}
        assert self.vectors is not None
        return {"embedding": np.array([self.vectors[text] for text in texts], "float32")}


def test_a_version_is_judged_by_the_documents_that_it_finds() -> None:
    judgement = make_search_judge(DATA, metric="mrr@10")(Version(hits={"cats": "bac", "dogs": "cba"}))
    assert judgement.values.tolist() == [0.5, 1.0]
    assert judgement.score == 0.75
    assert judgement.rankings == [["b", "a", "c"], ["c", "b", "a"]]
    assert [probe.inputs["text"].tolist() for probe in judgement.probes] == [[b"cats"], [b"dogs"]]


def test_a_version_without_documents_ranks_those_of_the_data_by_its_vectors() -> None:
    data = BeirDataset(DATA.queries, DATA.qrels, [{"id": id, "text": f"text {id}"} for id in "abc"])
    vectors = {"cats": (1, 0), "dogs": (0, 1), "text a": (9, 1), "text b": (1, 2), "text c": (0.1, 5)}
    judgement = make_search_judge(data, metric="mrr@10")(Version(vectors=vectors))
    assert judgement.rankings == [["a", "b", "c"], ["c", "b", "a"]]
    assert judgement.values.tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="Received: an evaluation set without any. Give one with a corpus"):
        make_search_judge(DATA, metric="mrr@10")(Version(vectors=vectors))


def test_a_metric_beyond_the_versions_hits_is_refused() -> None:
    version = Version(hits={"cats": "b", "dogs": "c"})
    with pytest.raises(InputError, match="needs 2 hits of the version. Received: mrr@2 of a version that gives 1."):
        make_search_judge(DATA, metric="mrr@2")(version)
    with pytest.raises(InputError, match="A metric must be one of"):
        make_search_judge(DATA, metric="accuracy")
