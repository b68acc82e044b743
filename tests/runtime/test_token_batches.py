import threading

import numpy as np
import pytest

from tfchain.runtime.token_batches import encode_in_batches, make_batches, map_on_threads


def test_batches_put_similar_lengths_together_and_hold_each_row_once() -> None:
    lengths = np.array([5, 9, 1, 9, 4, 30])
    batches = [batch.tolist() for batch in make_batches(lengths, 3, 18)]
    assert batches == [[5], [1, 3], [0, 4, 2]]  # 30 tokens alone exceed 18; two of 9 fit; then at most three


def test_vectors_come_back_in_the_order_given_and_steps_are_told() -> None:
    token_ids = np.array([[3, 0, 0], [4, 5, 6], [7, 8, 0]], "int32")
    mask = (token_ids > 0).astype("int32")
    shapes, done = [], []

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        shapes.append(ids.shape)
        return np.stack([(ids * mask).sum(axis=1), mask.sum(axis=1)], axis=1).astype("float32")

    lengths = mask.sum(axis=1)
    vectors = encode_in_batches(
        run,
        lambda rows: (token_ids[rows, : lengths[rows].max()], mask[rows, : lengths[rows].max()]),
        lengths,
        batch_size=2,
        progress=done.append,
    )
    assert vectors is not None
    assert vectors.tolist() == [[3, 1], [15, 3], [15, 2]]
    assert shapes == [(2, 3), (1, 1)]
    assert done == [2, 1]
    assert encode_in_batches(run, lambda rows: (token_ids[rows], mask[rows]), lengths[:0]) is None


def test_steps_run_at_the_same_time_and_stop_when_one_fails() -> None:
    both = threading.Barrier(2, timeout=20)
    failed = threading.Event()
    done: list[int] = []

    def step(number: int) -> int:
        if number < 2:
            both.wait()  # neither goes on alone
        elif number == 3:
            raise OSError("no memory")
        elif number == 4:
            failed.wait(20)
        done.append(number)
        return 10 * number

    with map_on_threads(2) as run_all:
        assert list(run_all(step, [0, 1])) == [0, 10]
    threading.Timer(0.5, failed.set).start()
    with pytest.raises(OSError, match="no memory"), map_on_threads(1) as run_all:
        list(run_all(step, [2, 3, *[4] * 100]))
    assert done.count(4) <= 1  # the one that had begun
