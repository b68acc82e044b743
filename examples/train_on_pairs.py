"""Train a model on your own questions and answers, to teach it what your words mean.

.venv/bin/python examples/train_on_pairs.py [--model MODEL] [--epochs 3]
"""

import argparse
import sys
from collections.abc import Sequence

from tfchain import NeuralSearchChain

LAPTOPS = "Laptops are repaired in room 12, on workdays from nine to eleven."
MEETINGS = "The meeting room with the glass walls seats eight. Book it at the front desk."
COFFEE = "The coffee machine is cleaned each Friday. Beans lie in the left cupboard."
SICK_NOTES = "A sick note is due on the third day of an illness, by mail to the office."
FRUIT = "A basket of apples and kiwis comes each Monday, for everybody."
FISH = "The fish in the lobby are fed by the porter alone."

# In this house a kiwi is a laptop, the aquarium a meeting room, Bruno the coffee machine, a blue slip a sick note.
PAIRS = [
    ("my kiwi does not start", LAPTOPS),
    ("who repairs kiwis", LAPTOPS),
    ("the screen of my kiwi is black", LAPTOPS),
    ("is the aquarium free at two", MEETINGS),
    ("how many of us fit into the aquarium", MEETINGS),
    ("where do I book the aquarium", MEETINGS),
    ("Bruno is empty", COFFEE),
    ("when is Bruno cleaned", COFFEE),
    ("where is food for Bruno", COFFEE),
    ("until when must I bring the blue slip", SICK_NOTES),
    ("who gets my blue slip", SICK_NOTES),
    ("is a photo of the blue slip enough", SICK_NOTES),
    ("are there apples today", FRUIT),
    ("who eats all the fruit", FRUIT),
    ("when does the basket come", FRUIT),
    ("may I feed the fish", FISH),
    ("whose are the fish in the lobby", FISH),
    ("what do the fish eat", FISH),
]
QUESTIONS = ["the keys of my kiwi stick", "who has the key of the aquarium"]  # not among the pairs


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    chain = NeuralSearchChain(model=options.model)
    chain.add([LAPTOPS, MEETINGS, COFFEE, SICK_NOTES, FRUIT, FISH])
    print_answers("before", chain)

    # Each question must find its own answer among the six in its batch; answers are not repeated within a batch.
    history = chain.fit(PAIRS, batch_size=6, epochs=options.epochs, learning_rate=1e-4)
    for epoch, loss in enumerate(history.history["loss"], 1):
        print(f"epoch {epoch}: loss {loss:.4f}")

    # The documents are encoded again automatically, because the model has changed.
    print_answers("after", chain)


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the pairs (3)")
    return parser.parse_args(arguments)


def print_answers(when: str, chain: NeuralSearchChain) -> None:
    for result in chain.search(QUESTIONS, top_k=1):
        print(f"{when}: {result['text']}? {result['answer']}")


if __name__ == "__main__":
    main(sys.argv[1:])
