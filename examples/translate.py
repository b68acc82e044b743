"""Train a model that translates from nothing, and ask it: words of a small grammar, from English to Chinese.

.venv/bin/python examples/translate.py [--epochs 30]
"""

import argparse
import itertools
import sys
from collections.abc import Sequence

from tfchain import TranslationChain
from tfchain.training.seq2seq.new_model_shape import NewModel
from tfchain.training.seq2seq.vocabulary import VocabularyOptions

NOUNS = {"cat": "猫", "dog": "狗", "man": "男人", "horse": "马"}
VERBS = {"sleeps": "睡觉", "eats": "吃饭", "runs": "跑步", "waits": "等待"}


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    words = itertools.product(NOUNS, VERBS)
    pairs = [(f"The {noun} {verb}.", f"{NOUNS[noun]}在{VERBS[verb]}。") for noun, verb in words]

    # A trained model is read from its folder instead: TranslationChain.from_pretrained("Helsinki-NLP/opus-mt-en-zh").
    vocabulary = VocabularyOptions(size=80)
    shape = NewModel(hidden_dim=32, num_layers=1, num_decoder_layers=1, intermediate_dim=64, vocabulary=vocabulary)
    chain = TranslationChain.from_scratch(pairs, shape, source_language="en", target_language="zh")
    history = chain.fit(pairs, batch_size=15, epochs=options.epochs, learning_rate=0.02, warmup=5, dropout=0.0)
    print(f"loss: {history.history['loss'][0]:.2f} to {history.history['loss'][-1]:.2f}")

    print(chain.translate("The cat sleeps.  The dog waits.\n\nThe man eats."))
    print(chain.translate("The cat sleeps.", glossary={"cat": "狗"}))
    print({name: round(value, 1) for name, value in chain.evaluate(pairs).items()})


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30, help="passes over the pairs (30)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
