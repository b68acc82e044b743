"""Train ColBERT on a few questions, and let it put in order what a search finds, token by token.

.venv/bin/python examples/late_interaction.py [--reranker FOLDER] [--model MODEL] [--epochs 10]

With --reranker, a trained model is read instead: a folder or hub name such as colbert-ir/colbertv2.0.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import LateInteractionReranker, NeuralSearchChain

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
    if options.reranker is not None:
        reranker = LateInteractionReranker.from_pretrained(options.reranker, pool_factor=2)
    else:
        reranker = LateInteractionReranker(model=options.model, query_length=16, document_length=32, pool_factor=2)
        rows = [(question, DOCUMENTS[key]) for question, key in QUESTIONS.items()]  # the batch has the negatives
        history = reranker.fit(rows, epochs=options.epochs, batch_size=6, learning_rate=5e-4)
        print(f"Trained on {len(rows)} questions: the loss is {history.history['loss'][-1]:.2f}.")

    question, answer = "Can I give my shoes back?", DOCUMENTS["return"]
    query, whole = reranker.encode_query([question])[0], reranker.encode_document([answer])[0]
    pooled = reranker.encode_document([answer], pool_factor=2)[0]
    print(f"{len(query)} vectors for the question, {len(whole)} for the answer, {len(pooled)} of pooled tokens")
    for hit in reranker.rank(question, list(DOCUMENTS.values()), top_n=2):
        print(f"{hit.score:.2f}  {hit.text}")

    chain = NeuralSearchChain(model=options.model, reranker=reranker, rerank_top=4)
    chain.add({"id": key, "text": text} for key, text in DOCUMENTS.items())
    qrels = {str(number): {key: 1} for number, key in enumerate(QUESTIONS.values())}
    report = chain.evaluate({"queries": dict(zip(qrels, QUESTIONS, strict=True)), "qrels": qrels}, metrics=["mrr@10"])
    print(f"MRR@10 of the search: {report['mrr@10']:.2f}; reranked: {report['reranked_mrr@10']:.2f}")

    with tempfile.TemporaryDirectory() as folder:
        loaded = NeuralSearchChain.load(chain.save(Path(folder) / "chain"))  # with its reranker
        print(loaded.search(question)["answer"])


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reranker", help="a trained model of late interaction; default: one is trained here")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the questions (10)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
