"""SQuAD's own exact match and F1: answers compared without case, punctuation, articles and surplus white space.

Source: the evaluation scripts of SQuAD 1.1 and 2.0 (https://rajpurkar.github.io/SQuAD-explorer/).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

PUNCTUATION = frozenset(string.punctuation)
ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Returns a text in lower case, without ASCII punctuation, English articles and surplus white space."""
    without = "".join(character for character in text.lower() if character not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", without).split())


def exact_match(answer: str, right: Sequence[str]) -> float:
    """Returns 1 if an answer is one of the right ones, else 0.

    Args:
        answer: The answer; empty for none.
        right: The right answers; none if there is no answer.
    """
    return max((float(normalize_answer(answer) == normalize_answer(one)) for one in _choose(right)), default=0.0)


def f1(answer: str, right: Sequence[str]) -> float:
    """Returns the best F1, over the right answers, of an answer's words.

    Args:
        answer: The answer; empty for none.
        right: The right answers; none if there is no answer.
    """
    return max((_compare(answer, one) for one in _choose(right)), default=0.0)


def _choose(right: Sequence[str]) -> Sequence[str]:
    """Returns the right answers that something is left of; the empty one if there are none, as SQuAD 2.0 does."""
    return [one for one in right if normalize_answer(one)] or [""]


def _compare(answer: str, right: str) -> float:
    found, wanted = normalize_answer(answer).split(), normalize_answer(right).split()
    if not found or not wanted:  # one of them is no answer: 1 if both are
        return float(found == wanted)
    common = sum((Counter(found) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(wanted)
    return 2 * precision * recall / (precision + recall)
