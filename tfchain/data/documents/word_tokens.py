"""Token ids of texts from the remembered ids of their words: several times as fast as a tokenizer, with its result."""

import re
import string
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from tfchain.core.texts import replace_surrogates

MOST_WORDS = 200_000  # some 30 MB
LONGEST_WORD = 32  # characters; longer ones hardly ever repeat
PIECE = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
ID_BYTES = array("i").itemsize
Memory = dict[str, bytes]  # from a word to its ids, as 32-bit integers one after the other


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
        contents = [token.content for token in whole.get_added_tokens_decoder().values()]
        contents += [whole.normalizer.normalize_str(content) for content in contents]
        marks = set("".join(contents))
        marks -= set(string.ascii_letters + string.digits)
        marks_pattern = f"|[{re.escape(''.join(sorted(marks)))}]" if marks else ""
        self._special = re.compile(f"[^!-~]{marks_pattern}")
        self._memory: Memory = {"": b""}

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
            contents = (token.content, whole.normalizer.normalize_str(token.content))  # it may be sought in either
            if token.lstrip or token.rstrip or token.content.split() != [token.content]:
                return None
            if any(not content or content.isalnum() for content in contents):
                return None
        return cls(whole)

    def __call__(self, texts: Sequence[str]) -> "list[array[int]]":
        """Returns the ids of each text, without special tokens and without truncation."""
        return [array("i", ids) for ids in self._join(texts)]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens of each text, without special tokens and without truncation."""
        return [len(ids) // ID_BYTES for ids in self._join(texts)]

    def _join(self, texts: Sequence[str]) -> list[bytes]:
        """Returns the ids of each text; asks the tokenizer for the new words of all of them at once."""
        known = self._memory
        joined: list[bytes] = []
        unknown: dict[int, list[str]] = {}  # the words of the texts of which some are new
        for number, text in enumerate(texts):
            words = cut(text)
            try:
                joined.append(b"".join(map(known.__getitem__, words)))
            except KeyError:
                joined.append(b"")
                unknown[number] = words
        if unknown:
            found = self._learn(set().union(*unknown.values()), known)
            for number, words in unknown.items():
                joined[number] = b"".join(map(found.__getitem__, words))
        return joined

    def _learn(self, words: set[str], known: Memory) -> Memory:
        """Returns the ids of words, and remembers those that are new."""
        new = self._tokenize(words.difference(known), known)
        found = {word: known[word] for word in words if word not in new} | new
        if len(known) + len(new) > MOST_WORDS:
            self._memory = {"": b""}  # a new one: other threads still use the old one
        else:
            known.update({word: ids for word, ids in new.items() if len(word) <= LONGEST_WORD})
        return found

    def _tokenize(self, new: Iterable[str], known: Memory) -> Memory:
        """Returns the ids of new words, and of pieces of them that are new: `(word,` has three, known or soon to be."""
        # The model alone: normalizer and pre-tokenizer leave a plain piece as it is.
        tokenize = self._whole.model.tokenize
        found: Memory = {}
        others: list[str] = []
        for word in new:
            pieces = self._pieces(word)
            if pieces is None:
                others.append(word)
                continue
            ids = b""
            for piece in pieces:
                of_piece = known.get(piece) or found.get(piece)
                if of_piece is None:
                    # Bytes: joined fast, and the garbage collector need not look through them.
                    of_piece = found[piece] = array("i", [token.id for token in tokenize(piece)]).tobytes()
                ids += of_piece
            found[word] = ids
        encodings = self._whole.encode_batch_fast(
            [replace_surrogates(word) for word in others], add_special_tokens=False
        )
        for word, encoding in zip(others, encodings, strict=True):
            found[word] = array("i", encoding.ids).tobytes()
        return found

    def _pieces(self, word: str) -> list[str] | None:
        """Cuts a word at punctuation, as BERT does; None if it is not plain: not ASCII, or perhaps a special token."""
        if not word.isascii():
            return None
        if not word.isalnum():
            return None if self._special.search(word) else PIECE.findall(word.lower() if self._lowercase else word)
        return [word.lower() if self._lowercase else word]


def cut(text: str) -> list[str]:
    """Cuts a text at spaces; several in a row have empty parts between them."""
    if "\n" in text or "\t" in text or "\r" in text:
        text = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return text.split(" ")
