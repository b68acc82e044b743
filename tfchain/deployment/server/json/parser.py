"""Parses JSON like TensorFlow Serving's parser (rapidjson), with its dialect, error texts and offsets.

Python's C parser reads the request. If it refuses, or where the two are known to differ, the slow parser below decides.
"""

import json
import re
from typing import Any

from tfchain.deployment.server.json.depth import DEFAULT_DEPTH, is_too_deep
from tfchain.deployment.server.status import StatusError, invalid_argument

_BOM = b"\xef\xbb\xbf"
_SPACES = b" \t\n\r"
# What Python accepts and rapidjson does not (or may not): halves of surrogate pairs, numbers beyond double range. The
# latter are looked for in a copy with zeros for all digits: patterns on the body itself took longer than its parsing.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_EXPONENT = re.compile(rb"e\+?000")
_LARGE_NUMBER = b"0" * 309
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_ESCAPES = {0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t"}
_MAX_UINT64 = 2**64 - 1
_MIN_INT64 = -(2**63)


def parse_json(body: bytes, max_depth: int = DEFAULT_DEPTH) -> Any:
    """Reads the first JSON document of a request's body, and ignores what follows it.

    Bytes that are not UTF-8 become lone surrogates (`surrogateescape`), so that they can be written back.

    Args:
        body: The body.
        max_depth: The most levels of lists and objects in it. Default: 128.

    Raises:
        StatusError: with rapidjson's text and offset, if the document is broken.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    if is_too_deep(body, max_depth):
        raise invalid_argument(
            f"JSON Parse error: The document is nested too deeply: at most {max_depth} levels of lists and objects."
        )
    try:
        if body.startswith(_BOM) or _may_differ(body):
            return _RapidParser(body).parse()
        text = body.decode("utf-8", "surrogateescape")
        return _DECODER.raw_decode(text, len(text) - len(text.lstrip(" \t\n\r")))[0]
    except RecursionError:
        raise invalid_argument("JSON Parse error: The document is nested too deeply") from None
    except ValueError:
        return _parse_slowly(body)


def _may_differ(body: bytes) -> bool:
    shape = body.translate(_DIGITS)
    return (
        _LARGE_NUMBER in shape
        or any(shape[found.start() - 1] == ord("0") for found in _LARGE_EXPONENT.finditer(shape))
        or _SURROGATE.search(body) is not None
    )


def _parse_slowly(body: bytes) -> Any:
    try:
        return _RapidParser(body).parse()
    except RecursionError:
        raise invalid_argument("JSON Parse error: The document is nested too deeply") from None


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):  # of equal keys, rapidjson takes the first, Python the last
        members = dict(reversed(pairs))
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_first_wins)


class _RapidParser:
    """A recursive-descent parser that fails where and how rapidjson does."""

    def __init__(self, body: bytes) -> None:
        self._body = body + b"\0"  # rapidjson reads a zero at the end
        self._at = len(_BOM) if body.startswith(_BOM) else 0

    def parse(self) -> Any:
        self._skip_spaces()
        if self._peek() == 0:
            raise self._error("The document is empty.")
        return self._value()

    def _error(self, text: str, at: int | None = None) -> StatusError:
        return invalid_argument(f"JSON Parse error: {text} at offset: {self._at if at is None else at}")

    def _peek(self) -> int:
        return self._body[self._at]

    def _skip_spaces(self) -> None:
        while self._body[self._at] in _SPACES:
            self._at += 1

    def _take(self, byte: bytes) -> bool:
        if self._body[self._at] != byte[0]:
            return False
        self._at += 1
        return True

    def _value(self) -> Any:
        match self._peek():
            case 0x7B:
                return self._object()
            case 0x5B:
                return self._array()
            case 0x22:
                return self._string()
            case 0x6E:
                return self._word(b"null", None)
            case 0x74:
                return self._word(b"true", True)
            case 0x66:
                return self._word(b"false", False)
            case _:
                return self._number()

    def _word(self, word: bytes, value: Any) -> Any:
        for position in range(len(word)):
            if not self._take(word[position : position + 1]):
                raise self._error("Invalid value.")
        return value

    def _object(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._at += 1
        self._skip_spaces()
        if self._take(b"}"):
            return members
        while True:
            if self._peek() != 0x22:
                raise self._error("Missing a name for object member.")
            name = self._string()
            self._skip_spaces()
            if not self._take(b":"):
                raise self._error("Missing a colon after a name of object member.")
            self._skip_spaces()
            members.setdefault(name, self._value())
            self._skip_spaces()
            if self._take(b"}"):
                return members
            if not self._take(b","):
                raise self._error("Missing a comma or } after an object member.")
            self._skip_spaces()

    def _array(self) -> list[Any]:
        elements: list[Any] = []
        self._at += 1
        self._skip_spaces()
        if self._take(b"]"):
            return elements
        while True:
            elements.append(self._value())
            self._skip_spaces()
            if self._take(b"]"):
                return elements
            if not self._take(b","):
                raise self._error("Missing a comma or ] after an array element.")
            self._skip_spaces()

    def _string(self) -> str:
        pieces: list[bytes] = []
        self._at += 1
        while True:
            plain = _PLAIN.match(self._body, self._at)
            assert plain is not None  # the pattern also matches the empty string
            pieces.append(plain[0])
            self._at = plain.end()
            byte = self._peek()
            if byte == 0x22:
                self._at += 1
                return b"".join(pieces).decode("utf-8", "surrogateescape")
            if byte == 0:
                raise self._error("Missing a closing quotation mark in string.")
            if byte != 0x5C:
                raise self._error("Invalid encoding in string.")
            pieces.append(self._escape())

    def _escape(self) -> bytes:
        start = self._at
        letter = self._body[start + 1]
        self._at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != 0x75:
            raise self._error("Invalid escape character in string.", start)
        code = self._hex4(start)
        if 0xD800 <= code <= 0xDFFF:
            if code > 0xDBFF or self._body[self._at : self._at + 2] != b"\\u":
                raise self._error("The surrogate pair in string is invalid.", start)
            self._at += 2
            low = self._hex4(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise self._error("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode()

    def _hex4(self, start: int) -> int:
        digits = self._body[self._at : self._at + 4]
        if re.fullmatch(rb"[0-9a-fA-F]{4}", digits) is None:
            raise self._error("Incorrect hex digit after \\u escape in string.", start)
        self._at += 4
        return int(digits, 16)

    def _number(self) -> int | float:
        start = self._at
        sign = -1.0 if self._take(b"-") else 1.0
        if self._take(b"N"):
            if self._take(b"a") and self._take(b"N"):
                return sign * float("nan")
            raise self._error("Invalid value.")
        if self._take(b"I"):
            if self._take(b"n") and self._take(b"f"):
                if self._peek() == 0x69:
                    self._word(b"inity", None)
                return sign * float("inf")
            raise self._error("Invalid value.")
        whole = _NUMBER.match(self._body, start)
        if whole is None:
            raise self._error("Invalid value.")
        self._at = whole.end()
        is_whole = True
        if self._take(b"."):
            is_whole = False
            self._digits("Miss fraction part in number.")
        if self._take(b"e") or self._take(b"E"):
            is_whole = False
            _ = self._take(b"+") or self._take(b"-")
            self._digits("Miss exponent in number.")
        if is_whole and len(whole[0]) <= 20:
            number = int(whole[0])
            if _MIN_INT64 <= number <= _MAX_UINT64:
                return number
        value = float(self._body[start : self._at])
        if value in (float("inf"), float("-inf")):
            raise self._error("Number too big to be stored in double.", start)
        return value

    def _digits(self, missing: str) -> None:
        first = self._at
        while 0x30 <= self._peek() <= 0x39:
            self._at += 1
        if self._at == first:
            raise self._error(missing)
