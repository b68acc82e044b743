"""Data larger than memory: a training from generated TFRecords, the files small and then many times as large.

The encoder is tiny, so that a whole epoch over the large files is short: what counts is what the process holds while
all rows pass through it.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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

from tfchain.data.shards.pair_shards import write_tfrecords

SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te")
WORDS_IN_QUERY, WORDS_IN_DOCUMENT = 8, 600
SHARDS = 8
SMALL_SHARE = 50
QUICK_ROWS = 2_000


def main() -> None:
    """Reads the options, measures, writes."""
    parser = make_parser(__doc__, data=())
    add = parser.add_argument
    add("--rows", type=int, default=500_000, help="pairs in the large files (%(default)s)")
    add("--batch-size", type=int, default=512, help="pairs in a step (%(default)s)")
    arguments = read_arguments(parser)
    if arguments.quick:
        arguments.rows, arguments.batch_size = QUICK_ROWS, 20
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        results = measure(arguments, Path(work))
    write_result(arguments.out, "shards", describe_command(__file__, parser, arguments), machine, **results)


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Writes the files, trains an epoch on each, notes the peaks."""
    rows = []
    for count in (arguments.rows // SMALL_SHARE, arguments.rows):
        folder = work / str(count)
        say(f"shards: writing {count} pairs")
        files = write_tfrecords(make_rows(count), folder, shards=SHARDS)
        say(f"shards: training on {count} pairs")
        trained = ask_once(
            Path(sys.executable),
            TFCHAIN_WORKER,
            work / "shards.log",
            "train_on_shards",
            model=find_minilm(),
            folder=str(folder),
            batch_size=arguments.batch_size,
        )
        rows.append({"pairs": count, "megabytes": sum(file.stat().st_size for file in files) / 2**20, **trained})
    return {
        "settings": {"batch_size": arguments.batch_size},
        "versions": ask_once(Path(sys.executable), TFCHAIN_WORKER, work / "shards.log", "versions"),
        "rows": rows,
    }


def make_rows(count: int) -> Iterator[tuple[str, str]]:
    """Queries and documents of made-up words, a row at a time; each pair shares words that say its number."""
    rng = np.random.default_rng(0)
    words = [one + two + three for one in SYLLABLES for two in SYLLABLES for three in SYLLABLES]
    filler = [" ".join(rng.choice(words, WORDS_IN_DOCUMENT)) for _ in range(1_000)]
    for number in range(count):
        name = " ".join(words[number // len(words) ** place % len(words)] for place in range(3))
        chosen = filler[int(rng.integers(len(filler)))]
        yield f"{name} {chosen[: 6 * WORDS_IN_QUERY]}", f"{name} {chosen}"


if __name__ == "__main__":
    main()
