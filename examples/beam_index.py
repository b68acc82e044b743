"""From files to a searchable chain by an Apache Beam pipeline: clean, remove duplicates, encode, save.

.venv-beam/bin/python examples/beam_index.py [FILE ...] [--runner=…]

On a laptop, Beam's DirectRunner runs it; with `--runner=FlinkRunner --flink_master=host:8081` and the like, a cluster.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain
from tfchain.jobs.beam_index import index_with_beam

NOTES = [
    "The rent is due on the third working day of each month.",
    "Whoever loses a key pays for the new lock, and for the copies of the key that the neighbours then need.",
    "Cats are welcome. Dogs need the landlord's word.",
    "Whoever loses a key pays for the new lock, and for the copies of the key that the neighbours then want.",
    "the rent is due on the third working day   of each month.",
]
STEPS = ["repair_text", "remove_exact_duplicates", {"remove_near_duplicates": {"min_words": 10}}]


def main(arguments: Sequence[str]) -> None:
    files = [Path(name) for name in arguments if not name.startswith("--")]
    flags = [flag for flag in arguments if flag.startswith("--")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not files:
            files = [folder / "notes.jsonl"]
            lines = [json.dumps({"id": f"note-{number}", "text": text}) for number, text in enumerate(NOTES)]
            files[0].write_text("\n".join(lines), encoding="utf-8")

        # Killed and run again, it encodes only what is missing; each document is in the chain exactly once.
        made = index_with_beam(files, folder / "index", STEPS, options=flags)
        print(made.report)  # 5 records read, 3 written …

        chain = NeuralSearchChain.load(made.path)
        print(chain.search("May I keep a dog?")["answer"])  # Cats are welcome. Dogs need the landlord's word.


if __name__ == "__main__":
    main(sys.argv[1:])
