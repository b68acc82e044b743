"""From rows to tensors: every text in its place, for every replica, the same from any step on."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.pairs.token_store import TokenStore
from tfchain.training.batches.layout import Layout, TrainingSet, cut_by_length
from tfchain.training.batches.maker import BatchMaker

ALL_KINDS = ["random", "no_duplicates", "length", "no_duplicates_by_length"]


def encode(texts: Sequence[str]) -> list[list[int]]:
    """A text is its letters' numbers, between a 1 and a 2."""
    return [[1, *(ord(letter) for letter in text), 2] for text in texts]


def decode(token_ids: np.ndarray, mask: np.ndarray) -> str:
    """The text again; what is padding must be nothing but padding."""
    length = int((mask > 0).sum())
    assert (mask[:length] > 0).all()
    assert (token_ids[length:] == 0).all()
    assert (token_ids[0], token_ids[length - 1]) == (1, 2)
    return "".join(map(chr, token_ids[1 : length - 1]))


def make_set(rows: list[tuple[str, ...]], **changes: Any) -> TrainingSet:
    columns = list(zip(*rows, strict=True))
    values: dict[str, Any] = {
        "keys": np.array([[hash(text) % 2**62 + 1 for text in row] for row in rows], "int64"),
        "judged": np.zeros((len(rows), 1), "int64"),
        **changes,
    }
    prompts = values.pop("prompts", ())
    return TrainingSet(TokenStore.build(columns, encode, prompts=prompts), **values)


def rows_of(count: int, columns: int = 2, mark: str = "") -> list[tuple[str, ...]]:
    """Texts of many lengths, each of which names its row and column."""
    return [
        tuple(f"{mark}{row}:{column}" + "x" * ((row * 7 + column * 5) % 11) for column in range(columns))
        for row in range(count)
    ]


def texts_of(made: dict[str, Any], columns: int) -> list[tuple[str, ...]]:
    """The texts of each row and column, found by `places`."""
    texts: list[Any] = []
    for token_ids, mask in made["chunks"]:
        texts += [decode(one, of_one) if one[0] == 1 else None for one, of_one in zip(token_ids, mask, strict=True)]
    return [tuple(row) for row in np.array(texts, dtype=object)[made["places"]].reshape(-1, columns)]


def same(first: Any, second: Any) -> None:
    import tensorflow as tf

    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("layout", [Layout(), Layout(groups=0), Layout(groups=1), Layout(fixed_length=40)])
@pytest.mark.parametrize("batches", ALL_KINDS)
def test_every_row_comes_once_an_epoch_with_its_texts_in_their_places(layout: Layout, batches: str) -> None:
    rows = rows_of(22, columns=3)
    maker = BatchMaker([make_set(rows)], batch_size=5, batches=batches, layout=layout, seed=3)
    assert maker.steps_per_epoch == 5
    orders = []
    for epoch in range(2):
        made = [maker.make(epoch * 5 + step, 0) for step in range(5)]
        found = list(itertools.chain.from_iterable(texts_of(one, 3) for one in made))
        assert sorted(found) == sorted(rows)
        orders.append(found)
    assert orders[0] != orders[1]


def test_keys_judgements_labels_and_guide_stand_beside_their_rows() -> None:
    rows = rows_of(10)
    numbers = np.arange(10)
    training_set = make_set(rows, judged=np.stack([numbers, numbers * 2], axis=1), labels=numbers[:, None] / 8)
    guide = np.array([[len(ids), ids[1]] for ids in training_set.store.take(np.arange(20))], "float32")
    keys = training_set.keys
    training_set = TrainingSet(training_set.store, keys, training_set.judged, labels=training_set.labels, guide=guide)
    made = BatchMaker([training_set], batch_size=4).make(1, 0)
    found = texts_of(made, 2)
    assert len(found) == 4
    for place, row in enumerate(found):
        number = rows.index(row)
        np.testing.assert_array_equal(made["keys"][place], keys[number])
        np.testing.assert_array_equal(made["judged"][place], [number, 2 * number])
        np.testing.assert_array_equal(made["labels"][place], [number / 8])
        np.testing.assert_array_equal(made["guide"][place], [[len(text) + 2, ord(text[0])] for text in row])


@pytest.mark.parametrize("layout", [Layout(), Layout(groups=1), Layout(fixed_length=40)])
def test_the_replicas_parts_together_are_the_global_batch(layout: Layout) -> None:
    options: dict[str, Any] = {"batch_size": 7, "seed": 1, "layout": layout}
    whole = BatchMaker([make_set(rows_of(19))], **options)
    shared = BatchMaker([make_set(rows_of(19))], **options, num_replicas=3)
    assert shared.steps_per_epoch == whole.steps_per_epoch == 3
    for step in range(3):
        parts = [texts_of(shared.make(step, replica), 2) for replica in range(3)]
        assert [len(part) for part in parts] == ([3, 2, 2] if step < 2 else [2, 2, 1])
        assert list(itertools.chain(*parts)) == texts_of(whole.make(step, 0), 2)


def test_a_last_batch_with_fewer_rows_than_replicas_is_left_out() -> None:
    maker = BatchMaker([make_set(rows_of(10))], batch_size=8, num_replicas=4, batches="random")
    assert [len(rows) for _, rows in maker.plan(0)] == [8]


@pytest.mark.parametrize("replicas", [(0,), (0, 1), (1,)])
def test_from_any_step_on_the_batches_are_those_of_the_whole_training(replicas: tuple[int, ...]) -> None:
    labels = np.arange(11, dtype="float32")[:, None]
    maker = BatchMaker([make_set(rows_of(11), labels=labels)], batch_size=4, num_replicas=2, layout=Layout(groups=2))
    again = BatchMaker([make_set(rows_of(11), labels=labels)], batch_size=4, num_replicas=2, layout=Layout(groups=2))
    count = len(replicas)
    whole = list(maker.dataset(0, replicas).take(8 * count).as_numpy_iterator())  # two epochs and a bit
    for first in (1, 3, 5):
        tail = again.dataset(first, replicas).take((8 - first) * count).as_numpy_iterator()
        for one, other in zip(whole[first * count :], tail, strict=True):
            same(one, other)
    for number, one in enumerate(whole):
        same(one, maker.make(number // count, replicas[number % count]))


def test_another_seed_deals_other_batches() -> None:
    makers = [BatchMaker([make_set(rows_of(12))], batch_size=4, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (texts_of(maker.make(0, 0), 2) for maker in makers)
    assert first == again != other


def test_texts_are_cut_by_length_so_that_less_is_padding() -> None:
    rows = [("x" * length, "y" * length) for length in (1, 2, 3, 30)]
    made = BatchMaker([make_set(rows)], batch_size=4, batches="random", layout=Layout(groups=3)).make(0, 0)
    # Tokens: 32 32 5 5 4 4 3 3; the best three rectangles are 2 × 32 and 4 × 5 and 2 × 3, or 2 × 32, 2 × 5, 4 × 4.
    shapes = [token_ids.shape for token_ids, _ in made["chunks"]]
    assert shapes in ([(2, 32), (4, 5), (2, 3)], [(2, 32), (2, 5), (4, 4)])
    in_columns = BatchMaker([make_set(rows)], batch_size=4, batches="random", layout=Layout(groups=0)).make(0, 0)
    assert [token_ids.shape for token_ids, _ in in_columns["chunks"]] == [(4, 32), (4, 32)]


def test_a_batch_of_fewer_texts_than_rectangles_fills_up_with_one_token_of_padding() -> None:
    made = BatchMaker([make_set([("ab", "c")])], batch_size=1, layout=Layout(groups=4, pad_token_id=9)).make(0, 0)
    assert [token_ids.tolist() for token_ids, _ in made["chunks"]] == [[[1, 97, 98, 2]], [[1, 99, 2]], [[9]], [[9]]]
    assert [mask.tolist() for _, mask in made["chunks"]] == [[[1, 1, 1, 1]], [[1, 1, 1]], [[1]], [[1]]]
    assert texts_of(made, 2) == [("ab", "c")]


def test_tokens_of_a_prompt_that_pooling_leaves_out_have_a_2_in_the_mask() -> None:
    rows = [("ab", "c"), ("defg", "hi"), ("j", "klm")]
    training_set = make_set(rows, prompts=("q:", ""), skipped=(3, 0))  # the special token and the prompt's two
    for layout in (Layout(groups=2), Layout(groups=0), Layout(fixed_length=12)):
        made = BatchMaker([training_set], batch_size=3, layout=layout).make(0, 0)
        found = texts_of(made, 2)
        assert sorted(found) == sorted((f"q:{query}", document) for query, document in rows)
        masks = [mask for _, chunk in made["chunks"] for mask in chunk]
        for row, places in zip(found, made["places"].reshape(-1, 2), strict=True):
            query, document = (masks[place] for place in places)
            assert query[: len(row[0]) + 2].tolist() == [2, 2, 2] + [1] * (len(row[0]) - 1)
            assert document[: len(row[1]) + 2].tolist() == [1] * (len(row[1]) + 2)
            assert query[len(row[0]) + 2 :].sum() == document[len(row[1]) + 2 :].sum() == 0


def several_sets() -> list[TrainingSet]:
    return [
        make_set(rows_of(8, columns=2, mark="a"), labels=np.ones((8, 1), "float32")),
        make_set(rows_of(13, columns=4, mark="b"), labels=np.tile(np.arange(3, dtype="float32"), (13, 1))),
        make_set(rows_of(9, columns=3, mark="c"), judged=np.full((9, 5), 7)),
    ]


@pytest.mark.parametrize("layout", [Layout(), Layout(groups=0), Layout(fixed_length=40)])
def test_several_datasets_of_different_columns_share_a_form(layout: Layout) -> None:
    maker = BatchMaker(several_sets(), batch_size=4, layout=layout, mixing="proportional", batches="random")
    assert maker.steps_per_epoch == 2 + 4 + 3
    found: dict[int, list[tuple[str, ...]]] = {0: [], 1: [], 2: []}
    for made in maker.dataset().take(9).as_numpy_iterator():
        source, count = int(made["source"]), len(made["keys"])
        texts = texts_of(made, 4)
        columns = (2, 4, 3)[source]
        assert all(row[columns:] == (row[0],) * (4 - columns) for row in texts)  # the query stands in
        found[source] += [row[:columns] for row in texts]
        assert made["keys"].shape == (count, 4)
        assert not made["keys"][:, columns:].any()
        assert made["judged"].shape == (count, 5)
        assert made["judged"].any() == (source == 2)
        assert made["labels"].tolist() == [[1, 0, 0], [0, 1, 2], [0, 0, 0]][source : source + 1] * count
    expected = (rows_of(8, 2, "a"), rows_of(13, 4, "b"), rows_of(9, 3, "c"))
    assert [sorted(one) for one in found.values()] == [sorted(rows) for rows in expected]


def test_round_robin_takes_a_batch_of_each_in_turn_until_the_shortest_ends() -> None:
    maker = BatchMaker(several_sets(), batch_size=4)
    assert [number for number, _ in maker.plan(0)] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("sets", [1, 3])
def test_a_fixed_length_fixes_all_shapes(sets: int) -> None:
    maker = BatchMaker(
        several_sets()[-sets:], batch_size=4, layout=Layout(fixed_length=40), drop_remainder=True, num_replicas=2
    )
    columns = 3 if sets == 1 else 4
    dataset = maker.dataset(0, (0, 1))
    (ids, mask), *others = dataset.element_spec["chunks"]
    assert not others
    assert tuple(ids.shape) == tuple(mask.shape) == (2 * columns, 40)
    assert tuple(dataset.element_spec["keys"].shape) == (2, columns)
    for made in dataset.take(12).as_numpy_iterator():
        assert made["chunks"][0][0].shape == made["chunks"][0][1].shape == (2 * columns, 40)
        assert made["places"].shape == (2 * columns,)


def test_fixed_shapes_need_as_many_rows_on_every_replica() -> None:
    with pytest.raises(InputError, match=r"`batch_size` must be a multiple of the number of replicas \(2\).*5"):
        BatchMaker(
            [make_set(rows_of(20))], batch_size=5, num_replicas=2, layout=Layout(fixed_length=40), drop_remainder=True
        )


def test_a_text_that_is_longer_than_the_fixed_length_is_an_error() -> None:
    maker = BatchMaker([make_set([("a" * 50, "b")])], batch_size=1, layout=Layout(fixed_length=40))
    with pytest.raises(InputError, match=r"`length` must be at least .* 52 tokens"):
        maker.make(0, 0)


def test_a_batch_smaller_than_the_replicas_is_an_error() -> None:
    with pytest.raises(InputError, match=r"at least the number of replicas \(4\)\. Received: batch_size=3\."):
        BatchMaker([make_set(rows_of(8))], batch_size=3, num_replicas=4)


def test_an_epoch_without_a_batch_is_an_error() -> None:
    with pytest.raises(InputError, match=r"An epoch has no batch: 2 rows, batch_size=8, .* 4 replicas"):
        BatchMaker([make_set(rows_of(2))], batch_size=8, num_replicas=4)
    with pytest.raises(InputError, match=r"`drop_remainder` leaves out all others"):
        BatchMaker([make_set(rows_of(2))], batch_size=8, drop_remainder=True)


def fewest_tokens(lengths: Sequence[int], groups: int) -> int:
    """Tries all ways to cut."""
    best = sum(lengths) * 100
    for count in range(1, min(groups, len(lengths)) + 1):
        for cuts in itertools.combinations(range(1, len(lengths)), count - 1):
            best = min(best, tokens_within(lengths, cuts))
    return best


def tokens_within(lengths: Sequence[int], cuts: Sequence[int]) -> int:
    bounds = [0, *cuts, len(lengths)]
    return sum((end - start) * lengths[start] for start, end in itertools.pairwise(bounds))


def test_cuts_by_length_are_the_docstrings() -> None:
    assert cut_by_length(np.array([9, 9, 2, 2, 2]), 2).tolist() == [2]


def test_cuts_by_length_are_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        lengths = -np.sort(-rng.integers(1, 20, rng.integers(1, 10)))
        groups = int(rng.integers(1, 6))
        cuts = cut_by_length(lengths, groups)
        assert len(cuts) <= groups - 1
        assert (np.diff([0, *cuts, len(lengths)]) > 0).all()
        assert tokens_within(lengths.tolist(), cuts.tolist()) == fewest_tokens(lengths.tolist(), groups)


def test_cuts_of_many_texts_are_near_the_best() -> None:
    lengths = -np.sort(-np.random.default_rng(1).integers(3, 128, 100))
    cuts = cut_by_length(lengths, 2)
    best = min(tokens_within(lengths.tolist(), [cut]) for cut in range(1, 100))
    assert tokens_within(lengths.tolist(), cuts.tolist()) <= 1.03 * best  # only every third place is looked at
