"""A text's other language, written by a translator: back-translation, and distillation by sequences."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfchain.core.errors import InputError
from tfchain.data.augmentation.back_translation import Translate, translate
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class TranslateColumn(Step):
    """Writes the translation of a row's column into another column.

    For a translation model's training data, in two ways. *Back-translation* (Sennrich et al. 2016): a model of the
    other direction writes sources for texts of the target language, which need no human translation:
    `TranslateColumn("target", into="source", translate=backwards.translate)`. *Distillation by sequences* (Kim and Rush
    2016): a large model writes the targets that a small one learns:
    `TranslateColumn("source", into="target", replace=True, translate=teacher.translate)`.

    A block's texts are translated together. A row whose translation is empty is dropped.

    Args:
        column: The column to translate.
        into: The column to write.
        replace: Whether a text that is there already is replaced; else the row stays as it is. Default: False.
        translate: Translates texts.

    Raises:
        InputError: when it runs, if a record is no row or lacks the column, there is no translator, or it does not
            return a text for each text.
    """

    name: ClassVar[str] = "translate_column"
    needs: ClassVar[tuple[str, ...]] = ("translate",)

    column: str = "target"
    into: str = "source"
    replace: bool = False
    translate: Translate | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.column == self.into:
            raise InputError(
                f"`into` must be another column. Received: column={self.column!r}, into={self.into!r}.",
                argument="into",
            )

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Translates the texts of a block."""
        chosen = [self._find_text(record) for record in records]
        wanted = list(dict.fromkeys(text for text in chosen if text is not None))
        new = dict(zip(wanted, translate("translate", self.translate, wanted), strict=True))
        made: list[Record] = []
        for record, text in zip(records, chosen, strict=True):
            if text is None:
                made.append(record)
            elif new[text].strip():
                changed: Record = {**record, self.into: new[text]}  # type: ignore[dict-item]
                log.change(record, changed, self.name)
                made.append(changed)
            else:
                log.drop(record, "no translation")
        return made

    def _find_text(self, record: Record) -> str | None:
        """Returns the text to translate; None for a row that stays as it is."""
        text = record.get(self.column) if isinstance(record, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"translate_column needs rows with a text in `{self.column}`. Received: {record!r:.80}. Name the "
                "column."
            )
        return text if self.replace or not record.get(self.into) else None  # type: ignore[union-attr]
