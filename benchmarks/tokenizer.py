"""How fast the tokenizer in the graph is beside the Hugging Face tokenizer, in one run, alternating.

    .venv/bin/python benchmarks/tokenizer.py ../shared/data

Prints texts a second for batches of 512 mixed sentences (English questions, English and Chinese sentences), and the
milliseconds for one short text through a session, as a server runs it.
"""

import argparse
import gzip
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from transformers import BertTokenizer

from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

BATCH = 512
MAX_LENGTH = 128
QUERY = "how do I merge two sorted lists"


def read_texts(folder: Path) -> list[str]:
    """A batch of texts, a third from each source, in random order."""
    with gzip.open(folder / "tatoeba_en_zh" / "train.tsv.gz", "rt", encoding="utf-8") as file:
        english, chinese = zip(*(line.rstrip("\n").split("\t")[:2] for line in file), strict=True)
    with open(folder / "squad_dev" / "queries.jsonl", encoding="utf-8") as file:
        questions = [json.loads(line)["text"] for line in file]
    generator = random.Random(0)
    texts = [text for source in (english, chinese, questions) for text in generator.sample(source, BATCH // 3 + 1)]
    generator.shuffle(texts)
    return texts[:BATCH]


def measure(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median seconds of each call, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 3):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of data sets")
    data = parser.parse_args().data
    pieces = (data / "bert_vocab" / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    hugging_face = BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})
    start = time.perf_counter()
    tokenizer = WordPieceTokenizer.from_hugging_face(hugging_face)
    print(f"making the graph's tokenizer: {time.perf_counter() - start:.2f} s")

    module = tf.Module()
    module.tokenizer = tokenizer
    module.serve = tf.function(
        lambda text: dict(zip(("token_ids", "padding_mask"), tokenizer(text, MAX_LENGTH), strict=True)),
        input_signature=[tf.TensorSpec([None], tf.string, "text")],
    )
    texts = read_texts(data)
    constant = tf.constant(texts)
    backend = hugging_face.backend_tokenizer
    bulk = measure(
        {
            "graph": lambda: module.serve(constant),
            "transformers": lambda: hugging_face(texts, padding=True, truncation=True, max_length=MAX_LENGTH),
            "tokenizers, encode_batch_fast": lambda: backend.encode_batch_fast(texts),
        },
        20,
    )
    for name, seconds in bulk.items():
        print(f"{name}: {len(texts) / seconds:,.0f} texts/s")

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
        with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
            signature = tf.compat.v1.saved_model.loader.load(session, ["serve"], folder).signature_def[
                "serving_default"
            ]
            run = session.make_callable([signature.outputs["token_ids"].name], [signature.inputs["text"].name])
            one = measure(
                {
                    "graph": lambda: run([QUERY]),
                    "transformers": lambda: hugging_face(QUERY, truncation=True, max_length=MAX_LENGTH),
                    "tokenizers": lambda: backend.encode(QUERY),
                },
                500,
            )
    for name, seconds in one.items():
        print(f"one short text, {name}: {seconds * 1e3:.3f} ms")


if __name__ == "__main__":
    main()
