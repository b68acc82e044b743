"""Train a reranker on a few questions, and let it put in order what a search finds.

.venv/bin/python examples/reranking.py [--reranker FOLDER] [--model MODEL] [--epochs 10]

With --reranker, a trained cross-encoder is read instead: a CrossEncoder's folder or hub name, such as
cross-encoder/ms-marco-MiniLM-L6-v2.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import Mining, NeuralSearchChain, Reranker
from tfchain.training.mining.mine import mine_negatives

DOCUMENTS = {
    "parcel": "A parcel takes two days. It is late after five.",
    "late": "If a parcel is late, we look for it, and send a new one after ten days.",
    "return": "Shoes can be returned within thirty days, if they were not worn.",
    "refund": "The money for returned shoes comes back within a week.",
    "card": "A lost card is blocked at once by a call to our line.",
    "loan": "A loan needs a proof of income and two weeks.",
}
QUESTIONS = {
    "How long does a parcel take?": "parcel",
    "My parcel has not come. What now?": "late",
    "Can I give my shoes back?": "return",
    "When do I get my money for the shoes?": "refund",
    "I lost my card. What shall I do?": "card",
    "What do I need for a loan?": "loan",
}


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    chain = NeuralSearchChain(model=options.model)
    chain.add({"id": key, "text": text} for key, text in DOCUMENTS.items())

    if options.reranker is not None:
        reranker = Reranker.from_pretrained(options.reranker)
    else:
        # Each question with its answer and with two documents that the search takes for it.
        pairs = [(question, DOCUMENTS[key]) for question, key in QUESTIONS.items()]
        rows = mine_negatives(chain.text_encoder, pairs, Mining(num_negatives=2), corpus=list(DOCUMENTS.values()))
        reranker = Reranker(model=options.model)
        history = reranker.fit(rows, epochs=options.epochs, batch_size=6, learning_rate=5e-4)
        print(f"Trained on {len(rows)} questions: the loss is {history.history['loss'][-1]:.2f}.")

    question = "Can I give my shoes back?"
    for hit in reranker.rank(question, list(DOCUMENTS.values()), top_n=2):
        print(f"{hit.score:.2f}  {hit.text}")

    chain.use_reranker(reranker, top=4)  # the search finds four, the reranker puts them in order
    qrels = {str(number): {key: 1} for number, key in enumerate(QUESTIONS.values())}
    report = chain.evaluate({"queries": dict(zip(qrels, QUESTIONS, strict=True)), "qrels": qrels}, metrics=["mrr@10"])
    print(f"MRR@10 of the search: {report['mrr@10']:.2f}; reranked: {report['reranked_mrr@10']:.2f}")

    with tempfile.TemporaryDirectory() as folder:
        path = chain.save(Path(folder) / "chain")
        loaded = NeuralSearchChain.load(path)  # with its reranker
        print(loaded.search(question)["answer"])


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reranker", help="a trained cross-encoder; default: one is trained here")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the questions (10)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
