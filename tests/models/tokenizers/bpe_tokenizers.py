"""Small BPE tokenizers of the kinds that people use, trained on texts of the repository, and their graphs."""

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.parity.small_tokenizers import clip_tokenizer, corpus
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
EXTRA_TEXTS = ["  a  b   c    d", "    return x\n\n\n", "I'll we're it's I'd can't they've I'm", "1234 56 789"] * 5
KINDS = (
    "gpt2",
    "roberta",
    "qwen",
    "llama",
    "modernbert",
    "gemma",
    "mistral",
    "unknowns",
    "few_bytes",
    "digits",
    "clip",
)


class Pair:
    """A Hugging Face tokenizer and its graph."""

    def __init__(self, hugging_face: Any) -> None:
        self.hugging_face = hugging_face
        self.graph = SentencePieceTokenizer.from_hugging_face(hugging_face)
        self.tokenize = tf.function(self.graph.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])

    def find_difference(self, texts: Sequence[str]) -> str | None:
        """The first text whose ids differ, with both ids."""
        backend = self.hugging_face.backend_tokenizer
        expected = [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        ragged = self.tokenize(tf.constant(texts, tf.string))
        same_lengths = ragged.row_lengths().numpy().tolist() == list(map(len, expected))
        if same_lengths and np.array_equal(ragged.values, [token_id for ids in expected for token_id in ids]):
            return None
        pairs = zip(texts, expected, ragged.to_list(), strict=True)
        return next(f"{text!r}: expected {one}, received {other}" for text, one, other in pairs if one != other)


@functools.cache
def make_pair(kind: str) -> Pair:
    """The tokenizer of a kind and its graph, made once."""
    return Pair(wrap(make_backend(kind)))


def wrap(backend: Tokenizer, **options: Any) -> PreTrainedTokenizerFast:
    """A transformers tokenizer."""
    return PreTrainedTokenizerFast(tokenizer_object=backend, **{"pad_token": "<pad>", **options})


def make_backend(kind: str) -> Tokenizer:
    """A tokenizer of a kind, of some hundred pieces."""
    made = _MAKERS[kind]()
    if kind == "clip":
        return made
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made


def byte_level(use_regex: bool = True, add_prefix_space: bool = False) -> pre_tokenizers.PreTokenizer:
    """The pre-tokenizer that turns bytes into characters."""
    return pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=use_regex)


def split(pattern: str) -> pre_tokenizers.PreTokenizer:
    """A pattern, then bytes."""
    isolated = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([isolated, byte_level(use_regex=False)])


def train(
    tokenizer: Tokenizer, size: int = 600, special: Sequence[str | AddedToken] = SPECIAL, **options: Any
) -> Tokenizer:
    """Trains a tokenizer on the repository's texts."""
    alphabet = pre_tokenizers.ByteLevel.alphabet() if "limit_alphabet" not in options else []
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        **{"initial_alphabet": alphabet, "show_progress": False, **options},
    )
    tokenizer.train_from_iterator([*corpus(), *EXTRA_TEXTS], trainer)
    return tokenizer


def make_gpt2(pre_tokenizer: pre_tokenizers.PreTokenizer | None = None) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizer or byte_level()
    return train(made)


def make_roberta() -> Tokenizer:
    made = make_gpt2(byte_level(add_prefix_space=True))
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False)])
    return made


def make_qwen() -> Tokenizer:
    made = make_gpt2(split(QWEN))
    made.normalizer = normalizers.NFC()
    made.add_special_tokens(["<|im_end|>", "<|im_end|>!"])
    return made


def make_llama() -> Tokenizer:
    """As transformers converts a file of tiktoken: each way to halve a token is a merge, and whole words come first."""
    parts = json.loads(make_gpt2(split(LLAMA)).to_str())
    vocabulary = parts["model"]["vocab"]
    ids = {token: token_id for token, token_id in vocabulary.items() if token not in SPECIAL}
    merges = []
    for token in sorted(ids, key=ids.__getitem__):
        halves = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [half for half in halves if half[0] in ids and half[1] in ids]
        merges += sorted(known, key=lambda half: (ids[half[0]], ids[half[1]]))
    for word in ("qzxq", "Ġqzxq", "!?!?"):  # no merges give them
        vocabulary[word] = len(vocabulary)
    parts["model"] |= {"merges": merges, "ignore_merges": True}
    return Tokenizer.from_str(json.dumps(parts))


def make_modernbert() -> Tokenizer:
    made = make_gpt2()
    made.normalizer = normalizers.NFC()
    made.add_tokens([AddedToken(" " * count, normalized=True) for count in (4, 3, 2)])
    made.add_tokens([AddedToken("|||EMAIL|||", normalized=True), AddedToken("word", single_word=True)])
    made.add_special_tokens([AddedToken("[MASK]", lstrip=True), AddedToken("[END]", rstrip=True)])
    return made


def make_gemma() -> Tokenizer:
    made = _make_of_characters(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.add_tokens([AddedToken("\n" * count, normalized=False) for count in (2, 3, 4)])
    return made


def make_mistral() -> Tokenizer:
    made = _make_of_characters(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return made


def make_unknowns() -> Tokenizer:
    made = _make_of_characters(fuse_unk=False, unk_token="<unk>")
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


def make_few_bytes() -> Tokenizer:
    """Bytes that the training texts do not have are dropped, as there is no unknown token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = byte_level()
    return train(made, initial_alphabet=[])


def make_digits() -> Tokenizer:
    digits = pre_tokenizers.Digits(individual_digits=True)
    return make_gpt2(pre_tokenizers.Sequence([digits, pre_tokenizers.Punctuation("isolated"), byte_level()]))


def make_clip() -> Tokenizer:
    """Bytes with `</w>` at the end of words; special tokens are written in a text as CLIP's are."""
    made = clip_tokenizer(77).backend_tokenizer
    return Tokenizer.from_str(made.to_str())


def _make_of_characters(**options: Any) -> Tokenizer:
    """A tokenizer whose characters are a text's, with `▁` for the space, and tokens for bytes if it falls back."""
    trained = Tokenizer(models.BPE(**options))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    in_bytes = [f"<0x{byte:02X}>" for byte in range(256)] if options.get("byte_fallback") else []
    parts = json.loads(train(trained, 800, [*SPECIAL, *in_bytes], limit_alphabet=200).to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] not in in_bytes]
    made = Tokenizer.from_str(json.dumps(parts))
    made.normalizer = None
    made.pre_tokenizer = None
    return made


_MAKERS = {
    "gpt2": make_gpt2,
    "roberta": make_roberta,
    "qwen": make_qwen,
    "llama": make_llama,
    "modernbert": make_modernbert,
    "gemma": make_gemma,
    "mistral": make_mistral,
    "unknowns": make_unknowns,
    "few_bytes": make_few_bytes,
    "digits": make_digits,
    "clip": make_clip,
}
