"""How a decoder writes: greedily, by beams or by chance, and which tokens and lengths it may choose."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfchain.core.errors import InputError

EarlyStopping = bool | Literal["never"]
DEFAULT_LENGTH = 256  # tokens of a target, where neither the folder nor the caller says


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """The choices of `generate`, by the names and with the meaning that transformers gives them.

    Args:
        num_beams: Hypotheses kept for a text; 1 is greedy, or by chance with `do_sample`. Default: 1.
        max_length: The most tokens of a target, the decoder's start included. Default: 256.
        min_length: A target does not end before it has as many tokens, the start included. Default: 0.
        length_penalty: A hypothesis scores its log probability / length**length_penalty. Default: 1.
        early_stopping: When a beam search stops: True, as soon as there are `num_beams` whole hypotheses; False, when
            none that is running looks better; `never`, when none can become better. Default: False.
        do_sample: Whether tokens are drawn by their probability. Default: False.
        temperature: Logits are divided by it; for `do_sample`. Default: 1.
        top_k: Only the likeliest tokens are drawn, 0 for all; for `do_sample`. Default: 50, as transformers'.
        top_p: Only the likeliest tokens that have this probability together are drawn; for `do_sample`. Default: 1.
        repetition_penalty: Scores of tokens that the target has are divided by it if positive, else multiplied
            (Keskar et al. 2019). Default: 1.
        no_repeat_ngram_size: No sequence of so many tokens comes twice; 0 allows all. Default: 0.
        bad_words_ids: Sequences of tokens that are never written. Default: none.
        forced_bos_token_id: The first token after the start, such as a language's. Default: none.
        forced_eos_token_id: The token at `max_length`. Default: none.
        renormalize_logits: Whether scores are normalised again after tokens were ruled out. Default: False.
        num_return_sequences: Targets for each text, of beams or draws. Default: 1.

    Raises:
        InputError: if a value is out of range.
    """

    num_beams: int = 1
    max_length: int = DEFAULT_LENGTH
    min_length: int = 0
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    renormalize_logits: bool = False
    num_return_sequences: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "bad_words_ids", _to_phrases(self.bad_words_ids))
        for name, least in (
            ("num_beams", 1),
            ("max_length", 2),
            ("min_length", 0),
            ("top_k", 0),
            ("no_repeat_ngram_size", 0),
            ("num_return_sequences", 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(
                    f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}.", argument=name
                )
        self._check_numbers()
        self._check_choices()
        if self.num_return_sequences > self.num_beams and not (self.do_sample and self.num_beams == 1):
            raise InputError(
                "`num_return_sequences` must be at most `num_beams`, unless tokens are drawn. Received: "
                f"num_return_sequences={self.num_return_sequences}, num_beams={self.num_beams}."
            )

    def _check_numbers(self) -> None:
        for name in ("temperature", "repetition_penalty", "length_penalty", "top_p"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise InputError(f"`{name}` must be a finite number. Received: {name}={value!r}.", argument=name)
        for name in ("temperature", "repetition_penalty"):
            if getattr(self, name) <= 0:
                raise InputError(f"`{name}` must be above 0. Received: {name}={getattr(self, name)!r}.", argument=name)
        if not 0 < self.top_p <= 1:
            raise InputError(f"`top_p` must be in (0, 1]. Received: top_p={self.top_p!r}.", argument="top_p")

    def _check_choices(self) -> None:
        for name in ("do_sample", "renormalize_logits"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(
                    f"`{name}` must be True or False. Received: {name}={getattr(self, name)!r}.", argument=name
                )
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise InputError(
                f"`early_stopping` must be True, False or 'never'. Received: {self.early_stopping!r}.",
                argument="early_stopping",
            )
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            value = getattr(self, name)
            if value is not None and not _is_token(value):
                raise InputError(
                    f"`{name}` must be the id of a token, or None. Received: {name}={value!r}.", argument=name
                )

    def replace(self, **changes: Any) -> "GenerationOptions":
        """Returns the options with other values; None keeps one.

        Raises:
            InputError: if a name is unknown, or a value is out of range.
        """
        known = {item.name for item in dataclasses.fields(self)}
        unknown = sorted(changes.keys() - known)
        if unknown:
            raise InputError(
                f"There is no option {', '.join(unknown)} of generation. The options are {', '.join(sorted(known))}.",
                argument=unknown[0],
            )
        return dataclasses.replace(self, **{name: value for name, value in changes.items() if value is not None})

    def check_fits(self, *, vocabulary_size: int, max_positions: int | None) -> None:
        """Checks the options against a model.

        Args:
            vocabulary_size: Tokens of a target.
            max_positions: The most tokens of a target, the decoder's start included; None for no limit.

        Raises:
            InputError: if a target could be longer than the model's positions, or a token is none of the model's.
        """
        if max_positions is not None and self.max_length > max_positions:
            raise InputError(
                f"`max_length` must be at most {max_positions}, the model's positions. Received: "
                f"max_length={self.max_length}. Longer texts are translated sentence by sentence.",
                argument="max_length",
            )
        tokens = {"bad_words_ids": max((token for words in self.bad_words_ids for token in words), default=0)}
        tokens |= {name: getattr(self, name) or 0 for name in ("forced_bos_token_id", "forced_eos_token_id")}
        for name, token in tokens.items():
            if token >= vocabulary_size:
                raise InputError(
                    f"`{name}` must name tokens of the model, which has {vocabulary_size}. Received: {token}.",
                    argument=name,
                )

    def to_dict(self) -> dict[str, Any]:
        """Returns the values that are not at their default, for JSON."""
        values = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != item.default
        }
        return {
            name: [list(words) for words in value] if name == "bad_words_ids" else value
            for name, value in values.items()
        }

    @classmethod
    def from_hugging_face(cls, values: Mapping[str, Any]) -> "GenerationOptions":
        """Reads generation_config.json, or an old folder's config.json, which has the same names.

        Args:
            values: The file's content; what tfchain does not have is ignored. `max_new_tokens` and `min_new_tokens`,
                which do not count the decoder's start, go before `max_length` and `min_length`, as in transformers.
        """
        values = dict(values)
        for length, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
            if isinstance(values.get(new), int):
                values[length] = values[new] + 1
        known = {item.name for item in dataclasses.fields(cls)}
        given = {name: value for name, value in values.items() if name in known and value is not None}
        return cls(**given)


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _to_phrases(value: Any) -> tuple[tuple[int, ...], ...]:
    """Returns sequences of token ids.

    Raises:
        InputError: if the value is anything else.
    """
    is_right = isinstance(value, list | tuple) and all(
        isinstance(words, list | tuple) and words and all(map(_is_token, words)) for words in value
    )
    if not is_right:
        raise InputError(
            "`bad_words_ids` must be sequences of token ids, none of them empty, such as [[7], [3, 4]]. "
            f"Received: {value!r:.60}.",
            argument="bad_words_ids",
        )
    return tuple(tuple(words) for words in value)
