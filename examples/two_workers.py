"""Train in two processes that share each batch, as two machines would: this script starts itself twice.

.venv/bin/python examples/two_workers.py [--model MODEL] [--epochs 3]

On machines of a cluster `tfchain launch` arranges what `run_workers` does here.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from train_on_pairs import FRUIT, LAPTOPS, PAIRS

from tfchain import FitOptions, NeuralSearchChain, make_strategy
from tfchain.jobs.local import run_workers
from tfchain.training.distributed.strategies import find_task

NUM_WORKERS = 2


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    if options.out is not None:
        train(options)
        return

    losses: list[list[str]] = [[] for _ in range(NUM_WORKERS)]

    def show(worker: int, line: str, is_error: bool) -> None:
        print(f"[worker {worker}] {line}", file=sys.stderr if is_error else sys.stdout)
        losses[worker] += [] if is_error else re.findall(r"loss (\S+)", line)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        # Each gets the addresses of both, and its own number, in the environment variable TF_CONFIG.
        command = [sys.executable, __file__, "--out", str(out), *arguments]
        outcome = run_workers(command, NUM_WORKERS, show)
        if outcome.worker is not None:  # the other one was ended
            sys.exit(f"error: worker {outcome.worker} ended with exit code {outcome.exit_code}.")
        if losses[0] != losses[1]:
            sys.exit(f"error: the workers' losses differ: {losses}.")
        print(f"Both workers had the same losses: {', '.join(losses[0])}")

        chain = NeuralSearchChain.from_pretrained(out).add([LAPTOPS, FRUIT])
        print(f"The saved model answers: {chain.search('the keys of my kiwi stick')['answer']}")


def train(options: argparse.Namespace) -> None:
    """One of the two workers."""
    # First of all: the workers must find each other before TensorFlow computes anything, and loading a model does.
    strategy = make_strategy("multi_worker")
    chain = NeuralSearchChain(model=options.model)

    # All give the same rows. A batch of six is three pairs for each worker; the softmax is over the answers of all six.
    how = FitOptions(strategy=strategy, length_groups=1)  # texts so few and short need not be grouped by length
    history = chain.fit(PAIRS, batch_size=6, epochs=options.epochs, learning_rate=5e-5, options=how)
    for epoch, loss in enumerate(history.history["loss"], 1):
        print(f"epoch {epoch}: loss {loss:.6f}")

    # The weights are the same everywhere; one worker, the chief, writes them.
    if find_task(strategy)[0] == 0:
        chain.save_pretrained(options.out)
        print("saved the model")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the one that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=3, help="how often all pairs are seen (3)")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)  # of a worker: where the chief saves
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
