from collections.abc import Mapping

import numpy as np

from tfchain.core.judgement import Question
from tfchain.tasks.reranking.ranked_lists import RankedLists
from tfchain.tasks.reranking.version_judge import make_reranking_judge


class Version:
    """Scores a document by the number in it."""

    signatures = ("rerank",)
    description: Mapping = {}

    def ask(self, question: Question) -> Mapping[str, np.ndarray]:
        assert len(question.inputs["text"]) == len(question.inputs["text_pair"])
        return {"score": np.array([float(text) for text in question.inputs["text_pair"]], "float32")}


def test_each_list_is_judged_in_the_order_of_the_versions_scores() -> None:
    lists = RankedLists(["q", "r"], [["1", "3", "2"], ["5", "5"]], [[0, 0, 1], [0, 1]])
    judgement = make_reranking_judge(lists, metric="mrr@10")(Version())
    assert judgement.rankings == [["1", "2", "0"], ["0", "1"]]  # equal scores keep the order of the list
    assert judgement.values.tolist() == [0.5, 0.5]
    assert judgement.probes[0].inputs["text"].tolist() == [b"q"]
