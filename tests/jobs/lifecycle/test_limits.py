"""Limits: hours and money, whichever is used up first."""

import pytest

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.limits import LimitReached, Limits


def test_what_is_left_is_the_smaller_of_time_and_money() -> None:
    # Two cores at 0.5 an hour cost 1 an hour: 3 in money are three hours.
    assert Limits(hours=2, cost=3, price_per_core_hour=0.5, cores=2).seconds_left(600) == 2 * 3600 - 600
    assert Limits(hours=4, cost=3, price_per_core_hour=0.5, cores=2).seconds_left(600) == pytest.approx(3 * 3600 - 600)
    assert Limits().seconds_left(1e9) == float("inf")
    assert Limits(price_per_core_hour=0.5, cores=2).to_cost(1800) == pytest.approx(0.5)


def test_nothing_left_says_what_was_used() -> None:
    limits = Limits(hours=2, cost=3, price_per_core_hour=0.5, cores=2)
    limits.check(7199)
    with pytest.raises(LimitReached, match=r"may use 2 hours and 3 in money. Received: 2 hours, 2 in money used"):
        limits.check(7200)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"hours": 0}, "`hours` must be above 0"), ({"cost": 3}, "`cost` needs `price_per_core_hour`")],
)
def test_limits_that_make_no_sense_are_errors(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Limits(**values)  # type: ignore[arg-type]
