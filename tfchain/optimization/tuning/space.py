"""The space that is searched: ranges and choices by name, or a plain function of KerasTuner's `hp`."""

import copy
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.optimization.tuning.setting import check_name, check_value

Sampling = Literal["linear", "log", "reverse_log"]
RANGE_KEYS = ("min", "max", "step", "sampling")


@dataclass(frozen=True)
class Range:
    """The numbers from `min` to `max`, both included; whole numbers where both are.

    Args:
        min: The smallest.
        max: The largest, not below `min`.
        step: The distance of two neighbours; with `log` sampling their quotient, above 1. Default: any number between;
            the grid then takes ten of them, evenly spread (of whole numbers on a line, all).
        sampling: `linear`: all parts of the range alike; `log`: every order of magnitude alike, which suits learning
            rates; `reverse_log`: as `log`, dense at the other end. Default: `linear`.

    Raises:
        InputError: if a value is out of range.
    """

    min: float
    max: float
    step: float | None = None
    sampling: Sampling = "linear"

    def __post_init__(self) -> None:
        for name in ("min", "max", "step"):
            value = getattr(self, name)
            if value is None and name == "step":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"`{name}` of a range must be a finite number. Received: {name}={value!r}.")
        if self.sampling not in get_args(Sampling):
            raise InputError(
                f"`sampling` of a range must be one of {', '.join(get_args(Sampling))}. "
                f"Received: sampling={self.sampling!r}."
            )
        if self.min > self.max:
            raise InputError(
                f"`min` of a range must not be above `max`. Received: min={self.min}, max={self.max}. Swap them."
            )
        if self.sampling != "linear" and self.min <= 0:
            raise InputError(
                f"`min` of a range must be above 0 with sampling={self.sampling!r}. Received: min={self.min}."
            )
        least = 0 if self.sampling == "linear" else 1
        if self.step is not None and self.step <= least:
            raise InputError(
                f"`step` of a range must be above {least} with sampling={self.sampling!r}. Received: step={self.step}."
            )
        if self.is_whole and self.step is not None and not isinstance(self.step, int):
            raise InputError(
                f"`step` of a range of whole numbers must be one. Received: step={self.step}. Write min={self.min:.1f} "
                "for a range of fractions."
            )

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return isinstance(self.min, int) and isinstance(self.max, int)


Choices = list[Any]
Space = Mapping[str, Any] | Callable[[Any], Mapping[str, Any] | None]


class SearchSpace:
    """A space that was checked: what KerasTuner searches, and the values that a trial is run with.

    Args:
        space: A dict from names to lists (choices) and ranges (`Range`, a tuple of its arguments, or a dict of them);
            or a function of KerasTuner's `HyperParameters`, which gives the values by name, or None for those that
            it asked `hp` for.

    Raises:
        InputError: if it is empty, names no hyperparameter, or a value is out of its range.
    """

    def __init__(self, space: Space) -> None:
        self.function: Callable[[Any], Mapping[str, Any] | None]
        if isinstance(space, Mapping):
            entries = {check_name(name): to_entry(name, values) for name, values in space.items()}
            self.function = lambda hp: declare(hp, entries)
        elif callable(space):
            self.function = space
        else:
            raise InputError(
                "`space` must be a dict of names and their values, or a function of hp. "
                f"Received: {type(space).__name__}. Write space={{'learning_rate': Range(1e-5, 1e-4)}}."
            )
        self.hp, self.names = self._explore()
        if not self.hp.space or not self.names:
            raise InputError(
                "`space` must hold at least one hyperparameter. Received: none. Name one, learning_rate say."
            )

    def values(self, hp: Any) -> dict[str, Any]:
        """The values of a trial by name.

        Args:
            hp: KerasTuner's `HyperParameters` of the trial.

        Raises:
            InputError: if a value is out of its range.
        """
        given = self.function(hp)
        if given is not None and not isinstance(given, Mapping):
            raise InputError(
                "The function of the space must give a dict of values by name, or None. "
                f"Received: {type(given).__name__}."
            )
        if given is None:
            given = {name: value for name, value in hp.values.items() if not name.startswith("tuner/")}
        values = {check_name(name): from_choice(value) for name, value in given.items() if value is not None}
        for name, value in values.items():
            check_value(name, value)
        return values

    def choices(self, name: str) -> list[Any]:
        """All choices of a name; none where `hp` was not asked for it, or for a range."""
        found = [one.values for one in self.hp.space if one.name == name and hasattr(one, "ordered")]
        return [from_choice(value) for values in found for value in values]

    def describe(self) -> list[Any]:
        """Plain values that tell one space from another: what `hp` was asked for."""
        described: list[Any] = json.loads(json.dumps(self.hp.get_config()["space"]))
        return described

    def _explore(self) -> tuple[Any, tuple[str, ...]]:
        """Calls the function until every condition has been true once, as KerasTuner does with a hypermodel."""
        import keras_tuner

        space = keras_tuner.HyperParameters()
        names: dict[str, None] = {}
        asked = space.copy()
        seen: list[Any] = []
        while True:
            names |= dict.fromkeys(self.values(asked))
            space.merge([one for one in asked.space if not space._exists(one.name, one.conditions)])
            seen += [copy.deepcopy(one) for one in asked.active_scopes if one not in seen]
            never = [one for one in asked.inactive_scopes if one not in seen]
            if not never:
                return space, tuple(names)
            seen.append(copy.deepcopy(never[0]))  # asked for once, whether or not the function then comes by
            asked = space.copy()
            for condition in seen[-1]:
                asked.values[condition.name] = condition.values[0]
            asked.ensure_active_values()


def to_entry(name: str, values: Any) -> Range | Choices:
    """One entry of a dict: choices or a range, each value checked.

    Raises:
        InputError: if it is neither, there is no choice, or a value is out of its range.
    """
    if isinstance(values, Mapping) and values and set(values) <= set(RANGE_KEYS):
        values = _make_range(name, values)
    elif isinstance(values, tuple):
        if not 2 <= len(values) <= len(RANGE_KEYS):
            raise _no_entry(name, values)
        values = _make_range(name, dict(zip(RANGE_KEYS, values, strict=False)))
    if isinstance(values, Range):
        check_value(name, values.min)
        check_value(name, values.max)
        return values
    if not isinstance(values, list):
        raise _no_entry(name, values)
    if not values:
        raise InputError(f"`{name}` of the space must have at least one choice. Received: none.")
    for value in values:
        check_value(name, value)
    return values


def declare(hp: Any, entries: Mapping[str, Range | Choices]) -> Mapping[str, Any]:
    """Asks `hp` for each entry."""
    for name, entry in entries.items():
        if isinstance(entry, Range):
            make = hp.Int if entry.is_whole else hp.Float
            make(name, entry.min, entry.max, step=entry.step, sampling=entry.sampling)
        else:
            hp.Choice(name, to_choices(entry))
    return {name: value for name, value in hp.values.items() if name in entries}


def to_choices(values: Choices) -> list[Any]:
    """Choices as KerasTuner takes them: all of one plain type; others are written as JSON.

    Example:
        >>> to_choices([1, 0.5]), to_choices([None, 8]), to_choices([[64, 32], []])
        ([1.0, 0.5], ['null', '8'], ['[64, 32]', '[]'])
    """
    kinds = {type(value) for value in values}
    if kinds <= {int, float}:
        return values if len(kinds) == 1 else [float(value) for value in values]
    if kinds == {str}:
        return values
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def from_choice(value: Any) -> Any:
    """What a choice stands for: JSON is read, other words are left as they are.

    Example:
        >>> from_choice("null"), from_choice("[64, 32]"), from_choice("mean"), from_choice(8)
        (None, [64, 32], 'mean', 8)
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _make_range(name: str, values: Mapping[str, Any]) -> Range:
    try:
        return Range(**values)
    except (InputError, TypeError) as error:
        raise InputError(f"`{name}` of the space: {error}") from error


def _no_entry(name: str, values: Any) -> InputError:
    return InputError(
        f"`{name}` of the space must be a list of choices, or a range: Range(min, max), with step and sampling, or a "
        f"tuple of these. Received: {values!r:.100}."
    )
