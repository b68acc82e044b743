"""Texts that a Unigram model cuts in several equally likely ways, of which a graph may take another than the host."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tfchain.core.texts import replace_surrogates
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.hugging_face_parts import read_parts
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer

_NO_LIMIT = 1 << 30  # tokens
_ROUNDING = 2.0**-52  # of one addition in double precision


def find_tied(tokenizer: HostTokenizer, graph: Any, texts: Iterable[str]) -> set[str]:
    """Returns the texts for which a graph takes other pieces than the host, which are exactly as likely.

    Hugging Face adds the logarithms of probabilities in double precision. Where two ways have the same sum, its
    rounding chooses, or, if there is none, the length of the last piece. A graph chooses in the same way, but rounds
    differently in words of unlikely pieces, and with scores that single precision does not have.

    Args:
        tokenizer: The tokenizer on the host.
        graph: Its graph.
        texts: The texts to look at.
    """
    texts = list(texts)
    if not texts or not isinstance(graph, SentencePieceTokenizer):
        return set()
    model = read_parts(tokenizer.tokenizer)["model"]
    if model["type"] != "Unigram":
        return set()
    whole = HostTokenizer(tokenizer.tokenizer, max_length=_NO_LIMIT, do_lower_case=tokenizer.do_lower_case)
    first, last = len(graph.framing.prefix_ids), len(graph.framing.suffix_ids)
    host = [ids[first : len(ids) - last] for ids in whole(texts)]
    graphs = graph.tokenize([replace_surrogates(text).encode() for text in texts]).to_list()
    vocabulary = [(str(piece), float(score)) for piece, score in model["vocab"]]
    both = zip(texts, host, graphs, strict=True)
    return {text for text, one, other in both if one != other and is_tie(vocabulary, one, other)}


def is_tie(vocabulary: Sequence[tuple[str, float]], one: Sequence[int], other: Sequence[int]) -> bool:
    """Returns whether two ways to cut a text are equally likely, up to the rounding of double precision.

    Args:
        vocabulary: Each token's text and score, the logarithm of its probability. Tokens after them, which were added
            to the model, have neither; both ways must have them at the same places.
        one: Token ids.
        other: The token ids of another way.
    """
    if _read(vocabulary, one) != _read(vocabulary, other):
        return False
    scores = [[vocabulary[token][1] for token in ids if token < len(vocabulary)] for ids in (one, other)]
    rounding = sum(len(values) * _ROUNDING * math.fsum(map(abs, values)) for values in scores)
    return abs(math.fsum(scores[0]) - math.fsum(scores[1])) <= rounding


def _read(vocabulary: Sequence[tuple[str, float]], ids: Sequence[int]) -> str:
    """Returns the text of tokens, with marks for added tokens."""
    return "".join(vocabulary[token][0] if token < len(vocabulary) else f"\0{token}\0" for token in ids)
