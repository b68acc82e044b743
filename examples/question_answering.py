"""Train a reader on a few questions, and let it answer from documents, with offsets, or say that there is no answer.

.venv/bin/python examples/question_answering.py [--reader FOLDER] [--model MODEL] [--epochs 30]

With --reader, a trained reader is read instead: a folder or hub name such as deepset/minilm-uncased-squad2.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain, QuestionAnsweringChain

DOCUMENTS = {
    "parcel": "A parcel takes two days. It is late after five.",
    "late": "If a parcel is late, we look for it, and send a new one after ten days.",
    "return": "Shoes can be returned within thirty days, if they were not worn.",
    "refund": "The money for returned shoes comes back within a week.",
    "card": "A lost card is blocked at once by a call to our line.",
    "loan": "A loan needs a proof of income and two weeks.",
}
ROWS = [
    ("How long does a parcel take?", "parcel", "two days"),
    ("When is a parcel late?", "parcel", "after five"),
    ("When do you send a new parcel?", "late", "after ten days"),
    ("How long can I return shoes?", "return", "within thirty days"),
    ("When does the money for shoes come back?", "refund", "within a week"),
    ("How is a lost card blocked?", "card", "by a call to our line"),
    ("What does a loan need?", "loan", "a proof of income"),
    ("When does the bank open?", "card", ""),  # a question that its text does not answer
]


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    retriever = NeuralSearchChain(model=options.model)
    chain = QuestionAnsweringChain(retriever, options.reader or options.model, batch_size=4)
    chain.add({"id": key, "text": text} for key, text in DOCUMENTS.items())
    rows = [(question, DOCUMENTS[key], answer) for question, key, answer in ROWS]
    if options.reader is None:
        history = chain.fit(rows, epochs=options.epochs, learning_rate=5e-4, validation=rows)
        print(f"Trained on {len(rows)} questions: the loss is {history.history['loss'][-1]:.2f}.")
    measured = chain.evaluate(rows)
    print(f"exact match {measured['exact_match']:.2f}, F1 {measured['f1']:.2f}")

    answer = chain.ask("How long does a parcel take?", top_k=2, passages=3)
    print(f"{answer.text!r} in document {answer.id!r} at {answer.start}:{answer.end}, score {answer.score:.2f}")
    for other in answer.others:
        print(f"or {other.text!r} of {other.passage!r}")

    text = "The shop is open from nine to five. " * 40 + "On Sunday it is closed."
    found = chain.read("When is the shop closed?", text)  # of any length: it is read in windows
    print(f"a text of {len(text)} characters says {found.text!r}")

    with tempfile.TemporaryDirectory() as folder:
        loaded = QuestionAnsweringChain.load(chain.save(Path(folder) / "chain"))  # with retriever and documents
        print(f"{len(loaded)} documents are there again")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", help="a trained reader; default: one is trained here")
    parser.add_argument("--model", help="an encoder's folder or hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the questions (30)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
