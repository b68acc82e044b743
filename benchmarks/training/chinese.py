"""A Chinese encoder from nothing: a small BERT trained on CMRC2018's training questions, searched beside BM25.

The time that is given covers reading, tokenizing, a few steps to find out how many fit, and the training. The test
questions then search all passages of the corpus, those of the test part among them, which training never saw.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from chinese_pairs import ChinesePairs
from processes import (
    BM25_WORKER,
    ask_once,
    describe_command,
    describe_machine,
    make_parser,
    read_arguments,
    say,
    write_result,
)

METRICS = ("recall@1", "recall@10", "ndcg@10", "mrr@10")
TRIAL_STEPS = 10
WARM_UP_STEPS = 4  # of the trial: not counted, the first is mostly tracing
SAFETY = 0.97
START_SECONDS = 15  # tokenizing and tracing, before the first step of the training
QUICK_QUERIES = 50
QUICK_DOCUMENTS = 200
K1, B = 0.9, 0.4
MakeTerms = Callable[[list[str]], list[str]]


def main() -> None:
    """Reads the options, trains, searches, writes."""
    parser = make_parser(__doc__, data=("cmrc",))
    add = parser.add_argument
    vocabulary = Path("../shared/data/bert_vocab/bert-base-chinese-vocab.txt")
    add("--vocabulary", type=Path, default=vocabulary, help="WordPiece vocabulary (%(default)s)")
    add("--minutes", type=float, default=30.0, help="for everything until the last step (%(default)s)")
    add("--batch-size", type=int, default=64, help="pairs in a step (%(default)s)")
    add("--max-length", type=int, default=128, help="tokens of a text (%(default)s)")
    add("--learning-rate", type=float, default=5e-4, help="the largest (%(default)s)")
    add("--warm-up", type=float, default=0.05, help="share of the steps until the largest (%(default)s)")
    add("--dropout", type=float, default=0.1, help="while training (%(default)s)")
    add("--spans", type=float, default=0.5, help="share of the pairs that are spans of passages (%(default)s)")
    add("--dtype-policy", default="float32", choices=("float32", "mixed_bfloat16"), help="(%(default)s)")
    add("--seed", type=int, default=1, help="of weights, pairs, order and dropout (%(default)s)")
    arguments = read_arguments(parser)
    if arguments.quick:
        arguments.minutes, arguments.batch_size, arguments.max_length = 0.5, 8, 48
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        results = measure(arguments, Path(work))
    write_result(arguments.out, "chinese", describe_command(__file__, parser, arguments), machine, **results)


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Trains, and ranks the test questions by the model, by the untrained model and by BM25."""
    from importlib.metadata import version

    start = time.monotonic()
    training = ChineseTraining(arguments, deadline=start + 60 * arguments.minutes)
    trained = training.run()
    say("chinese: searching")
    dataset = read_test(arguments)
    rows = [
        {"system": "the trained encoder", "metrics": evaluate(training.chain, dataset)},
        {"system": "the same encoder, untrained", "metrics": evaluate(training.make_chain(), dataset)},
        *(
            {"system": name, "metrics": rank_by_bm25(training.chain, dataset, arguments.peers, work, make_terms)}
            for name, make_terms in BM25_TERMS.items()
        ),
    ]
    names = ("minutes", "batch_size", "max_length", "learning_rate", "warm_up", "dropout", "spans", "dtype_policy")
    return {
        "settings": {name: getattr(arguments, name) for name in (*names, "seed")},
        "versions": {name: version(name) for name in ("tfchain", "tensorflow", "keras")},
        "training": trained,
        "test_questions": len(dataset.queries),
        "rows": rows,
    }


class ChineseTraining:
    """The training within its time.

    Args:
        arguments: The options.
        deadline: When the last step must be over, by `time.monotonic()`.
    """

    def __init__(self, arguments: argparse.Namespace, deadline: float) -> None:
        self.arguments = arguments
        self.begin = time.monotonic()
        self.deadline = deadline
        self.pairs = ChinesePairs(arguments.cmrc, max_length=arguments.max_length, seed=arguments.seed)
        self.chain = self.make_chain()

    def make_chain(self) -> Any:
        """A new encoder, the same each time."""
        import keras
        from transformers import BertTokenizer

        from tfchain import NeuralSearchChain
        from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
        from tfchain.models.encoders.encoder import Encoder

        keras.utils.set_random_seed(self.arguments.seed)
        tokenizer = BertTokenizer(vocab=str(self.arguments.vocabulary))
        config = TransformerConfig(
            architecture="bert",
            vocabulary_size=len(tokenizer),
            hidden_dim=256,
            num_layers=4,
            num_heads=4,
            intermediate_dim=1024,
            max_positions=self.arguments.max_length,
            num_token_types=2,
            dropout=self.arguments.dropout,
            attention_dropout=self.arguments.dropout,
        )
        encoder = Encoder(EncoderConfig(transformer=config, normalize=True))
        return NeuralSearchChain(tokenizer, encoder, max_length=self.arguments.max_length)

    def run(self) -> dict[str, Any]:
        """A short trial tells how long a step takes; the training has as many steps as the time allows."""
        say("chinese: a trial")
        clock = self.fit(TRIAL_STEPS, None)
        step_seconds = float(np.mean(np.diff(clock.times)[WARM_UP_STEPS:]))
        self.chain = self.make_chain()
        left = SAFETY * (self.deadline - time.monotonic()) - START_SECONDS
        steps = max(1, int(left / step_seconds))
        say(f"chinese: {steps} steps of {step_seconds:.2f} s")
        clock = self.fit(steps, self.deadline)
        return {
            "questions": len(self.pairs.questions),
            "passages": len(self.pairs.passages),
            "windows": sum(len(one.windows) for one in self.pairs.passages),
            "weights": int(sum(np.prod(weight.shape) for weight in self.chain.model.trainable_weights)),
            "planned_steps": steps,
            "steps": len(clock.times),
            "step_seconds": float(np.median(np.diff(clock.times))) if len(clock.times) > 1 else None,
            "minutes_at_first_step": (clock.times[0] - self.begin) / 60,
            "minutes_at_last_step": (clock.times[-1] - self.begin) / 60,
            "minutes": (time.monotonic() - self.begin) / 60,
            "losses": clock.losses_by_tenths(),
        }

    def fit(self, steps: int, deadline: float | None) -> Any:
        """Trains the chain's encoder; the pairs are other ones each time."""
        from tfchain.core.hyperparameters import Hyperparameters
        from tfchain.training.fit.fit import FitOptions, fit_text_encoder

        given = self.arguments
        clock = make_clock(deadline)
        hyperparameters = Hyperparameters(
            learning_rate=given.learning_rate,
            batch_size=given.batch_size,
            warmup=given.warm_up,
            dtype_policy=given.dtype_policy,
            drop_remainder=True,
            seed=given.seed,
        )
        pairs = self.pairs.make(steps * given.batch_size, share_of_spans=given.spans)
        options = FitOptions(loss="in_batch_softmax", strategy="one", callbacks=[clock], progress=False)
        fit_text_encoder(self.chain.text_encoder, pairs, hyperparameters, options)
        return clock


def make_clock(deadline: float | None) -> Any:
    """A callback that notes when each step ended and its loss, and ends the training at the deadline."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []
            self.totals: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.totals.append(float(self.model.loss_tracker.total) / float(self.model.loss_tracker.count))
            self.times.append(time.monotonic())
            if deadline is not None and self.times[-1] > deadline:
                self.model.stop_training = True

        def losses_by_tenths(self) -> list[float]:
            """The mean loss of each tenth of the steps; `totals` are means from the beginning on."""
            sums = np.concatenate([[0.0], np.array(self.totals) * np.arange(1, len(self.totals) + 1)])
            bounds = np.linspace(0, len(self.totals), min(10, len(self.totals)) + 1).astype(int)
            return [float((sums[end] - sums[one]) / (end - one)) for one, end in pairwise(bounds)]

    return Clock()


def read_test(arguments: argparse.Namespace) -> Any:
    """The test questions and all passages of the corpus."""
    from tfchain.data.documents.beir import BeirDataset, read_beir

    dataset = read_beir(arguments.cmrc)
    documents = list(dataset.documents())
    if arguments.quick:
        queries = dict(list(dataset.queries.items())[:QUICK_QUERIES])
        qrels = {query: dataset.qrels[query] for query in queries}
        wanted = {id for grades in qrels.values() for id in grades}
        documents = [one for one in documents if one.id in wanted] + documents[:QUICK_DOCUMENTS]
        return BeirDataset(queries, qrels, documents)
    return BeirDataset(dataset.queries, dataset.qrels, documents)


def evaluate(chain: Any, dataset: Any) -> dict[str, float]:
    """Metrics with passages that are cut into parts of the model's length, the best of which counts."""
    return dict(chain.evaluate(dataset, metrics=METRICS, progress=False))


def rank_by_bm25(chain: Any, dataset: Any, peers: Path, work: Path, make_terms: MakeTerms) -> dict[str, float]:
    """BM25 over whole passages, on terms made of the same tokenizer's tokens."""
    from tfchain.tasks.ranking_metrics import ranking_metrics

    def read(texts: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
        return [(id, make_terms(chain.tokenizer.tokenize(text))) for id, text in texts]

    content = {
        "documents": read((one.id, one.full_text) for one in dataset.documents()),
        "queries": read(dataset.queries.items()),
    }
    tokens, ranking = work / "tokens.json", work / "ranking.json"
    tokens.write_text(json.dumps(content), encoding="utf-8")
    ask_once(peers, BM25_WORKER, work / "bm25.log", "rank", tokens=str(tokens), k1=K1, b=B, top_k=10, save=str(ranking))
    run = {query: list(map(tuple, hits)) for query, hits in json.loads(ranking.read_text(encoding="utf-8")).items()}
    return ranking_metrics(run, dataset.qrels, METRICS)


def pair_tokens(tokens: list[str]) -> list[str]:
    """Each two neighbours as one term, as Lucene's analyzer for Chinese makes them: words are mostly two characters."""
    return [one + other for one, other in pairwise(tokens)]


BM25_TERMS: dict[str, MakeTerms] = {"BM25, tokens": list, "BM25, pairs of tokens": pair_tokens}


if __name__ == "__main__":
    main()
