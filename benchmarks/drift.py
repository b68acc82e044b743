"""Drift of queries on real texts: how soon another domain is seen, and how often there is a false alarm.

Run: OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/drift.py [--seeds 40] [--minutes 60] [--vectors DIR] [--write]
`--write` writes benchmarks/DRIFT.md and the picture beside it. The vectors of 25,000 queries take a quarter of an hour
for each model on two cores; `--vectors` keeps them for the next run, and `--minutes` bounds the rest.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm

from tfchain.models.bundled import BUNDLED_MODEL
from tfchain.models.text_encoder import TextEncoder
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.mean_discrepancy import mean_discrepancy
from tfchain.monitoring.drift.record import count_words
from tfchain.monitoring.drift.reference import Sample
from tfchain.monitoring.drift.stream import DriftStream, Look

HERE = Path(__file__).parent
CONFIG = DriftConfig()
LONG = CONFIG.horizon
CHANGE = 500  # queries of the same domain before another one begins
WITHIN = 500  # queries after which drift must have been seen
MODELS = {"all-MiniLM-L6-v2": find_minilm, "small-english": lambda: BUNDLED_MODEL}


@dataclass(frozen=True)
class Queries:
    """A data set's queries with a model's vectors of them."""

    texts: list[str]
    vectors: np.ndarray
    lengths: np.ndarray

    def take(self, rows: np.ndarray) -> "Queries":
        return Queries([self.texts[row] for row in rows], self.vectors[rows], self.lengths[rows])

    def __len__(self) -> int:
        return len(self.texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data sets (%(default)s)")
    parser.add_argument("--seeds", type=int, default=40, help="streams of each kind (%(default)s)")
    parser.add_argument("--vectors", type=Path, help="keeps the vectors in this folder")
    parser.add_argument("--minutes", type=float, default=60, help="begins no further streams then (%(default)s)")
    parser.add_argument("--write", action="store_true", help="writes benchmarks/DRIFT.md and its picture")
    options = parser.parse_args()

    texts = read_queries(options.data)
    sets = {name: encode_all(name, find(), texts, options.vectors) for name, find in MODELS.items()}
    found: dict[str, Any] = {name: start(own) for name, own in sets.items()}
    stop = time.monotonic() + 60 * options.minutes
    for seed in range(options.seeds):
        if time.monotonic() > stop:
            break
        for name, own in sets.items():
            measure(own, seed, found[name])
            print(seed, name, time.strftime("%H:%M:%S"), flush=True)
    report = write_report(found)
    print(report)
    if options.write:
        (HERE / "DRIFT.md").write_text(report, encoding="utf-8")
        curves = {}
        for name, values in found.items():
            same = values["quiet"]["SQuAD"][0]["ratios"]
            curves[name] = {"SciFact, then banking77": values["curve"], "SQuAD alone": same}
        draw(curves, HERE / "drift.svg")


def read_queries(data: Path) -> dict[str, list[str]]:
    """The texts of each data set, in its order."""

    def read_lines(path: Path) -> list[str]:
        return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]

    banking = []
    for part in ("train", "test"):
        with open(data / "banking77" / f"{part}.csv", encoding="utf-8", newline="") as file:
            banking += [row["text"] for row in csv.DictReader(file)]
    return {
        "SciFact": read_lines(data / "scifact" / "queries.jsonl"),
        "SQuAD": read_lines(data / "squad_dev" / "queries.jsonl"),
        "banking77": banking,
    }


def encode_all(name: str, path: Path, texts: dict[str, list[str]], folder: Path | None) -> dict[str, Queries]:
    """The vectors of all queries, from the folder if it has them."""
    encoder = None
    sets = {}
    for key, queries in texts.items():
        kept = None if folder is None else folder / f"{name}-{key}.npy"
        if kept is not None and kept.exists():
            vectors = np.load(kept)
        else:
            encoder = encoder or TextEncoder.from_pretrained(path)
            vectors = encoder.encode_query(queries)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.save(kept, vectors)
        sets[key] = Queries(queries, vectors, count_words(queries))
    return sets


SHARES = {"all of them": 1.0, "one in four": 0.25, "one in ten": 0.1}
DRAWN = "SciFact, 500 drawn again and again"
BURSTS = (1, 50)
SEEDS_IN_ORDER = 2  # there are two halves to be the reference


def start(sets: dict[str, Queries]) -> dict[str, Any]:
    """What does not depend on a seed, and room for what does."""
    return {
        "shifts": {key: [] for key in SHARES},
        "quiet": {key: [] for key in ("SQuAD", "banking77", DRAWN)},
        "ordered": {burst: [] for burst in BURSTS},
        "curve": find_curve(sets, 0),
        "clusters": describe_newcomers(sets, 0),
    }


def measure(sets: dict[str, Queries], seed: int, found: dict[str, Any]) -> None:
    """Adds the streams of one seed."""
    sample = calibrate(mix(sets, seed, 1.0)[0], seed)  # the reference does not depend on the share
    for key, share in SHARES.items():
        found["shifts"][key].append(find_shift(sets, seed, share, sample))
    for key in ("SQuAD", "banking77"):
        found["quiet"][key].append(watch_same(sets[key], seed, size=len(sets[key]) - LONG))
    found["quiet"][DRAWN].append(watch_drawn(sets["SciFact"], seed))
    if seed < SEEDS_IN_ORDER:
        for burst in BURSTS:
            found["ordered"][burst].append(watch_ordered(sets["SQuAD"], seed, burst))


def calibrate(reference: Queries, seed: int, burst: int = 1) -> Sample:
    """A reference of these queries, with its thresholds."""
    return Sample(reference.vectors, {"length": reference.lengths}).calibrate(replace(CONFIG, seed=seed, burst=burst))


def make_stream(reference: Queries, seed: int, burst: int = 1) -> DriftStream:
    """A stream beside a reference of these queries."""
    return DriftStream(calibrate(reference, seed, burst), CONFIG)


def feed(stream: DriftStream, queries: Queries) -> list[Look]:
    """Gives queries to a stream, and returns the looks."""
    looks = []
    for vector, length, text in zip(queries.vectors, queries.lengths, queries.texts, strict=True):
        look = stream.add(vector, {"length": float(length)}, text)
        looks += [] if look is None else [look]
    return looks


def mix(sets: dict[str, Queries], seed: int, share: float) -> tuple[Queries, Queries, Queries]:
    """A reference of 400 queries of SciFact, 500 others before the change, and 500 of which a share is of banking77."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(sets["SciFact"]))
    reference, before = sets["SciFact"].take(order[:400]), sets["SciFact"].take(order[400 : 400 + CHANGE])
    new = sets["banking77"].take(generator.permutation(len(sets["banking77"]))[:WITHIN])
    known = sets["SciFact"].take(order[generator.integers(400, len(order), WITHIN)])
    is_new = generator.random(WITHIN) < share
    after = Queries(
        [one if yes else other for yes, one, other in zip(is_new, new.texts, known.texts, strict=True)],
        np.where(is_new[:, None], new.vectors, known.vectors),
        np.where(is_new, new.lengths, known.lengths),
    )
    return reference, before, after


def find_shift(sets: dict[str, Queries], seed: int, share: float, sample: Sample) -> dict[str, Any]:
    """After how many queries a change is seen; whether there was an alarm before it."""
    _, before, after = mix(sets, seed, share)
    stream = DriftStream(sample, CONFIG)
    early = any(look.is_drift for look in feed(stream, before))
    seen = [look.position - CHANGE for look in feed(stream, after) if look.is_drift]
    return {"early": early, "delay": seen[0] if seen else None}


def find_curve(sets: dict[str, Queries], seed: int) -> list[float]:
    """The vectors' statistic by its threshold, before and after the change."""
    reference, before, after = mix(sets, seed, 1.0)
    stream = make_stream(reference, seed)
    return to_ratios(stream, [*feed(stream, before), *feed(stream, after)])


def describe_newcomers(sets: dict[str, Queries], seed: int) -> dict[str, Any]:
    """Which queries are new, after 500 of another domain."""
    reference, before, after = mix(sets, seed, 1.0)
    stream = make_stream(reference, seed)
    feed(stream, before)
    feed(stream, after)
    report = stream.report()
    assert report.newcomers is not None
    return {**report.newcomers.to_dict(), "area": report.classifier_area}


def to_ratios(stream: DriftStream, looks: list[Look]) -> list[float]:
    return [look.values["vectors"] / stream.thresholds["vectors"] for look in looks]


def judge(stream: DriftStream, looks: list[Look]) -> dict[str, Any]:
    ratios = to_ratios(stream, looks)
    return {
        "looks": len(looks),
        "alarms": sum(look.is_drift for look in looks),
        "of": sorted({name for look in looks for name in look.exceeded}),
        "ratios": ratios,
        "largest": max(ratios),
    }


def watch_same(queries: Queries, seed: int, *, size: int) -> dict[str, Any]:
    """10,000 queries of a data set in random order, beside a reference of all the others."""
    order = np.random.default_rng(seed).permutation(len(queries))
    stream = make_stream(queries.take(order[:size]), seed)
    return judge(stream, feed(stream, queries.take(order[size : size + LONG])))


def watch_drawn(queries: Queries, seed: int) -> dict[str, Any]:
    """10,000 queries drawn with replacement from 500, beside a reference of all the others."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(queries))
    stream = make_stream(queries.take(order[500:]), seed)
    return judge(stream, feed(stream, queries.take(order[generator.integers(0, 500, LONG)])))


def watch_ordered(queries: Queries, seed: int, burst: int) -> dict[str, Any]:
    """Every second question of a data set in its own order, beside a reference of the others, also in order."""
    order = np.arange(len(queries))
    stream = make_stream(queries.take(order[seed % 2 :: 2]), seed, burst)
    found = judge(stream, feed(stream, queries.take(order[1 - seed % 2 :: 2])))
    return {name: found[name] for name in ("looks", "alarms", "largest")}


def write_report(found: dict[str, Any]) -> str:
    """DRIFT.md."""
    machine = ", ".join(f"{key}: {value}" for key, value in describe_machine().items())
    lines = [
        "# Drift of queries",
        "",
        f"Written by `benchmarks/drift.py --write`. {machine}, shared with other work.",
        "",
        f"A window of {CONFIG.window} queries is compared after each {CONFIG.stride}; thresholds are for a false alarm "
        f"in at most {CONFIG.false_alarms:.0%} of streams of {LONG:,} queries. Vectors and lengths in words are "
        "compared.",
        "",
        "## Another domain is seen",
        "",
        f"A reference of 400 queries of SciFact, {CHANGE} others, then {WITHIN} of which some are banking77's; each "
        "time in another order. The delay counts queries from the change on.",
        "",
        "| model | banking77's share | seen | median delay | largest | alarms before the change |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, values in found.items():
        for key, runs in values["shifts"].items():
            delays = [run["delay"] for run in runs if run["delay"] is not None]
            shown = f"{np.median(delays):.0f} | {max(delays)}" if delays else "– | –"
            early = sum(run["early"] for run in runs)
            lines.append(f"| {name} | {key} | {len(delays)} of {len(runs)} | {shown} | {early} |")
    lines += [
        "",
        f"## {LONG:,} queries of the same domain",
        "",
        "SQuAD and banking77: all questions in random order, the reference is what the 10,000 leave over (570 and "
        "3,083, of which 500 are compared). SciFact has 1,109 queries, so 500 of them are drawn again and again: a "
        "stream of so few different queries is not quite of the reference's distribution, and this is what it shows.",
        "",
        "| model | queries | streams with an alarm | looks with an alarm | largest value by its threshold |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, values in found.items():
        for key, runs in values["quiet"].items():
            streams, looks = sum(run["alarms"] > 0 for run in runs), sum(run["looks"] for run in runs)
            alarms, largest = sum(run["alarms"] for run in runs), max(run["largest"] for run in runs)
            lines.append(f"| {name} | {key} | {streams} of {len(runs)} | {alarms} of {looks:,} | {largest:.2f} |")
    lines += [
        "",
        "In its own order SQuAD asks some two hundred questions about one article, then as many about the next. "
        "Each window is then of one subject, which differs from the mean of all of them, and is said to; `burst=50` "
        "takes the reference's own runs of 50 for one subject each:",
        "",
        "| model | `burst` | looks with an alarm, of 2 runs | largest value by its threshold |",
        "| --- | --- | --- | --- |",
    ]
    for name, values in found.items():
        for burst, runs in values["ordered"].items():
            alarms, looks = sum(run["alarms"] for run in runs), sum(run["looks"] for run in runs)
            lines.append(f"| {name} | {burst} | {alarms} of {looks} | {max(run['largest'] for run in runs):.2f} |")
    lines += ["", "![The statistic by its threshold](drift.svg)", "", "## Which queries are new", ""]
    for name, values in found.items():
        clusters = values["clusters"]
        lines += [
            f"{name}, the last {CONFIG.window} queries: {clusters['share']:.0%} are new, a classifier's area is "
            f"{clusters['area']:.3f}.",
            "",
            "| queries | the most typical |",
            "| --- | --- |",
        ]
        for cluster in clusters["clusters"]:
            examples = " · ".join(text.strip()[:90].replace("|", "/") for text in cluster["examples"])
            lines.append(f"| {cluster['size']} | {examples} |")
        lines.append("")
    return "\n".join([*lines, *measure_speed()]) + "\n"


def measure_speed() -> list[str]:
    """How long the parts take, as processor time."""
    generator = np.random.default_rng(0)
    one, other = (generator.normal(size=(count, 384)).astype(np.float32) for count in (500, 5000))

    def clock(work: Any) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times)

    config = replace(CONFIG, seed=1)
    sample = Sample(other[:500], {"length": np.arange(500) % 30})
    calibrated = sample.calibrate(config)
    stream = DriftStream(calibrated, config)
    for vector in other[:200]:
        stream.add(vector, {"length": 1.0})
    look = clock(lambda: [stream.add(vector, {"length": 1.0}) for vector in other[:1000]]) / 20
    compare = clock(lambda: mean_discrepancy(one, other))
    calibrate = clock(lambda: sample.calibrate(config))
    return [
        "## What it costs",
        "",
        "Processor time on one thread, the least of three:",
        "",
        "| what | seconds |",
        "| --- | --- |",
        f"| `mean_discrepancy` of 500 × 5,000 vectors of 384, 500 permutations | {compare:.2f} |",
        f"| finding the thresholds, 500 vectors, {config.num_runs:,} streams | {calibrate:.2f} |",
        f"| a look, with its {CONFIG.stride} queries | {look:.4f} |",
    ]


def draw(curves: dict[str, dict[str, list[float]]], path: Path) -> None:
    """The statistic by its threshold, over the queries."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "drift"
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, both in curves.items():
        for axis, (title, ratios) in zip((left, right), both.items(), strict=True):
            places = CONFIG.window + CONFIG.stride * np.arange(len(ratios))
            axis.plot(places, np.maximum(ratios, 0.01), label=name, linewidth=1.2)
            axis.set_title(title)
    left.axvline(CHANGE, color="gray", linestyle=":", label="the change")
    for axis in (left, right):
        axis.axhline(1, color="black", linewidth=0.8, label="threshold")
        axis.set_yscale("log")
        axis.set_xlabel("queries")
    left.set_ylabel("discrepancy / threshold")
    left.legend(fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
