"""The language of a text, by py3langid, whose model of 140 languages comes in its wheel. Its one door."""

from functools import cache
from typing import Any

from tfchain.core.errors import MissingPackageError

UNKNOWN = ("und", 0.0)
MOST_CHARACTERS = 500  # at either end of a text: more does not change the answer, and takes time
CHINESE = frozenset({"zh", "wuu", "yue"})  # ISO 639-3's macrolanguage zho, as far as the model tells its members apart


def detect_language(text: str) -> tuple[str, float]:
    """Returns the language of a text.

    Wu and Cantonese count as Chinese, as in ISO 639-3: in a short sentence in characters they cannot be told apart from
    Mandarin. Of a text of more than 1,000 characters the first and last 500 decide. Below about five words an answer
    is a guess, whatever its confidence.

    Args:
        text: The text.

    Returns:
        The language's code (ISO 639-1, or -3 where there is none), and the model's confidence, from 0 to 1.
        `("und", 0.0)` for a text without letters.

    Raises:
        MissingPackageError: if py3langid is not installed.

    Example:
        >>> detect_language("今天天气很好。")[0], detect_language("The weather is nice today.")[0]
        ('zh', 'en')
    """
    if not any(map(str.isalpha, text)):
        return UNKNOWN
    if len(text) > 2 * MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]} {text[-MOST_CHARACTERS:]}"
    code, confidence = load_identifier().classify(text)
    if code in CHINESE and confidence < 0.99:
        return "zh", min(1.0, float(sum(one for name, one in load_identifier().rank(text) if name in CHINESE)))
    return ("zh" if code in CHINESE else str(code)), float(confidence)


def known_languages() -> list[str]:
    """Returns the codes that `detect_language` can return for a text with letters, in alphabetical order."""
    return sorted({str(code) for code in load_identifier().labels} - (CHINESE - {"zh"}))


@cache
def load_identifier() -> Any:
    """Reads the model, about a second on first use; kept by the process.

    Raises:
        MissingPackageError: if py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingPackageError(
            f"Finding the language of texts needs the package py3langid. Received: {error}. "
            "Install it with `pip install 'tfchain[data]'`."
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
