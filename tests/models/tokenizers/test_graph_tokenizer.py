"""The tokenizer of a graph is picked by the kind of a Hugging Face tokenizer."""

from pathlib import Path

import pytest
import tensorflow as tf
from tokenizers import Tokenizer, models, processors

from tests.models.tokenizers.bpe_tokenizers import make_backend, wrap
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.graph_tokenizer import make_graph_tokenizer
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.hugging_face_parts import read_parts, read_post_processor
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer
from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"


@pytest.mark.parametrize(("name", "kind"), [("bert", WordPieceTokenizer), ("roberta", SentencePieceTokenizer)])
def test_each_kind_has_its_class_and_the_ids_of_hugging_face(name: str, kind: type) -> None:
    hugging_face = load_tokenizer(FIXTURES / name)
    tokenizer = make_graph_tokenizer(hugging_face)
    assert isinstance(tokenizer, kind)
    texts = ["how do I merge two sorted lists", "don't <mask> </s> [SEP]"]
    expected = hugging_face(texts, padding=True, truncation=True, max_length=9)
    assert tokenizer(tf.constant(texts), 9)[0].numpy().tolist() == expected["input_ids"]


def test_a_kind_that_no_graph_has_is_named() -> None:
    words = wrap(Tokenizer(models.WordLevel({"a": 0, "<pad>": 1}, unk_token="a")))
    with pytest.raises(InputError, match="model cannot .* Expected: WordPiece or BPE or Unigram. Received: WordLevel"):
        make_graph_tokenizer(words)
    with pytest.raises(InputError, match="type cannot .* Received: object"):
        make_graph_tokenizer(object())


def test_the_tokens_around_a_text_are_read_from_each_post_processor() -> None:
    backend = make_backend("gpt2")
    assert read_post_processor(read_parts(wrap(backend))["post_processor"]) == ([("<s>", 0)], [("</s>", 2)])
    template = processors.TemplateProcessing(single="$A </s> </s>", special_tokens=[("</s>", 2)])
    for processor, expected in (
        (processors.ByteLevel(), ([], [])),
        (processors.Sequence([processors.ByteLevel(), template]), ([], [("</s>", 2), ("</s>", 2)])),
        (processors.BertProcessing(("</s>", 2), ("<s>", 0)), ([("<s>", 0)], [("</s>", 2)])),
    ):
        backend.post_processor = processor
        assert read_post_processor(read_parts(wrap(backend))["post_processor"]) == expected
    assert read_post_processor(None) == ([], [])
