"""Gives an encoder to the steps of a list that need one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from tfchain.data.steps.step import Step


def bind_encoder(steps: Sequence[Step], encode: Callable[[Sequence[str]], Any]) -> list[Step]:
    """Returns steps of which those that need an encoder and have none have this one.

    Args:
        steps: The steps, such as `make_steps` makes of a file. A class that needs an encoder has the attribute
            `needs_encoder = True` and the field `encode`, which its `settings()` leave out.
        encode: Takes texts, returns their vectors, `(n, dim)`.
    """
    bound: list[Step] = []
    for step in cast(Sequence[Any], steps):
        needs = getattr(step, "needs_encoder", False) and step.encode is None
        bound.append(replace(step, encode=encode) if needs else step)
    return bound
