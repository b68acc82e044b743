"""The steps that look at many records, as Beam transforms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.beam.exact_duplicates import FindExactDuplicates
from tfchain.data.beam.near_duplicates import FindNearDuplicates
from tfchain.data.deduplication.remove_exact_duplicates import RemoveExactDuplicates
from tfchain.data.deduplication.remove_near_duplicates import RemoveNearDuplicates
from tfchain.data.steps.step import Step


@dataclass(frozen=True)
class CorpusStep:
    """How a step that looks at many records runs on Beam.

    Args:
        make_finder: Makes, of the step and the number of partitions, the transform from blocks to the rows to drop.
        reason: The reason in the log.
    """

    make_finder: Callable[[Any, int], Any]
    reason: str


CORPUS_STEPS: dict[type[Step], CorpusStep] = {
    RemoveExactDuplicates: CorpusStep(FindExactDuplicates, "exact duplicate"),
    RemoveNearDuplicates: CorpusStep(FindNearDuplicates, "near-duplicate"),
}


def check_steps(steps: list[Step]) -> None:
    """Raises an InputError if a step can run only where all records pass in order."""
    for number, step in enumerate(steps):
        if not step.per_record and type(step) not in CORPUS_STEPS:
            known = ", ".join(sorted(kind.name for kind in CORPUS_STEPS))
            raise InputError(
                f"steps[{number}], {step.name}, looks at many records in their order, which Beam's workers do not see. "
                f"Expected steps that look at one record alone, or one of: {known}. Run it with `prepare` before, or "
                "leave it out.",
                argument="steps",
            )
