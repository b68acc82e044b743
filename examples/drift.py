"""Notice that users ask about something else: a reference in a version, queries that change, and canaries.

Run: .venv/bin/python examples/drift.py [--out DIR]
The model is the one that comes with tfchain.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain
from tfchain.chains.monitored_version import open_version
from tfchain.models.bundled import BUNDLED_MODEL
from tfchain.monitoring.canaries.ask import make_ask, record_canaries
from tfchain.monitoring.canaries.canary import CanaryQuery, write_canaries
from tfchain.monitoring.canaries.check import check_canaries
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.monitor import DriftMonitor
from tfchain.monitoring.drift.record import record_queries
from tfchain.monitoring.drift.reference import make_reference, read_reference, write_reference

ANIMALS = ("dog", "cat", "horse", "rabbit", "parrot", "goldfish", "hamster", "tortoise")
CARE = ("what does a {} eat", "how long does a {} sleep", "my {} is ill", "can a {} swim", "how old does a {} get")
CARDS = ("my card was stolen", "why was my card declined", "the machine kept my card", "how do I block a lost card")
MONEY = ("where is my refund", "the exchange rate is wrong", "my transfer has not arrived", "a fee that I do not know")
CONFIG = DriftConfig(window=40, stride=10, horizon=1_000, num_runs=500)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the version is written (a temporary folder)")
    parser.add_argument("--model", default=BUNDLED_MODEL, help="a model's folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        show(options.model, options.out or Path(folder))


def show(model: str | Path, out: Path) -> None:
    asked = [question.format(animal) for question in CARE for animal in ANIMALS]
    chain = NeuralSearchChain.from_pretrained(model)
    chain.add([f"All about the {animal}: food, sleep and health." for animal in ANIMALS])
    version = chain.export(out / "pets")

    with open_version(version) as served:
        # What is kept in the version: what queries are like, and what a few of them are answered.
        write_reference(version, make_reference(record_queries(served, asked), config=CONFIG))
        canaries = record_canaries(make_ask(served), [CanaryQuery(text) for text in asked[::8]])
        write_canaries(version, canaries)

        # What happens later, in a server or in a job that reads its query log.
        report = check_canaries(make_ask(served), canaries)
        print(f"canaries: recall {report.recall:.2f}, vector distance {report.vector_distance:.6f}")
        with DriftMonitor(read_reference(version), encode=chain.encode_query) as monitor:
            monitor.take_canaries(report.is_same_model)
            for day, texts in (("as ever", asked), ("a bank's customers come", (CARDS + MONEY) * 5)):
                for text in texts:
                    monitor.add_query(text)
                found = monitor.report()
                print(f"{day}: {', '.join(found.causes) or 'nothing'} changed")
                if found.queries is not None and found.queries.newcomers is not None:
                    for cluster in found.queries.newcomers.clusters:
                        print(f"  {cluster.size} new, such as: {' · '.join(cluster.examples)}")


if __name__ == "__main__":
    main()
