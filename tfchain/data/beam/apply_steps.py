"""All steps of a preparation, as one Beam transform from blocks to blocks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from tfchain.data.beam.corpus_steps import CORPUS_STEPS
from tfchain.data.beam.drop_rows import DropRows
from tfchain.data.beam.run_steps import ENTRIES, LOGS, RunSteps
from tfchain.data.steps.step import Step

PARTITIONS = 64

LoadCallables = Callable[[], Mapping[str, Callable[..., Any]]]


@dataclass(frozen=True)
class Applied:
    """What steps make of blocks.

    Args:
        blocks: The blocks that are left.
        logs: A `BlockLog` for each step and block; empty if there are no steps.
        entries: `(block, step, entries)` for the side file.
    """

    blocks: Any
    logs: list[Any]
    entries: list[Any]


def apply_steps(
    blocks: Any,
    steps: Sequence[Step],
    *,
    load_callables: LoadCallables | None = None,
    with_entries: bool = False,
    partitions: int = PARTITIONS,
) -> Applied:
    """Applies steps to blocks: neighbours that look at one record alone in one go, others across the whole corpus.

    Args:
        blocks: A PCollection of `Block`s.
        steps: The steps.
        load_callables: Returns what steps need of a model, by name; called once in each worker. Default: the steps have
            what they need.
        with_entries: Whether to return an entry for each record that a step drops or changes. Default: False.
        partitions: Among how many groups the keys of duplicates are dealt; a worker holds one group at a time, at a
            near-duplicate's 1.4 kB a record. Default: 64, enough for 10 million records.
    """
    logs, entries = [], []
    for first, group in group_steps(steps):
        label = f"{first} {' '.join(step.name for step in group)}"
        form = CORPUS_STEPS.get(type(group[0]))
        if form is None:
            found = blocks | label >> beam.ParDo(
                RunSteps(group, first, load_callables=load_callables, with_entries=with_entries)
            ).with_outputs(LOGS, ENTRIES, main="blocks")
        else:
            keyed = blocks | f"{label}: by number" >> beam.Map(lambda block: (block.number, block))
            drops = blocks | f"{label}: find" >> form.make_finder(group[0], partitions)
            found = (
                {"blocks": keyed, "drops": drops}
                | f"{label}: join" >> beam.CoGroupByKey()
                | label
                >> beam.ParDo(DropRows(group[0].name, first, form.reason, with_entries=with_entries)).with_outputs(
                    LOGS, ENTRIES, main="blocks"
                )
            )
        blocks = found.blocks
        logs.append(found[LOGS])
        entries.append(found[ENTRIES])
    return Applied(blocks, logs, entries)


def group_steps(steps: Sequence[Step]) -> Iterator[tuple[int, list[Step]]]:
    """Yields groups of neighbouring steps that run together, each with the number of its first step."""
    group: list[Step] = []
    for number, step in enumerate(steps):
        if group and not (step.per_record and group[-1].per_record):
            yield number - len(group), group
            group = []
        group.append(step)
    if group:
        yield len(steps) - len(group), group
