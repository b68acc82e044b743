"""Trains MiniLM to read, with tfchain and in plain PyTorch, and measures the whole chain: F1, and milliseconds in int8.

Run: .venv/bin/python benchmarks/question_answering.py [--write] [--work DIR] [--rows 200 --steps 20] [--only-latency]
Both train the same start (MiniLM with a new head) on the same windows of 38 of the 48 articles of SQuAD's development
set for the same number of steps; the questions of the other 10 are read by the same code. Then a chain retrieves among
all 2,067 passages, and reads five. Takes hours on two cores: each part's result is kept in --work, and the same command
goes on after a stop, within a training too. Writes benchmarks/QUESTION_ANSWERING.md when `--write` is given. With
`--only-latency` the last part alone is measured and written, with a reader that has not been trained if --work has
none: what is computed is the same.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine
from scifact import find_minilm

from tfchain import Document, NeuralSearchChain, QuestionAnsweringChain
from tfchain.data.documents.squad import read_paragraphs
from tfchain.data.files.data_file import to_file
from tfchain.data.files.read_session import ReadSession
from tfchain.models.tokenizers.pairs import split_pair
from tfchain.tasks.question_answering.alignment import find_span
from tfchain.tasks.question_answering.questions import Question
from tfchain.tasks.question_answering.training import make_training_rows
from tfchain.training.fit.options import FitOptions

FILE = HERE / "QUESTION_ANSWERING.md"
DATA = HERE.parents[1] / "shared" / "data" / "squad_dev" / "dev-v1.1.json.gz"
TORCH = HERE.parent / ".venv-torch" / "bin" / "python"
EVERY = 5  # the articles that are tested, of 48: ten of them
TOKENS = 384
OPTIONS: dict[str, Any] = {"batch_size": 16, "learning_rate": 1e-4, "warmup": 0.1}
ASKED_FOR_TIME = 50
LATENCY = "## One answer, five passages\n"
METRICS = ("exact_match", "f1")


def main() -> None:
    """Reads the options, runs the parts that have no result yet, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/QUESTION_ANSWERING.md")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "question_answering", help="(%(default)s)")
    parser.add_argument("--torch", type=Path, default=TORCH, help="a Python with PyTorch and transformers")
    parser.add_argument("--rows", type=int, help="training questions (default: all)")
    parser.add_argument("--steps", type=int, help="the most training steps of an epoch (default: all)")
    parser.add_argument("--epochs", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--tested", type=int, help="questions to test on (default: all of ten articles)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-latency", action="store_true", help="measure the last part alone")
    arguments = parser.parse_args()
    benchmark = Benchmark(arguments)
    for name, part in benchmark.parts.items():
        if not arguments.only_latency or name in ("start", "latency"):
            benchmark.run(name, part)
    if arguments.only_latency:
        report = FILE.read_text(encoding="utf-8").partition(LATENCY)[0] + benchmark.report_latency()
    else:
        report = benchmark.report()
    print(report)
    if arguments.write:
        FILE.write_text(report, encoding="utf-8")


class Benchmark:
    """The parts, and what they have found.

    Args:
        arguments: The options.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.work: Path = arguments.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.results_path = self.work / "results.json"
        self.results: dict[str, Any] = {}
        if self.results_path.is_file():
            self.results = json.loads(self.results_path.read_text(encoding="utf-8"))
        asked = {name: getattr(arguments, name) for name in ("rows", "steps", "epochs", "tested", "seed")}
        if self.results.setdefault("asked", asked) != asked:
            sys.exit(f"{self.results_path} has results of {self.results['asked']}. Name another --work, or delete it.")
        trained, tested, self.documents = read_articles()
        random = np.random.default_rng(arguments.seed)
        order = random.permutation(len(trained))[: arguments.rows]
        self.trained = [trained[place] for place in order]
        self.tested = [tested[place] for place in random.permutation(len(tested))[: arguments.tested]]
        self.parts: dict[str, Callable[[], dict[str, Any]]] = {
            "start": self.make_start,
            "ours": self.train_ours,
            "theirs": self.train_theirs,
            "whole": self.ask_whole,
            "latency": self.measure_latency,
        }

    def run(self, name: str, part: Callable[[], dict[str, Any]]) -> None:
        """Runs a part, unless its result is known, and keeps its result."""
        if name in self.results:
            return
        print(f"{datetime.now(UTC):%H:%M:%S} {name} …", file=sys.stderr, flush=True)
        self.results[name] = part()
        self.results_path.write_text(json.dumps(self.results, indent=2) + "\n", encoding="utf-8")

    @property
    def options(self) -> dict[str, Any]:
        """The hyperparameters; `--steps` limits the rows of an epoch."""
        return {**OPTIONS, "epochs": self.arguments.epochs, "seed": self.arguments.seed}

    def make_start(self) -> dict[str, Any]:
        """Writes MiniLM with a new head, and the windows that both train on."""
        chain = QuestionAnsweringChain(None, find_minilm(), max_length=TOKENS, seed=self.arguments.seed)
        chain.save_pretrained(self.work / "start")
        pairs, _ = make_training_rows(chain.text_encoder, self.trained, chain.reading, FitOptions())
        rows = to_rows(self.trained, pairs.columns[0])
        most = len(rows) if self.arguments.steps is None else self.arguments.steps * OPTIONS["batch_size"]
        with open(self.work / "rows.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows[:most])
        return {"rows": len(rows[:most]), "questions": len(self.trained), "tested": len(self.tested)}

    def read_rows(self) -> list[Question]:
        """Returns the windows that both train on."""
        lines = (self.work / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        made = []
        for row in map(json.loads, lines):
            start, end = row["start"], row["end"]
            answers = () if start is None else (row["context"][start:end],)
            made.append(Question(row["question"], row["context"], answers, () if start is None else (start,)))
        return made

    def train_ours(self) -> dict[str, Any]:
        """Trains with tfchain, and reads the tested questions."""
        chain = QuestionAnsweringChain(None, self.work / "start", max_length=TOKENS, engine="tensorflow")
        begin = time.perf_counter()
        history = chain.fit(self.read_rows(), checkpoint=self.work / "ours-checkpoint", **self.options)
        seconds = time.perf_counter() - begin
        chain.save_pretrained(self.work / "ours")
        measured = chain.evaluate(self.tested, metrics=METRICS)
        return {**measured, "seconds": seconds, "loss": history.history["loss"]}

    def train_theirs(self) -> dict[str, Any]:
        """Trains with PyTorch and transformers in their environment, and reads the tested questions."""
        worker = HERE / "workers" / "train_reader.py"
        options = json.dumps({**self.options, "max_length": TOKENS})
        command = [self.arguments.torch, worker, self.work / "start", self.work / "rows.jsonl", self.work / "theirs"]
        done = subprocess.run(
            [*map(str, command), options],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"},
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        chain = QuestionAnsweringChain(None, self.work / "theirs", max_length=TOKENS, engine="tensorflow")
        return {**chain.evaluate(self.tested, metrics=METRICS), **found}

    def make_chain(self) -> QuestionAnsweringChain:
        """Returns the chain with all passages, and the reader that tfchain trained, or was to train."""
        retriever = NeuralSearchChain.from_pretrained(find_minilm())
        reader = self.work / ("ours" if "ours" in self.results else "start")
        return QuestionAnsweringChain(retriever, reader, max_length=TOKENS).add(self.documents)

    def ask_whole(self) -> dict[str, Any]:
        """Asks the tested questions among all passages."""
        chain = self.make_chain()
        found: dict[str, Any] = {"documents": len(chain)}
        for passages in (1, 5, 10):
            found[str(passages)] = chain.evaluate(self.tested, metrics=METRICS, contexts="retrieved", passages=passages)
        texts = {document.id: document.text for document in self.documents}
        results = chain.retriever.search([question.question for question in self.tested], 5)
        hits = [
            any(texts[hit.id] == question.context for hit in result.hits)
            for question, result in zip(self.tested, results, strict=True)
        ]
        return {**found, "recall@5": float(np.mean(hits))}

    def measure_latency(self) -> dict[str, Any]:
        """Times one question after the other, five passages each, in float32 and in int8, by turns."""
        chain = self.make_chain()
        questions = [question.question for question in self.tested][:ASKED_FOR_TIME]
        encoders = {name: chain.text_encoder.with_precision(name) for name in ("float32", "int8")}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
        for encoder in encoders.values():
            chain.text_encoder = encoder
            chain.ask(questions)  # what is prepared once, passages cut and tokenized among it
        engines = {}
        for question in questions:
            for name, encoder in encoders.items():
                chain.text_encoder = encoder
                wall, processor = time.perf_counter(), time.process_time()
                chain.ask(question)
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
                engines[name] = encoder.runner.running.label if encoder.runner.running else ""
        figures: dict[str, Any] = {
            name: {
                "median_ms": 1000 * float(np.median([wall for wall, _ in taken])),
                "p90_ms": 1000 * float(np.quantile([wall for wall, _ in taken], 0.9)),
                "processor_ms": 1000 * float(np.median([processor for _, processor in taken])),
                "engine": engines[name],
            }
            for name, taken in times.items()
        }
        return {**figures, "is_trained": "ours" in self.results, "machine": find_machine()}

    def report(self) -> str:
        """Returns the report as Markdown."""
        start, whole = self.results["start"], self.results["whole"]
        lines = [
            "# Question answering",
            "",
            f"Printed by `benchmarks/question_answering.py --write` on {datetime.now(UTC):%Y-%m-%d}: SQuAD's "
            f"development set, {start['questions']} questions of 38 articles ({start['rows']} windows of up to "
            f"{TOKENS} tokens) to train on, {start['tested']} of the other ten to test on. MiniLM (6 layers, 384 wide) "
            f"with a new head, the same for both; {json.dumps(self.options)}. Read by the same code.",
            f"Machine: {find_machine()}.",
            "",
            "## Training",
            "",
            "| | exact match | F1 | seconds |",
            "| --- | ---: | ---: | ---: |",
        ]
        for label, name in (("PyTorch, transformers' model", "theirs"), ("tfchain", "ours")):
            found = self.results[name]
            lines.append(
                f"| {label} | {100 * found['exact_match']:.2f} | {100 * found['f1']:.2f} | {found['seconds']:.0f} |"
            )
        lines += [
            "",
            f"## The whole chain, among {whole['documents']} passages",
            "",
            f"The right passage is among the first five for {100 * whole['recall@5']:.1f} % of the questions.",
            "",
            "| passages read | exact match | F1 |",
            "| ---: | ---: | ---: |",
        ]
        for passages in ("1", "5", "10"):
            found = whole[passages]
            lines.append(f"| {passages} | {100 * found['exact_match']:.2f} | {100 * found['f1']:.2f} |")
        return "\n".join(lines) + "\n\n" + self.report_latency()

    def report_latency(self) -> str:
        """Returns the last part of the report."""
        latency = self.results["latency"]
        reader = "the trained reader" if latency["is_trained"] else "a reader before its training, of the same shape"
        lines = [
            LATENCY,
            f"`chain.ask(question)`: search, read, cut; {ASKED_FOR_TIME} questions, by turns, {reader}, on "
            f"{datetime.now(UTC):%Y-%m-%d}.",
            f"Machine: {latency['machine']}.",
            "",
            "| reader | engine | ms, median | ms, 90 % | ms of processor time |",
            "| --- | --- | ---: | ---: | ---: |",
        ]
        for name in ("float32", "int8"):
            found = latency[name]
            figures = " | ".join(f"{found[key]:.1f}" for key in ("median_ms", "p90_ms", "processor_ms"))
            lines.append(f"| {name} | {found['engine']} | {figures} |")
        return "\n".join(lines) + "\n"


def find_machine() -> str:
    """Returns a description of the machine in one line."""
    return ", ".join(f"{name}: {value}" for name, value in describe_machine().items())


def read_articles() -> tuple[list[Question], list[Question], list[Document]]:
    """Returns the questions to train and to test on, of different articles, and all passages as documents."""
    trained: list[Question] = []
    tested: list[Question] = []
    documents: list[Document] = []
    titles: dict[str, int] = {}
    for _, title, id, paragraph in read_paragraphs(to_file(DATA), ReadSession()):
        number = titles.setdefault(title, len(titles))
        documents.append(Document(id, paragraph["context"], title=title.replace("_", " ")))
        for row in paragraph["qas"]:
            answers = tuple(answer["text"] for answer in row["answers"])
            starts = tuple(answer["answer_start"] for answer in row["answers"])
            question = Question(row["question"], paragraph["context"], answers, starts, row["id"])
            (tested if number % EVERY == 0 and number < 10 * EVERY else trained).append(question)
    return trained, tested, documents


def to_rows(questions: list[Question], texts: Any) -> list[dict[str, Any]]:
    """Returns the windows of questions, as `make_training_rows` joins them, with the answer's place in characters."""
    rows = []
    known = {(question.question, question.context): question for question in questions}
    contexts: dict[str, list[str]] = {}
    for question, context in known:
        contexts.setdefault(question, []).append(context)
    for text in texts:
        asked, window = split_pair(text)
        assert window is not None
        context = next(context for context in contexts[asked] if window in context)
        span, first = find_span(known[asked, context]), context.index(window)
        is_inside = span is not None and first <= span[0] and span[1] <= first + len(window)
        rows.append(
            {
                "question": asked,
                "context": window,
                "start": span[0] - first if span is not None and is_inside else None,
                "end": span[1] - first if span is not None and is_inside else None,
            }
        )
    return rows


if __name__ == "__main__":
    main()
