"""Make a model with fewer and narrower layers, and train it on plain texts to match the large model's vectors.

.venv/bin/python examples/distill.py [--texts TEXTS] [--model MODEL] [--layers 2] [--epochs 2] [--save FOLDER]

TEXTS are documents in any form that `tfchain index` accepts: the more, and the closer to the model's use, the better.
The default is the documentation of Python's standard library, which is little: a demonstration of two minutes.
tools/small_model in this repository made the model that comes with tfchain in this way, from 240,000 texts.
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
    texts = [line for document in documents for line in document.full_text.split("\n\n") if len(line.split()) > 2]
    chain = NeuralSearchChain(model=options.model)
    before = chain.encode(UNSEEN)

    # Shrink removes the heads and units that matter least on the texts, and least squares shifts what it can of their
    # work to the others. Then the small model is trained to match the large model's vectors.
    shrink = Shrink(layers=options.layers, intermediate_dim=options.intermediate_dim)
    for recipes in ([shrink], [shrink, Distill(epochs=options.epochs, learning_rate=5e-4, dropout=0.0)]):
        small = NeuralSearchChain(tokenizer=chain.tokenizer, model=chain.model)  # the chain's own model does not change
        (report,) = small.compress(recipes, texts=texts[: options.most]).candidates
        cosine = float(np.mean(np.sum(before * small.encode(UNSEEN), axis=1)))
        print(f"{report.name}: {report.size_bytes / 1e6:.1f} MB, cosine to the large model's vectors {cosine:.3f}")
    if options.save:
        print(f"saved: {small.save(options.save)}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help="the training texts; default: Python's documentation")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--layers", type=int, default=2, help="layers to keep (%(default)s)")
    parser.add_argument("--intermediate-dim", type=int, default=512, help="feed-forward units to keep (%(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the texts (%(default)s)")
    parser.add_argument("--most", type=int, default=4000, help="the most paragraphs (%(default)s)")
    parser.add_argument("--save", type=Path, help="a folder for the small chain; default: none")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
