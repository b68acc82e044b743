"""Token ids of texts from the remembered ids of their words: several times as fast as a tokenizer, with its result."""

import re
import string
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from tfchain.core.texts import replace_surrogates

MOST_WORDS = 200_000  # some 30 MB
LONGEST_WORD = 32  # characters; longer ones hardly ever repeat
PIECE = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
Known = tuple[dict[str, tuple[int, ...]], dict[str, int]]


class WordTokens:
    """Remembers the token ids of each word of a BERT tokenizer.

    BERT's WordPiece tokenizers split a text at spaces, and go on with each part by itself. So the ids of a text are
    those of its parts in order, and each distinct part needs the tokenizer once. Texts repeat their words, but for
    scripts without spaces, which gain nothing.

    Threads may use it at the same time.

    Args:
        whole: A `tokenizers.Tokenizer` that neither truncates nor pads. It is not changed.
    """

    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._lowercase = bool(whole.normalizer.lowercase)
        # What may belong to a special token, which is looked for before a text is cut; and what is no printable ASCII.
        marks = {letter for token in whole.get_added_tokens_decoder().values() for letter in token.content}
        marks -= set(string.ascii_letters + string.digits)
        marks_pattern = f"|[{re.escape(''.join(sorted(marks)))}]" if marks else ""
        self._special = re.compile(f"[^!-~]{marks_pattern}")
        self._memory: Known = ({"": ()}, {"": 0})

    @classmethod
    def make(cls, whole: Any) -> "WordTokens | None":
        """Makes the memory of a tokenizer; returns None if a text's ids are not those of its parts between spaces.

        Args:
            whole: As in the constructor.
        """
        kinds = [type(part).__name__ for part in (whole.model, whole.normalizer, whole.pre_tokenizer)]
        if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
            return None
        if whole.token_to_id(whole.model.unk_token) is None:  # an unknown word would be an error
            return None
        for token in whole.get_added_tokens_decoder().values():
            if token.lstrip or token.rstrip or token.content.split() != [token.content] or token.content.isalnum():
                return None
        return cls(whole)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text, without special tokens and without truncation."""
        parts = [cut(text) for text in texts]
        known = self._known(parts)[0]
        return [list(chain.from_iterable(map(known.__getitem__, words))) for words in parts]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens of each text, without special tokens and without truncation."""
        parts = [cut(text) for text in texts]
        lengths = self._known(parts)[1]
        return [sum(map(lengths.__getitem__, words)) for words in parts]

    def _known(self, parts: Sequence[Sequence[str]]) -> Known:
        """Returns the ids and their numbers of all words of some texts; asks the tokenizer for new words at once."""
        ids, lengths = self._memory
        new = [word for word in set().union(*parts) if word not in ids]
        if not new:
            return ids, lengths
        found = self._tokenize(new, ids)
        found_lengths = {word: len(token_ids) for word, token_ids in found.items()}
        long = any(len(word) > LONGEST_WORD for word in found)
        if not long and len(ids) + len(found) <= MOST_WORDS:
            lengths.update(found_lengths)  # first, as other threads ask `ids` what is known
            ids.update(found)
            return ids, lengths
        together = {**ids, **found}, {**lengths, **found_lengths}
        if len(ids) + len(found) > MOST_WORDS:
            self._memory = ({"": ()}, {"": 0})  # new ones: other threads still use the old ones
        else:
            kept = [word for word in found if len(word) <= LONGEST_WORD]
            lengths.update((word, found_lengths[word]) for word in kept)
            ids.update((word, found[word]) for word in kept)
        return together

    def _tokenize(self, new: Sequence[str], known: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Returns the ids of new words, and of pieces of them that are new: `(word,` has three, known or soon to be."""
        pieces_of = {word: self._pieces(word) for word in new}
        pieces = set().union(*pieces_of.values()).difference(known)
        texts = list(pieces)
        encodings = self._whole.encode_batch_fast(
            [replace_surrogates(text) for text in texts], add_special_tokens=False
        )
        # Tuples: unlike lists, the garbage collector need not look through them.
        found = {text: tuple(encoding.ids) for text, encoding in zip(texts, encodings, strict=True)}
        for word, parts in pieces_of.items():
            if word not in found:
                found[word] = tuple(
                    chain.from_iterable(found[part] if part in found else known[part] for part in parts)
                )
        return found

    def _pieces(self, word: str) -> list[str]:
        """Cuts a word at punctuation, as BERT does, if it is plain; else it is its only piece."""
        if not word.isascii() or self._special.search(word):
            return [word]
        return PIECE.findall(word.lower() if self._lowercase else word)


def cut(text: str) -> list[str]:
    """Cuts a text at spaces; several in a row have empty parts between them."""
    if "\n" in text or "\t" in text or "\r" in text:
        text = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return text.split(" ")
