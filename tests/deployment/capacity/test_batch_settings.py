"""The settings of TensorFlow Serving's batching, from the times of requests of several texts."""

from tests.deployment.capacity.measurements import make_measurement
from tfchain.deployment.capacity.batch_settings import choose_batch_settings
from tfchain.deployment.capacity.measurement import BatchLatency


def make_latencies(**times: float) -> tuple[BatchLatency, ...]:
    return tuple(BatchLatency(int(size[1:]), time, 1.1 * time, time) for size, time in times.items())


def test_the_largest_batch_that_pays_and_is_quick_enough_is_chosen() -> None:
    """Eight texts in 20 ms are 400 a second; sixteen take 60 ms, which is slower, and 32 are beyond the goal."""
    measurement = make_measurement(
        batch_latencies=make_latencies(b1=10.0, b2=12.0, b4=15.0, b8=20.0, b16=60.0, b32=300.0)
    )

    settings = choose_batch_settings(measurement, 100.0)

    assert settings is not None
    assert settings.max_batch_size == 8
    assert settings.allowed_batch_sizes == (1, 2, 4, 8)
    assert settings.max_enqueued_batches == 5  # 100 ms are five batches of 20 ms
    assert 200 < settings.qps < 400
    assert settings.to_text() == (
        "max_batch_size { value: 8 }\nbatch_timeout_micros { value: 0 }\nnum_batch_threads { value: 1 }\n"
        "max_enqueued_batches { value: 5 }\nallowed_batch_sizes: [1, 2, 4, 8]\n"
    )


def test_a_batch_that_takes_as_long_as_its_texts_does_not_pay() -> None:
    measurement = make_measurement(batch_latencies=make_latencies(b1=10.0, b2=20.0, b4=40.0))

    assert choose_batch_settings(measurement, 100.0) is None
