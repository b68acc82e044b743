"""`Record`: what is written down of a step in a cycle: start, end, inputs, outputs, cost."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.step import Result

Status = Literal["running", "done", "unchanged", "passed", "waiting", "failed", "limit"]
ENDED: frozenset[Status] = frozenset({"done", "unchanged", "passed"})  # the cycle goes on behind these


@dataclass(frozen=True, kw_only=True)
class Record:
    """A step in a cycle.

    Args:
        step: The step's name.
        cycle: The cycle's number.
        status: `running` (or killed while it ran), `done`, `unchanged` (it kept an earlier cycle's result), `passed`
            (a step before it stopped the cycle), `waiting` for approval, `failed`, or `limit` (a limit stopped it).
        key: The hash of all that decides what it makes.
        own_key: The same without files from outside.
        started: When the first attempt began, as ISO 8601 in UTC; None if none did.
        ended: When it ended; None while it runs.
        seconds: How long all attempts of this cycle took together.
        cost: What that cost, in the currency of `limits.price_per_core_hour`; None without a price.
        attempts: How often it began in this cycle.
        inputs: Its files from outside, by name.
        result: What it left; None until it has ended.
        reason: Why it waits, failed, was passed over or stopped; empty if there is nothing to say.
        made_in: The cycle that made the result; None without a result.
    """

    step: str
    cycle: int
    status: Status
    key: str = ""
    own_key: str = ""
    started: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    cost: float | None = None
    attempts: int = 0
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    result: Result | None = None
    reason: str = ""
    made_in: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["inputs"] = dict(self.inputs)
        if self.result is not None:
            values["result"] = {
                "paths": {name: str(path) for name, path in self.result.paths.items()},
                "values": dict(self.result.values),
                "facts": dict(self.result.facts),
                "stop": self.result.stop,
                "fingerprint": self.result.fingerprint,
            }
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any], source: Path) -> Self:
        """Reads what `to_json` gave.

        Raises:
            InputError: if the values are not a record's, with the file's name.
        """
        try:
            plain = dict(values)
            if plain["status"] not in get_args(Status):
                raise ValueError(f"status {plain['status']!r}")
            result = plain.get("result")
            if result is not None:
                paths = {name: Path(path) for name, path in result["paths"].items()}
                plain["result"] = Result(**{**result, "paths": paths})
            return cls(**plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source} is not the record of a step: {error}. Received: {values!s:.80}. Delete the file, and the "
                "step runs again."
            ) from error

    @property
    def has_ended(self) -> bool:
        """Whether the steps after it may run, or be passed over."""
        return self.status in ENDED
