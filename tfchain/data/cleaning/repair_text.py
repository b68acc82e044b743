"""The step that repairs broken characters: wrong encodings, control and invisible characters, forms of Unicode."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from tfchain.core.errors import MissingPackageError
from tfchain.core.texts import has_surrogate, replace_surrogates
from tfchain.data.cleaning.setting_checks import check_word
from tfchain.data.steps.step import TextStep

FORMS = ("NFC", "NFKC", "none")
TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-9;]{0,32}[A-Za-z]")
LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Without line feed and tab; the C1 controls, private use aside, and the interlinear and object marks.
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffc]")
# Soft hyphen, zero-width space, word joiner, byte order mark, Mongolian vowel separator, and tag characters other than
# those that make a flag. Joiners (U+200C, U+200D) and direction marks stay: Persian, Hindi, Arabic and emoji need them.
INVISIBLE = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]{1,32}\U000e007f)|[\u00ad\u200b\u2060\ufeff\u180e\U000e0000-\U000e007f]"
)
SPACES = re.compile(r"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]{2,}|[\u00a0\u1680\u2000-\u200a\u202f\u205f]")

# A long run of ASCII, without the characters at its ends that a sign of wrong decoding may reach: ftfy's have at most
# seven characters.
ASCII_RUN = re.compile(r"([\x00-\x7f]{8})[\x00-\x7f]+([\x00-\x7f]{8})")


@dataclass(frozen=True)
class RepairText(TextStep):
    """Repairs broken characters; what reads well stays as it is.

    In this order, each on its own: ftfy undoes wrong decoding (`schÃ¶n` becomes `schön`); terminal codes and control
    characters go, and line ends become line feeds; invisible characters go; unusual spaces become plain ones; the text
    gets one form of Unicode. Half surrogates, which no file can hold, become the replacement character in any case.

    Args:
        encoding: Whether ftfy undoes wrong decoding. Default: yes.
        control: Whether control characters go. Default: yes.
        invisible: Whether zero-width spaces, soft hyphens, byte order marks and tag characters go; so text that people
            cannot see does not reach an index. Default: yes.
        spaces: Whether no-break and other unusual spaces become plain ones, and several in a line one; a line's
            indentation stays. Default: no.
        form: `NFC` composes accents; `NFKC` also makes full-width letters, ligatures and the like plain, and thereby
            the full-width punctuation of Chinese; `none` leaves the form. Default: `NFC`.

    Raises:
        InputError: if `form` is not one of these.
        MissingPackageError: in a run, if ftfy is not installed.
    """

    name: ClassVar[str] = "repair_text"
    encoding: bool = True
    control: bool = True
    invisible: bool = True
    spaces: bool = False
    form: str = "NFC"

    def __post_init__(self) -> None:
        check_word("form", self.form, FORMS)

    def change(self, text: str, found: Counter[str]) -> str:
        """Returns the repaired text, and counts what was wrong."""
        if text.isascii() and is_clean(text):  # most English text
            return self._join_spaces(text, found)
        if has_surrogate(text):
            text = note(text, replace_surrogates(text), "half surrogates", found)
        ascii_only = text.isascii()
        if self.encoding and not ascii_only:
            text = note(text, fix_encoding(text), "wrong decoding", found)
        clean = is_clean(text)
        if self.control and not clean:
            text = note(text, LINE_BREAK.sub("\n", text), "line ends", found)
            text = note(text, CONTROL.sub("", TERMINAL_ESCAPE.sub("", text)), "control characters", found)
        if self.invisible and not clean and not ascii_only:
            text = note(text, INVISIBLE.sub(lambda flag: flag[1] or "", text), "invisible characters", found)
        text = self._join_spaces(text, found)
        if self.form != "none" and not ascii_only:
            text = note(text, unicodedata.normalize(self.form, text), self.form, found)  # type: ignore[arg-type]
        return text

    def _join_spaces(self, text: str, found: Counter[str]) -> str:
        return note(text, "\n".join(map(join_spaces, text.split("\n"))), "spaces", found) if self.spaces else text


def is_clean(text: str) -> bool:
    """Returns whether a text has nothing that a line end, a control or an invisible character could be."""
    return text.replace("\n", "").replace("\t", "").isprintable() and "\ufffc" not in text


def note(before: str, after: str, reason: str, found: Counter[str]) -> str:
    """Returns the text after a change, and counts the reason if it differs."""
    if after != before:
        found[reason] += 1
    return after


def join_spaces(line: str) -> str:
    """Returns a line with single plain spaces after its indentation."""
    indentation = len(line) - len(line.lstrip(" \t"))
    return line[:indentation] + SPACES.sub(" ", line[indentation:])


def fix_encoding(text: str) -> str:
    """Undoes wrong decoding.

    ftfy looks for signs of it at each character, though each sign has a letter that is not ASCII and takes a few
    characters. So long runs of ASCII are left out of a first look, which is enough for most texts.
    """
    ftfy = load_ftfy()
    return ftfy.fix_encoding(text) if ftfy.badness.is_bad(ASCII_RUN.sub(r"\1\2", text)) else text


@cache
def load_ftfy() -> Any:
    """Imports ftfy: its one door.

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        import ftfy
        import ftfy.badness
    except ImportError as error:
        raise MissingPackageError(
            f"Undoing wrong decoding needs the package ftfy. Received: {error}. Install it with "
            "`pip install 'tfchain[data]'`, or set encoding=False."
        ) from error
    return ftfy
