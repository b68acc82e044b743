"""Vocabularies learnt from a few texts."""

import json

import pytest
import sentencepiece

from tfchain.core.errors import InputError
from tfchain.training.seq2seq.vocabulary import VocabularyOptions, learn_vocabulary

SOURCES = ["the cat sleeps", "the dog sleeps", "the cat eats", "a dog eats, a cat runs"] * 3
TARGETS = ["猫在睡觉，", "狗在睡觉。", "猫在吃！", "狗在吃，猫在跑。"] * 3


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_a_joint_vocabulary_writes_both_languages(model: str) -> None:
    made = learn_vocabulary(SOURCES, TARGETS, VocabularyOptions(size=50, model=model))
    assert (made.source_model, made.target_ids) == (made.target_model, None)
    assert (made.ids["</s>"], made.ids["<unk>"], made.ids["<pad>"]) == (0, 1, 2)
    assert sorted(made.ids.values()) == list(range(len(made.ids)))
    assert len(made.ids) <= 50
    pieces = sentencepiece.SentencePieceProcessor(model_proto=made.source_model)
    for text in (*SOURCES, *TARGETS):
        found = pieces.encode(text, out_type=str)
        assert all(piece in made.ids for piece in found)
        assert pieces.decode(found) == text  # the full-width comma, too
    again = learn_vocabulary(SOURCES, TARGETS, VocabularyOptions(size=50, model=model))
    assert again == made


def test_separate_vocabularies_have_their_own_characters() -> None:
    made = learn_vocabulary(SOURCES, TARGETS, VocabularyOptions(size=40, is_joint=False))
    assert made.target_ids is not None
    assert "猫" not in "".join(made.ids)
    assert "c" not in "".join(set(made.target_ids) - {"</s>", "<unk>", "<pad>"})
    files = made.files()
    assert json.loads(files["target_vocab.json"]) == made.target_ids
    assert json.loads(files["tokenizer_config.json"])["separate_vocabs"] is True
    assert files["target.spm"] == made.target_model


def test_sizes_that_cannot_be_are_errors() -> None:
    with pytest.raises(InputError, match="No vocabulary of 12 tokens can be learnt from 24 texts"):
        learn_vocabulary(SOURCES, TARGETS, VocabularyOptions(size=12))
    with pytest.raises(InputError, match="`size` must be"):
        VocabularyOptions(size=3)
    with pytest.raises(InputError, match="`model` must be 'unigram' or 'bpe'"):
        VocabularyOptions(model="word")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`coverage` must be in"):
        VocabularyOptions(coverage=0)
