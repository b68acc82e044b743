"""The model of a measured server: what more documents cost, and what many clients get."""

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.measurement import BatchLatency, IndexPoint, Load
from tfchain.deployment.capacity.server_model import find_largest_index, make_server_model


def test_the_measured_server_is_the_model() -> None:
    """Four clients get 1.9 times what one gets, two by the line between them 1.3 times."""
    model = make_server_model(make_measurement())

    assert model.works_ms == (9.0, 10.0, 12.0)
    assert model.max_per_second == 190.0
    assert model.least_p99_ms == pytest.approx(11.96)
    assert model.speeds == pytest.approx((1.0, 1.3 / 2, 1.6 / 3, 1.9 / 4), rel=0.05)


def test_documents_cost_what_the_curve_says() -> None:
    """1,000 documents add 2 ms to a latency of 8, so 6,000 add 12; 1/190 − 1/240 s a request grows alike."""
    model = make_server_model(make_measurement(), documents=6000)

    assert model.works_ms == pytest.approx((19.0, 20.0, 22.0))
    assert model.processor_ms == pytest.approx(20.0)
    assert 1 / model.max_per_second == pytest.approx(1 / 190 + 5 * (1 / 190 - 1 / 240))


def test_fewer_documents_cost_less() -> None:
    assert make_server_model(make_measurement(), documents=500).works_ms == pytest.approx((8.0, 9.0, 11.0))


def test_the_line_goes_through_the_last_two_sizes() -> None:
    points = (
        IndexPoint(0, 8.0, 8.0, 200.0),
        IndexPoint(1000, 10.0, 10.0, 190.0),
        IndexPoint(2000, 15.0, 15.0, 100.0),
    )

    model = make_server_model(make_measurement(index_points=points), documents=3000)

    assert model.works_ms == pytest.approx((19.0, 20.0, 22.0))


def test_one_size_says_nothing_of_others() -> None:
    measurement = make_measurement(index_points=(IndexPoint(1000, 10.0, 10.0, 190.0),))

    with pytest.raises(InputError, match="measurements of two sizes of the index.*measured with 1,000 documents alone"):
        make_server_model(measurement, documents=5000)


def test_a_cost_that_is_lost_in_the_noise_is_not_drawn_out() -> None:
    points = (IndexPoint(0, 10.1, 8.0, 200.0), IndexPoint(1000, 10.0, 10.0, 190.0))

    with pytest.raises(InputError, match="lost in the noise, and says nothing of 20,000,000"):
        make_server_model(make_measurement(index_points=points), documents=20_000_000)


@pytest.mark.parametrize("joins_requests", [False, True])
def test_a_request_that_finds_the_server_idle_takes_what_it_took_after_a_pause(*, joins_requests: bool) -> None:
    rested = make_measurement(rested_times_ms=(10.0, 15.0, 20.0), joins_requests=joins_requests)
    model = make_server_model(rested, documents=2000)  # 2 ms more

    assert model.rested_ms == pytest.approx((12.0, 17.0, 22.0))
    assert model.least_p99_ms == pytest.approx(21.9)
    assert model.find_p99(0.1) == pytest.approx(21.9, rel=0.05)


def test_a_measurement_without_service_times_is_refused() -> None:
    with pytest.raises(InputError, match="A plan needs service times and loads"):
        make_server_model(make_measurement(service_times_ms=()))


def test_the_largest_index_for_a_latency_follows_from_the_slope() -> None:
    """99 of 100 take 11.96 ms with 1,000 documents, and 0.002 ms more with each: 20 ms are reached with 5,020."""
    assert find_largest_index(make_measurement(), 20.0) == pytest.approx(5020, abs=1)
    assert find_largest_index(make_measurement(), 11.0) == pytest.approx(520, abs=10)
    assert find_largest_index(make_measurement(), 5.0) is None


def test_a_batch_takes_as_long_as_a_request_of_its_size_and_no_less_than_clients_got() -> None:
    """Three texts took no more than four, 20 ms; six no more than four and two, 36; and 160 a second are the most."""
    measurement = make_measurement(
        joins_requests=True,
        batch_latencies=(
            BatchLatency(1, 10.0, 12.0, 9.0),
            BatchLatency(2, 16.0, 25.0, 18.0),
            BatchLatency(3, 44.0, 45.0, 18.0),
            BatchLatency(4, 20.0, 33.0, 30.0),
            BatchLatency(6, 90.0, 95.0, 80.0),
        ),
        loads=(Load(1, 96.0, 10.0, 12.0, 9.0), Load(8, 160.0, 80.0, 90.0, 9.0)),
    )

    assert make_server_model(measurement).batch_times_ms == pytest.approx(
        (10.0, 16.0, 20.0, 25.0, 31.25, 37.5, 43.75, 50.0)
    )


def test_more_requests_take_longer_and_too_many_have_no_end() -> None:
    model = make_server_model(make_measurement())

    assert model.find_p99(0.1) == pytest.approx(model.least_p99_ms, rel=0.05)
    assert model.find_p99(100.0, count=5000) < model.find_p99(170.0, count=5000)
    assert model.find_p99(190.0) == float("inf")


def test_times_that_even_out_with_many_clients_mean_a_line() -> None:
    """Alone 99 of 100 take 1.96 times the median; eight clients, two at a time, wait for four: 1 + 0.96 / 2 = 1.48."""
    times = (8.0, 10.0, 20.0)
    in_line = (Load(1, 90.0, 10.0, 20.0, 9.0), Load(8, 160.0, 50.0, 75.0, 9.0))
    shared = (Load(1, 90.0, 10.0, 20.0, 9.0), Load(8, 160.0, 50.0, 95.0, 9.0))

    assert make_server_model(make_measurement(service_times_ms=times, loads=in_line)).num_parallel == 2
    assert make_server_model(make_measurement(service_times_ms=times, loads=shared)).num_parallel is None
