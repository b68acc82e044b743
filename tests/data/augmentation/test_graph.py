"""Noise in the graph is the host's: the same result for the same draws, the same frequencies, the same bounds."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.data.augmentation import graph
from tfchain.data.augmentation.character_noise import AddTypos
from tfchain.data.augmentation.graph import add_typos, delete_words, swap_words
from tfchain.data.augmentation.word_noise import WORD, DeleteWords, SwapWords

TEXTS = ["a  b, c\td e ", "我爱你 and 我", "one", "", "  ", " x\u3000y\n\nz", "สวัสดี ok", "Émile's 2 cafés, no?"]
LONG = " ".join(f"word{number}" for number in range(4000))
SEED = (3, 7)


class Drawn(Random):
    """Returns numbers drawn before."""

    def __init__(self, numbers: list[float]) -> None:
        super().__init__(0)
        self.numbers = numbers

    def random(self) -> float:
        return self.numbers.pop(0)

    def choice(self, options: Sequence[Any]) -> Any:
        return options[0]


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The graph's draws, one for each word or letter."""
    numbers = np.random.default_rng(0).random(200).astype("float32")
    monkeypatch.setattr(graph, "draw", lambda rows, seed, number: tf.constant(numbers)[: tf.size(rows.values)])
    return numbers


def decode(texts: tf.Tensor) -> list[str]:
    return [text.decode() for text in texts.numpy()]


def test_words_are_those_of_the_host() -> None:
    found = [[piece.decode().strip() for piece in row] for row in graph.split_words(tf.constant(TEXTS)).to_list()]
    assert found == [WORD.findall(text) for text in TEXTS]


def test_the_same_draws_leave_out_the_same_words(draws: np.ndarray) -> None:
    expected, place = [], 0
    for text in TEXTS:
        count = len(WORD.findall(text))
        mine = draws[place : place + count]
        place += count
        if count and (mine >= 0.4).any():
            expected.append(DeleteWords(rate=0.4).disturb(text, Drawn(mine.tolist())))
        else:  # one word stays, by other draws
            expected.append(WORD.findall(text)[int(mine.argmax())] if count > 1 else text)
    assert decode(delete_words(TEXTS, SEED, rate=0.4)) == expected
    assert expected != TEXTS


def test_the_same_draws_swap_the_same_words(draws: np.ndarray) -> None:
    expected, start = [], 0
    for text in TEXTS:
        count = len(WORD.findall(text))
        used, place = [], 0
        while place + 1 < count:  # the host draws only for places that no swap has used up
            used.append(float(draws[start + place]))
            place += 2 if used[-1] < 0.6 else 1
        start += count
        expected.append(SwapWords(rate=0.6).disturb(text, Drawn(used)))
    assert decode(swap_words(TEXTS, SEED, rate=0.6)) == expected
    assert expected != TEXTS


def test_the_same_draws_leave_out_the_same_letters(draws: np.ndarray) -> None:
    (made,) = decode(add_typos(["Été 12, 我 ab"], SEED, rate=0.5, errors=("delete",)))
    used = [float(number) for number, letter in zip(draws, "Été 12, 我 ab", strict=False) if letter.isalpha()]
    assert made == AddTypos(rate=0.5, errors=("delete",)).disturb("Été 12, 我 ab", Drawn(used))


def test_frequencies_are_the_rates() -> None:
    words = LONG.split()
    kept = decode(delete_words([LONG], SEED, rate=0.2))[0].split()
    assert abs(len(kept) / 4000 - 0.8) < 0.025  # four standard deviations
    swapped = decode(swap_words([LONG], SEED, rate=0.2))[0].split()
    assert sorted(swapped) == sorted(words)
    host = SwapWords(rate=0.2).disturb(LONG, Random(0)).split()
    moved = [sum(map(str.__ne__, made, words)) / 4000 for made in (swapped, host)]
    assert abs(moved[0] - 2 * 0.2 / 1.2) < 0.04
    assert abs(moved[0] - moved[1]) < 0.05
    for error, length in (("delete", 0.9), ("double", 1.1), ("swap", 1.0), ("replace", 1.0)):
        (made,) = decode(add_typos(["x" * 8000], SEED, rate=0.1, errors=(error,)))
        assert abs(len(made) / 8000 - length) < 0.015, error
    (made,) = decode(add_typos(["xY" * 4000], SEED, rate=0.1, errors=("replace",)))
    assert abs(sum(map(str.__ne__, made, "xY" * 4000)) / 8000 - 0.1 * 25 / 26) < 0.015
    assert all(now.isupper() == was.isupper() for now, was in zip(made, "xY" * 4000, strict=True))


def test_swapped_letters_are_neighbours_within_a_word() -> None:
    (made,) = decode(add_typos(["abcdefgh ijkl 12"], SEED, rate=1.0, errors=("swap",)))
    assert made == "badcfehg jilk 12"
    assert made == AddTypos(rate=1.0, errors=("swap",)).disturb("abcdefgh ijkl 12", Random(0))


def test_a_share_of_the_texts_is_disturbed() -> None:
    texts = ["a b c d e f g h"] * 2000
    made = decode(delete_words(texts, SEED, rate=0.9, share=0.3))
    assert abs(sum(map(str.__ne__, made, texts)) / 2000 - 0.3) < 0.05


def test_in_a_pipeline_each_batch_has_its_own_draws_and_the_seed_repeats_them() -> None:
    tf.random.set_seed(1)  # another test may have set one, which counts beside the dataset's own

    def run() -> list[list[str]]:
        texts = tf.data.Dataset.from_tensor_slices(["a b c d e f g h"] * 6).batch(2)
        seeds = tf.data.Dataset.random(seed=5).batch(2)
        noisy = tf.data.Dataset.zip(texts, seeds).map(lambda batch, seed: delete_words(batch, seed, rate=0.5))
        return [decode(batch) for batch in noisy]

    assert run() == run()
    assert len({text for batch in run() for text in batch}) == 6


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"`rate` must be in \[0, 1\]. Received: rate=2"):
        delete_words(["a"], SEED, rate=2)
    with pytest.raises(InputError, match="`errors` must be some of delete, double, swap, replace"):
        add_typos(["a"], SEED, errors=("drop",))  # type: ignore[arg-type]
