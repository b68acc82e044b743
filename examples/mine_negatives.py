"""Train with hard negatives: documents that the model ranks high for a question although they do not answer it.

.venv/bin/python examples/mine_negatives.py [FOLDER] [--model MODEL]
.venv/bin/python examples/mine_negatives.py --max-queries 32 --max-length 32    for a quick look

FOLDER is a BEIR data set with judgements for training and test, such as SciFact.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from tfchain import Mining, NeuralSearchChain, Validation
from tfchain.data.documents.beir import read_beir

SCIFACT = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact"


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    dataset = options.folder
    if options.max_queries is not None:  # only some questions; negatives still come from all documents
        whole = read_beir(options.folder, split="train")
        dataset = dataclasses.replace(whole, qrels=dict(itertools.islice(whole.qrels.items(), options.max_queries)))

    # Long documents are truncated, as in training and usual in benchmarks.
    chain = NeuralSearchChain(model=options.model, max_length=options.max_length, passages="truncate")
    before = chain.evaluate(options.folder, metrics=["ndcg@10"])["ndcg@10"]
    print(f"nDCG@10 before: {before:.4f}", flush=True)

    history = chain.fit(
        dataset,
        batch_size=options.batch_size,
        epochs=options.epochs,
        loss={"name": "in_batch_softmax", "scale": 20},
        # A document that scores above 95% of the right one is no negative: it may be an unmarked answer.
        # With every=1 the negatives are mined again after each epoch, by the current model.
        mining=Mining(num_negatives=options.negatives, relative_margin=0.05),
        # The test questions measure each epoch's model; they do not choose among the epochs.
        validation=Validation(dataset=options.folder, metrics=["ndcg@10"], restore_best=False),
    )
    losses, measured = history.history["loss"], history.history["ndcg@10"]
    for epoch, (loss, value) in enumerate(zip(losses, measured, strict=True), 1):
        print(f"epoch {epoch}: loss {loss:.4f}, nDCG@10 {value:.4f}")
    print(f"nDCG@10 after:  {measured[-1]:.4f}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SCIFACT, help="default: SciFact beside this checkout")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--negatives", type=int, default=4, help="negatives per question (4)")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the questions (1)")
    parser.add_argument("--batch-size", type=int, default=16, help="pairs per step (16)")
    parser.add_argument("--max-length", type=int, help="the most tokens of a text; default: the model's")
    parser.add_argument("--max-queries", type=int, help="train on the first questions only")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
