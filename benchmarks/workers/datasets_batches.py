"""Documents to token batches with Hugging Face's datasets and tokenizers; run by benchmarks/data_throughput.py.

Prints one line of JSON: seconds, seconds of processors, passages, tokens, and the peak memory of this process and of
its largest worker in MB.
"""

import json
import re
import resource
import sys
import time
import unicodedata

import numpy as np

TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-9;]{0,32}[A-Za-z]")
LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffc]")
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\u180e]")
LEAST_CHARACTERS = 200
LENGTH, OVERLAP = 256, 25


def repair(text: str) -> str:
    """What `repair_text` does, without counting it."""
    import ftfy

    ascii_only = text.isascii()
    if not ascii_only:
        text = ftfy.fix_encoding(text)
    text = CONTROL.sub("", TERMINAL_ESCAPE.sub("", LINE_BREAK.sub("\n", text)))
    return text if ascii_only else unicodedata.normalize("NFC", INVISIBLE.sub("", text))


def clean(batch: dict) -> dict:
    return {
        "title": [repair(title) if title else "" for title in batch["title"]],
        "text": [repair(text) for text in batch["text"]],
    }


def is_long_enough(batch: dict) -> list:
    return [len(text) >= LEAST_CHARACTERS for text in batch["text"]]


class Splitter:
    """Cuts documents into passages by their tokens: as ids in one pass, or as texts."""

    def __init__(self, tokenizer_path: str) -> None:
        self.path = tokenizer_path
        self._tokenizer = None

    @property
    def tokenizer(self):
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(self.path)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(LENGTH, stride=OVERLAP, strategy="only_second")
        return self._tokenizer

    def __getstate__(self) -> dict:
        return {"path": self.path, "_tokenizer": None}

    def encodings(self, batch: dict):
        pairs = list(zip(batch["title"], batch["text"], strict=True))
        for number, first in enumerate(self.tokenizer.encode_batch(pairs)):
            yield from ((number, encoding) for encoding in (first, *first.overflowing))

    def to_ids(self, batch: dict) -> dict:
        found = list(self.encodings(batch))
        return {
            "id": [batch["id"][number] for number, _ in found],
            "input_ids": [encoding.ids for _, encoding in found],
        }

    def to_texts(self, batch: dict) -> dict:
        made = {"id": [], "text": [], "start": [], "end": []}
        for number, encoding in self.encodings(batch):
            spans = [
                span
                for span, kind in zip(encoding.offsets, encoding.type_ids, strict=True)
                if kind and span[1] > span[0]
            ]
            start, end = (spans[0][0], spans[-1][1]) if spans else (0, 0)
            made["id"].append(batch["id"][number])
            made["text"].append(f"{batch['title'][number]} {batch['text'][number][start:end]}".strip())
            made["start"].append(start)
            made["end"].append(end)
        return made

    def tokenize(self, batch: dict) -> dict:
        self.tokenizer.enable_truncation(LENGTH)
        return {"input_ids": [encoding.ids for encoding in self.tokenizer.encode_batch_fast(batch["text"])]}


def pad(rows: list) -> tuple:
    width = max(map(len, rows))
    token_ids = np.zeros((len(rows), width), dtype=np.int32)
    for row, ids in zip(token_ids, rows, strict=True):
        row[: len(ids)] = ids
    return token_ids, (token_ids != 0).astype(np.int32)


def main() -> None:
    path, tokenizer_path, cache, workers, how, batch_size = sys.argv[1:]
    import datasets

    datasets.disable_progress_bars()
    options = {"batched": True, "num_proc": None if workers == "1" else int(workers)}
    splitter = Splitter(tokenizer_path)
    import ftfy  # noqa: F401 - imported before the clock starts, as tfchain's is

    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    start = time.perf_counter()
    data = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
    data = data.map(clean, **options).filter(is_long_enough, **options)
    if how == "ids":
        data = data.map(splitter.to_ids, remove_columns=data.column_names, **options)
    else:
        data = data.map(splitter.to_texts, remove_columns=data.column_names, **options)
        data = data.map(splitter.tokenize, **options)
    tokens = passages = 0
    for batch in data.iter(batch_size=int(batch_size)):
        token_ids, padding_mask = pad(batch["input_ids"])
        passages += len(token_ids)
        tokens += int(padding_mask.sum())
    seconds = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(part.ru_utime + part.ru_stime for part in usage) - before
    with open("/proc/self/status", encoding="utf-8") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    found = {"seconds": seconds, "cpu": cpu, "passages": passages, "tokens": tokens}
    print(json.dumps({**found, "peak_mb": peak / 1024, "worker_mb": usage[1].ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
