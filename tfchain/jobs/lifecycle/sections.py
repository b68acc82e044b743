"""The sections of a life cycle's file as tables: which keys each has, and of which types."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.jobs.yaml_lines import Node, to_short


@dataclass(frozen=True)
class Key:
    """A key of a section.

    Args:
        kind: The type, as in annotations; `Path` for a path.
        needed: Whether the section must have it. Default: False.
        least: The smallest number. Default: any.
        most: The largest number. Default: any.
        exists: Whether a path must exist. Default: False.
    """

    kind: Any
    needed: bool = False
    least: float | None = None
    most: float | None = None
    exists: bool = False


MakePath = Callable[..., Path]  # PlanReader.to_path

DRIFT = {
    "window": Key(int, least=20),
    "stride": Key(int, least=1),
    "false_alarms": Key(float, least=0, most=1),
    "num_runs": Key(int, least=20),
}

SECTIONS: dict[str, dict[str, Any]] = {
    "feedback": {
        "query_log": Key(Path, needed=True),
        "min_clicks": Key(int, least=1),
        "min_relevance": Key(float, least=0, most=1),
        "evaluation_share": Key(float, least=0, most=1),
        "propensity": Key(Literal["auto", "em", "randomized", "power"]),
    },
    "trigger": {
        "query_log": Key(Path),
        "drift": DRIFT,
        "new_pairs": Key(int, least=1),
        "every_days": Key(float, least=0),
    },
    "tune": {
        "space": Key(dict, needed=True),
        "tuner": Key(Literal["random", "bayesian", "hyperband", "grid"]),
        "max_trials": Key(int, least=1),
        "objective": Key(str),
        "max_latency_ms": Key(float, least=0),
        "max_size_mb": Key(float, least=0),
        "seed": Key(int),
    },
    "compress": {
        "recipes": Key(list, needed=True),
        "keep": Key(str),
        "max_loss": Key(float, least=0, most=1),
    },
    "evaluate": {
        "dataset": Key(Path, needed=True, exists=True),
        "split": Key(str),
        "metrics": Key(list[str]),
        "least": Key(dict),
    },
    "export": {
        "top_k": Key(int, least=1),
        "signatures": Key(Literal["text", "ids"]),
    },
    "gate": {
        "dataset": Key(Path, exists=True),
        "metric": Key(str),
        "split": Key(str),
        "margin": Key(float, least=0, most=1),
        "alpha": Key(float, least=0, most=0.5),
        "rule": Key(Literal["margin", "strict"]),
        "max_latency_ms": Key(float, least=0),
        "max_size_mb": Key(float, least=0),
        "min_overlap": Key(float, least=0, most=1),
        "server": Key(str),
    },
    "canary": {
        "percent": Key(float, least=0, most=100),
        "minutes": Key(float, least=0),
        "every_seconds": Key(float, least=0),
        "server": Key(str),
        "canaries": Key(Path, exists=True),
        "min_recall": Key(float, least=0, most=1),
        "max_latency_ms": Key(float, least=0),
        "max_error_rate": Key(float, least=0, most=1),
        "max_latency_ratio": Key(float, least=1),
        "min_requests": Key(int, least=1),
    },
    "promote": {},
    "report": {"title": Key(str)},
}


def read_section(node: Node, keys: Mapping[str, Any], make_path: MakePath) -> dict[str, Any]:
    """Reads a section by its table.

    Args:
        node: The section.
        keys: A `Key` by name, or a table of such for a section within the section.
        make_path: Makes a node's path absolute.

    Returns:
        The values that the file gives; those of paths are absolute.

    Raises:
        InputError: names file and line of an unknown or missing key, or a value out of range.
    """
    found = node.entries([*keys], needed=[name for name, key in keys.items() if isinstance(key, Key) and key.needed])
    values: dict[str, Any] = {}
    for name, key in keys.items():
        if name not in found:
            # A section within the section that has no keys of its own is still a wish: `drift:`.
            if isinstance(key, dict) and isinstance(node.value, dict) and name in node.value:
                values[name] = {}
            continue
        inner = found[name]
        if isinstance(key, dict):
            values[name] = {} if inner.value is True else read_section(inner, key, make_path)
            continue
        values[name] = read_key(inner, key, make_path)
    return values


def read_key(node: Node, key: Key, make_path: MakePath) -> Any:
    """Reads a value of the type and in the range of its key."""
    if key.kind is Path:
        return make_path(node, must_exist=key.exists)
    value = node.read(key.kind)
    is_low = key.least is not None and value < key.least
    is_high = key.most is not None and value > key.most
    is_endless = isinstance(value, float) and math.isinf(value)
    if is_low or is_high or is_endless:
        lower = "" if key.least is None else f"at least {key.least:g}"
        upper = ("finite" if is_endless else "") if key.most is None else f"at most {key.most:g}"
        raise node.error(
            f"`{node.name}` must be {' and '.join(filter(None, (lower, upper)))}. Received: {to_short(value)}."
        )
    return value
