"""Make a model of fewer and narrower layers, and let it learn the large one's vectors from plain texts.

.venv/bin/python examples/distill.py [--texts TEXTS] [--model MODEL] [--layers 2] [--epochs 2] [--save FOLDER]

TEXTS are documents as `tfchain index` takes them: the more and the nearer to what the model is for, the better. Without
them the documentation of Python's standard library is taken, which is little: two minutes show how it goes, no more.
tools/small_model in this repository made the model that comes with tfchain so, of 240,000 texts.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfchain import Distill, NeuralSearchChain, Shrink
from tfchain.data.documents.python_docs import read_python_docs
from tfchain.data.documents.reading import read_documents

UNSEEN = ["how do I merge two sorted lists", "the train to the airport was late", "what does a heart do"]


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    documents = read_python_docs() if options.texts is None else read_documents([options.texts])
    texts = [line for one in documents for line in one.full_text.split("\n\n") if len(line.split()) > 2][: options.most]
    chain = NeuralSearchChain(model=options.model)
    before = chain.encode(UNSEEN)

    # Which heads and units go is seen on the texts; those that stay take over what they can of the others by least
    # squares. Then the small model learns: its vector of each text is to be the large one's.
    shrink = Shrink(layers=options.layers, intermediate_dim=options.intermediate_dim)
    for recipes in ([shrink], [shrink, Distill(epochs=options.epochs, learning_rate=5e-4, dropout=0.0)]):
        small = NeuralSearchChain(tokenizer=chain.tokenizer, model=chain.model)  # the chain's own model stays
        (report,) = small.compress(recipes, texts=texts).candidates
        cosine = float(np.mean(np.sum(before * small.encode(UNSEEN), axis=1)))
        print(f"{report.name}: {report.size_bytes / 1e6:.1f} MB, cosine to the large model's vectors {cosine:.3f}")
    if options.save:
        print(f"saved: {small.save(options.save)}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help="what is learned from; default: Python's documentation")
    parser.add_argument("--model", help="a model folder or a hub name; default: the one that comes with tfchain")
    parser.add_argument("--layers", type=int, default=2, help="how many are kept (%(default)s)")
    parser.add_argument("--intermediate-dim", type=int, default=512, help="feed-forward units kept (%(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the texts (%(default)s)")
    parser.add_argument("--most", type=int, default=4000, help="how many paragraphs are taken (%(default)s)")
    parser.add_argument("--save", type=Path, help="where the small chain goes; default: nowhere")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
