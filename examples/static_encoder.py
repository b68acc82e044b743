"""Make a static encoder from the chain's model: queries take microseconds, and the vectors stay close to the model's.

.venv/bin/python examples/static_encoder.py [--texts TEXTS] [--model MODEL] [--dim 256] [--epochs 5] [--save FOLDER]

TEXTS are documents in any form that `tfchain index` accepts: the more, and the closer to the use, the better. The
default is the documentation of Python's standard library. No judgments are needed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfchain import Distill, NeuralSearchChain, make_static_encoder
from tfchain.data.documents.python_docs import read_python_docs
from tfchain.data.documents.reading import read_documents

QUERY = "how do I merge two sorted lists"


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    documents = read_python_docs() if options.texts is None else read_documents([options.texts])
    texts = [line for document in documents for line in document.full_text.split("\n\n") if len(line.split()) > 2]
    texts = texts[: options.most]
    chain = NeuralSearchChain(model=options.model)

    # Each token gets a vector from the model, frequent tokens weigh less, and the table is trained on the texts to
    # match the model's vectors. An encoder like any other comes out: it is saved, compressed, exported and trained.
    encoder = make_static_encoder(
        chain.text_encoder,
        texts,
        dim=options.dim,
        recipe=Distill(epochs=options.epochs, batch_size=64, learning_rate=3e-2),
    )
    fast = NeuralSearchChain(tokenizer=encoder.tokenizer.source, model=encoder.encoder)
    for name, made in (("model", chain), ("static", fast)):
        made.add(texts)
        found = made.search(QUERY).hits[0].text
        print(f"{name}: {median_of_queries(made):.0f} µs to encode a query, finds {found[:60]!r}")
    same = np.mean([first.id == second.id for first, second in zip(best(chain, texts), best(fast, texts), strict=True)])
    print(f"the same first hit for {same:.0%} of the texts' first words")
    if options.save:
        print(f"saved: {fast.save(options.save)}")


def median_of_queries(chain: NeuralSearchChain) -> float:
    """Returns the median time of encoding a query, in microseconds."""
    times = []
    for _ in range(50):
        start = time.perf_counter()
        chain.encode(QUERY)
        times.append(time.perf_counter() - start)
    return 1e6 * float(np.median(times))


def best(chain: NeuralSearchChain, texts: Sequence[str]) -> list:
    """Returns the first hit for the first eight words of every tenth text."""
    return [result.hits[0] for result in chain.search([" ".join(text.split()[:8]) for text in texts[::10]], top_k=1)]


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help="the texts to learn from; default: Python's documentation")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--dim", type=int, default=256, help="width of the vectors (%(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the texts (%(default)s)")
    parser.add_argument("--most", type=int, default=4000, help="the most paragraphs (%(default)s)")
    parser.add_argument("--save", type=Path, help="a folder for the static chain; default: none")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
