"""The words of a text as search without a model sees them, and how rare each is in a corpus."""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfchain.core.atomic import write_json
from tfchain.core.errors import InputError
from tfchain.data.documents.words import UNSPACED

TOKEN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}_]+(?:['’][^\W{UNSPACED}_]+)*")
IS_UNSPACED = re.compile(rf"[{UNSPACED}]")

STOP_WORD_LIST = (
    "a about above after again against all also am an and any are as at be because been before being below "
    "between both but by can could did do does doing down during each few for from further had has have having he "
    "her here hers him his how however i if in into is it its itself may me might more most must my no nor not of "
    "off on once only or other our ours out over own same shall she should so some such than that the their "
    "theirs them then there therefore these they this those through thus to too under until up upon us very was "
    "we were what when where whether which while who whom why will with within without would you your yours "
)
STOP_WORDS = frozenset(STOP_WORD_LIST.split())


def find_terms(text: str) -> list[str]:
    """Returns a text's terms in order: words without case; of Chinese, Japanese and Thai, pairs of characters.

    A run of a single such character is a term itself. Pairs of characters come close to what a dictionary of words
    gives in search (Nie and Ren 1999, "Chinese information retrieval: using characters or words?"); Lucene's CJK
    analyzer takes them, too. Full-width letters and the like become their usual form (NFKC).

    Example:
        >>> find_terms("The Cat's 2 paws 我爱你")
        ['the', "cat's", '2', 'paws', '我爱', '爱你']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    terms: list[str] = []
    for token in TOKEN.findall(text.casefold()):
        if IS_UNSPACED.match(token) and len(token) > 1:
            terms += [token[place : place + 2] for place in range(len(token) - 1)]
        else:
            terms.append(token)
    return terms


@dataclass(frozen=True)
class WordStatistics:
    """In how many documents each term stands.

    Args:
        num_documents: The number of documents.
        frequencies: Term → number of documents.
    """

    num_documents: int = 0
    frequencies: Mapping[str, int] = field(default_factory=dict)

    def rarity(self, term: str) -> float:
        """Returns a term's inverse document frequency, `ln(1 + (n - df + 0.5) / (df + 0.5))`, as Lucene's BM25 has it.

        Without documents, 1 for every term but stop words and single characters.
        """
        if not self.num_documents:
            return 0.0 if term in STOP_WORDS or len(term) < 2 else 1.0
        found = self.frequencies.get(term, 0)
        return math.log(1 + (self.num_documents - found + 0.5) / (found + 0.5))

    def save(self, path: Path | str) -> Path:
        """Writes the statistics as JSON."""
        return write_json(path, {"num_documents": self.num_documents, "frequencies": dict(self.frequencies)})

    @classmethod
    def load(cls, path: Path | str) -> "WordStatistics":
        """Reads what `save` wrote.

        Raises:
            InputError: if the file is not there or is another kind of file.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(int(content["num_documents"]), dict(content["frequencies"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Expected word statistics that `WordStatistics.save` wrote. Received: {path}: {error}."
            ) from error


def count_words(texts: Iterable[str], *, least: int = 1) -> WordStatistics:
    """Counts in how many texts each term stands.

    Args:
        texts: The corpus, read once.
        least: Terms of fewer documents are left out, which keeps the statistics of a large corpus small; they count as
            terms of no document. Default: 1, all terms.
    """
    counts: Counter[str] = Counter()
    num_documents = 0
    for text in texts:
        counts.update(set(find_terms(text)))
        num_documents += 1
    return WordStatistics(num_documents, {term: count for term, count in counts.items() if count >= least})
