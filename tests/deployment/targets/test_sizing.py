"""The size of a server: from a measurement by hand, from what the user says, and without either."""

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tests.deployment.targets.served_versions import make_served_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.sizing import explain_measurement, find_measurement, size_server


def test_a_measured_version_is_sized_by_its_measurement() -> None:
    sizing = size_server(40_000_000, make_measurement(memory_mb=300.0, peak_memory_mb=500.0, start_seconds=30.0))

    assert (sizing.cpu, sizing.threads) == ("2", 2)
    # 1.2 x 300e6 bytes are 343.3 MiB, and 1.5 x 500e6 are 715.3: rounded up to 64 MiB.
    assert (sizing.memory_request, sizing.memory_limit) == ("384Mi", "768Mi")
    assert sizing.start_seconds == 120
    # 190 a second by two cores, of which 70 % are used.
    assert sizing.requests_per_second == 133
    assert sizing.is_measured


def test_other_processors_answer_in_proportion() -> None:
    assert size_server(1, make_measurement(), cpu="4").requests_per_second == 266
    assert size_server(1, make_measurement(), cpu="500m").requests_per_second == 33
    assert size_server(1, make_measurement(), cpu="500m").threads == 1
    # Without a load: 10 ms of a processor a request are 100 a second and core.
    assert size_server(1, make_measurement(loads=()), cpu="2").requests_per_second == 140


def test_the_users_memory_is_the_limit() -> None:
    sizing = size_server(1, make_measurement(), memory="256Mi")

    assert (sizing.memory_request, sizing.memory_limit) == ("256Mi", "256Mi")


def test_an_unmeasured_version_gets_room_by_its_size() -> None:
    sizing = size_server(100 * 2**20, None)

    assert (sizing.cpu, sizing.memory_request, sizing.memory_limit) == (
        "2",
        "1344Mi",
        "1344Mi",
    )  # 1,024 + 3 x 100, in 64s
    assert sizing.start_seconds == 300
    assert sizing.requests_per_second is None
    assert not sizing.is_measured


@pytest.mark.parametrize(
    ("measured_with", "server", "engine", "is_taken"),
    [
        ("tensorflow", "stock", "auto", True),
        ("native", "stock", "auto", False),  # a third of TensorFlow's memory: its limit would stop the server
        ("native", "own", "auto", True),
        ("native", "own", "tensorflow", False),
        ("tensorflow", "own", "auto", False),
        ("tensorflow", "own", "tensorflow", True),
        ("server at http://127.0.0.1:8501", "stock", "auto", True),
    ],
)
def test_a_measurement_counts_for_its_own_engine(measured_with: str, server: str, engine: str, is_taken: bool) -> None:
    measurement = make_measurement(engine=measured_with)
    version = make_served_version(engines=("tensorflow", "native"), measurement=measurement)

    assert find_measurement(version, server=server, engine=engine) == (measurement if is_taken else None)
    notes = explain_measurement(version, server=server, engine=engine)
    assert len(notes) == (0 if is_taken else 1)
    assert all(f"was measured with the engine {measured_with}, and" in note for note in notes)


def test_a_quantity_that_is_none_is_an_error() -> None:
    with pytest.raises(InputError, match="`cpu` must be a quantity"):
        size_server(1, None, cpu="many")
