"""The simulator against results of queueing theory that are worked out by hand."""

import math

import numpy as np
import pytest

from tfchain.deployment.capacity.arrivals import make_arrivals
from tfchain.deployment.capacity.simulation import find_quantile, simulate_batches, simulate_shared

COUNT = 60_000


def exponential(count: int, *, mean: float = 1.0) -> np.ndarray:
    return np.random.default_rng(7).exponential(mean, size=count)


def test_one_server_with_exponential_times_has_an_exponential_time_of_answers() -> None:
    """M/M/1 in the order of arrival: with λ = 0.7 and μ = 1, p99 = ln(100) / (1 − 0.7) = 15.35."""
    arrivals = make_arrivals(0.7, COUNT, seed=3)

    sojourns = simulate_batches(arrivals, exponential(COUNT) - 1, [1.0])

    assert find_quantile(sojourns, 0.99) == pytest.approx(math.log(100) / 0.3, rel=0.08)
    assert sojourns.mean() == pytest.approx(1 / 0.3, rel=0.05)


def test_constant_times_wait_half_as_long() -> None:
    """M/D/1: the mean wait is ρ / (2 (1 − ρ)) times the service time; with ρ = 0.8 that is 2, with the service 3."""
    arrivals = make_arrivals(0.8, COUNT, seed=3)

    assert simulate_batches(arrivals, np.zeros(COUNT), [1.0]).mean() == pytest.approx(3.0, rel=0.05)


def test_two_servers_wait_as_erlang_says() -> None:
    """M/M/2 with λ = 1.5 and μ = 1: Erlang's C is ρ² · 2 / (1 + ρ) = 9/14, the mean wait C / (2μ − λ) = 9/7."""
    arrivals = make_arrivals(1.5, COUNT, seed=3)

    sojourns = simulate_batches(arrivals, exponential(COUNT) - 1, [1.0], num_parallel=2)

    assert sojourns.mean() == pytest.approx(1 + 9 / 7, rel=0.06)


@pytest.mark.parametrize("kind", ["exponential", "constant"])
def test_a_shared_server_takes_the_same_mean_time_whatever_the_work(kind: str) -> None:
    """M/G/1 with processor sharing: the mean is E[S] / (1 − ρ) for every distribution; with ρ = 0.7 that is 3.33."""
    works = exponential(COUNT) if kind == "exponential" else np.ones(COUNT)

    sojourns = simulate_shared(make_arrivals(0.7, COUNT, seed=3), works, [1.0])

    assert sojourns.mean() == pytest.approx(1 / 0.3, rel=0.05)


def test_a_server_that_does_twice_as_much_with_two_has_the_population_of_two_servers() -> None:
    """Processor sharing over two cores, exponential work: the population of M/M/2, so with λ = 1.5 a mean of 16/7."""
    sojourns = simulate_shared(make_arrivals(1.5, COUNT, seed=3), exponential(COUNT), [1.0, 1.0])

    assert sojourns.mean() == pytest.approx(16 / 7, rel=0.06)


def test_a_request_alone_takes_its_own_time() -> None:
    arrivals = np.array([0.0, 10.0, 20.0])
    works = np.array([1.0, 2.0, 3.0])

    assert simulate_shared(arrivals, works, [1.0]).tolist() == [1.0, 2.0, 3.0]
    assert simulate_batches(arrivals, works - 1, [1.0]).tolist() == [1.0, 2.0, 3.0]


def test_two_requests_share_a_server() -> None:
    """From 0 to 1 the first one works alone; then both at half speed until it ends at 3, with the other half done."""
    sojourns = simulate_shared(np.array([0.0, 1.0]), np.array([2.0, 2.0]), [1.0])

    assert sojourns.tolist() == [3.0, 3.0]


def test_what_comes_while_a_batch_runs_is_the_next_one() -> None:
    """The first runs from 0 to 4; two of the three that came meanwhile run together until 9, the last until 13."""
    arrivals, extra = np.array([0.0, 1.0, 2.0, 3.0]), np.zeros(4)

    sojourns = simulate_batches(arrivals, extra, [4.0, 5.0])

    assert (sojourns + arrivals).tolist() == [4.0, 9.0, 9.0, 13.0]


def test_a_batch_waits_to_become_full_but_not_longer() -> None:
    """With a wait of 2, the first batch is full at 1 and ends at 6; the next one waits from 10 to 12, in vain."""
    arrivals = np.array([0.0, 1.0, 10.0])

    sojourns = simulate_batches(arrivals, np.zeros(3), [4.0, 5.0], max_wait=2.0)

    assert (sojourns + arrivals).tolist() == [6.0, 6.0, 16.0]


def test_a_request_that_finds_a_shared_server_idle_takes_longer() -> None:
    """The first needs 5 and has 4 left when the second comes, which needs 2: that ends at 5, the first at 7."""
    arrivals, works, rested = np.array([0.0, 1.0, 10.0]), np.full(3, 2.0), np.full(3, 5.0)

    assert simulate_shared(arrivals, works, [1.0], rested=rested).tolist() == [7.0, 4.0, 5.0]


def test_a_batch_that_finds_all_threads_idle_takes_longer() -> None:
    """The first wakes the server until 7; the second follows at once, until 11; the third wakes it again."""
    arrivals, extra, rested = np.array([0.0, 1.0, 20.0]), np.zeros(3), np.full(3, 3.0)

    one = simulate_batches(arrivals, extra, [4.0, 5.0], rested=rested)
    two = simulate_batches(arrivals, extra, [4.0, 5.0], num_parallel=2, rested=rested)

    assert (one + arrivals).tolist() == [7.0, 11.0, 27.0]
    assert (two + arrivals).tolist() == [7.0, 5.0, 27.0]
