"""How a translation chain translates and learns: languages, generation, label smoothing."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfchain.core.errors import InputError
from tfchain.tasks.translation.parallel_rows import Languages


@dataclass(frozen=True, kw_only=True)
class TranslationOptions:
    """How a chain translates and learns; saved with it.

    Args:
        source_language: The language of texts, as the model names it, such as `en` or `eng_Latn`; None for a model of
            one pair. It also names a column of parallel data. Default: none.
        target_language: The language of translations; it also decides how BLEU cuts them. Default: none.
        generation: Options of generation by name (`num_beams`, `max_length`, `length_penalty`, …: see
            `models.seq2seq.generation_options`), where they differ from the model's own. Default: none does.
        label_smoothing: As in `TokenOptions`. Default: 0.1.
        batch_tokens: As in `TokenOptions`. Default: none, batches have `batch_size` rows.

    Raises:
        InputError: if a value is of the wrong type or out of range.
    """

    source_language: str | None = None
    target_language: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    label_smoothing: float = 0.1
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("source_language", "target_language"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise InputError(
                    f"`{name}` must be the name of a language, or None. Received: {name}={value!r}.", argument=name
                )
        if not isinstance(self.generation, Mapping):
            raise InputError(f"`generation` must be a dict of options. Received: {self.generation!r:.60}.")
        object.__setattr__(self, "generation", dict(self.generation))

    @property
    def languages(self) -> Languages:
        """The two languages."""
        return Languages(self.source_language, self.target_language)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)
