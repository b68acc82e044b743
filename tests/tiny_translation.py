"""A tiny translation model from nothing, and the sentences that it learns: a grammar of a few words."""

import itertools
from typing import Any

from tfchain.chains.translation import TranslationChain
from tfchain.training.seq2seq.new_model_shape import NewModel
from tfchain.training.seq2seq.vocabulary import VocabularyOptions

NOUNS = {"cat": "猫", "dog": "狗", "man": "男人"}
VERBS = {"sleeps": "睡觉", "eats": "吃饭", "runs": "跑步"}
PAIRS = [(f"The {noun} {verb}.", f"{NOUNS[noun]}在{VERBS[verb]}。") for noun, verb in itertools.product(NOUNS, VERBS)]
SHAPE = NewModel(
    hidden_dim=32,
    num_layers=1,
    num_decoder_layers=1,
    num_heads=2,
    intermediate_dim=64,
    dropout=0.0,
    max_length=24,
    vocabulary=VocabularyOptions(size=60),
)


def make_tiny_chain(**options: Any) -> TranslationChain:
    """Makes a chain that has learnt the pieces of `PAIRS`, and nothing else."""
    given: dict[str, Any] = {"learning_rate": 0.02, "batch_size": 9, "epochs": 25, "warmup": 5, **options}
    return TranslationChain.from_scratch(PAIRS, SHAPE, source_language="en", target_language="zh", **given)


def train_tiny_chain(**options: Any) -> TranslationChain:
    """Makes a chain that translates `PAIRS`."""
    chain = make_tiny_chain(**options)
    chain.fit(PAIRS)
    return chain
