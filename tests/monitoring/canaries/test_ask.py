"""Models of any task are asked by the names in their signatures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.canaries.ask import make_ask, record_canaries
from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.served_model import ServedModel, SignatureNames

TEXT, PAIR = frozenset({"text"}), frozenset({"text", "text_pair"})


def serve(inputs: frozenset[str], outputs: Mapping[str, Any], **others: Any) -> ServedModel:
    """A model that always answers the same."""

    def predict(given: Mapping[str, Any], signature: str) -> Mapping[str, np.ndarray]:
        assert set(given) == (inputs if signature == "serving_default" else TEXT)
        found = outputs if signature == "serving_default" else {"embedding": [others[signature]]}
        return {name: np.array(values) for name, values in found.items()}

    names = {"serving_default": SignatureNames(inputs, frozenset(outputs))}
    names |= dict.fromkeys(others, SignatureNames(TEXT, frozenset({"embedding"})))
    return ServedModel(predict, names)


def test_a_search_answers_with_hits_and_both_vectors() -> None:
    model = serve(TEXT, {"ids": [["a", "b", ""]], "scores": [[0.5, 0.25, 0]]}, embed=[1, 0], embed_query=[0, 1])

    (canary,) = record_canaries(make_ask(model), [CanaryQuery("what")])

    assert (canary.ids, canary.scores) == (("a", "b"), (0.5, 0.25))  # a blank is no hit
    assert canary.vector is not None
    assert canary.vector.tolist() == [0, 1]
    assert canary.plain_vector is not None
    assert canary.plain_vector.tolist() == [1, 0]


def test_known_ids_are_kept_and_have_scores_only_if_all_are_found() -> None:
    ask = make_ask(serve(TEXT, {"ids": [[b"a", b"b"]], "scores": [[0.5, 0.25]]}))

    found, missing = record_canaries(ask, [CanaryQuery("x", ("b",)), CanaryQuery("y", ("b", "z"))])

    assert (found.ids, found.scores) == (("b",), (0.25,))
    assert (missing.ids, missing.scores) == (("b", "z"), ())


def test_a_classification_answers_with_its_label_or_the_chosen_ones() -> None:
    one = serve(TEXT, {"labels": [["spam", "ham"]], "scores": [[0.75, 0.25]]})
    several = serve(TEXT, {"labels": [["a", "b", "c"]], "scores": [[0.75, 0.5, 0]], "chosen": [[True, True, False]]})

    assert make_ask(one)(CanaryQuery("x")).ids == ("spam",)
    assert make_ask(several)(CanaryQuery("x")).ids == ("a", "b")


def test_a_reranker_puts_the_candidates_in_order() -> None:
    model = serve(PAIR, {"score": [0.1, 0.75, 0.5, 0.25], "output": [0, 0, 0, 0]})

    answer = make_ask(model)(CanaryQuery("x", candidates=("a", "b", "c", "d")))

    assert (answer.ids, answer.scores) == (("1", "2", "3"), (0.75, 0.5, 0.25))
    assert make_ask(model)(CanaryQuery("x")).latency_ms is None  # nothing to put in order


def test_the_only_output_for_a_text_is_its_answer_with_its_score() -> None:
    model = serve(TEXT, {"translation": ["猫在睡觉。".encode()], "score": [-0.5]})

    (canary,) = record_canaries(make_ask(model), [CanaryQuery("The cat sleeps.")])

    assert (canary.ids, canary.scores) == (("猫在睡觉。",), (-0.5,))
    assert make_ask(serve(TEXT, {"translation": ["a"]}))(CanaryQuery("x")).ids == ("a",)


def test_numbers_name_nothing() -> None:
    answer = make_ask(serve(TEXT, {"rating": [4.5]}))(CanaryQuery("x"))

    assert (answer.ids, answer.scores) == ((), ())
    assert answer.latency_ms is not None


def test_a_reader_answers_from_the_candidates_the_most_certain_first() -> None:
    outputs = {"answers": [[b"a dog", b"a"], [b"", b""], [b"cats", b"c"]], "scores": [[0.25, 0], [0.75, 0], [0.5, 0]]}
    model = serve(frozenset({"question", "context"}), outputs, embed=[1, 0])

    answer = make_ask(model)(CanaryQuery("who runs", candidates=("a dog runs", "stocks fell", "cats run")))

    assert (answer.ids, answer.scores) == (("cats", "a dog"), (0.5, 0.25))  # one of the texts has no answer
    assert make_ask(model)(CanaryQuery("who runs")).latency_ms is None  # nothing to read


def test_expected_answers_of_a_model_that_gives_none_are_an_error_with_advice() -> None:
    reader = serve(frozenset({"question", "context"}), {"answers": [["a"]], "scores": [[1]]}, embed=[1])
    encoder = ServedModel(lambda *_: {"embedding": np.ones((1, 2))}, {"embed": SignatureNames(TEXT, frozenset())})

    for model, advice in ((reader, "Name `candidates` with it"), (encoder, "Leave `ids` out")):
        with pytest.raises(InputError, match=f"needs an answer.* Received: 'who runs'. {advice}"):
            make_ask(model)(CanaryQuery("who runs", ("a dog",)))


def test_a_model_of_vectors_alone_is_asked_for_these() -> None:
    model = ServedModel(lambda *_: {"embedding": np.ones((1, 2))}, {"embed": SignatureNames(TEXT, frozenset())})

    answer = make_ask(model)(CanaryQuery("x"))

    assert (answer.ids, answer.latency_ms) == ((), None)
    assert answer.vector is not None


def test_a_model_that_takes_no_texts_is_refused() -> None:
    model = ServedModel(lambda *_: {}, {"embed_ids": SignatureNames(frozenset({"token_ids"}), frozenset())})

    with pytest.raises(
        InputError, match="Canary queries are texts.* Received: embed_ids. Watch the server by its metrics"
    ):
        make_ask(model)
