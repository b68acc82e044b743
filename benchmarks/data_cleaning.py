"""Cleaning and deduplication: what they find, what they take for it, and how fast they are, beside others.

Run: .venv/bin/python benchmarks/data_cleaning.py [--only near personal language speed] [--write] [--help]
Prints each figure as it is found. With --write the tables are written to DATA_CLEANING.md.

`near`      near-duplicates with 1 to 20 % of their words edited: this package, datasketch, text-dedup (of --peers)
`personal`  personal data in the ways of six countries, planted in real texts; what is found where nothing was planted
`language`  the language of Tatoeba's sentences
`speed`     records per second of each step
"""

import argparse
import json
import os
import platform
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cleaning import planted_edits, planted_personal_data

from tfchain.core.atomic import write_file
from tfchain.core.types import Document
from tfchain.data.cleaning.language import detect_language
from tfchain.data.cleaning.personal.personal_data import find_personal_data
from tfchain.data.deduplication.remove_near_duplicates import RemoveNearDuplicates
from tfchain.data.deduplication.shingles import make_shingles
from tfchain.data.documents.words import cut_words
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.run import StepsRun

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
PARTS = ("near", "personal", "language", "speed")
CORPORA = ("scifact", "squad_dev", "cmrc2018")
NUM_TEXTS, NUM_COPIES = 1500, 1000
NUM_PLANTED = 2000
STEPS = (
    *("repair_text", "remove_markup", "remove_repeated_lines", {"filter_language": {"keep": ["en", "zh"]}}),
    *("filter_length", "filter_symbols", "filter_repetition", "filter_gopher", "filter_c4", "mask_personal_data"),
    *("mask_secrets", "remove_exact_duplicates", "remove_near_duplicates"),
)
TEXT_DEDUP = (
    ("text-dedup, its defaults (5 words, 0.7)", ["--ngram", "5", "--threshold", "0.7"]),
    ("text-dedup, 2 words, 0.35", ["--ngram", "2", "--threshold", "0.35"]),
)


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of scifact, squad_dev, … (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these alone")
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python", help="has text-dedup")
    parser.add_argument("--json", type=Path, help="keeps the figures, and goes on from them")
    parser.add_argument("--write", action="store_true", help="write DATA_CLEANING.md")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    measures = {
        "near": measure_near,
        "personal": measure_personal,
        "language": measure_language,
        "speed": measure_speed,
    }
    for part in options.only:
        if part not in results:
            results[part] = measures[part](options)
            print(json.dumps({part: results[part]}, ensure_ascii=False), flush=True)
        if options.json:
            write_file(options.json, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    if options.write:
        write_file(HERE / "DATA_CLEANING.md", describe(results))


def measure_near(options: argparse.Namespace) -> dict[str, Any]:
    """Precision, recall and seconds on each corpus, of each tool."""
    found: dict[str, Any] = {}
    for name in CORPORA:
        records = planted_edits.plant(planted_edits.read_texts(options.data, name, NUM_TEXTS), NUM_COPIES, seed=1)
        tools: dict[str, Any] = {"tfchain, defaults": lambda: drop_by_step(RemoveNearDuplicates(), records)}  # noqa: B023
        for size, threshold in ((1, 0.6), (3, 0.25), (2, 0.5)):
            step = RemoveNearDuplicates(threshold=threshold, shingle_size=size)
            words = "1 word" if size == 1 else f"{size} words"
            tools[f"tfchain, {words}, {threshold}"] = lambda step=step: drop_by_step(step, records)  # noqa: B023
        tools["datasketch, 2 words, 0.35"] = lambda: drop_by_datasketch(records)  # noqa: B023
        for label, settings in TEXT_DEDUP if has_text_dedup(options.peers) else ():
            tools[label] = lambda settings=settings: drop_by_text_dedup(options.peers, records, settings)  # noqa: B023
        for label, tool in tools.items():
            begin = time.perf_counter()
            dropped = tool()
            row = planted_edits.score(records, dropped)
            row["seconds"] = time.perf_counter() - begin
            found[f"{name}: {label}"] = {key: round(value, 4) for key, value in row.items()}
            print(name, label, found[f"{name}: {label}"], flush=True)
    return found


def drop_by_step(step: RemoveNearDuplicates, records: list[planted_edits.Planted]) -> set[str]:
    """The ids that the step drops."""
    kept = step([{"id": one.id, "text": one.text} for one in records])
    return {one.id for one in records} - {str(row["id"]) for row in kept}  # type: ignore[index]


def drop_by_datasketch(records: list[planted_edits.Planted]) -> set[str]:
    """The ids that datasketch finds among those kept before, on the step's own shingles, candidates compared."""
    from datasketch import MinHash, MinHashLSH

    index, kept, dropped = MinHashLSH(threshold=0.35, num_perm=256), {}, set()
    for one in records:
        sketch = MinHash(num_perm=256)
        sketch.update_batch([shingle.encode() for shingle in make_shingles(one.text)])
        if any(sketch.jaccard(kept[other]) >= 0.35 for other in index.query(sketch)):
            dropped.add(one.id)
        else:
            index.insert(one.id, sketch)
            kept[one.id] = sketch
    return dropped


def has_text_dedup(python: Path) -> bool:
    """Whether a Python has text-dedup."""
    command = [str(python), "-c", "import importlib.util as u; assert u.find_spec('text_dedup')"]
    return python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def drop_by_text_dedup(python: Path, records: list[planted_edits.Planted], settings: list[str]) -> set[str]:
    """The ids that text-dedup's command leaves out."""
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "texts.jsonl", Path(folder) / "kept"
        lines = (json.dumps({"id": one.id, "text": one.text}, ensure_ascii=False) for one in records)
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        base = [
            str(python),
            "-m",
            "text_dedup.minhash",
            "--path",
            "json",
            "--data_files",
            str(source),
            "--split",
            "train",
        ]
        base += ["--cache_dir", f"{folder}/cache", "--output", str(output), "--column", "text", "--batch_size", "10000"]
        base += ["--num_proc", "1", "--num_perm", "256", *settings]
        subprocess.run(base, check=True, capture_output=True, cwd=folder)
        read = f"import datasets; print('\\n'.join(datasets.load_from_disk({str(output)!r})['id']))"
        kept = subprocess.run([str(python), "-c", read], check=True, capture_output=True, text=True).stdout.split()
    return {one.id for one in records} - set(kept)


def measure_personal(options: argparse.Namespace) -> dict[str, Any]:
    """Recall of what was planted, by kind and country; precision; findings in texts as they are."""
    texts = [text for name in CORPORA for text in planted_edits.read_texts(options.data, name, 700)]
    counts, hits, right, wrong = Counter(), Counter(), 0, Counter()
    misses: list[str] = []
    for text, item, start in planted_personal_data.plant(texts, NUM_PLANTED, seed=3):
        label = f"{item.kind} {item.country}".strip()
        counts[label] += 1
        covered = False
        for place in find_personal_data(text):
            if place.start < start + len(item.value) and place.end > start:
                covered = covered or (place.start <= start and place.end >= start + len(item.value))
                right += 1
            else:
                wrong[place.kind] += 1
        hits[label] += covered
        if not covered and len(misses) < 12:
            misses.append(f"{label}: {item.before}{item.value}")
    natural: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for name in CORPORA:
        for text in planted_edits.read_texts(options.data, name, 10_000):
            for place in find_personal_data(text):
                natural[f"{name} {place.kind}"] += 1
                around = text[max(0, place.start - 25) : place.end + 10].replace("\n", " ")
                examples.setdefault(place.kind, []).append(around)
    return {
        "recall": {label: round(hits[label] / count, 4) for label, count in sorted(counts.items())},
        "recall_all": round(sum(hits.values()) / NUM_PLANTED, 4),
        "precision": round(right / (right + sum(wrong.values())), 4),
        "found_elsewhere": dict(wrong),
        "misses": misses,
        "natural": dict(natural),
        "examples": {kind: random.Random(0).sample(found, min(10, len(found))) for kind, found in examples.items()},
    }


def measure_language(options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy on Tatoeba's sentences: of five words and more (characters, in Chinese; or eight), and of all."""
    sentences = planted_edits.read_tatoeba(options.data)
    detect_language("The model is read on first use.")
    begin = time.perf_counter()
    answers = [detect_language(text)[0] for _, text in sentences]
    seconds = time.perf_counter() - begin
    rows: dict[str, Any] = {"sentences": len(sentences), "per_second": round(len(sentences) / seconds)}
    lengths = [len(cut_words(text)) for _, text in sentences]
    for language in ("en", "zh"):
        for least in (1, 5, 8):
            chosen = [
                answer == code
                for (code, _), answer, length in zip(sentences, answers, lengths, strict=True)
                if code == language and length >= least
            ]
            rows[f"{language}, {least} and more"] = [len(chosen), round(sum(chosen) / len(chosen), 4)]
    return rows


def measure_speed(options: argparse.Namespace) -> dict[str, Any]:
    """Records per second of each step by itself, the median of three runs, on 1,000 texts of each of two corpora."""
    found: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    for name in ("scifact", "cmrc2018"):
        texts = planted_edits.read_texts(options.data, name, 1000)
        documents = [Document(str(number), text) for number, text in enumerate(texts)]
        found[f"{name} characters"] = round(sum(map(len, texts)) / len(texts))
        for entry in STEPS:
            speeds = []
            for _ in range(3):
                run = StepsRun(make_steps([entry]))
                begin = time.perf_counter()
                run.process(documents)
                run.finish()
                speeds.append(len(documents) / (time.perf_counter() - begin))
            found[f"{name} {run.steps[0].name}"] = round(sorted(speeds)[1])
    return found


def describe(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Cleaning and deduplication",
        "",
        f"Written by `benchmarks/data_cleaning.py --write`; {read_processor()}, Python {platform.python_version()}.",
        "docs/cleaning.md says what the figures mean.",
    ]
    if "near" in results:
        lines += ["", "## Near-duplicates", ""]
        lines += [
            f"{NUM_TEXTS:,} texts of each corpus, and behind them copies of {NUM_COPIES:,} of them, as many with 1 %, "
            "2 %, … 20 % of their words (in Chinese, characters) deleted, replaced, preceded by another or exchanged "
            "with the next. Precision: of the texts dropped, those that are copies; a text that repeats another by "
            "itself counts against it. text-dedup's seconds include the start of its process.",
            "",
            "| corpus: tool, words of a shingle, threshold | precision | recall | recall, 16 to 20 % | seconds |",
            "| --- | --- | --- | --- | --- |",
        ]
        for label, row in results["near"].items():
            figures = [f"{row[key]:.3f}" for key in ("precision", "recall", "recall_16_to_20")]
            lines.append(f"| {label} | {' | '.join(figures)} | {row['seconds']:.1f} |")
    if "personal" in results:
        row = results["personal"]
        lines += ["", "## Personal data", ""]
        lines += [
            f"{NUM_PLANTED:,} texts of SciFact, SQuAD and CMRC with one thing planted in each. Recall counts what is "
            f"covered whole: **{row['recall_all']:.3f}** of all. Precision: of all that is found there, "
            f"**{row['precision']:.3f}** is what was planted. Patterns and planted forms have the same author, and the "
            "patterns were mended after a first run with other texts and numbers, which found 0.986: this is no figure "
            "of data that nobody had seen.",
            "",
            "| kind, country | recall |",
            "| --- | --- |",
        ]
        lines += [f"| {label} | {value:.3f} |" for label, value in row["recall"].items()]
        lines += ["", f"Found elsewhere in these texts: {row['found_elsewhere']}.", "", "Missed, for example:", ""]
        lines += [f"- `{miss}`" for miss in row["misses"]] or ["- none"]
        lines += ["", f"Found in the whole corpora as they are: {row['natural']}. For example:", ""]
        shown = {kind: texts for kind, texts in row["examples"].items() if kind not in ("email", "phone")}
        lines += [f"- {kind}: `{text}`" for kind, texts in shown.items() for text in texts]
        lines += ["", "Addresses and phone numbers are not shown here, since they are people's; a run prints them."]
    if "language" in results:
        row = dict(results["language"])
        lines += ["", "## Language", ""]
        lines += [
            f"`detect_language` on {row.pop('sentences'):,} sentences of Tatoeba, {row.pop('per_second'):,} a second. "
            "Words in English, characters in Chinese, where five words are about eight characters.",
            "",
            "| sentences | number | accuracy |",
            "| --- | --- | --- |",
        ]
        lines += [f"| {label} | {count:,} | {share:.4f} |" for label, (count, share) in row.items()]
    if "speed" in results:
        row = results["speed"]
        lines += ["", "## Speed", ""]
        lines += [
            f"Records a second of each step alone, in one process. SciFact: abstracts of {row['scifact characters']:,} "
            f"characters on average; CMRC: Chinese articles of {row['cmrc2018 characters']:,}. The machine's load was "
            f"{row['load']} on {row['cores']} cores: above their number, figures are less than an idle machine's.",
            "",
            "| step | SciFact | CMRC |",
            "| --- | --- | --- |",
        ]
        names = [label.split()[1] for label in row if label.startswith("scifact ")][1:]
        lines += [f"| {name} | {row[f'scifact {name}']:,} | {row[f'cmrc2018 {name}']:,} |" for name in names]
    return "\n".join(lines) + "\n"


def read_processor() -> str:
    """The processor's name."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.processor()


if __name__ == "__main__":
    main()
