"""Classification of banking77 with MiniLM: a head on few examples, a training, int8, a server, beside PyTorch.

Run: .venv/bin/python benchmarks/classification.py [--only few train peer] [--write] [--help]
Prints each figure as it is found. With --write the table is written to CLASSIFICATION.md.

`few`    8 texts a label: `fit_head`, beside sentence-transformers' vectors with scikit-learn's logistic regression
`train`  all texts: `fit`; then int8, and the same labels from Python, REST and gRPC
`peer`   the same training in PyTorch, from the same weights, with the same batches, epochs and learning rate
"""

import argparse
import json
import os
import platform
import random
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from scifact import find_minilm

from tfchain import Quantize, TextClassificationChain
from tfchain.chains.classification import ClassificationClient
from tfchain.core.atomic import write_file
from tfchain.tasks.classification.rows import read_rows

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "banking77"
EXAMPLES_A_LABEL = 8
SETTINGS: dict[str, Any] = {"batch_size": 32, "learning_rate": 1e-4}
PARTS = ("few", "train", "peer")
Rows = list[tuple[str, str]]


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of train.csv and test.csv (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these alone")
    parser.add_argument("--epochs", type=int, default=5, help="of both trainings (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="samples of few examples (%(default)s)")
    parser.add_argument(
        "--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python", help="Python with PyTorch"
    )
    parser.add_argument("--json", type=Path, help="keeps the figures, and goes on from them")
    parser.add_argument("--write", action="store_true", help="write CLASSIFICATION.md")
    options = parser.parse_args()
    train, test = (to_pairs(options.data / f"{name}.csv") for name in ("train", "test"))
    results: dict[str, Any] = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    measures = {"few": measure_few, "train": measure_training, "peer": measure_peer}
    for part in options.only:
        if part in results:
            continue
        results[part] = measures[part](train, test, options)
        print(json.dumps({part: results[part]}), flush=True)
        if options.json:
            write_file(options.json, json.dumps(results, indent=2) + "\n")
    if options.write:
        write_file(HERE / "CLASSIFICATION.md", describe(results, options))


def to_pairs(path: Path) -> Rows:
    """A file's texts with their labels."""
    rows = read_rows(path)
    return [(text, target[0]) for text, target in zip(rows.texts, rows.targets, strict=True)]


def measure_few(train: Rows, test: Rows, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy of heads on 8 texts a label, by seed; of both on the same texts."""
    found: dict[str, list[float]] = {"tfchain": [], "sentence-transformers": []}
    for seed in range(options.seeds):
        few = choose_few(train, seed)
        chain = TextClassificationChain(model=find_minilm()).fit_head(few)
        found["tfchain"].append(chain.evaluate(test)["accuracy"])
        if options.peers.exists():
            parts = {"few": few, "test": test}
            job = {"do": "embed", **{f"{name}_texts": [text for text, _ in rows] for name, rows in parts.items()}}
            job |= {f"{name}_labels": [label for _, label in rows] for name, rows in parts.items()}
            found["sentence-transformers"].append(ask_peer(options, job, seed=seed)["accuracy"])
    return found


def choose_few(rows: Rows, seed: int) -> Rows:
    """Eight texts of each label."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for text, label in rows:
        by_label[label].append(text)
    generator = random.Random(seed)
    return [(text, name) for name in sorted(by_label) for text in generator.sample(by_label[name], EXAMPLES_A_LABEL)]


def measure_training(train: Rows, test: Rows, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy, time, calibration; then int8, then what a server answers."""
    held_out = train[::20]  # to calibrate on; chosen before the training, and nothing of it trained on
    rows = [row for number, row in enumerate(train) if number % 20]
    chain = TextClassificationChain(model=find_minilm(), epochs=options.epochs, **SETTINGS)
    begin, processor = time.perf_counter(), processor_seconds()
    chain.fit(rows)
    found: dict[str, Any] = {
        "seconds": time.perf_counter() - begin,
        "processor_seconds": processor_seconds() - processor,
    }
    found["plain"] = chain.evaluate(test)
    found["calibrated"] = chain.calibrate(held_out).evaluate(test)
    found["temperature"] = chain.state.temperature
    expected = chain.predict([text for text, _ in test], top_k=1)
    found["same_labels"] = measure_served(chain, [text for text, _ in test], [one["label"] for one in expected])
    chain.compress([Quantize("int8")])
    found["int8"] = chain.evaluate(test)
    return found


def measure_served(chain: TextClassificationChain, texts: list[str], expected: list[str]) -> dict[str, int]:
    """Of how many texts a server gives Python's label, by protocol."""
    same = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        chain.deploy(folder, name="intents", top_k=1) as server,
        ClassificationClient(server.grpc_target, server.rest_url) as client,
    ):
        for protocol in ("rest", "grpc"):
            found: list[str] = []
            for start in range(0, len(texts), 64):
                answers = client.classify(texts[start : start + 64], model="intents", protocol=protocol)
                found += [one["label"] for one in answers]
            same[protocol] = sum(one == label for one, label in zip(found, expected, strict=True))
    return {**same, "texts": len(texts)}


def measure_peer(train: Rows, test: Rows, options: argparse.Namespace) -> dict[str, Any]:
    """The same training in PyTorch."""
    rows = [row for number, row in enumerate(train) if number % 20]
    names = sorted({label for _, label in train})
    job = {
        "do": "train",
        "train_texts": [text for text, _ in rows],
        "train_labels": [names.index(label) for _, label in rows],
        "test_texts": [text for text, _ in test],
        "test_labels": [names.index(label) for _, label in test],
        "epochs": options.epochs,
        **SETTINGS,
    }
    return ask_peer(options, job, seed=0)


def ask_peer(options: argparse.Namespace, job: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """Runs a job in the environment with PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps({**job, "model": str(find_minilm()), "seed": seed, "threads": os.cpu_count()}))
        command = [str(options.peers), str(HERE / "workers" / "classification_peer.py"), str(path)]
        # Threads that wait must not spin: beside other work, that made PyTorch take five times the processor time.
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"The peer failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def processor_seconds() -> float:
    """What this process has spent on all cores."""
    times = os.times()
    return times.user + times.system


def describe(results: dict[str, Any], options: argparse.Namespace) -> str:
    """The figures as a document."""
    processor = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    lines = [
        "# Classification of banking77",
        "",
        f"`python benchmarks/classification.py --epochs {options.epochs} --write`, {time.strftime('%Y-%m-%d')}; "
        f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.",
        "",
        "all-MiniLM-L6-v2, 77 labels, 3,080 test texts.",
        "",
        "| | accuracy | seconds | processor seconds |",
        "| --- | --- | --- | --- |",
    ]
    for name, values in results.get("few", {}).items():
        if values:
            each = ", ".join(f"{value:.4f}" for value in values)
            lines.append(f"| {EXAMPLES_A_LABEL} texts a label, logistic head: {name} | {each} (by sample) | | |")
    if "train" in results:
        found = results["train"]
        times = f"{found['seconds']:.0f} | {found['processor_seconds']:.0f}"
        lines.append(f"| trained on 9,502 texts: tfchain | {found['plain']['accuracy']:.4f} | {times} |")
        lines.append(f"| the same in int8 | {found['int8']['accuracy']:.4f} | | |")
    if "peer" in results:
        found = results["peer"]
        times = f"{found['seconds']:.0f} | {found['processor_seconds']:.0f}"
        lines.append(f"| trained on 9,502 texts: PyTorch | {found['accuracy']:.4f} | {times} |")
    if "train" in results:
        found = results["train"]
        same, plain, honest = found["same_labels"], found["plain"], found["calibrated"]
        lines += [
            "",
            f"Calibrated on 501 texts that were held out: temperature {found['temperature']:.3f}, expected calibration "
            f"error {plain['ece']:.4f} → {honest['ece']:.4f}, log loss {plain['log_loss']:.4f} → "
            f"{honest['log_loss']:.4f}, macro F1 {honest['macro_f1']:.4f}.",
            "",
            f"The embedded server gave Python's label for {same['rest']} of {same['texts']} texts over REST, for "
            f"{same['grpc']} over gRPC.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
