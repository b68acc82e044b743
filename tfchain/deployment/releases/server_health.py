"""The health of a canary from the metrics of the embedded server."""

import http.client
import re
import urllib.request
from collections import defaultdict

from tfchain.core.errors import ServerError
from tfchain.deployment.releases.watch import CanaryHealth, VersionHealth

MOST_BYTES = 16 * 1024 * 1024
_SAMPLE = re.compile(r"tfchain_version_(?P<name>requests_total|seconds_bucket)\{(?P<labels>[^}]*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read_server_health(
    rest_url: str, model: str, *, live: int, canary: int, timeout_seconds: float = 10.0
) -> CanaryHealth:
    """Reads what the embedded server counted of two versions at `/metrics`.

    Args:
        rest_url: The server's REST address.
        model: The model's name.
        live: The live version.
        canary: The canary.
        timeout_seconds: The time limit. Default: 10.

    Raises:
        ServerError: if the server does not answer in time.
    """
    try:
        with urllib.request.urlopen(f"{rest_url.rstrip('/')}/metrics", timeout=timeout_seconds) as answer:
            text = answer.read(MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise ServerError(
            f"The server at {rest_url} does not show its metrics: {error}. Check the address, and that it is running."
        ) from error
    return parse_health(text, model, live=live, canary=canary)


def parse_health(text: str, model: str, *, live: int, canary: int) -> CanaryHealth:
    """Reads the health of two versions of a model from a page of metrics.

    Wrong requests count as errors, too: both versions get their share of them, and the watch compares the shares.
    """
    requests: dict[str, dict[str, int]] = defaultdict(dict)
    buckets: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for match in _SAMPLE.finditer(text):
        labels = dict(_LABEL.findall(match["labels"]))
        if labels.get("model") != model:
            continue
        if match["name"] == "requests_total":
            requests[labels["version"]][labels["status"]] = int(float(match["value"]))
        else:
            buckets[labels["version"]].append((float(labels["le"]), float(match["value"])))

    def describe(version: int) -> VersionHealth:
        counts = requests[str(version)]
        total = sum(counts.values())
        return VersionHealth(total, total - counts.get("OK", 0), find_percentile(buckets[str(version)], 0.95))

    return CanaryHealth(describe(live), describe(canary))


def find_percentile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """Returns the time below which a share of requests is, in milliseconds, interpolated within its bucket.

    Args:
        buckets: Upper bounds in seconds with the number of requests up to each.
        share: Such as 0.95.
    """
    ordered = sorted(buckets)
    if not ordered or not ordered[-1][1]:
        return None
    wanted, below, start = share * ordered[-1][1], 0.0, 0.0
    for bound, count in ordered:
        if count >= wanted:
            if bound == float("inf"):
                return start * 1000
            inside = (wanted - below) / (count - below) if count > below else 1.0
            return (start + (bound - start) * inside) * 1000
        below, start = count, bound
    return start * 1000
