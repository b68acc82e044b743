"""Which model and prompt a request means, special tokens, and lengths of vectors."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfchain.deployment.server.http.routes import Request
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.status import StatusError, not_found
from tfchain.deployment.server.text import embedding
from tfchain.deployment.server.text.embedding import (
    TextService,
    check_dimensions,
    choose_prompt,
    cut_vectors,
    find_special_tokens,
    has_special_tokens,
    normalize,
)
from tfchain.deployment.server.text.errors import FieldError


class OldVersion:
    """A version whose export told nothing."""

    embedding_dim = 0
    matryoshka_dims: tuple[int, ...] = ()


class TwoModels:
    """A manager of two models."""

    def names(self) -> list[str]:
        return ["docs", "faq"]


@pytest.mark.parametrize(
    ("model", "input_type", "expected"),
    [
        (None, None, (None, "")),
        (None, "search_query", (None, "query")),
        ("docs", "passage", ("docs", "document")),
        ("docs-query", None, ("docs", "query")),
        ("docs-passage", "search_document", ("docs", "document")),
        ("faq-query", None, ("faq-query", "")),  # a model of this name is served
        ("faq-query-query", None, ("faq-query", "query")),
        ("other-query", None, ("other-query", "")),  # no such model, which is an error later
        ("docs-title", None, ("docs-title", "")),
    ],
)
def test_model_and_purpose(model: str | None, input_type: str | None, expected: tuple[str | None, str]) -> None:
    assert choose_prompt(["docs", "faq-query"], model, input_type) == expected


def test_a_purpose_that_contradicts_the_name_is_an_error() -> None:
    with pytest.raises(FieldError, match="contradicts the model's name, 'docs-query'. Received: 'document'."):
        choose_prompt(["docs"], "docs-query", "document")


@pytest.mark.parametrize(
    ("ids", "empty", "expected"),
    [
        ([2, 7, 3], [2, 3], (1, 1)),
        ([2, 3], [2, 3], (1, 1)),
        ([7, 3], [2, 3], None),
        ([2, 7], [2, 3], None),
        ([7, 2, 3], [2, 3], None),
        ([7, 1], [1], (0, 1)),  # as of T5
        ([1, 7], [1], (1, 0)),
        ([7, 8], [], (0, 0)),
    ],
)
def test_special_tokens(ids: list[int], empty: list[int], expected: tuple[int, int] | None) -> None:
    assert find_special_tokens(ids, empty) == expected
    assert has_special_tokens(ids, empty) is (expected is not None)


def test_a_single_id_is_not_both_special_tokens() -> None:
    assert not has_special_tokens([2], [2, 2])


def test_vectors_of_zeros_stay() -> None:
    found = normalize(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    assert found.dtype == np.float32


def test_several_models_must_be_told_apart() -> None:
    service = TextService(TwoModels())  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="Several models are served: `model` must be one of docs, faq."):
        service.lend(None, Call(service.metrics, "REST")).__enter__()


def test_vectors_of_a_version_that_tells_nothing_are_not_cut() -> None:
    model, vectors = OldVersion(), np.ones((1, 4), np.float32)
    check_dimensions(model, 2)  # type: ignore[arg-type]
    assert cut_vectors(model, vectors, 4) is vectors  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="`dimensions` must be one of 4. Received: 2. The model was not trained"):
        cut_vectors(model, vectors, 2)  # type: ignore[arg-type]


def test_the_time_that_is_left_of_a_request_is_that_of_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int | None] = []

    def find(_manager: Any, _name: str, timeout_ms: int | None, _on_run: Any) -> Any:
        given.append(timeout_ms)
        raise not_found("no model")

    monkeypatch.setattr(embedding, "find_text_model", find)
    manager: Any = SimpleNamespace(names=lambda: ["m"])
    service = TextService(manager, 5000)
    handle = service.counted("embed", lambda _, call: service.lend("m", call).__enter__())  # type: ignore[arg-type]
    for left in (None, Deadline(100), Deadline(None)):
        with pytest.raises(StatusError, match="does not exist"):
            handle(Request("POST", "/embed", "", {}, b"", left))
    assert given[0] == 5000
    assert given[1] is not None
    assert given[1] <= 100
    assert given[2] is None
