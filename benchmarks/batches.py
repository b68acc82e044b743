"""Bulk encoding by the number of tokens in a step: processor time and peak memory, each in a process of its own.

Run: .venv/bin/python benchmarks/batches.py [--data ../shared/data/scifact] [--engine litert tensorflow]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

CHILD = """
import json, sys, time
import tfchain.core.token_batches as token_batches
from benchmarks.scifact import find_minilm
from tfchain.models.text_encoder import TextEncoder
engine, tokens, texts = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)
token_batches.TOKENS_IN_BATCH = tokens
encoder = TextEncoder.from_pretrained(find_minilm(), engine=engine)
encoder.encode("first")
begin = time.process_time()
encoder.encode(texts, progress=False)
used = time.process_time() - begin
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"| {engine} | {tokens} | {1000 * used / len(texts):.1f} | {peak // 1024} |")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--engine", nargs="+", default=["litert", "tensorflow"])
    parser.add_argument("--tokens", nargs="+", default=["512", "1024", "2048", "4096", "8192"])
    arguments = parser.parse_args()
    with open(arguments.data / "corpus.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(128), strict=False)]
    texts = json.dumps([f"{row['title']} {row['text']}" for row in rows])
    print("| engine | tokens in a step | processor ms a text | peak memory, MB |\n|---|---|---|---|", flush=True)
    for engine in arguments.engine:
        for tokens in arguments.tokens:
            command = [sys.executable, "-c", CHILD, engine, tokens]
            done = subprocess.run(command, input=texts, capture_output=True, text=True, check=True)
            print(done.stdout.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
