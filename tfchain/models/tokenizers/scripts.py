"""The script that a text is written in, from the Unicode names of its letters."""

import unicodedata

# The word of a letter's Unicode name → the name of its script in Unicode.
SCRIPTS = {
    **{
        name.upper(): name
        for name in (
            *("Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Syriac", "Thaana", "Devanagari"),
            *("Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai"),
            *("Lao", "Tibetan", "Myanmar", "Georgian", "Hangul", "Ethiopic", "Cherokee", "Khmer", "Mongolian"),
            *("Hiragana", "Katakana", "Bopomofo", "Yi", "Tagalog", "Nko", "Ogham", "Runic", "Coptic"),
        )
    },
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "HENTAIGANA": "Hiragana",
    "CANADIAN": "Canadian_Aboriginal",
}
WORDS = 3  # where the script's word stands in a name: COMBINING GREEK …, MODIFIER LETTER CYRILLIC …


def find_script(character: str) -> str:
    """The script of a letter or mark by its Unicode name; empty for what all scripts share, and for rare scripts.

    Args:
        character: One character.

    Example:
        >>> [find_script(character) for character in "aж中か1!"]
        ['Latin', 'Cyrillic', 'Han', 'Hiragana', '', '']
    """
    if unicodedata.category(character)[0] not in "LM":
        return ""
    for word in unicodedata.name(character, "").split(" ")[:WORDS]:
        if word in SCRIPTS:
            return SCRIPTS[word]
    return ""


def find_scripts(text: str) -> frozenset[str]:
    """The scripts of a text's letters; none for digits, punctuation and symbols."""
    return frozenset(script for script in map(find_script, text) if script)
