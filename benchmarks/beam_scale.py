"""Beam's DirectRunner from 10,000 to 300,000 documents: what a document costs as the corpus grows.

Run: .venv-beam/bin/python benchmarks/beam_scale.py [--sizes 10000 30000] [--workers 2] [--data FOLDER] [--write]
Reads, cleans, removes exact and near-duplicates across the whole corpus, cuts documents into passages, and writes
shards; nothing is encoded. The documents are sentences of SciFact, SQuAD and CMRC 2018 in new order, a sixth of them
repeats and a sixth edited copies. Each size runs in a process of its own. Prints the table, and writes
benchmarks/BEAM_SCALE.md when `--write` is given.
"""

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from material import HERE, describe_machine

SHARED_DATA = HERE.parent.parent / "shared" / "data"
SETS = ("scifact", "squad_dev", "cmrc2018")
SIZES = (10_000, 30_000, 100_000, 300_000)
FILE_DOCUMENTS = 10_000
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
COLUMNS = (
    "documents", "written", "seconds", "ms a document", "to the smallest", "processor ms a document", "to the smallest",
    "peak memory, MB", "local, seconds",
)  # fmt: skip


def read_sentences(data: Path) -> dict[str, list[str]]:
    """The sentences of each set's documents."""
    sentences: dict[str, list[str]] = {}
    for name in SETS:
        with open(data / name / "corpus.jsonl", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line in file]
        sentences[name] = [part for text in texts for part in SENTENCE_END.split(text) if 20 <= len(part) <= 400]
    return sentences


def make_documents(sentences: dict[str, list[str]], seed: int) -> Iterator[dict[str, str]]:
    """Documents without end: new ones, repeats of an earlier one of the last 5,000, and copies with edited words."""
    rng = random.Random(seed)
    earlier: list[str] = []
    number = 0
    while True:
        kind = rng.random()
        if earlier and kind < 1 / 3:
            text = rng.choice(earlier)
            if kind < 1 / 6:
                words = text.split(" ")
                for _ in range(max(1, len(words) // 15)):
                    words[rng.randrange(len(words))] = rng.choice(("alpha", "beta", "gamma", "delta"))
                text = " ".join(words)
        else:
            name = rng.choice(SETS)
            text = ("" if name == "cmrc2018" else " ").join(rng.choices(sentences[name], k=rng.randint(5, 12)))
            earlier.append(text)
            if len(earlier) > 5000:
                earlier[rng.randrange(5000)] = earlier.pop()
        yield {"id": f"doc-{number}", "text": text}
        number += 1


def write_corpus(folder: Path, documents: int, data: Path) -> list[Path]:
    """Writes documents into files of 10,000 lines; a larger corpus begins with the same ones."""
    source = make_documents(read_sentences(data), seed=1)
    paths = []
    for start in range(0, documents, FILE_DOCUMENTS):
        path = folder / f"corpus-{start // FILE_DOCUMENTS:03d}.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for _ in range(min(FILE_DOCUMENTS, documents - start)):
                file.write(json.dumps(next(source), ensure_ascii=False) + "\n")
        paths.append(path)
    return paths


def count_words(texts: list[str]) -> list[int]:
    """A cheap stand-in for a tokenizer: words and Chinese characters."""
    from tfchain.data.deduplication.shingles import cut_words

    return [len(cut_words(text)) for text in texts]


def make_plan() -> list[Any]:
    """The steps."""
    from tfchain.data.documents.split_passages import SplitPassages
    from tfchain.data.preparation.step_names import make_steps

    return make_steps(
        [
            "repair_text",
            {"filter_length": {"least": 50}},
            "remove_exact_duplicates",
            "remove_near_duplicates",
            SplitPassages(max_tokens=200, method="sentences", count_tokens=count_words),
        ]
    )


def run_beam(paths: list[Path], output: Path, workers: int) -> dict[str, Any]:
    """Prepares a corpus on the DirectRunner."""
    from tfchain.data.beam.prepare import prepare_with_beam

    flags = ["--runner=DirectRunner"]
    if workers > 1:
        flags += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    found = time_call(lambda: prepare_with_beam(paths, output, make_plan(), options=flags))
    print(found.pop("report"), file=sys.stderr)
    return found


def run_local(paths: list[Path], output: Path) -> dict[str, Any]:
    """Prepares a corpus with `prepare`, on one process."""
    from tfchain.data.preparation.prepare import prepare

    found = time_call(lambda: prepare(paths, make_plan(), output=output, num_workers=1))
    del found["report"]
    return found


def time_call(call: Callable[[], Any]) -> dict[str, Any]:
    """Returns the seconds and the processor time of a call that prepares a set, and what it wrote."""
    start, spent = time.perf_counter(), measure_processor_time()
    made = call()
    return {
        "seconds": time.perf_counter() - start,
        "processor": measure_processor_time() - spent,
        "written": made.manifest.records,
        "fingerprint": made.fingerprint,
        "report": str(made.report),
    }


def run_one(way: str, paths: list[Path], output: Path, workers: int) -> None:
    """Runs one way in this process, and prints its values."""
    found = run_local(paths, output) if way == "local" else run_beam(paths, output, workers)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({**found, "megabytes": max(usage.ru_maxrss for usage in used) / 1024}))


def measure_processor_time() -> float:
    """Returns the seconds of processor time of this process and its ended children, so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(way: str, paths: list[Path], workers: int, work: Path) -> dict[str, Any]:
    """Runs one way in a process of its own."""
    output = work / f"set-{way}-{len(paths)}"
    command = [sys.executable, __file__, "--one", way, "--output", str(output), "--workers", str(workers)]
    done = subprocess.run([*command, *map(str, paths)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--local", action="store_true", help="also run `prepare` on each size, and compare")
    parser.add_argument(
        "--keep", type=Path, help="a file of results, to measure sizes one by one: they are added to it"
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("paths", type=Path, nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        run_one(asked.one, asked.paths, asked.output, asked.workers)
        return
    kept = asked.keep.read_text(encoding="utf-8").splitlines() if asked.keep and asked.keep.exists() else []
    rows = [tuple(json.loads(line)) for line in kept]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        paths = write_corpus(work, max(asked.sizes, default=0), asked.data)
        for size in asked.sizes:
            used = paths[: -(-size // FILE_DOCUMENTS)]
            found = measure("beam", used, asked.workers, work)
            local = measure("local", used, 1, work) if asked.local else None
            if local is not None and local["fingerprint"] != found["fingerprint"]:
                raise SystemExit(f"The sets of {size:,} documents differ: {found} and {local}")
            rows.append((size, found, local))
            if asked.keep:
                with open(asked.keep, "a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
            print(size, found, local, flush=True)
    report = write_report(sorted(rows, key=lambda row: row[0]), asked.workers)
    print(report)
    if asked.write:
        (HERE / "BEAM_SCALE.md").write_text(report, encoding="utf-8")


def write_report(rows: list[tuple[int, dict[str, Any], dict[str, Any] | None]], workers: int) -> str:
    """The page of results."""
    machine = ", ".join(f"{key}: {value}" for key, value in describe_machine().items())
    first, first_spent = (rows[0][1][key] / rows[0][0] for key in ("seconds", "processor"))
    lines = [
        "# What a document costs on Beam as the corpus grows",
        "",
        f"Printed by `benchmarks/beam_scale.py --write` on {datetime.now(UTC):%Y-%m-%d}: Beam's DirectRunner, "
        f"{workers} worker{'s' * (workers > 1)}.",
        "Read, repair_text, filter_length, remove_exact_duplicates, remove_near_duplicates, split_passages, write; "
        "nothing is encoded.",
        "Sentences of SciFact, SQuAD and CMRC 2018 in new order, a sixth of the documents repeats, a sixth edited "
        "copies.",
        "Seconds and processor time are of the whole call, the pipeline's start among them; imports come before it. "
        "`local` is `prepare` in one process; its set is the same, byte for byte.",
        f"Machine: {machine}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " ---: |" * len(COLUMNS),
    ]
    for size, found, local in rows:
        cost, spent = found["seconds"] / size, found["processor"] / size
        cells = [f"{size:,}", f"{found['written']:,}", f"{found['seconds']:.1f}", f"{1000 * cost:.3f}"]
        cells += [f"{cost / first:.2f}x", f"{1000 * spent:.3f}", f"{spent / first_spent:.2f}x"]
        cells += [f"{found['megabytes']:,.0f}", f"{local['seconds']:.1f}" if local else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
