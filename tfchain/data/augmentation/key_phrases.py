"""Key phrases and salient sentences of a text, by the rarity of its words alone."""

import math
import re
from collections import Counter

from tfchain.data.documents.sentences import find_sentences
from tfchain.data.lexical.terms import IS_UNSPACED, STOP_WORDS, TOKEN, WordStatistics, find_terms

MOST_WORDS = 4  # in a phrase
BREAK = re.compile(r"[^\w\s'’-]|\n")


def find_key_phrases(text: str, count: int, statistics: WordStatistics | None = None) -> list[str]:
    """Returns the phrases that tell most about a text, best first.

    Candidates are runs of up to four words between stop words and punctuation, as in RAKE (Rose et al. 2010). A phrase
    scores by the sum of its words' `(1 + ln frequency in the text) * rarity in the corpus` (TF-IDF), divided by the
    square root of their number, so that neither single words nor long phrases win by their length. A phrase
    that lies within a better one, or the other way round, is left out.

    Args:
        text: The text.
        count: The most phrases.
        statistics: How rare words are in the corpus. Default: all but stop words alike.

    Example:
        >>> find_key_phrases("Solid state batteries are safe. Nothing beats solid state batteries.", 1)
        ['Solid state batteries']
    """
    statistics = statistics or WordStatistics()
    counts = Counter(find_terms(text))
    scored: dict[str, tuple[float, int, str]] = {}
    for place, phrase in enumerate(find_candidates(text)):
        terms = find_terms(phrase)
        key = " ".join(terms)
        if key in scored or not terms:
            continue
        weights = [(1 + math.log(counts[term])) * statistics.rarity(term) for term in terms]
        scored[key] = (sum(weights) / len(terms) ** 0.5, -place, phrase)
    chosen: list[str] = []
    for key, (score, _, phrase) in sorted(scored.items(), key=lambda item: item[1][:2], reverse=True):
        if score <= 0 or len(chosen) == count:
            break
        padded = f" {key} "
        if not any(padded in f" {other} " or f" {other} " in padded for other in map(normalize, chosen)):
            chosen.append(phrase)
    return chosen


def find_candidates(text: str) -> list[str]:
    """Returns the runs of words between stop words and punctuation, in order, as they are written."""
    candidates: list[str] = []
    for part in BREAK.split(text):
        run: list[re.Match[str]] = []
        for match in [*TOKEN.finditer(part), None]:
            word = match.group().lower() if match else ""
            if match is None or word in STOP_WORDS or len(run) == MOST_WORDS:
                if run:
                    candidates.append(part[run[0].start() : run[-1].end()])
                run = []
            if match is not None and word not in STOP_WORDS:
                run.append(match)
    return [
        phrase for phrase in candidates if not phrase.isdecimal() and (len(phrase) > 2 or IS_UNSPACED.match(phrase))
    ]


def normalize(phrase: str) -> str:
    """Returns a phrase's terms, joined by spaces."""
    return " ".join(find_terms(phrase))


def rank_sentences(
    text: str, statistics: WordStatistics | None = None, *, least_words: int = 5
) -> list[tuple[int, int]]:
    """Returns the offsets of a text's sentences, the most telling first.

    A sentence scores by the mean rarity of its different words, weighted by how often they stand in the text: a
    sentence that says what the text is about has the words that the text repeats, and few that every text has.

    Args:
        text: The text.
        statistics: How rare words are in the corpus. Default: all but stop words alike.
        least_words: Sentences of fewer words are left out. Default: 5.
    """
    statistics = statistics or WordStatistics()
    counts = Counter(find_terms(text))
    scored = []
    for place, (start, end) in enumerate(find_sentences(text)):
        terms = find_terms(text[start:end])
        if len(terms) < least_words:
            continue
        weights = [(1 + math.log(counts[term])) * statistics.rarity(term) for term in set(terms)]
        scored.append((-sum(weights) / len(weights), place, (start, end)))
    return [span for _, _, span in sorted(scored)]
