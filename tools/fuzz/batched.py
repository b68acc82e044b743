"""Requests of several clients at once, which share batches: each must get its own answer, whatever the others send."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tfchain.deployment.server.http.rest import Answer, RestApi
from tools.fuzz.outcomes import Fault

# No row of another shape: as in a stock server without padding, that fails the whole batch.
_BAD = (
    b'{"signature_name": "pair", "instances": [{"a": 1}]}',
    b'{"signature_name": "pair", "inputs": {"a": [1, 2, 3], "b": [1, 2]}}',
    b'{"inputs": 3}',
    b'{"instances": [1,',
    b'{"signature_name": "xla", "instances": [1]}',
    b'{"instances": [' + b"1, " * 20 + b"1]}",  # more rows than a batch may have
)


def make_round(random: Random, count: int) -> list[tuple[bytes, list[float] | None]]:
    """Makes bodies, and the predictions that they must get; None for a body that must be refused."""
    made: list[tuple[bytes, list[float] | None]] = []
    for _ in range(count):
        values = [float(random.randrange(-1000, 1000)) for _ in range(random.randint(1, 5))]
        kind = random.randrange(4)
        if kind == 0:
            made.append((random.choice(_BAD), None))
        elif kind == 1:
            rows = [{"a": value, "b": 1000.0} for value in values]
            body = json.dumps({"signature_name": "pair", "instances": rows}).encode()
            made.append((body, [value + 1000.0 for value in values]))
        else:
            made.append((json.dumps({"instances": values}).encode(), [0.5 * value + 2.0 for value in values]))
    return made


def check_round(
    api: RestApi,
    requests: list[tuple[bytes, list[float] | None]],
    threads: ThreadPoolExecutor,
    tell: Callable[[str], None],
) -> str:
    """Asks all at once, tells each answer's status, and returns the first one's.

    Raises:
        Fault: if a request got another answer than its own.
    """

    def ask(body: bytes) -> Answer:
        return api.answer("POST", "/v1/models/hpt:predict", {}, body)

    first = ""
    for (body, expected), answer in zip(requests, threads.map(ask, [body for body, _ in requests]), strict=True):
        document = json.loads(answer.body)
        if expected is None:
            if answer.status == 200 or (answer.status == 500 and "XLA" not in document["error"]):
                raise Fault(f"{answer.status} {document} for {body!r}")
        elif answer.status != 200 or document["predictions"] != expected:
            raise Fault(f"{answer.status} {document} for {body!r}")
        tell(str(answer.status))
        first = first or str(answer.status)
    return first
