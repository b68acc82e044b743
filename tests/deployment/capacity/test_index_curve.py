"""Measurements of two sizes of an index become one curve."""

from typing import Any

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.index_curve import join_sizes
from tfchain.deployment.capacity.measurement import IndexPoint


def test_the_sizes_of_both_are_in_order() -> None:
    points = (IndexPoint(0, 8.5, 8.5, 230.0), IndexPoint(5000, 18.0, 18.0, 105.0, 18.5, 310.0))

    joined = join_sizes(make_measurement(), make_measurement(documents=5000, index_points=points))

    assert [point.documents for point in joined.index_points] == [0, 1000, 5000]
    assert joined.index_points[0].latency_ms == 8.0  # its own, not the other's
    assert joined.documents == 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": 5000, "engine": "litert"}, "the same engine. Received: 'native' and 'litert'"),
        ({"documents": 5000, "processor": "another"}, "the same processor"),
        ({"documents": 1000}, "must be different. Received: 1000 and 1000 documents"),
        ({"documents": None}, "must be different. Received: 1000 and None documents"),
    ],
)
def test_other_circumstances_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        join_sizes(make_measurement(), make_measurement(**changes))
