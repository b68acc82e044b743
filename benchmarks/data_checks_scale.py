"""Time and memory of a data report on a corpus of many documents, made of the sentences of real ones.

.venv/bin/python benchmarks/data_checks_scale.py [--data ../shared/data] [--documents 300000] [--words 100]
"""

import argparse
import json
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tfchain.data.checks.data_report import data_report
from tfchain.data.documents.beir import to_dataset

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
QUERIES = 2000


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data sets")
    parser.add_argument("--documents", type=int, default=300_000)
    parser.add_argument("--words", type=int, default=100, help="words of a document, about")
    options = parser.parse_args(arguments)
    sentences: list[str] = []
    for name in ("scifact", "squad_dev", "dbpedia_sub"):
        for line in (options.data / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            sentences += re.split(r"(?<=[.?!])\s+", json.loads(line)["text"])
    rng = random.Random(0)
    queries, qrels = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for number in range(options.documents):
                chosen: list[str] = []
                while sum(text.count(" ") + 1 for text in chosen) < options.words - 10:
                    chosen.append(rng.choice(sentences))
                file.write(json.dumps({"_id": f"d{number}", "text": " ".join(chosen)}) + "\n")
                if number % (options.documents // QUERIES or 1) == 0:
                    words = " ".join(chosen).split()
                    start = rng.randrange(max(len(words) - 12, 1))
                    queries[f"q{number}"] = " ".join(words[start : start + 12])
                    qrels[f"q{number}"] = {f"d{number}": 1}
        megabytes = path.stat().st_size / 1e6
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start_seconds = time.perf_counter()
        report = data_report(corpus=path, evaluation=to_dataset(queries=queries, qrels=qrels))
        seconds = time.perf_counter() - start_seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.documents:,} documents, {megabytes:,.0f} MB, {len(queries):,} queries: {seconds:.0f} s, ", end="")
    print(f"peak {peak:,.0f} MB (before: {before:,.0f} MB)")
    print(", ".join(f"{part} {taken:.1f}" for part, taken in report.seconds.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
