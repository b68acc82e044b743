"""New models: their shape, their weights, their vocabulary."""

from typing import Any

import numpy as np
import pytest

from tests.tiny_translation import PAIRS
from tfchain.core.errors import InputError
from tfchain.training.seq2seq.new_model import make_new_model
from tfchain.training.seq2seq.new_model_shape import NewModel
from tfchain.training.seq2seq.vocabulary import VocabularyOptions

SOURCES, TARGETS = ([row[place] for row in PAIRS] for place in (0, 1))
SIZES: dict[str, Any] = {"hidden_dim": 8, "num_layers": 1, "num_decoder_layers": 2, "num_heads": 2, "max_length": 20}


def test_separate_vocabularies_have_tables_of_their_own() -> None:
    shape = NewModel(**SIZES, intermediate_dim=16, vocabulary=VocabularyOptions(size=40, is_joint=False))
    model = make_new_model(SOURCES, TARGETS, shape, seed=3)
    config = model.transformer.config
    tables = {weight.path: weight.shape for weight in model.transformer.weights if "tokens" in weight.path}
    assert tables == {
        "tokens/embeddings": (config.vocabulary_size, 8),
        "target_tokens/embeddings": (config.decoder_vocabulary_size, 8),
    }
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (2, 0, 2)
    assert config.embedding_scale == pytest.approx(8**0.5)
    (ids,) = model.tokenizer.encode_targets(TARGETS[:1], max_length=20)
    assert max(ids) < config.decoder_vocabulary_size
    assert model.tokenizer.decode([ids]) == TARGETS[:1]
    assert model.options.bad_words_ids == ((2,),)
    again = make_new_model(SOURCES, TARGETS, shape, seed=3)
    assert again.fingerprint == model.fingerprint
    other = make_new_model(SOURCES, TARGETS, shape, seed=4)
    assert not np.array_equal(other.transformer.weights[0], model.transformer.weights[0])


def test_shapes_that_cannot_be_are_errors() -> None:
    with pytest.raises(InputError, match="`hidden_dim` must be even and a multiple of `num_heads`"):
        NewModel(hidden_dim=10, num_heads=4)
    with pytest.raises(InputError, match="`shape` must be a NewModel. Received: {'num_layers': 2}"):
        make_new_model(SOURCES, TARGETS, {"num_layers": 2})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`num_layers` must be"):
        NewModel(num_layers=0)
    with pytest.raises(InputError, match="`vocabulary` must be VocabularyOptions"):
        NewModel(vocabulary=8000)  # type: ignore[arg-type]
