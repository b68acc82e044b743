"""Batches by tokens: which rows, which tensors, the same on every machine."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.training.seq2seq.token_batches import NO_LABEL, TokenBatches, TokenRows, pad_rows, plan_token_epoch

LENGTHS = np.array([(3, 5), (2, 1), (9, 2), (4, 4), (1, 5), (2, 2)])


def make_rows() -> TokenRows:
    return TokenRows([np.arange(a) + 10 for a, _ in LENGTHS], [np.arange(b) + 20 for _, b in LENGTHS])


def test_batches_by_tokens_hold_neighbours_in_length() -> None:
    plan = plan_token_epoch(LENGTHS, batch_size=1, batch_tokens=10, seed=3)
    # In the order of targets, then sources: 1 (2, 1), 5 (2, 2), 2 (9, 2), 3 (4, 4), 4 (1, 5), 0 (3, 5).
    assert sorted(sorted(rows) for rows in plan) == [[0], [1, 5], [2], [3, 4]]
    assert max(LENGTHS[rows].max() * len(rows) for rows in plan) <= 10


def test_epochs_have_other_orders_and_as_many_batches() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, (200, 2))
    plans = [plan_token_epoch(lengths, batch_size=8, batch_tokens=120, epoch=epoch) for epoch in range(3)]
    assert len({len(plan) for plan in plans}) == 1
    assert not all(np.array_equal(first, second) for first, second in zip(plans[0], plans[1], strict=True))
    for plan in plans:
        assert sorted(np.concatenate(plan)) == list(range(200))
        assert all(lengths[rows].max() * len(rows) <= 120 for rows in plan)
    again = plan_token_epoch(lengths, batch_size=8, batch_tokens=120, epoch=2)
    assert all((first == second).all() for first, second in zip(again, plans[2], strict=True))
    padded = sum(lengths[rows][:, 1].max() * len(rows) for rows in plans[0])
    assert padded < 1.15 * lengths[:, 1].sum()


def test_rows_in_random_order_come_in_batches_of_a_size() -> None:
    plan = plan_token_epoch(LENGTHS, batch_size=4, by_length=False)
    assert [len(rows) for rows in plan] == [4, 2]


def test_a_batch_teaches_each_token_after_those_before_it() -> None:
    batches = TokenBatches(make_rows(), batch_size=6, start_token_id=7, pad_token_id=0, by_length=False)
    order = list(batches.plan(0)[0])
    batch = batches.make(0)
    row = order.index(3)
    assert batch["target_ids"][row].tolist() == [7, 20, 21, 22, 23]
    assert batch["labels"][row].tolist() == [20, 21, 22, 23, NO_LABEL]
    assert batch["token_ids"][row].tolist() == [10, 11, 12, 13, 0, 0, 0, 0, 0]
    assert batch["padding_mask"][row].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert batch["num_tokens"] == 19


def test_replicas_share_a_batch_and_know_its_tokens() -> None:
    options = {"batch_size": 4, "start_token_id": 7, "pad_token_id": 0, "seed": 2}
    whole = TokenBatches(make_rows(), **options)
    shared = TokenBatches(make_rows(), **options, num_replicas=2)
    for step in range(4):
        parts = [shared.make(step, replica) for replica in range(2)]
        assert {float(part["num_tokens"]) for part in parts} == {float(whole.make(step)["num_tokens"])}
        assert sum((part["labels"] >= 0).sum() for part in parts) == whole.make(step)["num_tokens"]


def test_a_replica_without_a_row_learns_nothing() -> None:
    batches = TokenBatches(make_rows(), batch_size=4, batch_tokens=5, start_token_id=7, pad_token_id=0, num_replicas=2)
    step = next(step for step, rows in enumerate(batches.plan(0)) if len(rows) == 1)
    assert (batches.make(step, 1)["labels"] == NO_LABEL).all()
    assert batches.make(step, 1)["padding_mask"].sum() > 0


def test_a_dataset_has_the_batches_from_a_step_on() -> None:
    batches = TokenBatches(make_rows(), batch_size=2, start_token_id=7, pad_token_id=0, num_replicas=2)
    found = list(batches.dataset(2, (0, 1)).take(3).as_numpy_iterator())
    for element, (step, replica) in zip(found, [(2, 0), (2, 1), (3, 0)], strict=True):
        for name, value in batches.make(step, replica).items():
            np.testing.assert_array_equal(element[name], value)


def test_rows_are_told_apart_by_their_fingerprint() -> None:
    rows = make_rows()
    other = TokenRows(rows.sources, [rows.targets[0] + 1, *rows.targets[1:]])
    assert rows.fingerprint == make_rows().fingerprint != other.fingerprint


def test_too_few_rows_and_tokens_are_errors() -> None:
    with pytest.raises(InputError, match="`batch_tokens` must be"):
        TokenBatches(make_rows(), batch_size=2, batch_tokens=0, start_token_id=7, pad_token_id=0)
    with pytest.raises(InputError, match="a row for each of 8 replica"):
        TokenBatches(make_rows(), batch_size=8, start_token_id=7, pad_token_id=0, num_replicas=8)
    assert pad_rows([], 0).shape == (0, 1)
