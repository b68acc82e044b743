"""Names of people in a text, by Presidio: its one door."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from tfchain.core.errors import MissingPackageError
from tfchain.data.cleaning.personal.found import Found

LEAST_SCORE = 0.5


def find_names(text: str, analyzer: Any = None, language: str = "en") -> Iterator[Found]:
    """Yields names of people.

    Args:
        text: The text.
        analyzer: An object with Presidio's `analyze(text=, entities=, language=)`. Default: Presidio's own
            `AnalyzerEngine`, whose spaCy model for English must be installed.
        language: The language that the analyzer is asked for. Default: `en`.

    Raises:
        MissingPackageError: if there is no analyzer and Presidio is not installed.
    """
    analyzer = load_analyzer() if analyzer is None else analyzer
    for result in analyzer.analyze(text=text, entities=["PERSON"], language=language):
        if result.score >= LEAST_SCORE:
            yield Found(result.start, result.end, "name")


@cache
def load_analyzer() -> Any:
    """Makes Presidio's analyzer, which loads a spaCy model; once in a process.

    Raises:
        MissingPackageError: if Presidio is not installed.
    """
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError as error:
        raise MissingPackageError(
            f"Finding names of people needs the package presidio-analyzer. Received: {error}. Install it with "
            "`pip install 'tfchain[names]'` and its model with `python -m spacy download en_core_web_lg`."
        ) from error
    return AnalyzerEngine()
