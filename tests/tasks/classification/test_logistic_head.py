"""Heads by logistic regression: few labels, missing ones, several a text."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.classification import logistic_head
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.classification.logistic_head import choose_rows, fit_logistic_head

TEXTS = ["the cat sleeps", "a dog runs", "stocks fell", "who does what"]


@pytest.fixture(scope="module")
def plain(tiny_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")


def test_two_labels_have_the_probabilities_of_scikit_learn(plain: TextEncoder) -> None:
    from sklearn.linear_model import LogisticRegression

    labels = Labels(("no", "yes"))
    table = np.array([[True, False], [True, False], [False, True], [False, True]])
    made = fit_logistic_head(plain, labels, TEXTS, table, regularization=10.0)
    vectors = plain.encode(TEXTS)
    expected = LogisticRegression(C=10.0).fit(vectors, [0, 0, 1, 1]).predict_proba(vectors)
    np.testing.assert_allclose(labels.to_probabilities(made.encode(TEXTS)), expected, atol=1e-4)


def test_a_label_without_a_text_is_never_the_best(plain: TextEncoder) -> None:
    labels = Labels(("a", "b", "c"))
    for targets in ([0, 0, 2, 2], [1, 1, 2, 0]):
        table = np.arange(3) == np.array(targets)[:, None]
        logits = fit_logistic_head(plain, labels, TEXTS, table).encode(TEXTS)
        unseen = set(range(3)) - set(targets)
        assert not unseen & set(logits.argmax(axis=1).tolist())


def test_of_several_labels_each_is_fitted_for_itself(plain: TextEncoder) -> None:
    from sklearn.linear_model import LogisticRegression

    labels = Labels(("a", "all", "none"), multi_label=True)
    table = np.array([[True, True, False], [False, True, False], [True, True, False], [False, True, False]])
    probabilities = labels.to_probabilities(fit_logistic_head(plain, labels, TEXTS, table).encode(TEXTS))
    vectors = plain.encode(TEXTS)
    expected = LogisticRegression().fit(vectors, table[:, 0]).predict_proba(vectors)[:, 1]
    np.testing.assert_allclose(probabilities[:, 0], expected, atol=1e-4)
    np.testing.assert_allclose(probabilities[:, 1:], [[0.9, 0.1]] * 4, atol=1e-5)  # 4.5 and 0.5 of 5


def test_an_old_head_is_left_out_of_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], "float32")
    body = SimpleNamespace(encode=lambda texts, **_: vectors)
    headed: Any = SimpleNamespace(body=body, encode=lambda texts, **_: pytest.fail("encoded with the old head"))
    monkeypatch.setattr(logistic_head, "strip_head", lambda one: one.body)
    monkeypatch.setattr(logistic_head, "add_head", lambda body, dim, *, kernel, bias: (body, dim, kernel.shape))
    table = np.array([[True, False], [True, False], [False, True], [False, True]])
    assert fit_logistic_head(headed, Labels(("a", "b")), TEXTS, table) == (body, 2, (2, 2))


def test_texts_of_one_label_alone_are_refused(plain: TextEncoder) -> None:
    with pytest.raises(InputError, match="texts of at least two labels. Received: texts of one label"):
        fit_logistic_head(plain, Labels(("a", "b")), TEXTS, np.array([[True, False]] * 4))


def test_a_sample_has_all_labels_evenly() -> None:
    table = np.arange(3) == np.array([0, 0, 0, 0, 1, 1, 0, 2])[:, None]
    assert choose_rows(table, 3).tolist() == [0, 4, 7]
    assert choose_rows(table, 5).tolist() == [0, 1, 4, 5, 7]
    assert choose_rows(table, 8).tolist() == list(range(8))
