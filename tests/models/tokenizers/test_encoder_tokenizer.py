"""Which tokenizer an encoder has: of single texts, of pairs, or of pairs in a prompt."""

import dataclasses
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.tokenizers.encoder_tokenizer import make_host_tokenizer
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.pairs import PairTokenizer
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer

FIXTURE = Path(__file__).parents[2] / "parity" / "reranker_fixtures" / "bert"


@pytest.mark.parametrize(
    ("values", "kind", "offset"),
    [
        ({"pairs": "none"}, HostTokenizer, None),
        ({"pairs": "plain"}, PairTokenizer, 0),
        ({"pairs": "typed", "num_token_types": 2}, PairTokenizer, "vocabulary"),
        ({"pairs": "prompted", "pair_prompt": ("a ", " b ", " c")}, PromptedPairTokenizer, 0),
    ],
)
def test_the_tokenizer_of_a_shape(small_config: EncoderConfig, values: dict, kind: type, offset: object) -> None:
    source = AutoTokenizer.from_pretrained(FIXTURE)
    shape = dataclasses.replace(small_config.transformer, **values)
    made = make_host_tokenizer(source, dataclasses.replace(small_config, transformer=shape), max_length=16)
    assert type(made) is kind
    expected = shape.vocabulary_size if offset == "vocabulary" else offset
    assert getattr(made, "type_offset", None) == expected
    assert (made.max_length, made.pad_token_id) == (16, shape.pad_token_id)
    assert type(make_host_tokenizer(source, None, max_length=16)) is HostTokenizer  # another Keras model
