"""Records whose texts nearly repeat an earlier record's, found across the whole corpus."""

from typing import Any

import apache_beam as beam

from tfchain.data.beam.near_candidates import DealKeys, SketchBlock, find_candidates
from tfchain.data.beam.near_choice import choose
from tfchain.data.beam.near_pairs import attach_first, compare
from tfchain.data.deduplication.remove_near_duplicates import RemoveNearDuplicates


class FindNearDuplicates(beam.PTransform):
    """Finds the records that `RemoveNearDuplicates` drops: `(block, [(row, detail), …])`.

    1. Each block's records become MinHash signatures, and the keys of their bands go to partitions.
    2. A partition finds the records with a key in common. Of records with the same signature only the first is
       compared with others; the rest share its fate.
    3. The pairs meet the signatures of their first, then of their second record, and those below the threshold go.
    4. One worker chooses: it takes the records of all pairs in the corpus' order, and drops a record if an earlier one
       that stays is similar. So does one machine that reads the corpus in order, and the result is the same. It holds
       the pairs, some 100 bytes each, and no records.

    Only where more than 256 records of different signatures have a key in common, each is compared with the first 256
    of them, so that pages of one template do not cost the square of their number; one machine compares with all that
    stay.

    Args:
        step: The step.
        partitions: Among how many groups keys are dealt; a worker holds one group at a time.
    """

    def __init__(self, step: RemoveNearDuplicates, partitions: int) -> None:
        super().__init__()
        self.step = step
        self.partitions = partitions

    def expand(self, blocks: Any) -> Any:
        sketches = blocks | "Sketch" >> beam.ParDo(SketchBlock(self.step))
        candidates = (
            sketches
            | "Deal keys" >> beam.ParDo(DealKeys(self.step, self.partitions))
            | "Group keys" >> beam.GroupByKey()
            | "Find candidates" >> beam.FlatMap(find_candidates)
        )
        half = (
            {"sketches": sketches, "pairs": candidates}
            | "Join the first" >> beam.CoGroupByKey()
            | "Attach the first" >> beam.FlatMap(attach_first)
        )
        return (
            {"sketches": sketches, "pairs": half}
            | "Join the second" >> beam.CoGroupByKey()
            | "Compare" >> beam.FlatMap(compare, self.step.threshold)
            | "To one worker" >> beam.Map(lambda pairs: (0, pairs))
            | "Group pairs" >> beam.GroupByKey()
            | "Choose" >> beam.FlatMap(lambda grouped: choose(grouped[1]))
        )
