"""A version as the endpoints use it, without a wire."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tests.deployment.server.batching.fakes import FakeServable
from tfchain import NeuralSearchChain
from tfchain.deployment.server.servables import deadline
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.text.embedding import TEXTS_IN_A_RUN, embed
from tfchain.deployment.server.text.text_model import TextModel, find_text_model
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["the cat sleeps", ""]


@pytest.fixture
def model(docs_wire: Wire) -> Iterator[TextModel]:
    with find_text_model(docs_wire.server._manager, None, 10_000) as made:
        yield made


def test_what_the_version_tells_of_itself(model: TextModel, encoder: TextEncoder) -> None:
    tokenizer = encoder.tokenizer.tokenizer
    assert (model.embedding_dim, model.max_tokens, model.matryoshka_dims) == (16, 24, [4, 8])
    found = model.find_tokenizer("query")
    assert found == model.find_tokenizer()  # queries have no encoder of their own
    assert (found.vocabulary_size, found.empty_text, found.unknown_id) == (len(tokenizer), [2, 3], 1)
    assert (model.has_search, model.top_k) == (True, 10)  # there are three documents
    assert found.tokens == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert [model.has_prompt(purpose) for purpose in ("", "query", "document")] == [False, True, False]


@pytest.mark.parametrize(("purpose", "prompt"), [("", ""), ("document", ""), ("query", "who ")])
def test_vectors_and_tokens_are_pythons(model: TextModel, encoder: TextEncoder, purpose: str, prompt: str) -> None:
    np.testing.assert_allclose(model.embed(TEXTS, purpose), encoder.encode(TEXTS, prompt=prompt), atol=1e-5)
    expected = [list(map(int, ids)) for ids in encoder.tokenizer([prompt + text for text in TEXTS])]
    assert [ids.tolist() for ids in model.tokenize(TEXTS, purpose)] == expected
    assert model.count_tokens(TEXTS, purpose) == sum(map(len, expected))


def test_token_ids_of_several_lengths(model: TextModel, encoder: TextEncoder) -> None:
    ids = [list(map(int, row)) for row in encoder.tokenizer(TEXTS)]
    np.testing.assert_allclose(model.embed_ids(ids), encoder.encode(TEXTS), atol=1e-5)


def test_hits_are_the_chains(model: TextModel, prompted_chain: NeuralSearchChain) -> None:
    queries = ["stocks fell", "a cat"]
    for hits, expected in zip(model.search(queries), (prompted_chain.search(query) for query in queries), strict=True):
        assert [(hit.id, hit.text) for hit in hits] == [(hit.id, hit.text) for hit in expected.hits]
        np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in expected.hits], atol=1e-5)


def test_a_model_that_is_not_there_is_named(docs_wire: Wire) -> None:
    with pytest.raises(StatusError, match="Servable not found for request") as caught:
        find_text_model(docs_wire.server._manager, "nope", None)
    assert caught.value.code is Code.NOT_FOUND


def test_all_runs_of_a_request_share_one_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = [100.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now[0])
    version = FakeServable()

    class Slow:
        signatures = version.signatures

        def run(self, *arguments: Any) -> Any:
            now[0] += 4.0
            return version.run(*arguments)

    lease: Any = SimpleNamespace(name="m", version=1, path=tmp_path, servable=Slow())
    texts = [f"text {number}" for number in range(2 * TEXTS_IN_A_RUN)]
    assert len(embed(TextModel(lease, 9_000), texts, "", "input")) == len(texts)
    assert version.timeouts == [9_000, 5_000]
    with pytest.raises(StatusError) as caught:
        embed(TextModel(lease, 4_000), texts, "", "input")
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert version.timeouts[2:] == [4_000]  # the second run did not begin
