"""Tokens become texts as the decoders of `tokenizers` write them."""

import json
import random
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models

from tests.models.tokenizers.bpe_tokenizers import make_backend
from tfchain.deployment.server.text.token_decoder import decode_tokens


@pytest.mark.parametrize(
    "tokens",
    [
        ["isn", "'", "t", "it", "?", "##s", "2", "##nd"],
        ["##start", "a", "##", "##a##b", ".", ",", "!", "n't", "'m", "'s", "'ve", "'re", "don", "##'t"],
        ["[CLS]", "do", "not", "' ", "[SEP]"],
        [],
    ],
    ids=["words", "pieces", "special", "none"],
)
def test_tokens_are_joined_as_hugging_faces_decoder_joins_them(tokens: list[str]) -> None:
    assert decode_tokens(tokens, {"type": "WordPiece"}) == decoders.WordPiece().decode(tokens)


GEMMA = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
LLAMA2 = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1, right=0)]
)
KINDS = {
    "ByteLevel": decoders.ByteLevel(),
    "Gemma": GEMMA,
    "Llama 2": LLAMA2,
    "Metaspace": decoders.Metaspace(),
    "Metaspace never": decoders.Metaspace(prepend_scheme="never"),
    "Strip": decoders.Strip(content="▁", left=2, right=0),
    "WordPiece as it is": decoders.WordPiece(cleanup=False, prefix="▁"),
}
TOKENS = [
    *(
        "▁",
        "▁a",
        "▁▁",
        "Ġ",
        "Ġhello",
        "Ã©",
        "â",
        "Ĥ¬",
        "é",
        "</s>",
        "<0xE2>",
        "<0x82>",
        "<0xAC>",
        "<0xFF>",
        "<0xZZ>",
        "n't",
    ),
    *("你", " ", "##a", "!", "Ċ"),
]


def read_spec(decoder: Any) -> dict[str, Any] | None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoder
    spec: dict[str, Any] | None = json.loads(tokenizer.to_str())["decoder"]
    return spec


@pytest.mark.parametrize("kind", KINDS)
def test_other_decoders_write_what_hugging_faces_write(kind: str) -> None:
    generator, spec = random.Random(0), read_spec(KINDS[kind])
    for _ in range(500):
        tokens = generator.choices(TOKENS, k=generator.randrange(7))
        assert decode_tokens(tokens, spec) == KINDS[kind].decode(tokens), tokens


@pytest.mark.parametrize(("kind", "decoder"), [("qwen", KINDS["ByteLevel"]), ("gemma", GEMMA)])
def test_a_text_comes_back(kind: str, decoder: Any) -> None:
    text = "don't you, 你好 é 👩‍👧?"
    assert decode_tokens(make_backend(kind).encode(text, add_special_tokens=False).tokens, read_spec(decoder)) == text


def test_tokens_are_joined_by_spaces_where_nothing_better_is_known() -> None:
    assert decode_tokens(["a", "b"], None) == "a b"
    assert decode_tokens(["a", "b"], {"type": "Other"}) == "a b"
    assert decode_tokens(["a", "b"], read_spec(decoders.Replace(Regex("a"), ""))) == "a b"
