"""Set half of each matrix to zero, two of every four neighbours, and train the model to recover its quality.

.venv/bin/python examples/prune_2_4.py [FOLDER] [--model MODEL] [--epochs 1] [--texts 5000] [--save FOLDER]

FOLDER is a BEIR data set with test judgements, such as SciFact. Its documents are the training texts: the pruned model
learns the dense model's vectors. An epoch of 5,000 documents takes some minutes on two cores.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tfchain import Distill, NeuralSearchChain, Prune
from tfchain.data.documents.beir import read_beir
from tfchain.optimization.weight_report import report_weights

SCIFACT = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact"


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    chain = NeuralSearchChain(model=options.model, passages="truncate")
    dense = chain.evaluate(options.folder, metrics=["ndcg@10"])
    print(f"dense: nDCG@10 {dense['ndcg@10']:.4f}")

    # Prune acts during Distill: it chooses the zeros before the first step, and again during the first half of the
    # training; then they are fixed. Without Distill it only drops the smallest weights.
    texts = [document.full_text for document in read_beir(options.folder).documents()][: options.texts]
    chain.compress(
        [Prune(pattern="2:4"), Distill(epochs=options.epochs, learning_rate=options.learning_rate)], texts=texts
    )
    pruned = chain.evaluate(options.folder, metrics=["ndcg@10"])
    print(f"2:4:   nDCG@10 {pruned['ndcg@10']:.4f}")

    # Zeros by matrix; the files keep their size unless they are compressed, and a CPU is not faster.
    print(report_weights(chain.text_encoder))
    if options.save:
        print(f"saved: {chain.save(options.save)}")  # a plain encoder with zeros


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SCIFACT, help="default: SciFact beside this checkout")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the texts (%(default)s)")
    parser.add_argument("--texts", type=int, default=5000, help="the number of training documents (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="the largest step size (%(default)s)")
    parser.add_argument("--save", type=Path, help="a folder for the chain; default: none")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
