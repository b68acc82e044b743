"""Who is let in."""

import pytest

from tfchain.deployment.server.admission import Gate, OverloadedError, check_rows
from tfchain.deployment.server.status import StatusError


def test_the_gate_counts() -> None:
    gate = Gate(2)
    gate.enter()
    gate.enter()
    with pytest.raises(OverloadedError, match="2 requests are running or waiting"):
        gate.enter()
    gate.leave()
    gate.enter()


def test_a_request_with_too_many_rows_is_told_what_to_do() -> None:
    check_rows(3, 3)
    with pytest.raises(StatusError) as caught:
        check_rows(4, 3)
    assert str(caught.value) == (
        "INVALID_ARGUMENT: A request must have at most 3 rows. Received: 4. Send them in several requests, or start "
        "the server with a larger --max_request_rows."
    )
