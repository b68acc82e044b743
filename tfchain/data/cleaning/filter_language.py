"""The step that keeps texts of some languages."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.language import detect_language, known_languages
from tfchain.data.cleaning.setting_checks import check_count, check_share
from tfchain.data.documents.words import cut_words
from tfchain.data.steps.record import Record, texts_of
from tfchain.data.steps.step import FilterStep


@dataclass(frozen=True)
class FilterLanguage(FilterStep):
    """Keeps records whose texts are all in one of some languages.

    Each text of a row must be in one of them, so a pair of an English query and a Chinese document passes
    `keep=["en", "zh"]`. A document is judged by title and text together.

    Args:
        keep: Codes of languages, such as `["en", "zh"]`; `known_languages()` has all. `zh` includes Cantonese and Wu.
        min_confidence: What the model must be sure of at least, from 0 to 1; a text below is left out as uncertain.
            Default: 0.3.
        min_words: Texts of fewer words (characters, in Chinese) are not judged and stay: the answer would be a guess.
            Default: 5.

    Raises:
        InputError: if `keep` is empty, or a setting is out of range; in a run, if a code is not known.
        MissingPackageError: in a run, if py3langid is not installed.
    """

    name: ClassVar[str] = "filter_language"
    keep: tuple[str, ...] = ()
    min_confidence: float = 0.3
    min_words: int = 5

    def __post_init__(self) -> None:
        check_share("min_confidence", self.min_confidence, optional=False)
        check_count("min_words", self.min_words, optional=False)
        if not isinstance(self.keep, list | tuple) or not self.keep:
            raise InputError(
                f"`keep` must be a list of codes of languages. Received: keep={self.keep!r}. Use ['en', 'zh'] to keep "
                "English and Chinese.",
                argument="keep",
            )

    def new_state(self) -> Any:
        """Checks the codes, which needs the model; there is no state."""
        known = known_languages()
        for code in self.keep:
            if code not in known:
                code = str(code)
                main = code.replace("_", "-").partition("-")[0].lower()
                close = [main] if main in known else get_close_matches(code, known, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise InputError(
                    f"`keep` must have codes of languages that can be told apart. Received: {code!r}.{hint} Expected "
                    f"some of: {', '.join(known)}.",
                    argument="keep",
                )

    def reason(self, record: Record) -> str | None:
        """Returns the language that is not wanted."""
        texts = [record.full_text] if isinstance(record, Document) else list(texts_of(record).values())
        for text in texts:
            if len(text) < 200 and len(cut_words(text)) < self.min_words:
                continue
            code, confidence = detect_language(text)
            if code == "und":
                return "no language"
            if confidence < self.min_confidence:
                return "language uncertain"
            if code not in self.keep:
                return f"language {code}"
        return None
