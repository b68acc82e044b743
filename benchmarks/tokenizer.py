"""How fast the tokenizer in the graph is beside the Hugging Face tokenizer, in one run, alternating.

    .venv/bin/python benchmarks/tokenizer.py ../shared/data
    .venv/bin/python benchmarks/tokenizer.py ../shared/data --kind qwen

`--kind` takes bert-base-uncased's WordPiece, or trains a BPE tokenizer of 20,000 pieces on the data: with GPT-2's,
Qwen's or Llama 3's pre-tokenizer, or with byte fallback as Gemma's; or a Unigram tokenizer with XLM-RoBERTa's
normalizer.

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
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from tfchain.models.tokenizers.graph_tokenizer import make_graph_tokenizer

BATCH = 512
MAX_LENGTH = 128
QUERY = "how do I merge two sorted lists"


VOCABULARY_SIZE = 20_000
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def make_wordpiece(folder: Path) -> BertTokenizer:
    """bert-base-uncased's tokenizer."""
    pieces = (
        (folder / "bert_vocab" / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    )
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})


def make_gpt2(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer as RoBERTa's."""
    return train_bytes(folder, pre_tokenizers.ByteLevel(add_prefix_space=False))


def make_qwen(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer as Qwen's, with NFC."""
    made = train_bytes(folder, split(QWEN))
    made.backend_tokenizer.normalizer = normalizers.NFC()
    return made


def make_llama(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer as Llama 3's."""
    return train_bytes(folder, split(LLAMA))


def make_gemma(folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer of characters with byte fallback as Gemma's."""
    options = {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    trained = Tokenizer(models.BPE(**options))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=special, limit_alphabet=4000, show_progress=False
    )
    trained.train_from_iterator(read_all(folder), trainer)
    parts = json.loads(trained.to_str())
    parts |= {"pre_tokenizer": None, "added_tokens": parts["added_tokens"][: len(SPECIAL)]}
    return wrap(Tokenizer.from_str(json.dumps(parts)))


def make_xlm_roberta(folder: Path) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer as XLM-RoBERTa's, with the charsmap of sentencepiece."""
    from sentencepiece import SentencePieceNormalizer, sentencepiece_model_pb2

    spec = SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_normalizer_spec()
    trained = Tokenizer(models.Unigram())
    trained.normalizer = normalizers.Precompiled(
        sentencepiece_model_pb2.NormalizerSpec.FromString(spec).precompiled_charsmap
    )
    trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    trained.train_from_iterator(read_all(folder), trainer)
    return wrap(trained)


MAKERS = {
    "wordpiece": make_wordpiece,
    "gpt2": make_gpt2,
    "qwen": make_qwen,
    "llama": make_llama,
    "gemma": make_gemma,
    "xlm_roberta": make_xlm_roberta,
}


def split(pattern: str) -> pre_tokenizers.PreTokenizer:
    """A pattern, then bytes."""
    parts = [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    return pre_tokenizers.Sequence(parts)


def train_bytes(folder: Path, pre_tokenizer: pre_tokenizers.PreTokenizer) -> PreTrainedTokenizerFast:
    """Trains a byte-level tokenizer."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(read_all(folder), trainer)
    return wrap(trained)


def wrap(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """A transformers tokenizer that puts a token before and after each text."""
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")


def read_all(folder: Path) -> list[str]:
    """The texts of all sources, English and Chinese."""
    with gzip.open(folder / "tatoeba_en_zh" / "train.tsv.gz", "rt", encoding="utf-8") as file:
        pairs = [text for line in file for text in line.rstrip("\n").split("\t")[:2]]
    with open(folder / "squad_dev" / "corpus.jsonl", encoding="utf-8") as file:
        return pairs + [json.loads(line)["text"] for line in file]


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
    parser.add_argument("--kind", choices=MAKERS, default="wordpiece", help="the kind of tokenizer")
    arguments = parser.parse_args()
    data = arguments.data
    hugging_face = MAKERS[arguments.kind](data)
    start = time.perf_counter()
    tokenizer = make_graph_tokenizer(hugging_face)
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
