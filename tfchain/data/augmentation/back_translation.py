"""Back-translation: the same meaning in other words, by way of another language."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.augmentation.noise_step import with_id
from tfchain.data.steps.record import Record, change_texts, record_id, texts_of
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

Translate = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class TranslateBack(Step):
    """Adds to each record a copy whose texts were translated and back (Sennrich et al. 2016).

    A block's texts are translated together. A copy equal to its record, but for case and white space, is left out.

    Args:
        columns: The texts to translate, such as `("query",)`. Default: all texts of a record.
        copies: 1 adds a copy beside each record; 0 changes the record itself, as `fit(augment=[…])` needs it.
            Default: 1.
        there: Translates texts into the other language; a function that does both ways needs no `back`.
        back: Translates texts back. Default: `there` does both.

    Raises:
        InputError: when it runs, if there is no translator, or it does not return a text for each text.
    """

    name: ClassVar[str] = "translate_back"

    columns: tuple[str, ...] = ()
    copies: int = 1
    there: Translate | None = field(default=None, repr=False, compare=False)
    back: Translate | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole_number("copies", self.copies, least=0)
        if self.copies > 1:
            raise InputError(f"`copies` must be 0 or 1: a translator answers alike. Received: copies={self.copies}.")

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {"columns": list(self.columns), "copies": self.copies}

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Translates the texts of a block there and back."""
        wanted = {
            text: None
            for record in records
            for name, text in texts_of(record).items()
            if (not self.columns or name.partition("[")[0] in self.columns) and text.strip()
        }
        translated = translate("there", self.there, list(wanted))
        if self.back is not None:
            translated = translate("back", self.back, translated)
        new = dict(zip(wanted, translated, strict=True))
        made: list[Record] = []
        for record in records:

            def change(name: str, text: str) -> str:
                chosen = not self.columns or name.partition("[")[0] in self.columns
                answer = new.get(text, text) if chosen else text
                return answer if answer.strip() and answer.casefold().split() != text.casefold().split() else text

            changed = change_texts(record, change)
            if not self.copies:
                if changed is not record:
                    log.change(record, changed, self.name)
                made.append(changed)
                continue
            made.append(record)
            if changed is not record:
                copy = with_id(changed, f"{record_id(record)}~{self.name}")
                log.add(copy, self.name)
                made.append(copy)
        return made


def translate(name: str, translator: Translate | None, texts: list[str]) -> list[str]:
    """Returns the translations of texts.

    Raises:
        InputError: if there is no translator, or it does not return a text for each text.
    """
    if translator is None:
        raise InputError("translate_back needs a translator. Received: none. Hand one in: there=….")
    if not texts:
        return []
    answers = list(translator(texts))
    if len(answers) != len(texts) or not all(isinstance(answer, str) for answer in answers):
        raise InputError(f"`{name}` must return a text for each text. Received: {len(answers)} for {len(texts)}.")
    return answers
