"""Targets that must hold phrases, searched with models small enough to enumerate."""

import itertools

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.translation.constrained import Spelling, search_with_phrases

END = 0


def make_step(size: int = 5, seed: int = 0):
    """A model whose next token depends on the last one alone."""
    logits = np.random.default_rng(seed).normal(0, 2, (size, size))
    table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def step(prefixes):
        return np.array([table[prefix[-1] if prefix else 0] for prefix in prefixes])

    return step, table


def probability(table: np.ndarray, target: tuple[int, ...]) -> float:
    return sum(table[before, after] for before, after in itertools.pairwise((0, *target, END)))


def holds(target: tuple[int, ...], phrase: tuple[int, ...]) -> bool:
    return any(target[place : place + len(phrase)] == phrase for place in range(len(target)))


@pytest.mark.parametrize("seed", range(5))
def test_the_likeliest_target_with_the_phrases_is_found(seed: int) -> None:
    step, table = make_step(seed=seed)
    phrases = [(3, 1), (2, 2)]
    targets = [t for length in range(6) for t in itertools.product(range(1, 5), repeat=length)]
    allowed = [target for target in targets if all(holds(target, phrase) for phrase in phrases)]
    best = max(allowed, key=lambda target: probability(table, target))
    found = search_with_phrases(
        step,
        [[Spelling(phrase)] for phrase in phrases],
        end_id=END,
        max_length=6,
        num_beams=60,
        length_penalty=0.0,
    )
    assert found == best


@pytest.mark.parametrize("num_beams", [1, 4])
def test_phrases_are_there_however_unlikely(num_beams: int) -> None:
    def step(prefixes):  # ends at once, and would never write 3 or 4
        return np.tile(np.log([0.9, 0.05, 0.05, 1e-30, 1e-30]), (len(prefixes), 1))

    phrases = [[Spelling((3, 4, 3))], [Spelling((4,))]]
    for max_length in (5, 9):
        found = search_with_phrases(step, phrases, end_id=END, max_length=max_length, num_beams=num_beams)
        assert holds(found, (3, 4, 3))
        assert 4 in found
        assert len(found) < max_length


def test_a_spelling_stands_where_it_may() -> None:
    step, _ = make_step()
    spellings = [Spelling((3,), "first"), Spelling((4, 4), "later")]
    found = search_with_phrases(step, [spellings], end_id=END, max_length=8, prefix=(1,))
    assert found[0] == 1
    assert found[1] == 3 or holds(found[2:], (4, 4))
    only_later = search_with_phrases(step, [spellings[1:]], end_id=END, max_length=8)
    assert holds(only_later[1:], (4, 4))


def test_what_the_model_writes_by_itself_counts() -> None:
    def step(prefixes):  # 1, 2, 3, then the end
        rows = np.full((len(prefixes), 5), -20.0)
        for row, prefix in zip(rows, prefixes, strict=True):
            row[(len(prefix) + 1) % 4] = 0.0
        return rows

    assert search_with_phrases(step, [[Spelling((2, 3))]], end_id=END, max_length=9) == (1, 2, 3)
    assert search_with_phrases(step, [], end_id=END, max_length=9) == (1, 2, 3)


def test_phrases_that_do_not_fit_are_an_error() -> None:
    step, _ = make_step()
    with pytest.raises(InputError, match="must fit into a translation of 4 tokens. Received: phrases of 4 tokens"):
        search_with_phrases(step, [[Spelling((1, 2))], [Spelling((3, 4))]], end_id=END, max_length=4)
