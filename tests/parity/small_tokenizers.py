"""Tokenizers of a few hundred entries for the small random models: WordPiece, byte-level BPE, Unigram.

The vocabularies are counted here instead of trained with `tokenizers`, whose trainers break ties by chance.
"""

import json
import math
from collections import Counter
from itertools import pairwise

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer, CLIPTokenizer, MPNetTokenizer, PreTrainedTokenizerFast, RobertaTokenizer

from tests.parity.texts import PYTHON_DOCS, SMALL_MODEL_TEXTS

WORDPIECE_SIZE = 230
BPE_MERGES = 40
UNIGRAM_SIZE = 230
MAX_PIECE = 6


def bert_tokenizer(max_length: int, *, lower: bool = True, **options: str) -> BertTokenizer:
    """BERT's and DistilBERT's kind: [PAD] is 0."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return BertTokenizer(
        vocab=wordpiece_vocabulary(special, lower=lower), do_lower_case=lower, model_max_length=max_length, **options
    )


def mpnet_tokenizer(max_length: int) -> MPNetTokenizer:
    """MPNet's kind: WordPiece between `<s>` and `</s>`, `<pad>` is 1."""
    special = ("<s>", "<pad>", "</s>", "<unk>", "[UNK]")
    vocabulary = wordpiece_vocabulary(special, lower=True)
    vocabulary["<mask>"] = len(vocabulary)
    return MPNetTokenizer(vocab=vocabulary, model_max_length=max_length)


def roberta_tokenizer(max_length: int) -> RobertaTokenizer:
    """RoBERTa's kind: byte-level BPE, `<pad>` is 1."""
    merges = count_merges()
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    vocabulary = {token: index for index, token in enumerate([*tokens, "<mask>"])}
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length)


def decoder_tokenizer(max_length: int, *, first: str = "", last: str = "<|endoftext|>") -> PreTrainedTokenizerFast:
    """A decoder's kind: byte-level BPE, padding on the left, and a token before or after each text.

    Args:
        max_length: Tokens, special ones included.
        first: The special token before each text. Default: none.
        last: The special token after each text. Default: Qwen3-Embedding's.
    """
    merges = count_merges()
    special = list(dict.fromkeys([token for token in (first, last) if token] + ["<|endoftext|>"]))
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges), *special]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    used = [token for token in (first, last) if token]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join([first, "$A", last]).strip(),
        special_tokens=[(token, vocabulary[token]) for token in used],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=first or None,
        eos_token=last or "<|endoftext|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        model_max_length=max_length,
    )


def clip_tokenizer(max_length: int) -> CLIPTokenizer:
    """CLIP's kind: byte-level BPE with `</w>` at the end of words, in lower case; `<|endoftext|>` pads."""
    plain = CLIPTokenizer().backend_tokenizer
    words = Counter(
        (*piece[:-1], f"{piece[-1]}</w>")
        for text in corpus()
        for piece, _ in plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str(text))
    )
    merges = count_merges(words)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{character}</w>" for character in alphabet), *map("".join, merges)]
    vocabulary = {token: index for index, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length)


def count_merges(words: Counter[tuple[str, ...]] | None = None) -> list[tuple[str, str]]:
    """The merges of byte-level BPE: the most frequent pair first, ties in the order of the characters."""
    words = words or Counter(
        tuple(piece)
        for text in corpus()
        for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    )
    merges = []
    for _ in range(BPE_MERGES):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({merge(word, best): count for word, count in words.items()})
    return merges


def xlm_roberta_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """XLM-RoBERTa's kind: Unigram pieces with `▁` for the space, `<pad>` is 1."""
    entries = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    entries += [*unigram_pieces(), ("<mask>", 0.0)]

    tokenizer = Tokenizer(models.Unigram(entries, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        cls_token="<s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=max_length,
    )


def t5_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """T5's kind: the same pieces, with `</s>` after a text and nothing before it."""
    plain = xlm_roberta_tokenizer(max_length).backend_tokenizer
    plain.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=max_length,
    )


def unigram_pieces() -> list[tuple[str, float]]:
    """Unigram pieces with `▁` for the space, and the logarithms of their frequencies."""
    words = Counter("▁" + word for text in corpus() for word in text.split())
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(start + MAX_PIECE, len(word)) + 1):
                pieces[word[start:end]] += count
    # Characters first, so that little is unknown; then the pieces that save most of them.
    characters = [piece for piece, _ in ranked(pieces) if len(piece) == 1][: UNIGRAM_SIZE // 2]
    longer = sorted((piece for piece in pieces if len(piece) > 1), key=lambda p: (-pieces[p] * (len(p) - 1), p))
    total = pieces.total()
    kept = characters + longer[: UNIGRAM_SIZE - len(characters)]
    return [(piece, round(math.log(pieces[piece] / total), 6)) for piece in kept]


def wordpiece_vocabulary(special: tuple[str, ...], *, lower: bool) -> dict[str, int]:
    """Special tokens, frequent characters (alone and inside a word), frequent words and endings."""
    normalizer = normalizers.BertNormalizer(lowercase=lower)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in corpus() for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    first: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    for word, count in words.items():
        first[word[0]] += count
        for character in word[1:]:
            inside["##" + character] += count
        for start in range(1, len(word) - 1):
            endings["##" + word[start:]] += count
    tokens = list(special)
    tokens += [token for token, _ in ranked(first)[:70]] + [token for token, _ in ranked(inside)[:60]]
    longer = [token for token, _ in ranked(words) if len(token) > 1][:70] + [t for t, _ in ranked(endings)]
    tokens += longer[: WORDPIECE_SIZE - len(tokens)]
    return {token: index for index, token in enumerate(tokens)}


def corpus() -> list[str]:
    """The texts that the vocabularies are counted on; all in the repository."""
    documents: list[str] = json.loads(PYTHON_DOCS.read_text(encoding="utf-8"))["texts"]
    return [*documents, *SMALL_MODEL_TEXTS]


def ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most frequent first; ties in the order of the characters."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """The word with each occurrence of the pair joined."""
    joined: list[str] = []
    for symbol in word:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return tuple(joined)
