"""The release gate on 20 pairs of versions whose truth is known: does it stop what is worse, and let the rest through?

Run: .venv/bin/python benchmarks/release_gate.py [--write] [--documents N] [--work FOLDER]
Each pair is a live version of the small English model and a candidate made from it in a known way: exported again,
rounded, disturbed, trained on another domain, cut. All are exported, loaded and asked as the gate does; the user's
evaluation set are SciFact's 300 test queries. The truth comes from the way a candidate was made, and is checked on
other queries, SciFact's 809 training queries. Takes half an hour on two cores, and goes on where it was stopped if
`--work` names a folder; prints the table, and writes benchmarks/RELEASE_GATE.md when `--write` is given.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine

from tfchain import NeuralSearchChain
from tfchain.chains.releasing import make_judge
from tfchain.core.judgement import Judgement
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset, read_beir
from tfchain.deployment.releases.checks import check_answers, check_metric
from tfchain.deployment.releases.comparison import Comparison, compare_values
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.releases.version_answers import open_version

SHARED_DATA = HERE.parent.parent / "shared" / "data"
MAX_LENGTH = 128
SAMPLES, SAMPLE_SIZES = 40, (50, 100, 200, 300)
RULES: dict[str, ReleaseLimits] = {"margin": ReleaseLimits(), "strict": ReleaseLimits(rule="strict")}
Weights = list[np.ndarray]


@dataclass(frozen=True)
class Candidate:
    """A candidate and the truth about it.

    Args:
        name: What was done.
        is_worse: Whether that makes it worse by more than the margin.
        weights: A function from the live weights to its own. Default: the same.
        documents: A function from the documents to its own. Default: the same.
        options: Other arguments of the chain. Default: none.
        domain: Whether it is trained on another domain. Default: False.
    """

    name: str
    is_worse: bool
    weights: Callable[[Weights], Weights] = lambda weights: weights
    documents: Callable[[list[Document]], list[Document]] = lambda documents: documents
    options: dict[str, Any] | None = None
    domain: bool = False


def round_to(bits: int, *, by_row: bool) -> Callable[[Weights], Weights]:
    """Rounds matrices to so many bits: one scale for each output, or one for all."""

    def change(weights: Weights) -> Weights:
        largest = 2 ** (bits - 1) - 1
        changed = []
        for weight in weights:
            if weight.ndim < 2:
                changed.append(weight)
                continue
            flat = weight.reshape(-1, weight.shape[-1])
            size = np.abs(flat).max(axis=0 if by_row else None, keepdims=True)
            scale = np.maximum(size, 1e-12) / largest
            changed.append((np.rint(flat / scale) * scale).reshape(weight.shape).astype("float32"))
        return changed

    return change


def disturb(share: float, seed: int = 0) -> Callable[[Weights], Weights]:
    """Adds normal noise of a share of each matrix's own standard deviation."""

    def change(weights: Weights) -> Weights:
        random = np.random.default_rng(seed)
        return [
            weight + random.normal(0, share * weight.std(), weight.shape).astype("float32")
            if weight.ndim > 1
            else weight
            for weight in weights
        ]

    return change


def as_bfloat16(weights: Weights) -> Weights:
    return [(weight.view(np.uint32) + 0x8000 & 0xFFFF0000).astype(np.uint32).view(np.float32) for weight in weights]


def cut_vocabulary(size: int) -> Callable[[Weights], Weights]:
    """Gives all tokens from a place on the vector of the unknown token, as if the vocabulary ended there."""

    def change(weights: Weights) -> Weights:
        changed = []
        for weight in weights:
            if weight.ndim == 2 and weight.shape[0] == 30_522:
                weight = weight.copy()
                weight[size:] = weight[100]  # [UNK]
            changed.append(weight)
        return changed

    return change


def draw_anew(weights: Weights) -> Weights:
    """Replaces each matrix by noise of its size."""
    random = np.random.default_rng(7)
    return [random.normal(0, w.std(), w.shape).astype("float32") if w.ndim > 1 else w for w in weights]


CANDIDATES = (
    Candidate("the same, exported again", False),
    Candidate("documents in another order", False, documents=lambda documents: documents[::-1]),
    Candidate("weights as float16", False, lambda weights: [w.astype("float16").astype("float32") for w in weights]),
    Candidate("weights as bfloat16", False, as_bfloat16),
    Candidate("weights as int8, a scale per output", False, round_to(8, by_row=True)),
    Candidate("weights as int8, one scale", False, round_to(8, by_row=False)),
    Candidate("weights as int7, a scale per output", False, round_to(7, by_row=True)),
    Candidate("noise of 0.1 %", False, disturb(0.001)),
    Candidate("noise of 0.5 %", False, disturb(0.005)),
    Candidate("noise of 1 %", False, disturb(0.01)),
    Candidate("weights as int4, one scale", True, round_to(4, by_row=False)),
    Candidate("weights as int3, a scale per output", True, round_to(3, by_row=True)),
    Candidate("noise of 40 %", True, disturb(0.4)),
    Candidate("noise of 60 %", True, disturb(0.6)),
    Candidate("trained on another domain (banking77)", True, domain=True),
    Candidate("vocabulary cut at 4,000 tokens", True, cut_vocabulary(4_000)),
    Candidate("vocabulary cut at 8,000 tokens", True, cut_vocabulary(8_000)),
    Candidate("texts cut at 24 tokens", True, options={"max_length": 24}),
    Candidate("a tenth of the documents missing", True, documents=lambda all: all[: -(len(all) // 10)]),
    Candidate("an untrained encoder", True, draw_anew),
)  # fmt: skip


def read_data(num_documents: int) -> tuple[BeirDataset, BeirDataset, list[Document]]:
    """Returns test and training queries, and the judged documents with others, in an order without meaning."""
    folder = SHARED_DATA / "scifact"
    test, train = (read_beir(folder, split=split) for split in ("test", "train"))
    judged = {id for part in (test, train) for grades in part.qrels.values() for id in grades}
    documents = list(test.documents())
    kept = [document for document in documents if document.id in judged]
    kept += [document for document in documents if document.id not in judged][: max(0, num_documents - len(kept))]
    order = np.random.default_rng(0).permutation(len(kept))
    return test, train, [kept[place] for place in order]


def export(candidate: Candidate, documents: list[Document], base_path: Path) -> Path:
    options = {"max_length": MAX_LENGTH} | (candidate.options or {})
    chain = NeuralSearchChain(passages="truncate", engine="tensorflow", **options)
    if candidate.domain:
        train_on_banking(chain)
    else:
        encoder = chain.text_encoder
        encoder.set_weights(candidate.weights([np.asarray(weight) for weight in encoder.encoder.get_weights()]))
    chain.add(candidate.documents(documents))
    return chain.export(base_path)


def train_on_banking(chain: NeuralSearchChain) -> None:
    """Trains far into another domain: questions to a bank and the names of their classes."""
    import csv

    with (SHARED_DATA / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = np.random.default_rng(0).permutation(len(rows))[:3_000]
    pairs = [(rows[row]["text"], rows[row]["label"].replace("_", " ")) for row in chosen]
    chain.fit(pairs, batch_size=32, epochs=1, learning_rate=2e-3)


def judge_candidate(
    candidate: Candidate, documents: list[Document], datasets: tuple[BeirDataset, BeirDataset], work: Path
) -> tuple[Judgement, Judgement]:
    """Exports a candidate and asks it both sets of queries, unless a former run did."""
    kept = work / f"{candidate.name.replace(' ', '-').replace('%', 'percent')}.json"
    if not kept.exists():
        path = export(candidate, documents, work / "new")
        with open_version(path) as version:
            judged = [make_judge(path, BeirDataset(data.queries, data.qrels))(version) for data in datasets]
        values = [{"values": one.values.tolist(), "rankings": list(one.rankings)} for one in judged]
        kept.write_text(json.dumps(values))
        shutil.rmtree(path)
    test, train = (
        Judgement("ndcg@10", np.array(one["values"]), rankings=one["rankings"]) for one in json.loads(kept.read_text())
    )
    return test, train


def compare(live: Judgement, new: Judgement) -> Comparison:
    return compare_values(live.values, new.values, metric=live.metric)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--documents", type=int, default=1_500)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    test, train, documents = read_data(options.documents)
    rows, judged_on_train = [], []
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        live = judge_candidate(Candidate("live", False), documents, (test, train), work)
        print(f"live: {live[0].score:.4f} test, {live[1].score:.4f} train, {len(documents)} documents", flush=True)
        for candidate in CANDIDATES:
            new = judge_candidate(candidate, documents, (test, train), work)
            judged_on_train.append((candidate, new[1]))
            found, truth = compare(live[0], new[0]), compare(live[1], new[1])
            drift = check_answers(new[0], live[0], ReleaseLimits()).values
            passed = {name: check_metric(new[0], found, limits).outcome == "passed" for name, limits in RULES.items()}
            rows.append((candidate, found, truth, drift, passed))
            interval = f"[{found.low:+.4f}, {found.high:+.4f}]"
            print(f"{candidate.name}: {found.gain:+.4f} {interval}, train {truth.gain:+.4f}, {passed}", flush=True)
    truths = [(candidate.is_worse, new.values) for candidate, new in judged_on_train]
    text = make_text(live, rows, len(documents))
    text += make_samples_text(live[1].values, truths)
    print(text)
    if options.write:
        (HERE / "RELEASE_GATE.md").write_text(text, encoding="utf-8")


def make_text(live: tuple[Judgement, Judgement], rows: list[Any], num_documents: int) -> str:
    margin = RULES["margin"].margin * live[0].score
    lines = [
        f"# The release gate on {len(rows)} pairs of versions",
        "",
        f"Printed by `benchmarks/release_gate.py --write` on {datetime.now(UTC):%Y-%m-%d}: the small English model on "
        f"{num_documents:,} of SciFact's",
        f"documents (all judged ones among them), cut at {MAX_LENGTH} tokens. Live: nDCG@10 {live[0].score:.4f} on the "
        f"{len(live[0].values)} test queries, which are the",
        f"evaluation set, and {live[1].score:.4f} on the {len(live[1].values)} training queries, on which the truth is "
        "checked. The margin is 2 % of the live",
        f"version's metric, {margin:.4f}; the interval is two-sided 90 %, from 10,000 shuffles. "
        "Rules: see `docs/releases.md`.",
        f"Machine: {', '.join(f'{name}: {value}' for name, value in describe_machine().items())}.",
        "",
        "| candidate | truth | gain, other queries | gain | interval | p | smallest loss that shows | overlap@10 "
        "| RBO | rule `margin` | rule `strict` |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for candidate, found, truth, drift, passed in rows:
        verdicts = [describe(candidate.is_worse, is_passed) for is_passed in passed.values()]
        lines.append(
            f"| {candidate.name} | {'worse' if candidate.is_worse else 'equal'} | {truth.gain:+.4f} "
            f"| {found.gain:+.4f} | {found.low:+.4f} to {found.high:+.4f} | {found.p_value:.4f} "
            f"| {found.detectable:.4f} "
            f"| {drift['overlap_at_10']:.3f} | {drift['rank_biased_overlap']:.3f} | {' | '.join(verdicts)} |"
        )
    for name in RULES:
        wrong = [(candidate.is_worse, passed[name]) for candidate, _, _, _, passed in rows]
        lines += [
            "",
            f"Rule `{name}`: {wrong.count((True, True))} wrong passes of {sum(worse for worse, _ in wrong)} worse "
            f"versions, {wrong.count((False, False))} wrong stops of {sum(not worse for worse, _ in wrong)} equal "
            "ones.",
        ]
    return "\n".join(lines) + "\n"


def make_samples_text(live: np.ndarray, truths: list[tuple[bool, np.ndarray]]) -> str:
    """Returns how often each rule errs on smaller evaluation sets, drawn from the training queries."""
    random = np.random.default_rng(0)
    lines = [
        "",
        "## Smaller evaluation sets",
        "",
        f"Each pair again on {SAMPLES} samples of so many of the {len(live)} training queries (2,000 shuffles): the",
        "share of worse versions let through, and of equal ones stopped. `significance` alone refuses only what is",
        "significantly worse (one-sided, 5 %).",
        "",
        "| queries | significance: let through | stopped | `margin`: let through | stopped | `strict`: let through "
        "| stopped |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in SAMPLE_SIZES:
        passed: dict[tuple[str, bool], list[bool]] = {}
        for is_worse, new in truths:
            for _ in range(SAMPLES):
                places = random.choice(len(live), size, replace=False)
                found = compare_values(live[places], new[places], metric="ndcg@10", num_shuffles=2_000)
                is_significant = found.p_worse <= 0.05 and found.num_changed > 0
                margin = RULES["margin"].margin * abs(found.live)
                verdicts = {"significance": not is_significant, "margin": found.low > -margin}
                verdicts["strict"] = verdicts["significance"] and verdicts["margin"]
                for rule, verdict in verdicts.items():
                    passed.setdefault((rule, is_worse), []).append(verdict)
        shares = [
            f"{np.mean(passed[rule, True]):.1%} | {1 - np.mean(passed[rule, False]):.1%}"
            for rule in ("significance", "margin", "strict")
        ]
        lines.append(f"| {size} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def describe(is_worse: bool, is_passed: bool) -> str:
    said = "let through" if is_passed else "stopped"
    return said if is_worse != is_passed else f"**{said}, wrongly**"


if __name__ == "__main__":
    main()
