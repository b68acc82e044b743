"""Speed: training steps of MiniLM on mixed-length pairs, some systems at a time, taking turns epoch by epoch.

Each process keeps five gigabytes, so three run at a time, sentence-transformers always among them: a system's ratio is
to the turns beside its own. A turn is one epoch over the same pairs, so every system computes the same texts in each;
the first turn warms up and is not counted. What a trainer does between steps (making batches, tokenizing in
sentence-transformers' case, the epoch's end) is in its time; tfchain tokenizes all texts before the first step, which
is in the warm-up.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import (
    PEER_WORKER,
    TFCHAIN_WORKER,
    Worker,
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

PEER = "sentence-transformers"
BFLOAT16_PEER = "sentence-transformers, bfloat16"
KEPT_PEER = "sentence-transformers, malloc keeps memory"
EQUAL_PADDING = "tfchain, equal padding"
DEFAULT_ALLOCATOR = f"{EQUAL_PADDING}, TensorFlow's default allocator"
# Length groups (0 pads each column to its longest text, as sentence-transformers does), and hyperparameters.
SYSTEMS: dict[str, tuple[int, dict[str, Any]]] = {
    EQUAL_PADDING: (0, {"batches": "random"}),
    DEFAULT_ALLOCATOR: (0, {"batches": "random"}),
    "tfchain, length groups": (4, {"batches": "no_duplicates"}),
    "tfchain, length batches": (4, {"batches": "no_duplicates_by_length"}),
    "tfchain, length batches, bfloat16": (4, {"batches": "no_duplicates_by_length", "dtype_policy": "mixed_bfloat16"}),
}
# tfchain asks TensorFlow to keep memory between steps; what that is worth, and what it would be worth to PyTorch, whose
# users do not usually ask glibc for the like.
ENVIRONMENTS = {
    DEFAULT_ALLOCATOR: {"TF_CPU_ALLOCATOR_USE_BFC": "false"},
    KEPT_PEER: {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)},
}
# Idle threads of one system may spin for a moment after its turn; the next one waits for that.
PAUSE_SECONDS = 0.2
AT_ONCE = 3  # in 24 GB
SETTINGS = ("steps", "turns", "batch_size", "max_length", "at_once")


def main() -> None:
    """Reads the options, measures, writes."""
    parser = make_parser(__doc__, data=("scifact", "squad"))
    add = parser.add_argument
    everything = [PEER, KEPT_PEER, BFLOAT16_PEER, *SYSTEMS]
    unusual = ENVIRONMENTS.keys() if has_bfloat16() else {*ENVIRONMENTS, BFLOAT16_PEER}
    usual = [name for name in everything if name not in unusual]
    add("--steps", type=positive, default=12, help="steps of a turn (%(default)s)")
    add("--turns", type=positive, default=3, help="turns of each system, beside the warm-up (%(default)s)")
    add("--batch-size", type=positive, default=32, help="pairs in a step (%(default)s)")
    add("--max-length", type=positive, default=256, help="tokens of a text (%(default)s)")
    add("--at-once", type=positive, default=AT_ONCE, help="processes at a time, of five gigabytes each (%(default)s)")
    add("--systems", nargs="+", choices=everything, default=usual, help="compare these alone (%(default)s)")
    by_allocator = [PEER, KEPT_PEER, EQUAL_PADDING, DEFAULT_ALLOCATOR]
    add("--allocators", nargs="*", choices=by_allocator, default=by_allocator, help="then these, or none (%(default)s)")
    arguments = read_arguments(parser)
    if arguments.quick:
        arguments.steps, arguments.turns, arguments.batch_size, arguments.max_length = 2, 1, 8, 64
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        results = measure(arguments, Path(work))
    write_result(arguments.out, "speed", describe_command(__file__, parser, arguments), machine, **results)


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Runs the systems by turns, group after group, and counts the tokens that each computes."""
    pairs = work / "pairs.jsonl"
    counts = write_mixed_pairs(arguments.scifact, arguments.squad, arguments.steps * arguments.batch_size, pairs)
    total = sum(counts.values())
    tokens = count_tokens(arguments, pairs, work)

    def measure_part(systems: list[str]) -> list[dict[str, Any]]:
        groups = make_groups(systems, arguments.at_once)
        return make_rows([take_turns(arguments, group, pairs, work) for group in groups], systems, tokens, total)

    return {
        "settings": {name: getattr(arguments, name) for name in SETTINGS},
        "pairs": counts,
        "versions": ask_once(Path(sys.executable), TFCHAIN_WORKER, work / "versions.log", "versions")
        | ask_once(arguments.peers, PEER_WORKER, work / "versions.log", "versions"),
        "rows": measure_part(arguments.systems),
        "allocators": measure_part(arguments.allocators),
    }


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def make_groups(systems: list[str], at_once: int) -> list[list[str]]:
    """Systems that take turns with each other: at most so many, sentence-transformers in each group where it is asked.

    Example:
        >>> make_groups([PEER, "a", "b", "c"], 3)
        [['sentence-transformers', 'a', 'b'], ['sentence-transformers', 'c']]
    """
    shared = [PEER] if PEER in systems and at_once > 1 else []
    others = [system for system in systems if system not in shared]
    size = at_once - len(shared)
    groups = [[*shared, *others[start : start + size]] for start in range(0, len(others), size)]
    return groups or ([shared] if shared else [])


def make_rows(
    groups: list[dict[str, list[float]]], systems: list[str], tokens: dict[str, dict[str, int]], num_pairs: int
) -> list[dict[str, Any]]:
    """A system's speed, the speed of sentence-transformers in the same turns, and tokens."""

    def to_rates(of_system: list[float]) -> list[float]:
        return [num_pairs / one for one in of_system]

    rows = []
    for system in systems:
        own = [rate for group in groups for rate in to_rates(group.get(system, []))]
        beside = [rate for group in groups if system in group for rate in to_rates(group.get(PEER, []))]
        rows.append(
            {
                "system": system,
                "pairs_per_second": own,
                "reference_pairs_per_second": beside,
                "median": statistics.median(own),
                "tokens": tokens[system],
            }
        )
    return rows


def take_turns(arguments: argparse.Namespace, systems: list[str], pairs: Path, work: Path) -> dict[str, list[float]]:
    """Seconds of each counted turn, by system."""
    seconds: dict[str, list[float]] = {system: [] for system in systems}
    with ExitStack() as stack:
        workers = {}
        for system in systems:
            python, script = (arguments.peers, PEER_WORKER) if is_peer(system) else (sys.executable, TFCHAIN_WORKER)
            log_path = work / f"{system.replace(' ', '-')}.log"
            workers[system] = stack.enter_context(Worker(Path(python), script, log_path, ENVIRONMENTS.get(system)))
        for system, worker in workers.items():
            say(f"speed: {system} warms up")
            worker.ask("take_turns", **request(system, arguments, pairs))
        for turn in range(arguments.turns):
            say(f"speed: turn {turn + 1} of {arguments.turns}")
            for system in rotated(systems, turn):
                time.sleep(PAUSE_SECONDS)
                seconds[system].append(workers[system].ask("go on")["seconds"])
    return seconds


def request(system: str, arguments: argparse.Namespace, pairs: Path) -> dict[str, Any]:
    """What a system is asked: one more epoch than turns are counted."""
    common = {
        "model": find_minilm(),
        "dataset": str(pairs),
        "max_length": arguments.max_length,
        "steps": arguments.steps,
    }
    epochs = arguments.turns + 1
    if is_peer(system):
        return {
            **common,
            "batch_size": arguments.batch_size,
            "epochs": epochs,
            "bfloat16": system == BFLOAT16_PEER,
        }
    length_groups, hyperparameters = SYSTEMS[system]
    given = {"batch_size": arguments.batch_size, "epochs": epochs, "warmup": 0.0, **hyperparameters}
    return {**common, "hyperparameters": given, "length_groups": length_groups}


def count_tokens(arguments: argparse.Namespace, pairs: Path, work: Path) -> dict[str, dict[str, int]]:
    """Tokens of an epoch, own and computed; sentence-transformers pads as tfchain does without length groups."""
    counted = {}
    with Worker(Path(sys.executable), TFCHAIN_WORKER, work / "tokens.log") as worker:
        for system in {*arguments.systems, *arguments.allocators}:
            asked = request(EQUAL_PADDING if is_peer(system) else system, arguments, pairs)
            del asked["steps"]
            counted[system] = worker.ask("count_tokens", **asked)
    return counted


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16: PyTorch is many times slower with it where it does not."""
    return bool({"avx512_bf16", "amx_bf16"} & set(describe_machine()["features"].split()))


def is_peer(system: str) -> bool:
    """Whether a system lives in the peers' environment."""
    return system in (PEER, KEPT_PEER, BFLOAT16_PEER)


def rotated(values: list[str], by: int) -> list[str]:
    """The values, each turn begun by another one."""
    by %= len(values)
    return [*values[by:], *values[:by]]


if __name__ == "__main__":
    main()
