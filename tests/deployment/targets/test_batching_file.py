"""Batching parameters from a measurement: made where batches are worth it, refused where they break something."""

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tests.deployment.targets.served_versions import make_served_version
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.measurement import BatchLatency
from tfchain.deployment.targets.batching_file import make_batching_file

# Four texts take twice the time of one: twice as many a second.
FLATTENING = (BatchLatency(1, 10.0, 12.0, 10.0), BatchLatency(4, 20.0, 24.0, 20.0))
LINEAR = (BatchLatency(1, 10.0, 12.0, 10.0), BatchLatency(4, 40.0, 48.0, 40.0))


def test_the_parameters_are_those_of_the_measured_sizes() -> None:
    text = make_batching_file(make_served_version(), make_measurement(batch_latencies=FLATTENING))

    assert "max_batch_size { value: 4 }" in text
    assert "allowed_batch_sizes: [1, 4]" in text


def test_batches_that_bring_nothing_are_left_out() -> None:
    assert make_batching_file(make_served_version(), make_measurement(batch_latencies=LINEAR)) == ""


def test_a_signature_that_batches_break_and_a_version_that_nobody_measured_are_refused() -> None:
    version = make_served_version(signatures={"search_filtered": ("MatMul",)})

    with pytest.raises(InputError, match="`batching` makes the signature 'search_filtered' of saved_models/docs"):
        make_batching_file(version, make_measurement())
    with pytest.raises(InputError, match="`batching` needs a measurement of saved_models/docs/3"):
        make_batching_file(make_served_version(), None)
