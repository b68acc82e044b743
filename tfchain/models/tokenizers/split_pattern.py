r"""Translates the regular expressions of tokenizers' `Split` (Oniguruma) into those of graphs (RE2).

RE2 has no lookahead. The one that tokenizers use, in `\s+(?!\S)|\s+`, leaves the last white space of a run to the word
that follows. So a mark is put before that white space first. A class that contains white space then matches it with
and without the mark, and `\s+(?!\S)` becomes white space without a mark.
"""

from dataclasses import dataclass

from tfchain.models.tokenizers.graph_regex import SURROGATES, find_cases, find_class, to_class
from tfchain.models.tokenizers.hugging_face_parts import make_part_error

MARK = b"\xed\xa0\x80"  # U+D800
MARK_PATTERN = r"\x{D800}"
_LOOKAHEAD = r"\s+(?!\S)"
_CLASS_ESCAPES = "sSdDwWhH"
_CONTROLS = {"r": "\r", "n": "\n", "t": "\t", "f": "\f", "v": "\v"}
_SPECIAL = set("()[]{}|*+?.^$\\")


@dataclass(frozen=True, slots=True)
class SplitPattern:
    """A pattern for `tf.strings.regex_replace`.

    Args:
        pattern: The regular expression. It has no groups.
        mark: The pattern that finds where a mark goes, between its two groups; None if it needs no marks.
        covers: Whether it matches each character that stands alone, so that there is nothing between two matches.
    """

    pattern: str
    mark: str | None
    covers: bool


def translate(pattern: str) -> SplitPattern:
    """Translates a regular expression.

    Args:
        pattern: As in tokenizer.json.

    Raises:
        InputError: if it has a part that cannot be translated.
    """
    parser = _Parser(pattern, has_marks=_LOOKAHEAD in pattern)
    written = parser.alternation(ignore_case=False)
    if parser.place < len(pattern):
        raise parser.error()
    mark = None
    if parser.has_marks:
        space = find_class(r"\s")
        mark = f"({to_class(space)})({to_class(space)}[^{_inside(to_class(space))}{SURROGATES}])"
    return SplitPattern(written, mark, parser.covers())


class _Parser:
    """A recursive descent through a regular expression, which writes its translation."""

    def __init__(self, pattern: str, *, has_marks: bool) -> None:
        self.pattern = pattern
        self.place = 0
        self.has_marks = has_marks
        self._alone: list[frozenset[int]] = []  # what alternatives of one character match
        self._depth = 0

    def alternation(self, *, ignore_case: bool) -> str:
        branches = [self._sequence(ignore_case)]
        while self._peek() == "|":
            self.place += 1
            branches.append(self._sequence(ignore_case))
        return "|".join(branches)

    def covers(self) -> bool:
        """Returns whether the alternatives that match single characters match all of them."""
        return len(frozenset().union(*self._alone)) == len(find_class(r"[\s\S]"))

    def error(self) -> Exception:
        return make_part_error("pattern", f"what RE2 can express at character {self.place}", repr(self.pattern))

    def _sequence(self, ignore_case: bool) -> str:
        written = ""
        needed: list[frozenset[int] | None] = []  # the items of this branch that may not be left out
        while self.place < len(self.pattern) and self._peek() not in "|)":
            if self.pattern.startswith(_LOOKAHEAD, self.place):
                written += self._lookahead()
                needed.append(find_class(r"\s"))  # alone, at the end of a text
                continue
            item, matched = self._item(ignore_case)
            quantifier, is_optional = self._quantifier()
            written += item + quantifier
            if not is_optional:
                needed.append(matched)
        if self._depth == 0 and len(needed) == 1 and needed[0] is not None:
            self._alone.append(needed[0])
        return written

    def _lookahead(self) -> str:
        self.place += len(_LOOKAHEAD)
        # A single white space before a word gets no mark, and is matched by the alternative that follows, `\s+`.
        if (
            self._depth
            or self.pattern[self.place :] != r"|\s+"
            or self.pattern[: self.place - len(_LOOKAHEAD)][-1:] not in "|"
        ):
            raise self.error()
        return to_class(find_class(r"\s")) + "+"

    def _item(self, ignore_case: bool) -> tuple[str, frozenset[int] | None]:
        """Returns one item's translation, and the characters it matches if it matches one; None otherwise."""
        character = self.pattern[self.place]
        if character == "(":
            return self._group(ignore_case), None
        if character == "[":
            return self._set(self._bracket(), ignore_case)
        if character == "\\":
            return self._escape(ignore_case)
        if character == ".":
            self.place += 1
            return self._set(".", False)
        if character in _SPECIAL:
            raise self.error()
        self.place += 1
        return self._literal(character, ignore_case)

    def _group(self, ignore_case: bool) -> str:
        opening = next(text for text in ("(?i:", "(?:", "(") if self.pattern.startswith(text, self.place))
        if opening == "(" and self.pattern.startswith("(?", self.place):
            raise self.error()
        self.place += len(opening)
        self._depth += 1
        inner = self.alternation(ignore_case=ignore_case or opening == "(?i:")
        self._depth -= 1
        if self._peek() != ")":
            raise self.error()
        self.place += 1
        return f"(?:{inner})"

    def _bracket(self) -> str:
        """Returns a class in brackets as it is written."""
        start = self.place
        depth = 0
        while self.place < len(self.pattern):
            character = self.pattern[self.place]
            self.place += 2 if character == "\\" else 1
            depth += {"[": 1, "]": -1}.get(character, 0)
            if depth == 0:
                return self.pattern[start : self.place]
        raise self.error()

    def _escape(self, ignore_case: bool) -> tuple[str, frozenset[int] | None]:
        rest = self.pattern[self.place + 1 :]
        if rest[:2] in ("p{", "P{") and "}" in rest:
            atom = self.pattern[self.place : self.place + rest.index("}") + 2]
            self.place += len(atom)
            return self._set(atom, ignore_case)
        if rest[:1] and rest[0] in _CLASS_ESCAPES:
            self.place += 2
            return self._set("\\" + rest[0], ignore_case)
        if rest[:1] and (rest[0] in _CONTROLS or not rest[0].isalnum()):
            self.place += 2
            return self._literal(_CONTROLS.get(rest[0], rest[0]), ignore_case)
        raise self.error()

    def _literal(self, character: str, ignore_case: bool) -> tuple[str, frozenset[int] | None]:
        if ignore_case and character.isalpha():
            return self._write(find_cases(character)) if character.isascii() else self._set(character, ignore_case)
        return self._write(frozenset([ord(character)]))

    def _set(self, atom: str, ignore_case: bool) -> tuple[str, frozenset[int] | None]:
        return self._write(find_class(f"(?i:{atom})" if ignore_case else atom))

    def _write(self, matched: frozenset[int]) -> tuple[str, frozenset[int]]:
        if not matched:
            raise self.error()
        written = to_class(matched)
        if self.has_marks and not matched.isdisjoint(find_class(r"\s")):
            written = f"(?:{MARK_PATTERN}?{written})"
        return written, matched

    def _quantifier(self) -> tuple[str, bool]:
        """Returns the quantifier at this place, and whether what it follows may be left out."""
        start = self.place
        if self._peek() in ("*", "+", "?"):
            self.place += 1
        elif self._peek() == "{":
            end = self.pattern.find("}", start)
            if end < 0:
                raise self.error()
            self.place = end + 1
        written = self.pattern[start : self.place].replace("{,", "{0,")
        if written and self._peek() in ("+", "?"):  # possessive and lazy ones
            raise self.error()
        return written, written[:1] in ("*", "?") or written.startswith("{0")

    def _peek(self) -> str:
        return self.pattern[self.place : self.place + 1]


def _inside(written: str) -> str:
    return written[1:-1]
