"""Memory: the peak of a process that trains MiniLM with a plain batch, and with GradCache on batches of any size.

Each case is a process of its own on the same pairs, documents of up to 256 tokens; its peak is what Linux notes as
VmHWM, the libraries and the model included. (`ru_maxrss` would also count what the starting process held.)
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from processes import (
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
from texts import write_mixed_pairs

SMALL_BATCH = 32
QUICK_BATCH = 64


def main() -> None:
    """Reads the options, measures, writes."""
    parser = make_parser(__doc__, data=("scifact", "squad"))
    add = parser.add_argument
    add("--batch-size", type=int, default=1024, help="pairs in GradCache's large batch (%(default)s)")
    add("--large-steps", type=int, default=2, help="steps with the large batch (%(default)s)")
    add("--small-steps", type=int, default=24, help="steps with batches of 32 (%(default)s)")
    add("--max-length", type=int, default=256, help="tokens of a text (%(default)s)")
    arguments = read_arguments(parser)
    if arguments.quick:
        arguments.batch_size, arguments.large_steps, arguments.small_steps = QUICK_BATCH, 1, 2
        arguments.max_length = 64
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        results = measure(arguments, Path(work))
    write_result(arguments.out, "memory", describe_command(__file__, parser, arguments), machine, **results)


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Trains each case and notes its peak."""
    pairs = work / "pairs.jsonl"
    counts = write_mixed_pairs(arguments.scifact, arguments.squad, arguments.batch_size, pairs)
    cases = [
        (SMALL_BATCH, None, arguments.small_steps),
        (SMALL_BATCH, SMALL_BATCH, arguments.small_steps),
        (arguments.batch_size, SMALL_BATCH, arguments.large_steps),
    ]
    rows = []
    for batch_size, mini_batch_size, steps in cases:
        say(f"memory: batch {batch_size}, mini-batch {mini_batch_size}")
        trained = ask_once(
            Path(sys.executable),
            TFCHAIN_WORKER,
            work / "memory.log",
            "train",
            model=find_minilm(),
            dataset=str(pairs),
            max_length=arguments.max_length,
            hyperparameters={
                "batch_size": batch_size,
                "mini_batch_size": mini_batch_size,
                "epochs": -(-steps * batch_size // sum(counts.values())),
            },
            stop_after=steps,
        )
        rows.append(
            {
                "batch_size": batch_size,
                "mini_batch_size": mini_batch_size,
                "steps": len(trained["losses"]),
                "seconds": trained["seconds"],
                "loaded_megabytes": trained["loaded_megabytes"],
                "peak_megabytes": trained["peak_megabytes"],
            }
        )
    return {
        "settings": {"max_length": arguments.max_length},
        "pairs": counts,
        "versions": ask_once(Path(sys.executable), TFCHAIN_WORKER, work / "memory.log", "versions"),
        "rows": rows,
    }


if __name__ == "__main__":
    main()
