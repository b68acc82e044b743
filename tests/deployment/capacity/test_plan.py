"""Plans made from a measurement that is written by hand."""

from dataclasses import replace
from typing import Any

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.arrivals import Burst
from tfchain.deployment.capacity.measurement import IndexPoint, Load
from tfchain.deployment.capacity.plan import Goal, make_plan


def test_a_plan_keeps_its_goal_with_one_replica_less() -> None:
    plan = make_plan(make_measurement(), Goal(qps=500, p99_ms=50, price_per_core_hour=0.04))

    assert plan.replicas == plan.needed + 1
    assert (plan.needed - 1) * plan.qps_per_replica < 500 <= plan.needed * plan.qps_per_replica
    assert plan.p99_ms < plan.p99_ms_with_failure <= 50 * 1.1
    assert plan.use == pytest.approx(500 / plan.replicas / 190)
    assert plan.use_with_failure == pytest.approx(500 / plan.needed / 190)
    assert plan.price_per_hour == pytest.approx(plan.replicas * 2 * 0.04)
    assert plan.price_per_month == pytest.approx(730 * plan.replicas * 2 * 0.04)
    assert plan.saturates_first.name == "cores"  # 190 requests of 10 ms a second are 1.9 of 2 cores


def test_bursts_need_more_replicas() -> None:
    goal = Goal(qps=500, p99_ms=50)

    steady, bursts = (
        make_plan(make_measurement(), goal),
        make_plan(make_measurement(), replace(goal, burst=Burst(3.0, seconds=0.2))),
    )

    assert 1.8 * steady.needed < bursts.needed <= 4 * steady.needed


def test_more_time_needs_fewer_replicas() -> None:
    assert (
        make_plan(make_measurement(), Goal(qps=1000, p99_ms=200)).needed
        < make_plan(make_measurement(), Goal(qps=1000, p99_ms=20)).needed
    )


def test_memory_follows_the_documents_files() -> None:
    """Files of 2 MB for 1,000 documents are 2,000 bytes each: 9,000 more take 18 MB."""
    plan = make_plan(make_measurement(index_mb=2.0), Goal(qps=1, p99_ms=200, documents=10_000))

    assert plan.memory.ready_mb == pytest.approx(318)
    assert plan.memory.limit_mb == pytest.approx(368)
    assert plan.memory.document_bytes == pytest.approx(2000)
    assert plan.memory.reload_mb == pytest.approx(318 + 368)
    assert any("10 times the largest index that was measured" in note for note in plan.notes)


def test_two_measured_sizes_say_what_a_document_takes() -> None:
    points = (IndexPoint(1000, 10.0, 10.0, 190.0, 10.5, 300.0), IndexPoint(3000, 14.0, 14.0, 150.0, 14.5, 310.0))

    plan = make_plan(make_measurement(index_points=points), Goal(qps=1, p99_ms=200, documents=5000))

    assert plan.memory.document_bytes == pytest.approx(5000)
    assert plan.memory.ready_mb == pytest.approx(320)


def test_a_goal_below_an_idle_servers_time_says_the_least_possible() -> None:
    with pytest.raises(InputError, match=r"99 of 100 requests take up to 12 ms on a server that does nothing else"):
        make_plan(make_measurement(), Goal(qps=1, p99_ms=11))


def test_too_many_documents_say_how_many_would_do() -> None:
    """0.002 ms a document: 20 million take 40 s; 50 ms allow (50 − 11.96) / 0.002 + 1,000 documents."""
    with pytest.raises(InputError, match=r"up to 40,0[01]. ms.*Received: p99_ms=50.*at most 20,0[12]. documents"):
        make_plan(make_measurement(), Goal(qps=500, p99_ms=50, documents=20_000_000))


def test_documents_that_do_not_fit_a_machine_are_refused() -> None:
    measurement = make_measurement(index_mb=2.0)

    with pytest.raises(InputError, match=r"needs 368 MB with 10,000 documents, more than a machine has"):
        make_plan(measurement, Goal(qps=1, p99_ms=200, documents=10_000, machine_memory_mb=360))


def test_memory_is_first_where_it_is_scarce() -> None:
    plan = make_plan(make_measurement(), Goal(qps=1, p99_ms=200, machine_memory_mb=400, network_mbit=1.0))

    assert [limit.name for limit in plan.limits] == ["memory", "network", "cores"]
    assert plan.saturates_first.share == pytest.approx(350 / 400)
    assert plan.limits[1].used == pytest.approx(2000 * 8 / 1e6)


def test_searches_that_take_more_of_the_processor_together_wait_for_memory() -> None:
    """The encoder takes 1.1 times the processor time with many clients, and the search of 1,000 documents 1.8 times."""
    points = (IndexPoint(0, 8.0, 8.0, 240.0, 8.8), IndexPoint(1000, 10.0, 10.0, 110.0, 18.0))

    plan = make_plan(make_measurement(index_points=points), Goal(qps=10, p99_ms=100))

    assert plan.saturates_first.name == "memory bandwidth"
    assert "takes 1.80 times the processor time" in plan.saturates_first.reason


def test_idle_cores_at_the_most_are_told() -> None:
    loads = (Load(1, 100.0, 10.0, 12.0, 5.0), Load(4, 190.0, 21.0, 30.0, 5.0))

    plan = make_plan(make_measurement(loads=loads, index_points=()), Goal(qps=10, p99_ms=100))

    assert plan.saturates_first.name == "the server's own threads"
    assert "it uses 0.95 of 2 cores" in plan.saturates_first.reason


def test_a_plan_is_plain_values() -> None:
    values = make_plan(make_measurement(), Goal(qps=50, p99_ms=50, spare=0)).to_json()

    assert values["saturates_first"] == "cores"
    assert values["replicas"] == values["needed"]
    assert values["goal"]["burst"]["factor"] == 1.0
    assert values["price_per_month"] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"qps": 0}, "`qps` must be a positive number. Received: qps=0"),
        ({"qps": True}, "`qps` must be a positive number"),
        ({"p99_ms": float("inf")}, "`p99_ms` must be a positive number"),
        ({"p99_ms": None}, "`p99_ms` must be a positive number"),
        ({"documents": 0}, "`documents` must be a whole number of at least 1"),
        ({"spare": -1}, "`spare` must be a whole number of at least 0"),
        ({"price_per_core_hour": -0.1}, "`price_per_core_hour` must be a positive number"),
    ],
)
def test_impossible_goals_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Goal(**{"qps": 1.0, "p99_ms": 50.0, **values})
