"""BLEU and chrF of translations, by sacrebleu, with the signatures that say how they were computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.tasks.pseudo_values import shift_to_metric

METRICS = ("chrf", "bleu")
# sacrebleu cuts into words with 13a, which suits languages that put spaces between words; others need another way.
BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char", "th": "char", "lo": "char", "my": "char", "km": "char"}
LANGUAGE_CODES = {"zho": "zh", "cmn": "zh", "yue": "zh", "jpn": "ja", "kor": "ko", "tha": "th", "lao": "lo"}
LANGUAGE_CODES |= {"mya": "my", "khm": "km"}


@dataclass(frozen=True)
class TranslationScores:
    """How good translations are.

    chrF (Popović 2015) is the F-score of character n-grams up to 6, recall counting twice; BLEU (Papineni et al. 2002)
    the precision of word n-grams up to 4. Both are from 0 to 100, and higher is better. Report the signatures with
    them: without the way of tokenizing, BLEU means nothing (Post 2018).

    Args:
        values: Metric → value.
        signatures: Metric → sacrebleu's signature.
    """

    values: Mapping[str, float]
    signatures: Mapping[str, str]


def score_translations(
    translations: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    metrics: Sequence[str] = METRICS,
    target_language: str | None = None,
) -> TranslationScores:
    """Scores translations against correct ones.

    Args:
        translations: The translations.
        references: The correct translations of each text, one or several.
        metrics: Of `chrf` and `bleu`. Default: both.
        target_language: The language of the translations, such as `zh`, which decides how BLEU cuts them into words.
            Default: one with spaces between words.

    Raises:
        InputError: if a metric is unknown, or the numbers of texts differ.
        TfchainError: if sacrebleu is not installed.
    """
    check_metrics(metrics)
    values, signatures = {}, {}
    for name in metrics:
        statistics = CorpusStatistics(name, translations, references, target_language)
        values[name] = statistics.score()
        signatures[name] = statistics.signature
    return TranslationScores(values, signatures)


def check_metrics(metrics: Sequence[str]) -> None:
    """Raises an `InputError` for a metric that is neither chrF nor BLEU."""
    if isinstance(metrics, str) or any(metric not in METRICS for metric in metrics):
        raise InputError(f"`metrics` must be a list of {', '.join(METRICS)}. Received: metrics={metrics!r}.")


class CorpusStatistics:
    """The counts that a metric of a whole corpus is made of, text by text.

    Neither metric is a mean over texts: the counts of all texts are added up first.

    Args:
        metric: `chrf` or `bleu`.
        translations: The translations.
        references: The correct translations of each text.
        target_language: As in `score_translations`.

    Raises:
        InputError: if the numbers of texts differ, or there are none.
        TfchainError: if sacrebleu is not installed.
    """

    def __init__(
        self,
        metric: str,
        translations: Sequence[str],
        references: Sequence[Sequence[str]],
        target_language: str | None = None,
    ) -> None:
        if len(translations) != len(references) or not translations:
            raise InputError(
                "There must be a translation for each text, and one text or more. Received: "
                f"{len(translations)} translations of {len(references)} texts."
            )
        self._metric = _make_metric(metric, target_language)
        width = max(map(len, references))
        # sacrebleu takes the references column by column, None where a text has fewer than others.
        columns = [[found[place] if place < len(found) else None for found in references] for place in range(width)]
        self._counts = np.array(self._metric._extract_corpus_statistics(list(translations), columns), dtype=np.float64)

    @property
    def signature(self) -> str:
        """Sacrebleu's signature: the number of references, the way of tokenizing, the version."""
        return str(self._metric.get_signature())

    @cached_property
    def _sum(self) -> np.ndarray:
        total: np.ndarray = self._counts.sum(axis=0)
        return total

    def score(self) -> float:
        """Returns the metric of the whole corpus."""
        return self._score(self._sum)

    def pseudo_values(self) -> np.ndarray:
        """Returns what each text adds to the metric, float64 `(texts,)`: see `pseudo_values.find_pseudo_values`."""
        if len(self._counts) == 1:
            return np.array([self.score()])
        others = np.array([self._score(self._sum - counts) for counts in self._counts])
        return shift_to_metric(self.score(), others)

    def _score(self, counts: np.ndarray) -> float:
        return float(self._metric._compute_score_from_stats(counts.tolist()).score)


def find_tokenizer(target_language: str | None) -> str:
    """Returns the name of sacrebleu's way of cutting a language into words for BLEU.

    Args:
        target_language: A code such as `zh`, `zh-Hans`, `zho_Hans` or `eng_Latn`; None for one with spaces.
    """
    code = (target_language or "").replace("_", "-").split("-")[0].strip("<>").lower()
    return BLEU_TOKENIZERS.get(LANGUAGE_CODES.get(code, code), "13a")


def _make_metric(name: str, target_language: str | None) -> Any:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise TfchainError(
            "chrF and BLEU are computed by sacrebleu, which is not installed. Install tfchain[translation]."
        ) from error
    # `force` silences advice about texts that end in " .", which are the user's own.
    return CHRF() if name == "chrf" else BLEU(tokenize=find_tokenizer(target_language), force=True)
