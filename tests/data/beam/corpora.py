"""Texts with repeats, edited copies and short ones; what comes out of a pipeline; what is in a folder."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam

from tfchain.core.types import Document
from tfchain.data.beam.options import make_options

COLLECTED: list[Any] = []  # workers in this process find it by its module


def run_transform(elements: list[Any], apply: Callable[[Any], Any]) -> list[Any]:
    """The elements that come out of what `apply` puts behind those that go in."""
    COLLECTED.clear()
    with beam.Pipeline(options=make_options()) as pipeline:
        _ = apply(pipeline | "Elements" >> beam.Create(elements)) | "Collect" >> beam.Map(collect)
    return list(COLLECTED)


def collect(element: Any) -> None:
    COLLECTED.append(element)


def make_documents(number: int, *, seed: int = 1) -> list[Document]:
    """Documents of random words, half of them repeats or edited copies of an earlier one."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(300)]
    texts: list[str] = []
    for _ in range(number):
        if texts and rng.random() < 0.5:
            text = rng.choice(texts[-60:]).split()
            for _ in range(rng.choice([0, 0, 1, 2, 5, 12])):
                text[rng.randrange(len(text))] = rng.choice(words)
        else:
            text = rng.choices(words, k=rng.choice([6, 25, 40]))
        texts.append(" ".join(text))
    return [Document(f"d{number}", text) for number, text in enumerate(texts)]


def read_folder(folder: Path) -> dict[str, bytes]:
    """The content of a folder's files, by their paths in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
