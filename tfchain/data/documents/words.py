"""Words of a text in any script: where a script has no spaces between words, each character counts as one."""

import re
import unicodedata

# Thai, Lao, Burmese, Khmer, kana, Han.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
WORD = re.compile(f"[{UNSPACED}]|[^\\W{UNSPACED}]+")
UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")


def cut_words(text: str) -> list[str]:
    """Returns a text's words, without case and punctuation; in scripts without spaces each character is a word.

    Full-width letters and the like become their usual form (NFKC), so that they compare equal.

    Example:
        >>> cut_words("Tokyo, 東京!")
        ['tokyo', '東', '京']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return WORD.findall(text.casefold())


def share_unspaced(text: str) -> float:
    """Returns which share of a text's letters and digits belongs to scripts without spaces; 0 if there are none.

    Example:
        >>> share_unspaced("abc 東京!")
        0.4
    """
    if text.isascii():
        return 0.0
    unspaced = len(UNSPACED_CHARACTER.findall(text))
    letters = sum(map(len, WORD.findall(text)))
    return unspaced / letters if letters else 0.0
