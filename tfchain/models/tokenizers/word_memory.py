"""Remembers the token ids of English words, so that a query need not be cut into pieces anew."""

import re
from typing import Any

MOST_WORDS = 50_000
LONGEST_WORD = 32  # characters; longer ones are hardly met again
LONGEST_TEXT = 1000  # characters; a longer one is no query, and has words that are met for the first time
_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9 ]")
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class WordMemory:
    """Token ids of a single text out of the ids of its words, where that is what the tokenizer would give.

    BERT's WordPiece tokenizers cut a text at spaces and around each punctuation mark, and every word into pieces by
    itself. So an ASCII text's ids are its words' ids, one after another; a word is shown to the tokenizer when it is
    met for the first time. Use it for single queries: between two runs of an encoder it takes some 20 µs where the
    tokenizer takes 80. Many texts are for the tokenizer's own threads.

    Args:
        whole: A `tokenizers.Tokenizer` that cuts nothing off. It is not changed.
        max_length: The most tokens of a text, special tokens included.
        truncation_side: Where a longer text is cut off, `right` or `left`. Default: `right`.
    """

    def __init__(self, whole: Any, max_length: int, *, truncation_side: str = "right") -> None:
        self._whole = whole
        self._ids: dict[str, list[int]] = {}
        self._lowercase = bool(whole.normalizer.lowercase)
        self._opening, self._closing = _find_special_ids(whole)
        self._num_content = max_length - len(self._opening) - len(self._closing)
        self._keeps_end = truncation_side == "left"
        # A mark of each special token, such as "[", and all that is no printable ASCII.
        marks = {_find_mark(token.content) for token in whole.get_added_tokens_decoder().values()}
        self._other = re.compile(f"[^ -~]|[{re.escape(''.join(sorted(marks)))}]" if marks else "[^ -~]")

    @classmethod
    def make(cls, whole: Any, max_length: int, *, truncation_side: str = "right") -> "WordMemory | None":
        """The memory of a tokenizer; None where a text's ids are not its words' ids.

        Args:
            whole: As in the constructor.
            max_length: As in the constructor.
            truncation_side: As in the constructor.
        """
        kinds = [type(part).__name__ for part in (whole.model, whole.normalizer, whole.pre_tokenizer)]
        if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
            return None
        if whole.token_to_id(whole.model.unk_token) is None:  # an unknown word is an error
            return None
        try:
            made = cls(whole, max_length, truncation_side=truncation_side)
        except LookupError:
            return None
        return made if made._num_content > 0 else None

    def __call__(self, text: str) -> list[int] | None:
        """The ids of a text, special tokens included; None if it is long or no plain ASCII: ask the tokenizer then."""
        if len(text) > LONGEST_TEXT or self._other.search(text):
            return None
        found: list[int] = []
        known = self._ids
        for word in _WORD.findall(text.lower() if self._lowercase else text):
            ids = known.get(word)
            found += self._learn(word) if ids is None else ids
        kept = found[-self._num_content :] if self._keeps_end else found[: self._num_content]
        return [*self._opening, *kept, *self._closing]

    def _learn(self, word: str) -> list[int]:
        ids: list[int] = self._whole.encode(word, add_special_tokens=False).ids
        if len(word) <= LONGEST_WORD:
            if len(self._ids) >= MOST_WORDS:
                self._ids.clear()
            self._ids[word] = ids
        return ids


def _find_special_ids(whole: Any) -> tuple[list[int], list[int]]:
    """The ids before and behind a text. LookupError if its words' ids are not between them, once and in their order."""
    words = [token_id for word in ("a", "1") for token_id in whole.encode(word, add_special_tokens=False).ids]
    ids = whole.encode("a 1").ids
    places = [start for start in range(len(ids)) if ids[start : start + len(words)] == words]
    if not words or len(places) != 1:
        raise LookupError(f"The tokenizer makes {ids} of two words that are {words} one by one.")
    return ids[: places[0]], ids[places[0] + len(words) :]


def _find_mark(token: str) -> str:
    """A punctuation mark of a special token, without which the token cannot be in a text. LookupError if there is none.

    Punctuation alone, since letters may be normalised before the token is looked for.
    """
    mark = next((character for character in token if character in _PUNCTUATION), None)
    if mark is None:
        raise LookupError(f"The added token {token!r} could be any word.")
    return mark
