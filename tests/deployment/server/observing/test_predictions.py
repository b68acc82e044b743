"""What a Predict asked and answered is seen by its inputs and outputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.deployment.server.manager import Lease
from tfchain.deployment.server.observing.answered import Answered, Asker
from tfchain.deployment.server.observing.predictions import to_answered
from tfchain.deployment.server.predict import Prediction

TEXTS = np.array([b"cat", "狗".encode()], object)
LEASE = Lease(None, "docs", 7, Path(), lambda: None)  # type: ignore[arg-type]


def see(inputs: dict[str, np.ndarray], outputs: dict[str, Any], signature: str = "serving_default") -> Answered | None:
    arrays = {name: np.array(value) for name, value in outputs.items()}
    return to_answered(LEASE, Prediction(arrays, signature, 0.0, inputs), 0.01, Asker("q", "c"))


def test_a_search_has_ids_and_scores() -> None:
    answered = see({"text": TEXTS}, {"ids": [[b"a"], [b"b"]], "scores": [[1.0], [0.5]], "texts": [[b"A"], [b"B"]]})
    assert answered is not None
    first, second = answered.to_observations([None, None])
    assert (first.model, first.version, first.task, first.query_id, first.client_id) == (
        "docs",
        7,
        "search",
        "q.0",
        "c",
    )
    assert (second.text, second.ids, second.scores, second.num_tokens) == ("狗", ("b",), (0.5,), None)


def test_a_search_without_scores_still_has_its_ids() -> None:
    answered = see({"text": TEXTS[:1]}, {"ids": [[b"a", b""]]})
    assert answered is not None
    (only,) = answered.to_observations([(3, None)])
    assert (only.ids, only.scores, only.query_id, only.num_tokens) == (("a",), (), "q", 3)


def test_a_classification_has_labels() -> None:
    answered = see({"text": TEXTS}, {"labels": [[b"x", b"y"], [b"y", b"x"]], "scores": [[0.9, 0.1], [0.6, 0.4]]})
    assert answered is not None
    assert answered.to_observations([None, None])[1].labels == ("y", "x")


def test_pairs_that_are_reranked_are_one_query_with_its_scores_best_first() -> None:
    pairs = {"text": np.array([b"q", b"q", b"r"], object), "text_pair": np.array([b"1", b"2", b"3"], object)}
    answered = see(pairs, {"score": [0.1, 0.9, 0.5], "output": [-2.0, 3.0, 0.0]}, "rerank")
    assert answered is not None
    observations = answered.to_observations([None, None])
    assert [(one.task, one.text, one.scores) for one in observations] == [
        ("reranking", "q", (3.0, -2.0)),
        ("reranking", "r", (0.0,)),
    ]


def test_vectors_are_kept_with_their_purpose() -> None:
    answered = see({"text": TEXTS}, {"embedding": [[1.0, 0.0], [0.0, 1.0]]}, "embed_document")
    assert answered is not None
    second = answered.to_observations([None, None])[1]
    assert (second.task, second.attributes["purpose"]) == ("embed", "document")
    assert second.embedding is not None
    assert second.embedding.tolist() == [0.0, 1.0]


def test_an_answer_in_words_is_not_kept_but_its_question_is(tmp_path: Path) -> None:
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "tfchain.json").write_text('{"task": "translation"}')
    lease = Lease(None, "words", 1, tmp_path, lambda: None)  # type: ignore[arg-type]
    outputs = {"translation": TEXTS[::-1], "score": np.array([-1.0, -0.5])}
    answered = to_answered(lease, Prediction(outputs, "serving_default", 0.0, {"text": TEXTS}), 0.01)
    assert answered is not None
    first, _ = answered.to_observations([None, None])
    assert (first.task, first.text, first.ids, first.labels, first.scores) == ("translation", "cat", (), (), ())

    asked = {"context": TEXTS[::-1], "question": TEXTS}
    answered = see(asked, {"answers": [[b"a", b"b"], [b"c", b""]], "scores": [[0.5, 0.25], [0.75, 0.0]]}, "reader")
    assert answered is not None
    _, second = answered.to_observations([None, None])
    # Without a description the signature says what was asked.
    assert (second.task, second.text, second.scores) == ("reader", "狗", (0.75, 0.0))


@pytest.mark.parametrize(
    ("inputs", "outputs", "signature"),
    [
        ({"text": TEXTS}, {"token_ids": [[1], [2]]}, "tokenize"),
        ({"x": np.zeros(2)}, {"ids": [[b"a"], [b"b"]]}, "serving_default"),
        ({"text": TEXTS.reshape(1, 2)}, {"ids": [[b"a"]]}, "serving_default"),
        ({"a": TEXTS, "b": TEXTS}, {"ids": [[b"a"], [b"b"]]}, "serving_default"),
        ({"image": np.array([b"\xff\xd8\xff\xe0", b"GIF89a\1\0"], object)}, {"ids": [[b"a"], [b"b"]]}, "search_image"),
        ({"image": np.array([b"\x89PNG\r\n"], object)}, {"embedding": [[1.0, 0.0]]}, "embed_image"),
        ({"user": TEXTS, "history": TEXTS[:, None]}, {"ids": [[b"a"], [b"b"]], "scores": [[1.0], [0.5]]}, "recommend"),
        ({"text": TEXTS}, {"loud": [b"CAT", b"DOG"]}, "shout"),
        ({"text": np.array([], object)}, {"ids": np.zeros((0, 1), object)}, "serving_default"),
    ],
)
def test_what_asks_no_texts_or_says_nothing_of_them_is_not_observed(
    inputs: dict[str, np.ndarray], outputs: dict[str, Any], signature: str
) -> None:
    assert see(inputs, outputs, signature) is None
