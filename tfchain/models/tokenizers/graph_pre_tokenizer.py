"""Cuts texts into words inside a graph, as tokenizer.json's pre-tokenizers do: a marker is put between the words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from tfchain.models.tokenizers.added_tokens import WHITE_SPACE
from tfchain.models.tokenizers.graph_regex import SURROGATES, escape, find_class, find_isolated, to_class
from tfchain.models.tokenizers.hugging_face_parts import check_type, make_part_error
from tfchain.models.tokenizers.split_pattern import MARK, MARK_PATTERN, translate

BOUNDARY = b"\xed\xa0\x81"  # U+D801 between words: half a surrogate pair, which no text has, and which RE2 can find
BOUNDARY_PATTERN = r"\x{D801}"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # as in `tokenizers`

PreTokenizer = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def make_graph_pre_tokenizer(
    spec: Mapping[str, Any] | None, *, boundary: bytes = BOUNDARY, splits_metaspace: bool = True
) -> PreTokenizer | None:
    """Makes the graph of a pre-tokenizer.

    Args:
        spec: tokenizer.json's `pre_tokenizer`.
        boundary: What is put between words. There may be empty words. Default: `BOUNDARY`.
        splits_metaspace: Whether words end before each `▁` that `Metaspace` puts for a space. It may be False where no
            piece of the model has one after its first character, as the ids are the same then. Default: True.

    Returns:
        A function from normalised texts, string `(parts,)`, UTF-8, and whether each is the first part of its text, bool
        `(parts,)`, to the texts with boundaries; bytes of `ByteLevel` stay as they are. None if texts stay as they are.

    Raises:
        InputError: if the pre-tokenizer cannot be expressed.
    """
    if spec is None:
        return None
    steps = _Steps(splits_metaspace)
    steps.add(spec)
    steps.finish(boundary)
    if not steps.replacements:
        return None
    try:
        steps.apply(tf.constant([""]), tf.constant([True]))
    except tf.errors.InvalidArgumentError as error:  # such as a repetition over 1,000, RE2's most
        raise make_part_error("pre-tokenizer", "patterns that RE2 takes", str(error)) from error
    return steps.apply


@dataclass(frozen=True, slots=True)
class _Replacement:
    """What is done to a text, by `tf.strings.regex_replace`.

    Args:
        pattern: What is replaced.
        rewrite: What it is replaced by.
        is_cut: Whether it puts boundaries. Default: False.
        only_first: Whether only the first part of a text is changed. Default: False.
    """

    pattern: str
    rewrite: bytes
    is_cut: bool = False
    only_first: bool = False


@dataclass
class _Steps:
    """The replacements that a pre-tokenizer consists of."""

    splits_metaspace: bool
    replacements: list[_Replacement] = field(default_factory=list)

    def apply(self, texts: tf.Tensor, is_first: tf.Tensor) -> tf.Tensor:
        """Runs all of them."""
        for step in self.replacements:
            changed = tf.strings.regex_replace(texts, step.pattern, step.rewrite)
            texts = tf.where(is_first, changed, texts) if step.only_first else changed
        return texts

    def finish(self, boundary: bytes) -> None:
        """Makes the boundaries those that are asked for."""
        cuts = [index for index, step in enumerate(self.replacements) if step.is_cut]
        if boundary == BOUNDARY or not cuts:
            return
        after = self.replacements[cuts[0] + 1 :]
        if any(step.pattern != MARK_PATTERN for step in after):
            self._replace(BOUNDARY_PATTERN, boundary)
        else:
            step = self.replacements[cuts[0]]
            rewrite = step.rewrite.replace(BOUNDARY, boundary)
            self.replacements[cuts[0]] = _Replacement(step.pattern, rewrite, True, step.only_first)

    def add(self, spec: Mapping[str, Any]) -> None:
        """Adds the replacements of a pre-tokenizer."""
        check_type("pre-tokenizer", spec, *_ADDERS)
        _ADDERS[spec["type"]](self, spec)

    def _add_sequence(self, spec: Mapping[str, Any]) -> None:
        for step in spec["pretokenizers"]:
            self.add(step)

    def _add_byte_level(self, spec: Mapping[str, Any]) -> None:
        if spec["add_prefix_space"]:
            self._prepend(" ")
        if spec.get("use_regex", True):
            self._cut(GPT2, "Isolated")

    def _add_split(self, spec: Mapping[str, Any]) -> None:
        ((kind, pattern),) = spec["pattern"].items()
        behavior = spec["behavior"]
        if spec["invert"]:
            if kind == "Regex" and behavior == "Removed" and _leaves_white_space(pattern):
                self._cut(pattern, "Isolated")
                space = to_class(find_class(r"\s"))
                self._replace(f"(^|{BOUNDARY_PATTERN}){space}+({BOUNDARY_PATTERN}|$)", rb"\1\2")
                return
            if kind != "Regex" or behavior not in ("Removed", "Isolated") or not translate(pattern).covers:
                raise make_part_error("pre-tokenizer", "a Split that is not inverted", str(dict(spec)))
            behavior = "Isolated"  # nothing is left over between the matches
        if kind == "Regex":
            self._cut(pattern, behavior)
        else:
            self._put_boundaries(escape(pattern), behavior)

    def _add_metaspace(self, spec: Mapping[str, Any]) -> None:
        mark = spec["replacement"]
        self._replace(escape(" "), mark.encode())
        scheme = spec.get("prepend_scheme", "always")
        if scheme == "first":
            if any(step.is_cut for step in self.replacements):
                raise make_part_error("pre-tokenizer", "a Metaspace that is first", str(dict(spec)))
            self._replace(f"^[^{escape(mark)}]", mark.encode() + rb"\0", only_first=True)
        elif scheme == "always":
            self._prepend(mark)
        if spec.get("split", True) and (self.splits_metaspace or mark != "▁"):
            self._put_boundaries(escape(mark), "MergedWithNext")

    def _add_white_space(self, spec: Mapping[str, Any]) -> None:
        self._put_boundaries(f"{to_class(WHITE_SPACE)}+", "Removed")

    def _add_digits(self, spec: Mapping[str, Any]) -> None:
        from tokenizers import pre_tokenizers

        digits = to_class(find_isolated(pre_tokenizers.Digits(individual_digits=True)))
        self._put_boundaries(digits if spec["individual_digits"] else f"{digits}+", "Isolated")

    def _add_punctuation(self, spec: Mapping[str, Any]) -> None:
        from tokenizers import pre_tokenizers

        self._put_boundaries(to_class(find_isolated(pre_tokenizers.Punctuation("isolated"))), spec["behavior"])

    def _prepend(self, text: str) -> None:
        """Puts a text before each word that does not begin with it."""
        if not any(step.is_cut for step in self.replacements):
            self._replace(f"^[^{escape(text)}]", text.encode() + rb"\0")
        else:
            pattern = f"(^|{BOUNDARY_PATTERN})([^{escape(text)}{SURROGATES}])"
            self._replace(pattern, rb"\1" + text.encode() + rb"\2")

    def _cut(self, pattern: str, behavior: str) -> None:
        """Puts boundaries at the matches of a regular expression."""
        translated = translate(pattern)
        if translated.mark is not None:
            self._replace(translated.mark, rb"\1" + MARK + rb"\2")
        if behavior == "Isolated" and translated.covers:
            behavior = "MergedWithPrevious"  # the same, with one boundary less
        self._put_boundaries(translated.pattern, behavior)
        if translated.mark is not None:
            self._replace(MARK_PATTERN, b"")

    def _put_boundaries(self, pattern: str, behavior: str) -> None:
        rewrites = {
            "Removed": BOUNDARY,
            "Isolated": BOUNDARY + rb"\0" + BOUNDARY,
            "MergedWithPrevious": rb"\0" + BOUNDARY,
            "MergedWithNext": BOUNDARY + rb"\0",
        }
        if behavior not in rewrites:
            raise make_part_error("pre-tokenizer", " or ".join(rewrites), behavior)
        self.replacements.append(_Replacement(pattern, rewrites[behavior], is_cut=True))

    def _replace(self, pattern: str, rewrite: bytes, *, only_first: bool = False) -> None:
        self.replacements.append(_Replacement(pattern, rewrite, only_first=only_first))


def _leaves_white_space(pattern: str) -> bool:
    """Returns whether what stands between the matches of a pattern is white space, and all white space does (CLIP)."""
    if translate(pattern).mark is not None or not translate(rf"{pattern}|\s").covers:
        return False
    spaces = tf.constant([chr(code) for code in sorted(find_class(r"\s"))])
    return not tf.reduce_any(tf.strings.regex_full_match(spaces, translate(pattern).pattern)).numpy()


_ADDERS: dict[str, Callable[[_Steps, Mapping[str, Any]], None]] = {
    "Sequence": _Steps._add_sequence,
    "ByteLevel": _Steps._add_byte_level,
    "Split": _Steps._add_split,
    "Metaspace": _Steps._add_metaspace,
    "WhitespaceSplit": _Steps._add_white_space,
    "Digits": _Steps._add_digits,
    "Punctuation": _Steps._add_punctuation,
}
