"""Documents to token batches with tfchain; run by benchmarks/data_throughput.py.

Prints one line of JSON: seconds, seconds of processors, passages, tokens, and the peak memory of this process and of
its largest worker in MB.
"""

import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tfchain.data.cleaning.repair_text import RepairText, load_ftfy
from tfchain.data.documents.split_passages import SplitPassages
from tfchain.data.preparation.prepare import prepare
from tfchain.data.steps.step import FilterStep
from tfchain.data.streams.load_tokenize import load_tokenize
from tfchain.data.streams.token_batches import token_batches

LEAST_CHARACTERS = 200
LENGTH, OVERLAP = 256, 25


@dataclass(frozen=True)
class LongEnough(FilterStep):
    name = "long_enough"

    def reason(self, record):
        return "short" if len(record.text) < LEAST_CHARACTERS else None


def main() -> None:
    path, tokenizer, output, workers, batch_size = sys.argv[1:]
    load_ftfy()
    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    start = time.perf_counter()
    split = SplitPassages(max_tokens=LENGTH - 2, overlap_tokens=OVERLAP, method="tokens", tokenizer=tokenizer)
    made = prepare(Path(path), [RepairText(), LongEnough(), split], output=output, num_workers=int(workers))
    prepared = time.perf_counter() - start
    tokens = passages = 0
    tokenize = load_tokenize(tokenizer, max_length=LENGTH)
    for token_ids, padding_mask in token_batches(
        made.path, tokenize, batch_size=int(batch_size), num_workers=int(workers)
    ):
        passages += len(token_ids)
        tokens += int(padding_mask.sum())
    seconds = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(part.ru_utime + part.ru_stime for part in usage) - before
    with open("/proc/self/status", encoding="utf-8") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    found = {"seconds": seconds, "cpu": cpu, "passages": passages, "tokens": tokens}
    found["prepare"] = prepared
    print(json.dumps({**found, "peak_mb": peak / 1024, "worker_mb": usage[1].ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
