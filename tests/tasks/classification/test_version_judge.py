from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tfchain.core.errors import InputError
from tfchain.core.judgement import Question
from tfchain.tasks.classification.version_judge import find_macro_f1, make_classification_judge
from tfchain.tasks.text_rows import TextRows


class Version:
    """Answers labels by text; with `chosen`, as a version does whose texts have several labels."""

    signatures = ("classify_text",)
    description: Mapping = {}

    def __init__(self, labels: Mapping[str, list[str]], chosen: Mapping[str, list[bool]] | None = None) -> None:
        self.labels, self.chosen = labels, chosen

    def ask(self, question: Question) -> Mapping[str, np.ndarray]:
        texts = [text.decode() for text in question.inputs["text"]]
        found = {"labels": np.array([[name.encode() for name in self.labels[text]] for text in texts], dtype=object)}
        if self.chosen is not None:
            found["chosen"] = np.array([self.chosen[text] for text in texts])
        return found


def test_the_best_label_is_right_or_wrong() -> None:
    rows = TextRows(["one", "two"], [("a",), ("a",)])
    judgement = make_classification_judge(rows, metric="accuracy")(Version({"one": ["a", "b"], "two": ["b", "a"]}))
    assert judgement.values.tolist() == [1.0, 0.0]
    assert judgement.rankings == [["a", "b"], ["b", "a"]]
    assert len(judgement.probes) == 2


def test_of_several_labels_all_must_be_right() -> None:
    rows = TextRows(["one", "two"], [("a", "b"), ("a",)])
    version = Version({"one": ["a", "b"], "two": ["a", "b"]}, {"one": [True, True], "two": [True, True]})
    assert make_classification_judge(rows, metric="accuracy")(version).values.tolist() == [1.0, 0.0]


def test_macro_f1_is_scikit_learns_and_a_row_adds_what_it_does_without_it() -> None:
    random = np.random.default_rng(0)
    right, chosen = random.integers(0, 3, 30), random.integers(0, 3, 30)
    values = find_macro_f1([frozenset([str(one)]) for one in chosen], [frozenset([str(one)]) for one in right])
    whole = f1_score(right, chosen, average="macro")
    assert values.mean() == pytest.approx(whole)
    others = [f1_score(np.delete(right, row), np.delete(chosen, row), average="macro") for row in range(30)]
    np.testing.assert_allclose(values - values[0], -29 * (np.array(others) - others[0]), atol=1e-9)


def test_a_metric_of_probabilities_is_refused() -> None:
    with pytest.raises(InputError, match="judged by accuracy or macro_f1. Received: metric='log_loss'"):
        make_classification_judge(TextRows(["one"], [("a",)]), metric="log_loss")
