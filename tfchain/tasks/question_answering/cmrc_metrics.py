"""CMRC 2018's own exact match and F1: Chinese characters one by one, and the longest run that two answers share.

Source: cmrc2018_evaluate.py, version 5 (https://github.com/ymcui/cmrc2018). Its words of other scripts are NLTK's; here
a pattern cuts them: words with inner full stops, apostrophes, commas between digits, and single other characters.
"""

import re
from collections.abc import Sequence

# Of the script's list `……` is left out, too: as two characters, it equals none.
PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
IS_CHINESE = re.compile("[\u4e00-\u9fa5]")
WORDS = re.compile(r"\d+(?:[.,]\d+)*|\w+(?:[.']\w+)*|[^\w\s]")


def cut(text: str) -> list[str]:
    """Returns a text's Chinese characters and the words of other scripts, without the punctuation of both.

    Args:
        text: An answer.
    """
    parts: list[str] = []
    other = ""
    for character in text.lower().strip():
        if character in PUNCTUATION:
            continue
        if IS_CHINESE.match(character):
            parts += [*WORDS.findall(other), character]
            other = ""
        else:
            other += character
    return [*parts, *WORDS.findall(other)]


def cmrc_exact_match(answer: str, right: Sequence[str]) -> float:
    """Returns 1 if an answer equals a right one, but for case and punctuation, else 0.

    Args:
        answer: The answer; empty for none.
        right: The right answers; none if there is no answer.
    """
    return float(_strip(answer) in {_strip(one) for one in right or ("",)})


def cmrc_f1(answer: str, right: Sequence[str]) -> float:
    """Returns the best F1, over the right answers, of the longest run of parts that an answer shares with one.

    Args:
        answer: The answer; empty for none.
        right: The right answers; none if there is no answer, which the empty answer equals.
    """
    if not right:
        return float(not answer)
    return max(_compare(cut(answer), cut(one)) for one in right)


def _strip(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in PUNCTUATION)


def _compare(found: Sequence[str], wanted: Sequence[str]) -> float:
    common = find_longest_run(wanted, found)
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def find_longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Returns the length of the longest run of parts, one after the other, that is in both.

    Args:
        first: The parts of a text.
        second: The parts of another.
    """
    longest = 0
    before = [0] * (len(second) + 1)  # runs that end with the part before
    for part in first:
        ending = [0] * (len(second) + 1)
        for place, other in enumerate(second):
            if part == other:
                ending[place + 1] = before[place] + 1
        longest = max(longest, *ending)
        before = ending
    return longest
