"""The search space: ranges and choices by name, or a plain function of KerasTuner's `hp`."""

import copy
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HYPERPARAMETER_NAMES
from tfchain.optimization.tuning.trial_values import check_name, check_value

Sampling = Literal["linear", "log", "reverse_log"]
RANGE_KEYS = ("min", "max", "step", "sampling")


@dataclass(frozen=True)
class Range:
    """The numbers from `min` to `max`, both included; whole numbers if both are.

    Args:
        min: The smallest number.
        max: The largest number, not below `min`.
        step: The distance between neighbours; with `log` sampling their ratio, above 1. Default: any number in between;
            a grid then takes ten of them, evenly spread (with linear sampling of whole numbers, all).
        sampling: `linear`: all parts of the range alike; `log`: every order of magnitude alike, which suits learning
            rates; `reverse_log`: like `log`, dense at the other end. Default: `linear`.

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
                f"`step` of a range of whole numbers must be whole, too. Received: step={self.step}. Write "
                f"min={self.min:.1f} for a range of fractions."
            )
        if self.step is not None:
            widest = self.max - self.min if self.sampling == "linear" else self.max / self.min
            if self.step > widest:
                raise InputError(
                    f"`step` of a range must not be above its width, {widest:g} with sampling={self.sampling!r}. "
                    f"Received: min={self.min}, max={self.max}, step={self.step}. A tuple is a range: write a list for "
                    "choices."
                )

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole numbers."""
        return isinstance(self.min, int) and isinstance(self.max, int)


Choices = list[Any]
Space = Mapping[str, Any] | Callable[[Any], Mapping[str, Any] | None]


class SearchSpace:
    """A checked space: what KerasTuner searches, and the values that a trial runs with.

    Args:
        space: A dict from names to lists (choices) and ranges (`Range`, a tuple of its arguments, or a dict of them);
            or a function of KerasTuner's `HyperParameters`, which returns the values by name, or None to use those that
            it asked `hp` for.

    Attributes:
        hp: What KerasTuner searches.
        names: The names that trials may set.
        always: The names that each trial sets, whatever the conditions.

    Raises:
        InputError: if it is empty, names an unknown hyperparameter, has a choice twice, or a value is out of its range.
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
        self._seen: list[dict[str, Any]] = []  # the values of each call while the space is explored
        self.hp = self._explore()
        self._try_choices()
        self.names = tuple(dict.fromkeys(name for values in self._seen for name in values))
        if not self.hp.space or not self.names:
            raise InputError(
                "`space` must hold at least one hyperparameter. Received: none. Name one, such as learning_rate."
            )
        for parameter in self.hp.space:
            choices = to_alternatives(parameter)
            if len(set(choices)) < len(choices):
                raise InputError(
                    f"`{parameter.name}` of the space must not have a choice twice (1 and 1.0 are one). "
                    f"Received: {choices!r:.100}."
                )
        self.always = tuple(
            name
            for name in self.names
            if all(name in values for values in self._seen) and not (name == "loss" and None in self.choices(name))
        )

    def values(self, hp: Any) -> dict[str, Any]:
        """Returns the values of a trial by name.

        Args:
            hp: The trial's `HyperParameters` of KerasTuner.

        Raises:
            InputError: if a value is out of its range.
        """
        asked: dict[str, Any] = {}
        idle: set[str] = set()
        retrieve = hp._retrieve

        def note(parameter: Any) -> Any:
            value = retrieve(parameter)
            if hp.is_active(parameter):
                asked[parameter.name] = value
            else:
                idle.add(parameter.name)
            return value

        hp._retrieve = note  # `hp.values` also holds those of other branches
        try:
            given = self.function(hp)
        finally:
            del hp._retrieve
        if given is not None and not isinstance(given, Mapping):
            raise InputError(
                "The function of the space must give a dict of values by name, or None. "
                f"Received: {type(given).__name__}."
            )
        if given is None:
            given = asked
        values = {}
        for name, value in given.items():
            check_name(name)
            # KerasTuner gives None for what a condition leaves out; a None of the function's own is a value.
            if value is None and (name not in HYPERPARAMETER_NAMES or name in idle - set(asked)):
                continue
            values[name] = from_choice(to_plain(name, value))
            check_value(name, values[name])
        return values

    def choices(self, name: str) -> list[Any]:
        """All choices of a name, or what the function returned for it during exploration; none for a range."""
        asked = [parameter for parameter in self.hp.space if parameter.name == name]
        if not asked:
            found = [values[name] for values in self._seen if name in values]
            return [value for place, value in enumerate(found) if value not in found[:place]]
        return [from_choice(value) for parameter in asked for value in to_alternatives(parameter)]

    def describe(self) -> list[Any]:
        """Plain values that distinguish one space from another: what `hp` was asked for."""
        described: list[Any] = json.loads(json.dumps(self.hp.get_config()["space"]))
        return described

    def _try_choices(self) -> None:
        """Calls the function once with each choice, for values that it computes or asks for after a plain `if`."""
        for parameter in list(self.hp.space):
            for value in to_alternatives(parameter):
                asked = self.hp.copy()
                asked.values[parameter.name] = value
                for condition in parameter.conditions:
                    asked.values[condition.name] = condition.values[0]
                asked.ensure_active_values()
                self._seen.append(self.values(asked))
                self.hp.merge([new for new in asked.space if not self.hp._exists(new.name, new.conditions)])

    def _explore(self) -> Any:
        """Calls the function until every condition has been true once, as KerasTuner does with a hypermodel."""
        import keras_tuner

        space = keras_tuner.HyperParameters()
        asked = space.copy()
        seen: list[Any] = []
        while True:
            self._seen.append(self.values(asked))
            space.merge(
                [parameter for parameter in asked.space if not space._exists(parameter.name, parameter.conditions)]
            )
            seen += [copy.deepcopy(scope) for scope in asked.active_scopes if scope not in seen]
            never = [scope for scope in asked.inactive_scopes if scope not in seen]
            if not never:
                return space
            seen.append(copy.deepcopy(never[0]))  # tried once, whether or not the function reaches it
            asked = space.copy()
            for condition in seen[-1]:
                asked.values[condition.name] = condition.values[0]
            asked.ensure_active_values()


def to_entry(name: str, values: Any) -> Range | Choices:
    """Reads one entry of a dict: choices or a range, each value checked.

    Raises:
        InputError: if it is neither, has no choices, or a value is out of its range.
    """
    if not isinstance(values, Range):
        values = to_plain(name, values)
    if isinstance(values, Mapping) and {"min", "max"} <= set(values) <= set(RANGE_KEYS):
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


def to_alternatives(hyperparameter: Any) -> list[Any]:
    """Returns the alternatives of one of KerasTuner's hyperparameters; none for a range."""
    from keras_tuner.engine import hyperparameters as kinds

    if isinstance(hyperparameter, kinds.Choice):
        return list(hyperparameter.values)
    if isinstance(hyperparameter, kinds.Boolean):
        return [False, True]
    return [hyperparameter.value] if isinstance(hyperparameter, kinds.Fixed) else []


def to_plain(name: str, value: Any) -> Any:
    """Converts NumPy's numbers and arrays to Python's.

    Raises:
        InputError: if JSON cannot hold it.
    """
    plain = _without_numpy(value)
    try:
        json.dumps(plain)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`{name}` of the space must hold numbers, words and lists or dicts of them. Received: {value!r:.100}. "
            "Give losses as names or dicts: {'name': 'triplet', 'margin': 1.0}."
        ) from error
    return plain


def to_choices(values: Choices) -> list[Any]:
    """Converts choices to what KerasTuner takes: all of one plain type; others are written as JSON.

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
    """Converts a choice back: JSON is read, other words are left unchanged.

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


def _without_numpy(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _without_numpy(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_numpy(inner) for inner in value)
    return value


def _make_range(name: str, values: Mapping[str, Any]) -> Range:
    try:
        return Range(**values)
    except InputError as error:
        raise InputError(f"`{name}` of the space: {error}") from error


def _no_entry(name: str, values: Any) -> InputError:
    return InputError(
        f"`{name}` of the space must be a list of choices, or a range: Range(min, max), with step and sampling, or a "
        f"tuple of these. Received: {values!r:.100}."
    )
