"""Search for hyperparameters that suit your questions, see which ones matter, and train with the best values.

.venv/bin/python examples/tune.py [--model MODEL] [--trials 6] [--path FOLDER]

Each trial trains a fresh copy of the model on the pairs of train_on_pairs.py and is ranked on other questions. With
--path a stopped search continues; the folder contains a table, a plot and TensorBoard logs: tensorboard --logdir
FOLDER/logs
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from train_on_pairs import COFFEE, FISH, FRUIT, LAPTOPS, MEETINGS, PAIRS, SICK_NOTES, print_answers

from tfchain import NeuralSearchChain, Range

DOCUMENTS = [LAPTOPS, MEETINGS, COFFEE, SICK_NOTES, FRUIT, FISH]
# Questions kept out of training, each with the number of the document that answers it.
QUESTIONS = {
    "a kiwi fell on the floor": 0,
    "can I get another kiwi": 0,
    "the aquarium is too small for us": 1,
    "I lost the key of the aquarium": 1,
    "Bruno makes a noise": 2,
    "Bruno wants to be cleaned": 2,
    "my blue slip came late": 3,
    "do I need a blue slip for one day": 3,
    "is there a kiwi in the basket": 4,
    "are the fish hungry": 5,
}


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    chain = NeuralSearchChain(model=options.model, batch_size=6)
    chain.add(DOCUMENTS)
    print_answers("before", chain)

    validation = {
        "queries": {str(number): text for number, text in enumerate(QUESTIONS)},
        "qrels": {str(number): {str(document): 1} for number, document in enumerate(QUESTIONS.values())},
    }
    before = chain.evaluate(validation)["ndcg@10"]
    report = chain.tune(
        PAIRS,
        {
            "learning_rate": Range(1e-5, 2e-4, sampling="log"),  # a range, drawn evenly on a log scale
            "epochs": Range(1, 4),
            "loss.scale": [10.0, 20.0, 40.0],  # a list: choices
        },
        tuner="random",
        max_trials=options.trials,
        validation=validation,  # has no documents, so the chain's are searched
        path=options.path,
        refit=True,  # trains the chain's model with the best values at the end
    )
    print(report)
    importance = sorted(report.importance.items(), key=lambda item: -item[1])
    print("what matters: " + ", ".join(f"{name} {value:.2f}" for name, value in importance))
    print(f"nDCG@10: {before:.4f} before, {report.best.metrics['ndcg@10']:.4f} with {dict(report.best.values)}")
    print_answers("after", chain)


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--trials", type=int, default=6, help="the number of trials (6)")
    parser.add_argument("--path", type=Path, help="a folder that keeps the search, to continue it; default: none")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
