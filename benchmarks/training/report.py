"""Turns the results' JSON files into tables; `python benchmarks/training/report.py FOLDER` writes TRAINING.md."""

import argparse
import datetime
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEER = "sentence-transformers"
Row = Sequence[str]


def main() -> None:
    """Reads the folder, writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what --out was")
    parser.add_argument("--output", type=Path, default=HERE.parent / "TRAINING.md", help="(%(default)s)")
    arguments = parser.parse_args()
    arguments.output.write_text(write_report(arguments.folder), encoding="utf-8")


def write_report(folder: Path) -> str:
    """The results in a folder as Markdown; measures without a file are left out."""
    writers = {
        "quality": write_quality,
        "speed": write_speed,
        "memory": write_memory,
        "shards": write_shards,
        "chinese": write_chinese,
    }
    parts = [
        "# Training\n\nWritten by `make bench-train`. MiniLM is all-MiniLM-L6-v2; sentence-transformers is its"
        " `SentenceTransformerTrainer` with `MultipleNegativesRankingLoss`. Everything runs on the processor's first"
        " two cores, each system in a process of its own."
    ]
    for name, write in writers.items():
        path = folder / f"{name}.json"
        if path.is_file():
            result = json.loads(path.read_text(encoding="utf-8"))
            date = datetime.datetime.fromtimestamp(path.stat().st_mtime, tz=datetime.UTC).date()
            parts.append(write(result) + "\n\n" + write_circumstances(result, date))
    return "\n\n".join(parts) + "\n"


def write_circumstances(result: dict[str, Any], date: datetime.date) -> str:
    """What was run, where, when, with which versions."""
    machine = result["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
    quick = ["- **With --quick: the settings are too small for these figures to say anything.**"]
    return "\n".join(
        [
            *(quick if "--quick" in result["command"] else []),
            f"- `{result['command']}`, {date}, {machine['system']}",
            f"- {machine['processor']}, {machine['cores']} cores ({machine['features']}), {machine['memory']}, load"
            f" {machine['load']} before the run",
            f"- {versions}",
        ]
    )


def write_quality(result: dict[str, Any]) -> str:
    """nDCG@10 of both, by seed."""
    settings, same = result["settings"], result["sameness"]
    untrained = result["untrained"]["ndcg@10"]
    rows: list[Row] = [("untrained", "", f"{untrained:.4f}", "", f"{result['untrained']['mrr@10']:.4f}", "", "", "")]
    peers = {row["seed"]: row["metrics"]["ndcg@10"] for row in result["rows"] if row["system"] == PEER}
    for row in result["rows"]:
        ndcg, peer = row["metrics"]["ndcg@10"], peers.get(row["seed"])
        rows.append(
            (
                row["system"],
                str(row["seed"]),
                f"{ndcg:.4f}",
                "" if peer is None else f"{ndcg - peer:+.4f}",
                f"{row['metrics']['mrr@10']:.4f}",
                f"{row['metrics']['recall@100']:.4f}",
                f"{row['first_losses']:.3f} → {row['last_losses']:.3f}",
                f"{row['seconds']:.0f}",
            )
        )
    heads = (
        "system",
        "seed",
        "nDCG@10",
        f"beside {PEER}",
        "MRR@10",
        "recall@100",
        "loss, first → last tenth",
        "seconds",
    )
    text = (
        f"MiniLM on the {result['pairs']} pairs of SciFact's train split, in-batch softmax (cosine, scale 20), batches"
        f" of {settings['batch_size']}, {settings['epochs']} epoch(s), {settings['max_length']} tokens; AdamW (ε 1e-8,"
        f" no weight decay), learning rate {settings['learning_rate']:g} falling linearly to 0 without warm-up,"
        " gradient norm at most 1, dropout 0.1. Metrics on the 300 test queries over all documents, all by tfchain's"
        " evaluation."
        f"\n\nBoth got the same rows in the same order: without dropout, the losses of the first {same['steps']} steps"
        f" differ by at most {same['largest_loss_difference']:.1e}, the learning rates by at most"
        f" {same['largest_learning_rate_difference']:.1e} of the largest one. The two dropouts draw other masks, and"
        " length batches are other batches; what seeds differ by is the noise to read the differences against."
    )
    return write_table("Quality on SciFact", text, heads, rows)


def write_speed(result: dict[str, Any]) -> str:
    """Pairs a second, and the ratio to sentence-transformers; then the same by allocator."""
    settings = result["settings"]
    total = sum(result["pairs"].values())
    text = (
        f"Whole training steps of MiniLM, batches of {settings['batch_size']}, at most {settings['max_length']} tokens:"
        f" {result['pairs']['scifact']} claims with abstracts (SciFact) and {result['pairs']['squad']} questions with"
        f" paragraphs (SQuAD). A turn is an epoch over these {total} pairs ({settings['steps']} steps); after one that"
        f" is not counted, {settings['turns']} of each system, by turns, {settings['at_once']} processes at a time:"
        f" {PEER} runs beside each of the others. The median of the turns, and of the ratios to {PEER}' in the same"
        f" turns. Equal padding: each column to its longest text, as {PEER} does. Padding: the share of"
        " the computed tokens, in the first epoch's batches."
    )
    allocators = (
        "The same in a run of its own. tfchain asks TensorFlow to keep memory between steps"
        " (`TF_CPU_ALLOCATOR_USE_BFC`); without, the system clears and maps each page of every large tensor anew, which"
        " a virtual machine makes dear. PyTorch gives memory back, too; `malloc keeps memory` is"
        f" {PEER} with glibc's environment variables `MALLOC_MMAP_MAX_`, `MALLOC_TRIM_THRESHOLD_` and"
        " `MALLOC_TOP_PAD_` set so that it gives back none."
    )
    heads = ("system", "pairs a second", "least to most", "ratio", "padding")
    table = write_table("Speed", text, heads, make_speed_rows(result["rows"]))
    if not result["allocators"]:
        return table
    by_allocator = write_table("Speed by allocator", allocators, heads, make_speed_rows(result["allocators"]))
    return f"{table}\n\n#{by_allocator}"


def make_speed_rows(measured: list[dict[str, Any]]) -> list[Row]:
    """The rows of a table of speed."""
    rows: list[Row] = []
    for row in measured:
        own = row["pairs_per_second"]
        tokens = row["tokens"]
        ratios = [one / other for one, other in zip(own, row["reference_pairs_per_second"], strict=False)]
        rows.append(
            (
                row["system"],
                f"{row['median']:.1f}",
                f"{min(own):.1f} to {max(own):.1f}",
                f"{statistics.median(ratios):.2f}" if ratios else "–",
                f"{1 - tokens['own'] / tokens['computed']:.0%}",
            )
        )
    return rows


def write_memory(result: dict[str, Any]) -> str:
    """Peaks."""
    first = result["rows"][0]["peak_megabytes"]
    rows = [
        (
            str(row["batch_size"]),
            "–" if row["mini_batch_size"] is None else str(row["mini_batch_size"]),
            str(row["steps"]),
            f"{row['loaded_megabytes']:.0f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['peak_megabytes'] / first:.2f}",
        )
        for row in result["rows"]
    ]
    heads = ("batch", "GradCache's mini-batch (texts)", "steps", "model loaded, MB", "peak, MB", "ratio")
    text = (
        f"The peak of a whole process that trains MiniLM, texts of up to {result['settings']['max_length']} tokens,"
        " the libraries included. A plain batch encodes all its texts (two a pair) at once, GradCache a mini-batch of"
        " texts."
    )
    return write_table("Memory", text, heads, rows)


def write_shards(result: dict[str, Any]) -> str:
    """Peaks beside the files' sizes."""
    rows = [
        (
            str(row["pairs"]),
            f"{row['megabytes']:.0f}",
            str(row["steps"]),
            f"{row['loaded_megabytes']:.0f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['pairs'] / row['seconds']:.0f}",
        )
        for row in result["rows"]
    ]
    heads = ("pairs", "files, MB", "steps", "model loaded, MB", "peak, MB", "pairs a second")
    text = (
        "An epoch of a tiny encoder (one layer, 32 wide, texts cut at 16 tokens) over generated TFRecords, read as"
        f" `PairShards` in batches of {result['settings']['batch_size']}; the peak is the whole process's. The speed"
        " is the first start's and the reading's, not a real encoder's."
    )
    return write_table("Data larger than memory", text, heads, rows)


def write_chinese(result: dict[str, Any]) -> str:
    """recall@10 beside BM25's."""
    settings, training = result["settings"], result["training"]
    names = list(result["rows"][0]["metrics"])
    rows = [(row["system"], *(f"{row['metrics'][name]:.4f}" for name in names)) for row in result["rows"]]
    stopped = "" if training["steps"] == training["planned_steps"] else f" of {training['planned_steps']} planned"
    losses = " ".join(f"{loss:.2f}" for loss in training["losses"])
    text = (
        f"A BERT of 4 layers, 256 wide ({training['weights'] / 1e6:.1f} million weights, most of them the Chinese"
        f" vocabulary's), random at first, trained for {training['minutes']:.1f} minutes ({training['steps']}"
        f" steps{stopped} of {settings['batch_size']} pairs, {settings['max_length']} tokens,"
        f" {settings['dtype_policy']}, learning rate {settings['learning_rate']:g}) on the training part of CMRC2018"
        f" alone: {training['questions']} questions with windows of their passages that hold the answer, and"
        f" ({settings['spans']:.0%} of the pairs) spans of the {training['passages']} passages with windows on or"
        f" beside them. Loss by tenths: {losses}. Searched: all passages of the corpus, for the"
        f" {result['test_questions']} test questions, whose passages training never saw. BM25: bm25s, k1 0.9, b 0.4,"
        " over whole passages, on the same tokenizer's tokens (a Chinese character is one), and on pairs of"
        " neighbouring tokens, which is what search in Chinese by words needs."
    )
    return write_table("A Chinese encoder from nothing", text, ("system", *names), rows)


def write_table(title: str, text: str, heads: Row, rows: Sequence[Row]) -> str:
    """A heading, what the table shows, the table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    return f"## {title}\n\n{text}\n\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
