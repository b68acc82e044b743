"""Beam search for translations that must hold given phrases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfchain.core.errors import InputError

Step = Callable[[Sequence[tuple[int, ...]]], np.ndarray]
"""From prefixes of one length, without the decoder's start, to log probabilities of the next token, `(prefixes, V)`."""


@dataclass(frozen=True)
class Spelling:
    """One way of writing a phrase in tokens.

    Args:
        token_ids: The tokens, one or more.
        place: `anywhere`, `first` (only at the beginning of a target) or `later` (only after another token): pieces
            differ where a target begins, in scripts without spaces. Default: `anywhere`.
    """

    token_ids: tuple[int, ...]
    place: str = "anywhere"

    def fits(self, length: int) -> bool:
        """Returns whether the phrase may begin after `length` tokens."""
        return self.place == "anywhere" or (self.place == "first") == (length == 0)


@dataclass(frozen=True)
class _Hypothesis:
    """A target so far: its tokens, their log probability, phrases that it holds, and the spelling it is in.

    The log probability of the tokens that a phrase dictates is apart: see `value`.
    """

    token_ids: tuple[int, ...] = ()
    free: float = 0.0
    dictated: float = 0.0
    held: frozenset[int] = frozenset()
    phrase: int = -1
    spelling: Spelling | None = None
    written: int = 0

    @property
    def bank(self) -> tuple[int, int]:
        """What a hypothesis is compared within: others that have as much of the phrases."""
        return len(self.held), self.written

    @property
    def score(self) -> float:
        """The log probability."""
        return self.free + self.dictated

    def value(self, length: int, num_dictated: int, length_penalty: float) -> float:
        """What whole targets are compared by.

        Tokens that the phrases dictate are as unlikely as they are: were they divided by the length as others are, a
        long target would make up for them.
        """
        return self.free / length**length_penalty + self.dictated / max(1, num_dictated) ** length_penalty


def search_with_phrases(
    step: Step,
    phrases: Sequence[Sequence[Spelling]],
    *,
    end_id: int,
    max_length: int,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    prefix: tuple[int, ...] = (),
) -> tuple[int, ...]:
    """Finds a likely target that holds each phrase at least once: grid beam search (Hokamp and Liu 2017).

    Hypotheses compete only with those that hold as many phrases, so that a phrase is not dropped because it is
    unlikely. A phrase is written without a break once it has begun, a target does not end before it holds all of them,
    and none begins that would no longer fit. So the phrases are in the result whatever the model says.

    Args:
        step: The model; see `Step`.
        phrases: The spellings of each phrase.
        end_id: The token that ends a target.
        max_length: The most tokens of a target, the end and the prefix included.
        num_beams: Hypotheses kept of each kind. Default: 4.
        length_penalty: A target scores its log probability / length**length_penalty, that of the phrases' tokens
            divided by their number instead. Default: 1.
        prefix: Tokens that the target begins with, such as a language's. Default: none.

    Returns:
        The target's tokens, with the prefix and without the end.

    Raises:
        InputError: if the phrases are longer than a target.
    """
    needed = [max(len(spelling.token_ids) for spelling in spellings) for spellings in phrases]
    if len(prefix) + sum(needed) + 1 > max_length:
        raise InputError(
            f"The phrases of a glossary must fit into a translation of {max_length} tokens. Received: phrases of "
            f"{sum(needed)} tokens for one text. Raise `max_length`, or cut the text."
        )
    running = [_Hypothesis(tuple(prefix))]
    finished: list[tuple[float, tuple[int, ...]]] = []
    while running:
        scores = step([hypothesis.token_ids for hypothesis in running])
        grown: dict[_Hypothesis, None] = {}
        for hypothesis, row in zip(running, scores, strict=True):
            may_end = hypothesis.spelling is None and len(hypothesis.held) == len(phrases)
            length = len(hypothesis.token_ids) + 1
            if may_end:
                ended = replace(hypothesis, free=hypothesis.free + float(row[end_id]))
                finished.append((ended.value(length, sum(needed), length_penalty), hypothesis.token_ids))
            for found in _grow(hypothesis, row, phrases, end_id, num_beams, len(prefix)):
                if len(found.token_ids) + _remaining(found, needed) + 1 <= max_length:
                    grown[found] = None
        running = _select(list(grown), num_beams)
        finished = sorted(finished, key=lambda item: -item[0])[:num_beams]
        if len(finished) == num_beams and running:
            best = max(found.value(len(found.token_ids), sum(needed), length_penalty) for found in running)
            if best <= finished[-1][0]:
                break
    return finished[0][1]


def _remaining(hypothesis: _Hypothesis, needed: Sequence[int]) -> int:
    """Returns how many tokens a hypothesis still has to write of the phrases."""
    rest = sum(
        count for number, count in enumerate(needed) if number not in hypothesis.held and number != hypothesis.phrase
    )
    return rest + (0 if hypothesis.spelling is None else len(hypothesis.spelling.token_ids) - hypothesis.written)


def _grow(
    hypothesis: _Hypothesis,
    row: np.ndarray,
    phrases: Sequence[Sequence[Spelling]],
    end_id: int,
    num_beams: int,
    begin: int,
) -> list[_Hypothesis]:
    """Returns the hypotheses one token longer: in the phrase that is being written, free, and into a new phrase."""
    if hypothesis.spelling is not None:
        return [_write(hypothesis, row, hypothesis.phrase, hypothesis.spelling, hypothesis.written)]
    best = np.argpartition(-row, min(num_beams + 1, len(row) - 1))[: num_beams + 1]
    grown = [_free(hypothesis, int(token), float(row[token]), phrases, begin) for token in best if token != end_id]
    for number, spellings in enumerate(phrases):
        if number not in hypothesis.held:
            grown += [
                _write(hypothesis, row, number, spelling, 0)
                for spelling in spellings
                if spelling.fits(len(hypothesis.token_ids) - begin)
            ]
    return grown


def _write(hypothesis: _Hypothesis, row: np.ndarray, phrase: int, spelling: Spelling, written: int) -> _Hypothesis:
    """Returns a hypothesis with the next token of a phrase."""
    token = spelling.token_ids[written]
    token_ids, dictated = (*hypothesis.token_ids, token), hypothesis.dictated + float(row[token])
    if written + 1 == len(spelling.token_ids):
        return _Hypothesis(token_ids, hypothesis.free, dictated, hypothesis.held | {phrase})
    return _Hypothesis(token_ids, hypothesis.free, dictated, hypothesis.held, phrase, spelling, written + 1)


def _free(
    hypothesis: _Hypothesis, token: int, value: float, phrases: Sequence[Sequence[Spelling]], begin: int
) -> _Hypothesis:
    """Returns a hypothesis with a token of the model's choice, which may complete a phrase by itself."""
    token_ids = (*hypothesis.token_ids, token)
    held = {
        number
        for number, spellings in enumerate(phrases)
        if any(_ends_with(token_ids, spelling, begin) for spelling in spellings)
    }
    return _Hypothesis(token_ids, hypothesis.free + value, hypothesis.dictated, hypothesis.held | held)


def _ends_with(token_ids: tuple[int, ...], spelling: Spelling, begin: int) -> bool:
    """Returns whether the last tokens are a phrase, where it may stand."""
    start = len(token_ids) - len(spelling.token_ids)
    return start >= begin and spelling.fits(start - begin) and token_ids[start:] == spelling.token_ids


def _select(grown: list[_Hypothesis], num_beams: int) -> list[_Hypothesis]:
    """Keeps the likeliest hypotheses of each bank."""
    banks: dict[tuple[int, int], list[_Hypothesis]] = {}
    for hypothesis in sorted(grown, key=lambda item: -item.score):
        kept = banks.setdefault(hypothesis.bank, [])
        if len(kept) < num_beams:
            kept.append(hypothesis)
    return [hypothesis for bank in banks.values() for hypothesis in bank]
