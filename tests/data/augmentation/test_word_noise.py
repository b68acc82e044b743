"""Words left out and swapped: what stays, what changes, how often."""

from random import Random

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.augmentation.noise_step import NoiseStep
from tfchain.data.augmentation.word_noise import DeleteWords, SwapWords
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.run import StepsRun

ROW = {"id": "7", "query": "one two three four", "positive": "five six seven", "label": "one two"}


class Always(Random):
    """Returns the same number again and again."""

    def __init__(self, *numbers: float) -> None:
        super().__init__(0)
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


def test_words_below_the_rate_are_left_out_with_the_space_before_them() -> None:
    step = DeleteWords(rate=0.5)
    assert step.disturb("a  b, c\td e ", Always(0.9, 0.1, 0.9, 0.1, 0.9)) == "a c e"
    assert step.disturb("我 爱你", Always(0.1, 0.9, 0.1)) == "爱"
    assert len(step.disturb("a b c", Always(0.0)).split()) == 1  # one word stays


def test_neighbours_are_swapped_and_the_space_between_them_stays() -> None:
    step = SwapWords(rate=0.5)
    assert step.disturb(" a  b c d ", Always(0.1, 0.9, 0.9)) == " b  a c d "
    assert step.disturb("a b c d e", Always(0.1)) == "b a d c e"
    assert step.disturb("我爱你", Always(0.9, 0.1)) == "我你爱"


def test_the_rate_is_the_share_of_words() -> None:
    text = " ".join(map(str, range(20_000)))
    kept = DeleteWords(rate=0.2).disturb(text, Random(0)).split()
    assert abs(len(kept) / 20_000 - 0.8) < 0.01  # four standard deviations
    assert kept == sorted(kept, key=int)
    swapped = SwapWords(rate=0.2).disturb(text, Random(0)).split()
    assert sorted(swapped, key=int) == text.split()
    # A swap covers two places: of n places, n * rate / (1 + rate) swaps begin.
    assert abs(sum(map(str.__gt__, swapped, text.split())) / 20_000 - 0.2 / 1.2) < 0.05


def test_only_the_named_columns_change_and_labels_never_do() -> None:
    (changed,) = DeleteWords(rate=0.9, columns=("query",))([ROW])
    assert changed["positive"] == ROW["positive"]
    assert changed["label"] == ROW["label"]
    assert len(changed["query"].split()) < 4
    assert ROW["query"] == "one two three four"


def test_choices_depend_on_seed_and_record_alone() -> None:
    rows = [{**ROW, "id": str(number), "query": " ".join("abcdefghij")} for number in range(50)]
    alone = [next(iter(DeleteWords(rate=0.5)([row]))) for row in reversed(rows)]
    assert list(DeleteWords(rate=0.5)(rows)) == alone[::-1]
    assert list(DeleteWords(rate=0.5, seed=1)(rows)) != alone[::-1]
    assert len({row["query"] for row in alone}) > 40


def test_the_share_is_of_texts() -> None:
    rows = [{"id": str(number), "text": "a b c d e f g h i j"} for number in range(2000)]
    changed = sum(new != old for new, old in zip(DeleteWords(rate=0.9, share=0.3)(rows), rows, strict=True))
    assert abs(changed / 2000 - 0.3) < 0.05


def test_copies_stand_beside_the_record_with_ids_of_their_own() -> None:
    run = StepsRun([SwapWords(rate=1.0, copies=2)])
    made = run.process([Document("d", "a b", "c d"), Document("e", "x")])
    assert made == [
        Document("d", "a b", "c d"),
        Document("d~swap_words1", "b a", "d c"),
        Document("d~swap_words2", "b a", "d c"),
        Document("e", "x"),  # nothing to swap: no copies
    ]
    assert run.logs[0].added == {"swap_words": 2}


def test_it_is_made_of_a_file_of_settings() -> None:
    assert make_steps([{"delete_words": {"rate": 0.2, "columns": ["query"]}}]) == [
        DeleteWords(rate=0.2, columns=("query",))
    ]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"`rate` must be in \[0, 1\]. Received: rate=1.5"):
        DeleteWords(rate=1.5)
    with pytest.raises(InputError, match=r"`share` must be in \[0, 1\]. Received: share=True"):
        SwapWords(share=True)
    with pytest.raises(InputError, match="`columns` must be a list of names. Received: columns='query'"):
        NoiseStep(columns="query")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`copies` must be a whole number of at least 0"):
        DeleteWords(copies=-1)
