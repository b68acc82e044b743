"""Which version of a base path is live, on trial or shadowed: `releases.json` beside the version folders."""

import contextlib
import dataclasses
import datetime
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_json
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.file_lock import file_lock
from tfchain.deployment.repository import list_versions

RELEASES = "releases.json"  # in a base path; TensorFlow Serving ignores what is not a number
_LOCK = ".releases.lock"
_LOCK_SECONDS = 10.0
MOST_EVENTS = 200
MOST_PREVIOUS = 20


@dataclass(frozen=True)
class ReleaseEvent:
    """One change of a base path's releases.

    Args:
        at: When, in UTC, such as `2026-11-30T00:12:05+00:00`.
        action: `promote`, `roll back`, `canary`, `shadow`, `stop shadow`, `prune`.
        version: The version it is about.
        reason: Why, in words. Default: empty.
    """

    at: str
    action: str
    version: int | None
    reason: str = ""


@dataclass(frozen=True)
class ReleaseState:
    """What a base path serves.

    Args:
        live: The version that requests without a version get; None as long as nothing was promoted: then the highest.
        canary: The version on trial. Default: none.
        canary_percent: The share of requests without a version that it gets, from 0 to 100. Default: 0.
        shadow: The version that answers copies of requests, which nobody sees. Default: none.
        shadow_percent: The share of requests that is copied. Default: 0.
        previous: The versions that were live before, the last one first.
        history: The changes, oldest first; the last 200.
    """

    live: int | None = None
    canary: int | None = None
    canary_percent: float = 0.0
    shadow: int | None = None
    shadow_percent: float = 0.0
    previous: tuple[int, ...] = ()
    history: tuple[ReleaseEvent, ...] = ()

    @property
    def served(self) -> frozenset[int]:
        """The versions that a server must have loaded."""
        return frozenset(version for version in (self.live, self.canary, self.shadow) if version is not None)

    def after(self, action: str, version: int | None, reason: str = "", **changes: Any) -> "ReleaseState":
        """Returns the state after a change, which the history records."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        history = (*self.history, ReleaseEvent(at, action, version, reason))[-MOST_EVENTS:]
        changed = dataclasses.replace(self, **changes, history=history)
        return dataclasses.replace(changed, previous=changed.previous[:MOST_PREVIOUS])


def read_state(base_path: Path | str) -> ReleaseState:
    """Reads a base path's releases; the state of a path without `releases.json` is empty.

    Raises:
        InputError: if the file is damaged.
    """
    file = Path(base_path) / RELEASES
    try:
        return parse_state(json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return ReleaseState()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{file} must be what `tfchain promote` wrote. Received: a file that cannot be read ({error}). "
            "Restore it, or remove it: the highest version is live then."
        ) from error


def parse_state(values: Any) -> ReleaseState:
    """Makes a state of the plain values in `releases.json`.

    Raises:
        ValueError: if a value is not what it should be; or TypeError, KeyError, AttributeError.
    """
    versions = {name: _to_version(values.get(name)) for name in ("live", "canary", "shadow")}
    percents = {name: _to_percent(values.get(name, 0)) for name in ("canary_percent", "shadow_percent")}
    previous = tuple(version for item in values["previous"] if (version := _to_version(item)) is not None)
    events = tuple(
        ReleaseEvent(str(event["at"]), str(event["action"]), _to_version(event["version"]), str(event["reason"]))
        for event in values["history"]
    )
    return ReleaseState(
        live=versions["live"],
        canary=versions["canary"],
        canary_percent=percents["canary_percent"],
        shadow=versions["shadow"],
        shadow_percent=percents["shadow_percent"],
        previous=previous,
        history=events,
    )


@contextlib.contextmanager
def changing_state(base_path: Path | str) -> Iterator[Callable[[ReleaseState], None]]:
    """Holds the lock of a base path's releases while the block runs, and gives the function that writes a new state.

    The write is one rename: a process killed at any moment leaves the old state or the new one.

    Raises:
        InputError: if the base path is not a folder.
        TfchainError: if another process holds the lock for ten seconds, or the state cannot be written.
    """
    base_path = Path(base_path)
    list_versions(base_path)  # raises for what is not a folder
    taken = TfchainError(f"Another process is changing the releases of {base_path}. Nothing was changed. Try again.")
    with file_lock(base_path / _LOCK, taken=taken, wait_seconds=_LOCK_SECONDS):
        yield lambda state: _write_state(base_path, state)


def find_live(base_path: Path | str) -> int | None:
    """Returns the live version: the promoted one, or the highest if none was promoted; None without versions.

    Raises:
        InputError: if the base path cannot be listed, or its `releases.json` is damaged.
    """
    versions = list_versions(base_path)
    live = read_state(base_path).live
    return live if live is not None else max(versions, default=None)


def find_taken_back(state: ReleaseState) -> dict[int, ReleaseEvent]:
    """Finds the versions that were taken back, as a canary or after they were live, and were not put up again.

    Args:
        state: The state, of whose history this follows.

    Returns:
        The versions, each with the event that took it back.
    """
    live = canary = None
    taken: dict[int | None, ReleaseEvent] = {}
    for event in state.history:
        if event.action == "roll back":
            is_canary = event.version == canary  # otherwise the live one goes, and the event's comes back
            taken[canary if is_canary else live] = event
            live, canary = live if is_canary else event.version, None
            taken.pop(live, None)
        elif event.action in ("canary", "promote"):
            live, canary = (live, event.version) if event.action == "canary" else (event.version, None)
            taken.pop(event.version, None)
    return {version: event for version, event in taken.items() if version is not None}


def _write_state(base_path: Path, state: ReleaseState) -> None:
    write_json(base_path / RELEASES, dataclasses.asdict(state))


def _to_version(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{value!r} is not a version")
    return value


def _to_percent(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100 or math.isnan(value):
        raise ValueError(f"{value!r} is not a percentage")
    return float(value)
