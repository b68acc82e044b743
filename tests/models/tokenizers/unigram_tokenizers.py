"""Small Unigram tokenizers of the kinds that people use, counted on texts of the repository."""

import functools
import json
from collections.abc import Callable
from typing import Any

from sentencepiece import SentencePieceNormalizer, sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.models.tokenizers.bpe_tokenizers import Pair, wrap
from tests.parity.small_tokenizers import unigram_pieces

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
# More pieces, of which some cut a text in several equally likely ways: `3|33` and `33|3`, `a|b` and `ab`.
EXTRA = (("3", -8.25), ("33", -9.5), ("I", -8.5), ("II", -9.125), ("q", -11.0), ("z", -9.0), ("qz", -20.0))


@functools.cache
def make_pair(kind: str) -> Pair:
    """The tokenizer of a kind and its graph, made once."""
    return Pair(wrap(make_backend(kind)))


@functools.cache
def make_tied_pair() -> Pair:
    """A tokenizer whose sums Hugging Face rounds: it prefers `33|3` in `bb333`, and a graph `3|33`, as likely."""
    scores = [("<unk>", 0.0), ("<pad>", 0.0), ("3", -2.1), ("33", -3.3), ("a", -1.7), ("b", -1.1)]
    return Pair(wrap(Tokenizer(models.Unigram(scores, unk_id=0))))


def make_backend(kind: str) -> Tokenizer:
    """A tokenizer of a kind, of some hundred pieces."""
    normalizer, pre_tokenizer, template, options = KINDS[kind]()
    known = dict(SPECIAL_SCORES)
    # Sums of such scores are exact in double precision, as those of sentencepiece's own models are.
    counted = {piece: round(score * 1024) / 1024 for piece, score in unigram_pieces()}
    if "bytes" in options:
        counted = {piece: score for piece, score in counted.items() if "\0" not in piece}  # refused otherwise
    pieces = [*known.items(), *(counted | dict(EXTRA)).items(), ("[CLS]", 0.0), ("[SEP]", 0.0)]
    pieces += [("<mask>", 0.0), *((f"<0x{byte:02X}>", 0.0) for byte in options.get("bytes", ()))]
    backend = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback="bytes" in options))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizer
    names = [name for name in ("<s>", "</s>", "[CLS]", "[SEP]") if name in template]
    tokens = [(name, backend.token_to_id(name)) for name in names]
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=tokens)
    backend.add_special_tokens([*SPECIAL, "[CLS]", "[SEP]", AddedToken("<mask>", lstrip=True)])
    return backend


@functools.cache
def make_charsmap(rule: str) -> bytes:
    """One of sentencepiece's charsmaps, `nmt_nfkc` or `nfkc_cf`."""
    spec = SentencePieceNormalizer(rule_name=rule).serialized_normalizer_spec()
    charsmap: bytes = sentencepiece_model_pb2.NormalizerSpec.FromString(spec).precompiled_charsmap
    return charsmap


def read_spec(normalizer: Any) -> dict[str, Any]:
    """A normalizer as tokenizer.json has it."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizer
    spec: dict[str, Any] = json.loads(backend.to_str())["normalizer"]
    return spec


def make_precompiled() -> Any:
    """The normalizer of XLM-RoBERTa."""
    return normalizers.Precompiled(make_charsmap("nmt_nfkc"))


def make_albert_normalizer() -> Any:
    """The normalizer of ALBERT: quotes, no accents, lower case."""
    return normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            make_precompiled(),
            SINGLE_SPACES,
        ]
    )


SPECIAL_SCORES = dict.fromkeys(SPECIAL, 0.0)
SINGLE_SPACES = normalizers.Replace(Regex(" {2,}"), " ")
_Made = tuple[Any, Any, str, dict[str, Any]]


def _xlm_roberta() -> _Made:
    pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return make_precompiled(), pre_tokenizer, "<s> $A </s>", {}


def _t5() -> _Made:
    normalizer = normalizers.Sequence([make_precompiled(), SINGLE_SPACES])
    return normalizer, pre_tokenizers.Metaspace(), "$A </s>", {}


def _albert() -> _Made:
    return make_albert_normalizer(), pre_tokenizers.Metaspace(), "[CLS] $A [SEP]", {}


def _deberta() -> _Made:
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    normalizer = normalizers.Sequence([spaces, normalizers.NFC(), normalizers.Strip(left=False)])
    pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace()])
    return normalizer, pre_tokenizer, "[CLS] $A [SEP]", {}


def _bytes() -> _Made:
    return normalizers.NFKC(), pre_tokenizers.Metaspace(prepend_scheme="never"), "<s> $A", {"bytes": range(256)}


def _few_bytes() -> _Made:
    return None, pre_tokenizers.Metaspace(prepend_scheme="first"), "$A", {"bytes": range(0xC4)}


def _whole() -> _Made:
    normalizer = normalizers.Sequence([make_precompiled(), normalizers.Replace(Regex(" {2,}"), "▁")])
    return normalizer, pre_tokenizers.Metaspace(split=False), "<s> $A </s>", {}


KINDS: dict[str, Callable[[], _Made]] = {
    "xlm_roberta": _xlm_roberta,
    "t5": _t5,
    "albert": _albert,
    "deberta": _deberta,
    "bytes": _bytes,
    "few_bytes": _few_bytes,
    "whole": _whole,
}
