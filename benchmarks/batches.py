"""Bulk encoding by the number of tokens in a step: speed, processor time and peak memory, each in a process of its own.

Run: .venv/bin/python benchmarks/batches.py [--data ../shared/data/scifact] [--engine native pool litert tensorflow]
`native` is int8 on tfchain's own kernels, `pool` int8 by LiteRT with an interpreter a core (up to eight), as a chain
has it there; `int8` has one interpreter for all.
The ways take turns, `--rounds` of them; the table has medians. A turn takes a quarter of a minute on two cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

CHILD = """
import json, sys, time
import tfchain.models.engines.native_encoder as native_encoder
import tfchain.models.engines.litert_engine as litert_engine
from benchmarks.scifact import find_minilm
from tfchain.models.text_encoder import TextEncoder
engine, tokens, texts = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)
litert_engine.TOKENS_IN_BATCH = tokens
litert_engine.TOKENS_A_THREAD = tokens  # of which TOKENS_IN_BATCH is the most, whatever the threads
if engine != "pool":
    litert_engine.POOL_TOKENS = float("inf")
if engine in ("native", "pool", "int8"):
    kind = "native" if engine == "native" else "litert"
    native_encoder.TOKENS_A_THREAD = tokens // litert_engine.count_cores()
    encoder = TextEncoder.from_pretrained(find_minilm(), engine=kind, precision="int8")
else:
    encoder = TextEncoder.from_pretrained(find_minilm(), engine=engine)
encoder.encode(texts[:48], progress=False)
begin, used = time.perf_counter(), time.process_time()
encoder.encode(texts, progress=False)
seconds, used = time.perf_counter() - begin, time.process_time() - used
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([len(texts) / seconds, 1000 * used / len(texts), peak / 1024]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--engine", nargs="+", default=["native", "pool", "int8", "litert", "tensorflow"])
    parser.add_argument("--tokens", nargs="+", default=["256", "512", "1024", "2048", "4096"])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with open(arguments.data / "corpus.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(256), strict=False)]
    texts = json.dumps([f"{row['title']} {row['text']}" for row in rows])
    ways = [(engine, tokens) for engine in arguments.engine for tokens in arguments.tokens]
    measured: dict[tuple[str, str], list[list[float]]] = {way: [] for way in ways}
    for number in range(arguments.rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            done = subprocess.run(
                [sys.executable, "-c", CHILD, *way], input=texts, capture_output=True, text=True, check=True
            )
            measured[way].append(json.loads(done.stdout.strip().splitlines()[-1]))
    print("| engine | tokens in a step | texts a second | processor ms a text | peak memory, MB |")
    print("|---|---|---|---|---|")
    for (engine, tokens), values in measured.items():
        rate, used, peak = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"| {engine} | {tokens} | {rate:.1f} | {used:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
