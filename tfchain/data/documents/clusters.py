"""Where a text can be cut between characters without tearing apart what a reader sees as one."""

import unicodedata

ZERO_WIDTH_JOINER = "\u200d"
EXTENDING = frozenset("\u200c\u200d\u0e33\u0eb3\uff9e\uff9f")  # joiners, Thai and Lao AM, half-width voicing marks


def is_cluster_start(text: str, place: int) -> bool:
    """Returns whether a cut before `text[place]` keeps every visible character whole.

    A simplified form of the rules of Unicode Standard Annex 29 for extended grapheme clusters: combining marks,
    variation selectors, skin tones, joined emoji, flags (pairs of regional indicators), tag sequences, conjoining
    Hangul, and `\\r\\n`. Thai and Lao vowels that are written before their consonant stay with it.

    Args:
        text: The text.
        place: An offset. The beginning and the end of the text are always starts.
    """
    if not 0 < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    if after < "\u0300":  # ASCII and Latin-1 hold no combining marks
        return not (before == "\r" and after == "\n") and before != ZERO_WIDTH_JOINER
    if extends(after) or before == ZERO_WIDTH_JOINER:
        return False
    if "\u0e40" <= before <= "\u0e44" or "\u0ec0" <= before <= "\u0ec4":
        return False
    if is_regional(before) and is_regional(after):
        first = place - 1
        while first > 0 and is_regional(text[first - 1]):
            first -= 1
        return (place - first) % 2 == 0
    return True


def nearest_cluster_start(text: str, place: int) -> int:
    """Returns the cluster start nearest to `place` within the text; `place` itself if the text is one cluster."""
    for distance in range(len(text)):
        for candidate in (place - distance, place + distance):
            if 0 < candidate < len(text) and is_cluster_start(text, candidate):
                return candidate
    return place


def extends(character: str) -> bool:
    """Returns whether a character belongs to the one before it."""
    if unicodedata.category(character)[0] == "M" or character in EXTENDING:
        return True
    return (
        "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags of flags such as Scotland's
        or "\u1160" <= character <= "\u11ff"  # vowels and final consonants of conjoining Hangul
    )


def is_regional(character: str) -> bool:
    """Returns whether a character is half of a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"
