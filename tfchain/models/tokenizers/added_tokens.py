"""Finds the tokens that are written out in texts (`</s>`, `<mask>`) inside a graph, as Hugging Face's tokenizers do."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.graph_regex import escape, probe_chunks, to_class, with_planes

SEPARATOR = b"\xff"  # a byte that no UTF-8 has
WHITE_SPACE = frozenset(map(ord, "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000")) | frozenset(
    range(0x2000, 0x200B)
)


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is looked for in the text itself, before the text is split into pieces.

    Args:
        text: The token's text. Case matters.
        token_id: Its id.
        single_word: Whether it counts only where no letter, digit or underscore is beside it. Default: False.
        lstrip: Whether it takes the white space before it. Default: False.
        rstrip: Whether it takes the white space after it. Default: False.
        normalized: Whether it is looked for in the normalised text. Default: False.
        ignored: Whether it is found, and then read as any text (`split_special_tokens` of transformers).
            Default: False.

    Raises:
        InputError: if `text` is empty.
    """

    text: str
    token_id: int
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    ignored: bool = False

    def __post_init__(self) -> None:
        if not self.text:
            raise InputError("An added token must have a text. Received: text=''. Remove the token.")


@dataclass(frozen=True)
class Parts:
    """Texts that are cut into parts at the tokens written in them.

    Args:
        texts: string `(parts,)`: the parts in order; empty for a token.
        token_ids: int32 `(parts,)`: the token's id, or -1 for a part that is text.
        row_splits: int64 `(batch + 1,)`: where each text's parts begin and end. Each text has a part; the first is
            text.
    """

    texts: tf.Tensor
    token_ids: tf.Tensor
    row_splits: tf.Tensor

    @classmethod
    def whole(cls, texts: tf.Tensor) -> "Parts":
        """Returns texts of one part each."""
        size = tf.size(texts, tf.int64)
        return cls(texts, tf.fill([size], -1), tf.range(size + 1))


class TokenFinder(tf.Module):
    """Cuts texts at the tokens that are written in them: of tokens at the same place, the longest counts.

    Args:
        tokens: The tokens.
        normalize: How the tokens' texts are normalised before they are looked for. Default: not.
    """

    def __init__(self, tokens: Sequence[AddedToken], normalize: Callable[[str], str] | None = None) -> None:
        super().__init__(name="token_finder")
        by_text: dict[str, AddedToken] = {}
        for token in tokens:
            by_text.setdefault(token.text if normalize is None else normalize(token.text), token)
        by_text.pop("", None)
        self._tokens = list(by_text.values())
        self._pattern = make_literals_pattern(by_text)
        with tf.init_scope(), tf.device("/CPU:0"):
            index = tf.range(len(by_text), dtype=tf.int64)
            entries = tf.lookup.KeyValueTensorInitializer(tf.constant(list(by_text), tf.string), index)
            self._index = tf.lookup.StaticHashTable(entries, -1)
            self._ids = tf.constant([token.token_id for token in self._tokens], tf.int32)
            self._flags = {
                name: tf.constant([getattr(token, name) for token in self._tokens], tf.bool)
                for name in ("single_word", "lstrip", "rstrip", "ignored")
                if any(getattr(token, name) for token in self._tokens)
            }

    def contains(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns whether any text has any of the tokens: bool `()`."""
        return tf.reduce_any(tf.strings.regex_full_match(texts, rf"\C*(?:{self._pattern})\C*"))

    def split(self, texts: tf.Tensor) -> Parts:
        """Cuts texts, string `(batch,)`, UTF-8, into parts."""
        marked = tf.strings.regex_replace(texts, self._pattern, SEPARATOR + rb"\0" + SEPARATOR)
        parts = tf.strings.split(marked, SEPARATOR)  # text, token, text, …, text
        is_token = _is_odd(parts)
        if "single_word" in self._flags or "ignored" in self._flags:
            kept = is_token & ~self._is_refused(parts, is_token)
            marked = tf.where(kept, SEPARATOR + parts.values + SEPARATOR, parts.values)
            parts = tf.strings.split(tf.strings.reduce_join(parts.with_values(marked), axis=1), SEPARATOR)
            is_token = _is_odd(parts)
        found = self._find(parts, is_token)
        left = parts.values
        if "lstrip" in self._flags:
            before_token = _after(self._flag("lstrip", found), False)
            left = tf.where(before_token, tf.strings.regex_replace(left, f"{to_class(WHITE_SPACE)}+$", ""), left)
        if "rstrip" in self._flags:
            after_token = _before(self._flag("rstrip", found), False)
            left = tf.where(after_token, tf.strings.regex_replace(left, f"^{to_class(WHITE_SPACE)}+", ""), left)
        token_ids = tf.where(is_token, tf.gather(self._ids, tf.maximum(found, 0)), -1)
        return Parts(tf.where(is_token, "", left), token_ids, parts.row_splits)

    def _is_refused(self, parts: tf.RaggedTensor, is_token: tf.Tensor) -> tf.Tensor:
        """Returns which tokens do not count: bool `(parts,)`."""
        found = self._find(parts, is_token)
        refused = self._flag("ignored", found)
        if "single_word" not in self._flags:
            return refused
        # What is beside a token is text, or, where that is empty, another token or the end of the whole text.
        word = to_class(find_word_characters())
        is_empty = parts.values == ""
        ends = tf.strings.regex_full_match(parts.values, rf"\C*{word}")
        starts = tf.strings.regex_full_match(parts.values, rf"{word}\C*")
        first = tf.scatter_nd(parts.row_splits[:-1, tf.newaxis], tf.ones_like(parts.row_splits[1:]), [tf.size(found)])
        last = tf.scatter_nd(parts.row_splits[1:, tf.newaxis] - 1, tf.ones_like(parts.row_splits[1:]), [tf.size(found)])
        ends = ends | (is_empty & (first == 0) & _before(ends, False))
        starts = starts | (is_empty & (last == 0) & _after(starts, False))
        return refused | (self._flag("single_word", found) & (_before(ends, False) | _after(starts, False)))

    def _find(self, parts: tf.RaggedTensor, is_token: tf.Tensor) -> tf.Tensor:
        """Returns the place of each part among the tokens, -1 for text: int64 `(parts,)`."""
        return tf.where(is_token, self._index.lookup(parts.values), tf.constant(-1, tf.int64))

    def _flag(self, name: str, found: tf.Tensor) -> tf.Tensor:
        """Returns a flag of each part's token: bool `(parts,)`, False for text."""
        if name not in self._flags:
            return tf.zeros_like(found, tf.bool)
        return (found >= 0) & tf.gather(self._flags[name], tf.maximum(found, 0))


def make_literals_pattern(texts: Iterable[str]) -> str:
    """Returns a regular expression (RE2) that finds these texts, at each place the longest.

    Texts share their beginnings in it, so that thousands of similar tokens stay a small program.

    Example:
        >>> make_literals_pattern(["ab", "abc", "b"])
        '(?:ab(?:c)?|b)'
    """
    root: dict[str, dict] = {}  # type: ignore[type-arg]
    for text in texts:
        node = root
        for character in text:
            node = node.setdefault(character, {})
        node[""] = {}

    def write(node: dict[str, dict]) -> str:  # type: ignore[type-arg]
        branches = []
        for character, below in node.items():
            if character:
                run = escape(character)
                while len(below) == 1 and "" not in below:
                    ((character, below),) = below.items()
                    run += escape(character)
                branches.append(run + ("" if list(below) == [""] else write(below)))
        group = f"(?:{'|'.join(branches)})"
        return group + "?" if "" in node else group

    return write(root)


@functools.cache
def find_word_characters() -> frozenset[int]:
    """Returns the code points beside which the installed `tokenizers` finds no token of a single word."""
    from tokenizers import AddedToken as HuggingFaceToken
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_tokens([HuggingFaceToken("[X]", single_word=True, normalized=False)])
    token_id = tokenizer.token_to_id("[X]")
    found: set[int] = set()
    for chunk in probe_chunks():
        encoding = tokenizer.encode("".join(f"{chr(code)}[X] " for code in chunk))
        places = {
            start for number, (start, _) in zip(encoding.ids, encoding.offsets, strict=True) if number == token_id
        }
        found.update(code for index, code in enumerate(chunk) if index * 5 + 1 not in places)
    return with_planes(found)


def _is_odd(parts: tf.RaggedTensor) -> tf.Tensor:
    """Returns whether each part has an odd place in its row: bool `(parts,)`."""
    lengths = parts.row_lengths()
    return tf.ragged.range(lengths).values % 2 == 1


def _before(values: tf.Tensor, first: bool) -> tf.Tensor:
    """Returns, for each place, the value before it."""
    return tf.concat([[first], values[:-1]], 0)[: tf.size(values)]


def _after(values: tf.Tensor, last: bool) -> tf.Tensor:
    """Returns, for each place, the value after it."""
    return tf.concat([values[1:], [last]], 0)[: tf.size(values)]
