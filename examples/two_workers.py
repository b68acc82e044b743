"""Train in two processes that share each batch, as two machines do: this script starts itself twice.

.venv/bin/python examples/two_workers.py [--model MODEL] [--epochs 3]

On the machines of a cluster, `tfchain launch` does what `run_workers` does here.
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
        # The environment variable TF_CONFIG gives each worker the addresses of both, and its own number.
        command = [sys.executable, __file__, "--out", str(out), *arguments]
        outcome = run_workers(command, NUM_WORKERS, show)
        if outcome.worker is not None:  # the other worker was stopped
            sys.exit(f"error: worker {outcome.worker} ended with exit code {outcome.exit_code}.")
        if losses[0] != losses[1]:
            sys.exit(f"error: the workers' losses differ: {losses}.")
        print(f"Both workers had the same losses: {', '.join(losses[0])}")

        chain = NeuralSearchChain.from_pretrained(out).add([LAPTOPS, FRUIT])
        print(f"The saved model answers: {chain.search('the keys of my kiwi stick')['answer']}")


def train(options: argparse.Namespace) -> None:
    """Runs one of the two workers."""
    # First: the workers must connect before TensorFlow computes anything, which loading a model does.
    strategy = make_strategy("multi_worker")
    chain = NeuralSearchChain(model=options.model)

    # All workers pass the same rows. A batch of six is three pairs per worker; the softmax is over all six answers.
    fit_options = FitOptions(strategy=strategy, length_groups=1)  # so few and short texts need no grouping by length
    history = chain.fit(PAIRS, batch_size=6, epochs=options.epochs, learning_rate=5e-5, options=fit_options)
    for epoch, loss in enumerate(history.history["loss"], 1):
        print(f"epoch {epoch}: loss {loss:.6f}")

    # The weights are the same everywhere; one worker, the chief, writes them.
    if find_task(strategy)[0] == 0:
        chain.save_pretrained(options.out)
        print("saved the model")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the pairs (3)")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)  # for a worker: where the chief saves
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
