"""Checks the numbers of a life cycle's sections by the rules of what will use them, before anything runs."""

from collections.abc import Callable, Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.config import locate_value
from tfchain.jobs.yaml_lines import Node, is_of_type, to_short

GATE = ("margin", "alpha", "rule", "max_latency_ms", "max_size_mb", "min_overlap", "server")
HEALTH = ("max_error_rate", "max_latency_ratio", "min_requests")


def check_limits(sections: Mapping[str, Mapping[str, Any]], found: Mapping[str, Node]) -> None:
    """Checks the sections that have limits of their own.

    Args:
        sections: The values of the sections, as read.
        found: The nodes of the file by key.

    Raises:
        InputError: names file and line of a value that a step would refuse, hours later.
    """
    for name, check in CHECKS.items():
        if name in sections:
            node = found[name]
            inner = node.value if isinstance(node.value, dict) else {}
            try:
                check(sections[name])
            except InputError as error:
                raise locate_value(error, inner, node) from error


def make_drift_values(drift: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a `DriftConfig`: with a window and no stride, windows do not overlap."""
    values = dict(drift)
    if "window" in values:
        values.setdefault("stride", values["window"])
    return values


def _check_trigger(section: Mapping[str, Any]) -> None:
    from tfchain.monitoring.drift.config import DriftConfig

    try:
        DriftConfig(**make_drift_values(section.get("drift", {})))
    except InputError as error:
        raise InputError(str(error), argument="drift") from error


def _check_evaluate(section: Mapping[str, Any]) -> None:
    for metric, limit in section.get("least", {}).items():
        if not is_of_type(limit, float):
            raise InputError(
                f"`evaluate.least` must give a number for each metric. Received: {metric}: {to_short(limit)}.",
                argument="least",
            )


def _check_gate(section: Mapping[str, Any]) -> None:
    from tfchain.deployment.releases.limits import ReleaseLimits

    ReleaseLimits(**{name: section[name] for name in GATE if name in section})


def _check_canary(section: Mapping[str, Any]) -> None:
    from tfchain.deployment.releases.switch import check_percent
    from tfchain.deployment.releases.watch import CanaryLimits as HealthLimits
    from tfchain.monitoring.canaries.check import CanaryLimits

    check_percent("percent", section.get("percent", 10.0))
    HealthLimits(**{name: section[name] for name in HEALTH if name in section})
    CanaryLimits(recall=section.get("min_recall", 1.0), latency_ms=section.get("max_latency_ms"))


CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "trigger": _check_trigger,
    "evaluate": _check_evaluate,
    "gate": _check_gate,
    "canary": _check_canary,
}
