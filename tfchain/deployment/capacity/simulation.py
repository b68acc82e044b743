"""Simulates a server: requests that share it, or that it computes in batches, from arrivals to times of answers."""

import heapq
from collections.abc import Sequence

import numpy as np

WARM_SHARE = 0.1  # of the requests: the first ones find an empty server, and are not counted


def simulate_shared(
    arrivals: np.ndarray, works: np.ndarray, speeds: Sequence[float], *, rested: np.ndarray | None = None
) -> np.ndarray:
    """Simulates a server that works on all requests at the same time.

    That is what threads on a few cores do: each of n requests advances at the speed that is measured with n clients. In
    queueing theory it is processor sharing with a rate that depends on the load.

    Args:
        arrivals: The times of the requests, in ascending order, `(requests,)`.
        works: The time that each takes alone, `(requests,)`.
        speeds: How fast a request advances: with one request in the server, with two, and so on. With more than there
            are entries, the server does as much as with the last one, shared among all.
        rested: The time that each takes alone if it finds the server idle, `(requests,)`. Default: `works`.

    Returns:
        The time of each request from its arrival to its end, `(requests,)`.
    """
    last = len(speeds)
    total = last * speeds[-1]
    ends = np.empty(len(arrivals))
    running: list[tuple[float, int]] = []  # what a request must reach in the common progress, and its number
    progress = now = 0.0
    push, pop = heapq.heappush, heapq.heappop
    first = works if rested is None else rested
    for number, (arrival, work, alone) in enumerate(
        zip(arrivals.tolist(), works.tolist(), first.tolist(), strict=True)
    ):
        while running:
            count = len(running)
            speed = speeds[count - 1] if count <= last else total / count
            end = now + (running[0][0] - progress) / speed
            if end > arrival:
                progress += (arrival - now) * speed
                break
            progress, done = pop(running)
            ends[done] = now = end
        now = arrival
        push(running, (progress + (work if running else alone), number))
    while running:
        count = len(running)
        now += (running[0][0] - progress) / (speeds[count - 1] if count <= last else total / count)
        progress, done = pop(running)
        ends[done] = now
    return ends - arrivals


def simulate_batches(
    arrivals: np.ndarray,
    extra: np.ndarray,
    batch_times: Sequence[float],
    *,
    max_wait: float = 0.0,
    num_parallel: int = 1,
    rested: np.ndarray | None = None,
) -> np.ndarray:
    """Simulates a server that computes requests in batches: what has come while a batch ran is the next one.

    Args:
        arrivals: The times of the requests, in ascending order, `(requests,)`.
        extra: How much longer than usual the batch takes that a request is the first of, `(requests,)`; below 0 for
            shorter.
        batch_times: The time of a batch of one request, of two, and so on; the last entry is the largest batch.
        max_wait: How long a batch waits to become full, from its first request's arrival. Default: 0, not at all.
        num_parallel: Batches that run at the same time. Default: 1.
        rested: `extra` for a batch whose first request finds the server idle, `(requests,)`. Default: `extra`.

    Returns:
        The time of each request from its arrival to its end, `(requests,)`.
    """
    most = len(batch_times)
    times, longer = arrivals.tolist(), extra.tolist()
    longer_rested = longer if rested is None else rested.tolist()
    ends: list[float] = []
    free = [0.0] * num_parallel  # when each of the threads is free; a heap
    first = 0
    while first < len(times):
        is_idle = max(free) <= times[first]
        ready = heapq.heappop(free)
        begin = max(times[first], ready)
        full = first + most - 1
        fills_at = times[full] if full < len(times) else float("inf")
        begin = max(begin, min(times[first] + max_wait, fills_at))
        after = first + 1
        while after <= full and after < len(times) and times[after] <= begin:
            after += 1
        end = begin + max(0.0, batch_times[after - first - 1] + (longer_rested if is_idle else longer)[first])
        ends += [end] * (after - first)
        heapq.heappush(free, end)
        first = after
    return np.array(ends) - arrivals


def find_quantile(sojourns: np.ndarray, share: float) -> float:
    """Returns the time in which a share of the requests were answered, without the first ones."""
    return float(np.quantile(sojourns[int(WARM_SHARE * len(sojourns)) :], share))
