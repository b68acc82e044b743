"""What the checks of data find: planted faults of every kind, and the known faults of real data; their speed.

.venv/bin/python benchmarks/data_checks.py [--data ../shared/data] [--num 100] [--out benchmarks/DATA_CHECKS.md]
"""

import argparse
import csv
import gzip
import io
import json
import platform
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from planted_faults import Base, Case, Planter, run_all

from tfchain import NeuralSearchChain
from tfchain.data.checks.data_report import data_report
from tfchain.data.checks.report import DataReport
from tfchain.data.cleaning.language import detect_language

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
LEAST_WORDS = 13
SYNONYMS = {
    "began": "started", "big": "large", "born": "brought into the world", "built": "constructed", "called": "named",
    "cities": "towns", "city": "town", "country": "nation", "created": "made", "died": "passed away",
    "first": "earliest", "founded": "established", "gave": "handed", "group": "band", "happened": "took place",
    "help": "assist", "important": "significant", "kind": "sort", "large": "big", "located": "situated",
    "made": "created", "main": "chief", "many": "numerous", "name": "title", "people": "persons", "said": "stated",
    "start": "begin", "type": "kind", "used": "employed", "war": "armed conflict", "wrote": "authored",
}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data sets")
    parser.add_argument("--num", type=int, default=100, help="faults to plant of each kind (100)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "DATA_CHECKS.md", help="the table to write")
    options = parser.parse_args(arguments)
    known = list(find_known(options.data))
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(options.data, NeuralSearchChain())
        start = time.perf_counter()
        cases = run_all(Planter(base, Path(folder), options.num))
        seconds = time.perf_counter() - start
    options.out.write_text(render(cases, known, len(base.questions), options.num, seconds), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


def make_base(data: Path, chain: NeuralSearchChain) -> Base:
    """One long question of each passage of SQuAD's development set, so that no two ask about the same."""
    with gzip.open(data / "squad_dev" / "dev-v1.1.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    questions, passages, answers = [], [], []
    for article in articles:
        for paragraph in article["paragraphs"]:
            long = [asked for asked in paragraph["qas"] if len(re.findall(r"\w+", asked["question"])) >= LEAST_WORDS]
            if long:
                questions.append(long[0]["question"])
                passages.append(paragraph["context"])
                answers.append(long[0]["answers"][0]["text"])
    with gzip.open(data / "tatoeba_en_zh" / "test.tsv.gz", "rt", encoding="utf-8") as file:
        chinese = [row[1] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row[1]) >= 12]
    return Base(
        questions,
        passages,
        answers,
        foreign=chinese,
        encode=chain.encode,
        count_tokens=chain.text_encoder.tokenizer.count_tokens,
        tokenizer=chain.text_encoder.tokenizer,
        detect_language=detect_language,
        paraphrase=paraphrase,
    )


def paraphrase(question: str) -> str:
    """Asks the same in a polite sentence with synonyms."""
    words = [SYNONYMS.get(word.lower(), word) for word in question.rstrip("? ").split()]
    return f"Could you please tell me {words[0].lower()} {' '.join(words[1:])}"


def find_known(data: Path) -> Iterator[tuple[str, str, int, DataReport]]:
    """Yields the known faults of the data sets: where, what, how many were found, and the report."""
    cmrc = [data / "cmrc2018" / f"{name}.json.gz" for name in ("train", "dev", "trial")]
    report = data_report(train=cmrc[0], evaluation=cmrc[1])
    yield "CMRC 2018, training", "misaligned answers", report.find("misaligned_answer", "train").count, report
    yield (
        "CMRC 2018, test (dev.json)",
        "misaligned answers",
        report.find("misaligned_answer", "evaluation").count,
        report,
    )
    report = data_report(train=cmrc)
    yield "CMRC 2018, all", "questions asked more than once", report.find("repeated_question").count, report
    report = data_report(train=data / "banking77" / "train.csv", evaluation=data / "banking77" / "test.csv")
    yield "banking77, training", "repeated questions", report.find("repeated_text", "train").count, report
    yield "banking77, test", "questions of the training set", report.find("leaked_text").count, report
    yield "banking77", "contradicting labels", report.find("contradicting_label").count, report
    report = data_report(train=data / "scifact", evaluation=data / "scifact")
    yield "SciFact", "claims in both splits", report.find("leaked_text").count, report
    yield "SciFact", "documents relevant in both splits", report.find("shared_document").count, report
    report = data_report(evaluation=data / "squad_dev" / "dev-v1.1.json.gz")
    yield "SQuAD, dev", "questions asked more than once", report.find("repeated_question").count, report


def render(cases: list[Case], known: list[Any], size: int, num: int, seconds: float) -> str:
    """Writes the page."""
    out = io.StringIO()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("# What the checks of data find\n", file=out)
    print(f"`python benchmarks/data_checks.py`; {processor()}, Python {platform.python_version()}.\n", file=out)
    print("## Known faults of real data\n", file=out)
    print("| data | what | found |\n| --- | --- | ---: |", file=out)
    for where, what, count, _ in known:
        print(f"| {where} | {what} | {count} |", file=out)
    print(
        "\nA question counts once, however often it is asked. One of CMRC's repeated questions is the empty one,",
        file=out,
    )
    print("which its trial set asks twice.\n", file=out)
    print("## Planted faults\n", file=out)
    print(
        f"{num} of each kind (fewer where the note or the kind says so) among {size:,} questions and passages of",
        file=out,
    )
    print(
        f"SQuAD's development set, one question of {LEAST_WORDS} words and more for each passage; the small English",
        file=out,
    )
    print(f"model that comes with tfchain. {seconds:.0f} seconds in all.\n", file=out)
    print("| kind | planted | found | precision | recall | note |\n| --- | ---: | ---: | ---: | ---: | --- |", file=out)
    for case in cases:
        figures = f"{len(case.planted)} | {len(case.found)} | {case.precision:.3f} | {case.recall:.3f}"
        print(f"| {case.name} | {figures} | {case.note} |", file=out)
    print("\n## Seconds\n", file=out)
    print("Without a model. The largest memory of the process, with model and planted faults, was", file=out)
    print(f"{memory:,.0f} MB.\n", file=out)
    reports = list({id(report): (where, report) for where, _, _, report in known}.values())
    parts = list(dict.fromkeys(part for _, report in reports for part in report.seconds))
    print(f"| data | texts | {' | '.join(parts)} | all |", file=out)
    print(f"| --- | ---: | {'---: | ' * len(parts)}---: |", file=out)
    for where, report in reports:
        texts = sum(
            counts.get(role, 0) for counts in report.sets.values() for role in ("queries", "documents", "texts")
        )
        times = " | ".join(f"{report.seconds.get(part, 0):.1f}" for part in parts)
        print(f"| {where.split(',')[0]} | {texts:,} | {times} | {sum(report.seconds.values()):.1f} |", file=out)
    return out.getvalue()


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main(sys.argv[1:])
