"""Make half of each matrix zero, two of each four neighbours, and let the model learn from itself what that cost.

.venv/bin/python examples/prune_2_4.py [FOLDER] [--model MODEL] [--epochs 1] [--texts 5000] [--save FOLDER]

FOLDER is a data set in BEIR's form with judgements for a test, such as SciFact, whose documents are learned from: the
pruned model learns the vectors that the dense one gives. An epoch of 5,000 takes some minutes on two cores.
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

    # Prune acts while Distill trains: the zeros are chosen before the first step, and again until half of the training
    # is over; then they stay where they are. Without Distill the smallest weights would be dropped, and no more.
    texts = [one.full_text for one in read_beir(options.folder).documents()][: options.texts]
    chain.compress(
        [Prune(pattern="2:4"), Distill(epochs=options.epochs, learning_rate=options.learning_rate)], texts=texts
    )
    pruned = chain.evaluate(options.folder, metrics=["ndcg@10"])
    print(f"2:4:   nDCG@10 {pruned['ndcg@10']:.4f}")

    # Zeros by matrix; the files are as large as before, until they are zipped. A CPU is not faster either.
    print(report_weights(chain.text_encoder))
    if options.save:
        print(f"saved: {chain.save(options.save)}")  # a plain encoder with zeros in place


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SCIFACT, help="default: SciFact beside this checkout")
    parser.add_argument("--model", help="a model folder or a hub name; default: the one that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the texts (%(default)s)")
    parser.add_argument("--texts", type=int, default=5000, help="how many documents are learned from (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="the largest (%(default)s)")
    parser.add_argument("--save", type=Path, help="where the chain goes; default: nowhere")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
