"""A cache of the token ids of English words, so that a query need not be split into pieces again."""

import re
from typing import Any

MOST_WORDS = 50_000
LONGEST_WORD = 32  # characters; longer words hardly ever repeat
LONGEST_TEXT = 1000  # characters; a longer text is not a query, and has words that are not in the cache
_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9 ]")
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class WordMemory:
    """Tokenizes a single text from the cached ids of its words, with the same result as the tokenizer.

    BERT's WordPiece tokenizers split a text at spaces and around each punctuation mark, and then each word into pieces
    on its own. So the ids of an ASCII text are those of its words in order; the tokenizer sees each word once. Use it
    for single queries: between two runs of an encoder it takes about 20 µs, and the tokenizer 80. For many texts, use
    the tokenizer, which has threads.

    Args:
        whole: A `tokenizers.Tokenizer` that does not truncate. It is not changed.
        max_length: The maximum number of tokens in a text, special tokens included.
        truncation_side: The side at which longer texts are truncated, `right` or `left`. Default: `right`.
    """

    def __init__(self, whole: Any, max_length: int, *, truncation_side: str = "right") -> None:
        self._whole = whole
        self._ids: dict[str, list[int]] = {}
        self._lowercase = bool(whole.normalizer.lowercase)
        self._opening, self._closing = _find_special_ids(whole)
        self._num_content = max_length - len(self._opening) - len(self._closing)
        self._keeps_end = truncation_side == "left"
        # A punctuation mark of each special token, such as "[", and all characters but printable ASCII.
        marks = {_find_mark(token.content) for token in whole.get_added_tokens_decoder().values()}
        self._unsupported = re.compile(f"[^ -~]|[{re.escape(''.join(sorted(marks)))}]" if marks else "[^ -~]")

    @classmethod
    def make(cls, whole: Any, max_length: int, *, truncation_side: str = "right") -> "WordMemory | None":
        """Makes the cache of a tokenizer; returns None if a text's ids are not those of its words.

        Args:
            whole: As in the constructor.
            max_length: As in the constructor.
            truncation_side: As in the constructor.
        """
        kinds = [type(part).__name__ for part in (whole.model, whole.normalizer, whole.pre_tokenizer)]
        if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
            return None
        if whole.token_to_id(whole.model.unk_token) is None:  # an unknown word would be an error
            return None
        try:
            made = cls(whole, max_length, truncation_side=truncation_side)
        except LookupError:
            return None
        return made if made._num_content > 0 else None

    def __call__(self, text: str) -> list[int] | None:
        """Returns a text's ids, special tokens included; None if only the tokenizer can tell (long or not ASCII)."""
        if len(text) > LONGEST_TEXT or self._unsupported.search(text):
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
    """Returns the ids before and after a text; raises LookupError if its words' ids are not between them, in order."""
    words = [token_id for word in ("a", "1") for token_id in whole.encode(word, add_special_tokens=False).ids]
    ids = whole.encode("a 1").ids
    places = [start for start in range(len(ids)) if ids[start : start + len(words)] == words]
    if not words or len(places) != 1:
        raise LookupError(f"The tokenizer gives {ids} for two words that give {words} separately.")
    return ids[: places[0]], ids[places[0] + len(words) :]


def _find_mark(token: str) -> str:
    """Returns a punctuation mark of a special token, which a text with the token has; raises LookupError if none.

    Letters will not do: they may be normalised before the token is looked for.
    """
    mark = next((character for character in token if character in _PUNCTUATION), None)
    if mark is None:
        raise LookupError(f"The added token {token!r} could be any word.")
    return mark
