"""`/decode` against Hugging Face's tokenizers, and what no version can answer."""

import json
from typing import Any

import pytest
from tokenizers.decoders import WordPiece

from tests.conformance.conftest import Wire
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["The cat sleeps, on monday!", "who runs? stocks fell.", "你好 a dog", "xyz"]


def post(wire: Wire, path: str, body: Any) -> tuple[int, Any]:
    reply = wire.http("POST", path, json.dumps(body).encode())
    return reply.status, json.loads(reply.text)


@pytest.mark.parametrize("skips", [True, False, None])
def test_ids_become_texts_as_by_the_models_tokenizer(docs_wire: Wire, encoder: TextEncoder, skips: bool | None) -> None:
    tokenizer = encoder.tokenizer.tokenizer
    ids = [[*map(int, row), tokenizer.pad_token_id] for row in encoder.tokenizer(TEXTS)]
    status, found = post(docs_wire, "/decode", {"ids": ids, "skip_special_tokens": skips})
    tokens = [tokenizer.convert_ids_to_tokens(row, skip_special_tokens=skips is not False) for row in ids]
    assert (status, found) == (200, [WordPiece().decode(row) for row in tokens])
    assert found[0] == ("the cat sleeps, on monday!" if skips is not False else found[0])
    assert post(docs_wire, "/decode", {"ids": ids[0]})[1] == [WordPiece().decode(_plain(tokenizer, ids[0]))]


def _plain(tokenizer: Any, ids: list[int]) -> list[str]:
    tokens: list[str] = tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=True)
    return tokens


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ("a", "`ids` must be a list of token ids, or a list of these."),
        ([[2], ["a"]], "`ids` must have strings only, or non-empty lists of token ids only."),
        ([[2], [3, 500]], "Received: 500 at position 1."),
        ([-1], "Received: -1 at position 0."),
        ([], "`ids` must not be empty."),
    ],
    ids=["text", "texts", "large", "negative", "none"],
)
def test_wrong_ids_are_named(docs_wire: Wire, ids: Any, text: str) -> None:
    status, answer = post(docs_wire, "/decode", {"ids": ids})
    assert status == 422
    assert text in answer["error"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/embed_all", "The model docs cannot do this: its versions return one vector a text, and none of its tokens."),
        ("/embed_sparse", "The model docs cannot do this: its vectors are dense, and it has no SPLADE head."),
    ],
)
def test_what_no_version_can_answer_is_refused_with_the_reason(docs_wire: Wire, path: str, reason: str) -> None:
    status, answer = post(docs_wire, path, {"inputs": "a"})
    assert (status, answer["error_type"]) == (424, "Backend")
    assert answer["error"].startswith(reason)
    assert post(docs_wire, path, {"inputs": 3})[0] == 422
    assert post(docs_wire, path, {"inputs": "a", "model": "nope"})[0] == 404
