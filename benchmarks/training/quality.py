"""Quality: MiniLM trained on SciFact's train split, by tfchain and by sentence-transformers' trainer, same batches.

Both see the same rows in the same order (tfchain plans, the peer is given the plan), at the same learning rate, with
the same optimizer, schedule and dropout rates; tfchain's evaluation then scores both, each read from its folder.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from processes import (
    PEER_WORKER,
    TFCHAIN_WORKER,
    ask_once,
    describe_command,
    describe_machine,
    find_minilm,
    make_parser,
    read_arguments,
    say,
    write_result,
)

PEER = "sentence-transformers"
# What differs from the same training as the peer's.
VARIANTS: dict[str, dict[str, Any]] = {
    "tfchain": {},
    "tfchain, false negatives masked": {"mask_false_negatives": True},
    "tfchain, length batches, bfloat16": {"batches": "no_duplicates_by_length", "dtype_policy": "mixed_bfloat16"},
}
CHECKED_STEPS = 5
QUICK_STEPS = 2
QUICK_DOCUMENTS = 50
QUICK_LENGTH = 48


def main() -> None:
    """Reads the options, trains, evaluates, writes."""
    parser = make_parser(__doc__, data=("scifact",))
    add = parser.add_argument
    add("--epochs", type=int, default=1, help="passes over the 919 pairs (%(default)s)")
    add("--batch-size", type=int, default=32, help="pairs in a step (%(default)s)")
    add("--max-length", type=int, default=256, help="tokens of a text (%(default)s)")
    add("--learning-rate", type=float, default=2e-5, help="at the first step, 0 at the last (%(default)s)")
    add("--seeds", type=int, nargs="+", default=[1, 2], help="of the order and of dropout (%(default)s)")
    add("--systems", nargs="+", choices=[PEER, *VARIANTS], default=[PEER, *VARIANTS], help="train with these alone")
    arguments = read_arguments(parser)
    if arguments.quick:
        arguments.max_length = QUICK_LENGTH
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        results = measure(arguments, Path(work))
    write_result(arguments.out, "quality", describe_command(__file__, parser, arguments), machine, **results)


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Plans, checks that both train alike, trains with each system and seed, and evaluates."""
    quality = Quality(arguments, work)
    planned = quality.plan()
    results: dict[str, Any] = {
        "settings": {
            name: getattr(arguments, name) for name in ("epochs", "batch_size", "max_length", "learning_rate", "seeds")
        },
        "pairs": planned["rows"],
        "steps": planned["steps"],
        "versions": quality.tfchain("versions") | quality.peer("versions"),
        "sameness": quality.compare(),
        "untrained": quality.evaluate(find_minilm()),
    }
    rows = []
    for seed in arguments.seeds:
        for system in arguments.systems:
            say(f"quality: {system}, seed {seed}")
            folder = str(work / f"{system.replace(' ', '-')}-{seed}")
            trained = quality.train(system, seed, save=folder, stop_after=QUICK_STEPS if arguments.quick else None)
            tenth = max(1, len(trained["losses"]) // 10)
            rows.append(
                {
                    "system": system,
                    "seed": seed,
                    "steps": len(trained["losses"]),
                    "seconds": trained["seconds"],
                    "first_losses": sum(trained["losses"][:tenth]) / tenth,
                    "last_losses": sum(trained["losses"][-tenth:]) / tenth,
                    "metrics": quality.evaluate(folder),
                }
            )
    return results | {"rows": rows}


class Quality:
    """The trainings of this measure, each in a process of its own.

    Args:
        arguments: The options.
        work: A folder for plans, logs and models.
    """

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self.arguments = arguments
        self.work = work
        self.planned = str(work / "plan.json")

    def plan(self) -> dict[str, Any]:
        """Has tfchain plan the batches of every seed."""
        given = self.arguments
        return self.tfchain(
            "plan",
            model=find_minilm(),
            dataset=str(given.scifact),
            max_length=given.max_length,
            seeds=given.seeds,
            save=self.planned,
            epochs=given.epochs,
            batch_size=given.batch_size,
        )

    def compare(self) -> dict[str, float]:
        """Trains some steps without dropout with both: the same batches give the same losses."""
        say("quality: the same batches, losses and learning rates?")
        seed = self.arguments.seeds[0]
        own = self.train("tfchain", seed, dropout=0.0, stop_after=CHECKED_STEPS)
        other = self.train(PEER, seed, dropout=0.0, stop_after=CHECKED_STEPS)

        def largest(name: str) -> float:
            return max(abs(one - two) for one, two in zip(own[name], other[name], strict=True))

        return {
            "steps": CHECKED_STEPS,
            "largest_loss_difference": largest("losses"),
            "largest_learning_rate_difference": largest("learning_rates") / self.arguments.learning_rate,
        }

    def train(
        self,
        system: str,
        seed: int,
        *,
        dropout: float | None = None,
        stop_after: int | None = None,
        save: str | None = None,
    ) -> dict[str, Any]:
        """One training."""
        given = self.arguments
        values = {"model": find_minilm(), "max_length": given.max_length, "stop_after": stop_after, "save": save}
        if system == PEER:
            return self.peer(
                "train",
                planned=self.planned,
                seed=seed,
                learning_rate=given.learning_rate,
                dropout=dropout,
                **values,
            )
        hyperparameters = {
            "batch_size": given.batch_size,
            "epochs": given.epochs,
            "learning_rate": given.learning_rate,
            "warmup": 0.0,
            "mask_false_negatives": False,
            "dropout": dropout,
            "seed": seed,
            **VARIANTS[system],
        }
        return self.tfchain("train", dataset=str(given.scifact), hyperparameters=hyperparameters, **values)

    def evaluate(self, model: str) -> dict[str, float]:
        """The metrics of a model's folder on the test split."""
        given = self.arguments
        return self.tfchain(
            "evaluate",
            model=model,
            beir=str(given.scifact),
            max_length=given.max_length,
            max_documents=QUICK_DOCUMENTS if given.quick else None,
        )

    def tfchain(self, do: str, **values: Any) -> dict[str, Any]:
        """Asks tfchain's worker."""
        return ask_once(Path(sys.executable), TFCHAIN_WORKER, self.work / "tfchain.log", do, **values)

    def peer(self, do: str, **values: Any) -> dict[str, Any]:
        """Asks sentence-transformers' worker."""
        return ask_once(self.arguments.peers, PEER_WORKER, self.work / "peer.log", do, **values)


if __name__ == "__main__":
    main()
