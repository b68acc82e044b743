"""Classify texts: first with a few examples, then after a training, then from a server.

.venv/bin/python examples/classify.py [--model MODEL] [--epochs 3]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence

from tfchain import TextClassificationChain
from tfchain.chains.classification import ClassificationClient

ROWS = [
    ("Where is my parcel?", "delivery"),
    ("The courier has not come yet.", "delivery"),
    ("When will my order arrive?", "delivery"),
    ("Can you send it to another address?", "delivery"),
    ("I want my money back.", "refund"),
    ("How do I return the shoes?", "refund"),
    ("The jacket does not fit, please refund it.", "refund"),
    ("When do I get the money for what I sent back?", "refund"),
    ("I cannot log in.", "account"),
    ("How do I change my password?", "account"),
    ("Please delete my account.", "account"),
    ("My e-mail address is another one now.", "account"),
]
HELD_OUT = [
    ("My package is late.", "delivery"),
    ("Please pay the price back to me.", "refund"),
    ("I forgot my password.", "account"),
]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the rows (3)")
    options = parser.parse_args(arguments)
    chain = TextClassificationChain(model=options.model, batch_size=4)
    questions = [text for text, _ in HELD_OUT]

    # The encoder does not change; a logistic regression on its vectors predicts the labels.
    chain.fit_head(ROWS)
    print("head:", ", ".join(prediction["label"] for prediction in chain.predict(questions)))

    # The encoder is trained too; the held-out rows calibrate the model's probabilities.
    chain.fit(ROWS, epochs=options.epochs, learning_rate=1e-4, validation=HELD_OUT)
    print("trained:", ", ".join(prediction["label"] for prediction in chain.predict(questions)))
    print("metrics:", ", ".join(f"{name} {value:.2f}" for name, value in chain.evaluate(HELD_OUT).items()))

    with (
        tempfile.TemporaryDirectory() as folder,
        chain.deploy(folder, name="mail", top_k=2) as server,
        ClassificationClient(server.grpc_target) as client,
    ):
        print("served:", ", ".join(prediction["label"] for prediction in client.classify(questions, model="mail")))


if __name__ == "__main__":
    main(sys.argv[1:])
