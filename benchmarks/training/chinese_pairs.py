"""Training pairs from CMRC2018's training part alone: questions with windows on their answers, and cut-out spans.

An encoder from nothing learns most from many different pairs. A passage is seen through overlapping windows of the
model's length, a question goes with the windows that hold its answer, and, beside the ten thousand questions, spans
of a passage's own text are questions to the window they are in or to a neighbour (the inverse cloze task of Lee, Chang
and Toutanova 2019, https://arxiv.org/abs/1906.00300). No text of the development or test part is looked at.
"""

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfchain.data.documents.beir import read_beir
from tfchain.data.pairs.reading import Pairs, text_key

WINDOW_STEP = 4  # windows begin a quarter of their length apart
SPAN_CHARACTERS = (8, 40)
KEPT_SPANS = 0.7  # share of spans whose window holds them; the others must be told from what is around them
CLAUSES = re.compile(r"[^。！？；，]+")


@dataclass(frozen=True)
class TrainingPassage:
    """A passage as training sees it.

    Args:
        text: The passage.
        starts: Where its windows begin.
        width: Characters of a window.
        windows: Title, space, and what the window shows.
        keys: The `text_key` of each window: no window is a negative for a question of the same passage.
    """

    text: str
    starts: list[int]
    width: int
    windows: list[str]
    keys: tuple[int, ...]

    def windows_around(self, start: int, end: int) -> list[int]:
        """The windows that hold a span whole; where none does, those that hold its beginning."""
        whole = [number for number, one in enumerate(self.starts) if one <= start and end <= one + self.width]
        return whole or [number for number, one in enumerate(self.starts) if one <= start < one + self.width]


@dataclass(frozen=True)
class Question:
    """A training question.

    Args:
        text: The question.
        passage: The number of its passage.
        windows: Those of the passage that hold the answer.
    """

    text: str
    passage: int
    windows: list[int]


class ChinesePairs:
    """Makes as many training pairs as are asked for, no two epochs alike.

    Args:
        cmrc: The BEIR folder, which also holds `train.json.gz` with the answers' places.
        max_length: The model's tokens of a text. A character is one token at most.
        seed: Of the windows, the spans and the order.
    """

    def __init__(self, cmrc: Path, *, max_length: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        dataset = read_beir(cmrc, split="train")
        numbers: dict[str, int] = {}
        wanted = {id for grades in dataset.qrels.values() for id in grades}
        self.passages: list[TrainingPassage] = []
        for document in dataset.documents():
            if document.id in wanted:
                numbers[document.id] = len(self.passages)
                self.passages.append(make_passage(document.title, document.text, max_length))
        answers = read_answers(cmrc / "train.json.gz")
        self.questions: list[Question] = []
        for id, text in dataset.queries.items():
            for document_id in dataset.qrels[id]:
                number = numbers[document_id]
                passage = self.passages[number]
                start = passage.text.find(answers[id])
                found = passage.windows_around(start, start + len(answers[id])) if start >= 0 else []
                self.questions.append(Question(text, number, found or list(range(len(passage.windows)))))

    def make(self, count: int, *, share_of_spans: float) -> Pairs:
        """Makes pairs.

        Args:
            count: How many.
            share_of_spans: How many of them are spans of passages, the others are questions, each as often as any
                other, with one of its windows.
        """
        num_questions = round(count * (1 - share_of_spans))
        order = np.concatenate(
            [self._rng.permutation(len(self.questions)) for _ in range(-(-num_questions // len(self.questions)))]
            or [np.zeros(0, dtype="int64")]
        )[:num_questions]
        rows = [self._ask(self.questions[number]) for number in order.tolist()]
        rows += [self._cut_span() for _ in range(count - num_questions)]
        rows = [rows[number] for number in self._rng.permutation(len(rows)).tolist()]
        queries, documents, relevant = zip(*rows, strict=True)
        return Pairs((queries, documents), relevant=relevant)

    def _ask(self, question: Question) -> tuple[str, str, tuple[int, ...]]:
        passage = self.passages[question.passage]
        return question.text, passage.windows[self._pick(question.windows)], passage.keys

    def _cut_span(self) -> tuple[str, str, tuple[int, ...]]:
        """Some neighbouring clauses of a passage, and a window on them or beside them."""
        passage = self.passages[int(self._rng.integers(len(self.passages)))]
        clauses = [match.span() for match in CLAUSES.finditer(passage.text)]
        least, most = SPAN_CHARACTERS
        wanted = int(self._rng.integers(least, most + 1))
        first = int(self._rng.integers(len(clauses)))
        start, end = clauses[first]
        for _, clause_end in clauses[first + 1 :]:
            if clause_end - start > wanted:
                break
            end = clause_end
        end = min(end, start + most)
        around = passage.windows_around(start, end)
        if self._rng.random() >= KEPT_SPANS:
            beside = [
                number
                for number, one in enumerate(passage.starts)
                if number not in around and abs(one - start) < 2 * passage.width
            ]
            around = beside or around
        return passage.text[start:end], passage.windows[self._pick(around)], passage.keys

    def _pick(self, numbers: list[int]) -> int:
        return numbers[int(self._rng.integers(len(numbers)))]


def make_passage(title: str, text: str, max_length: int) -> TrainingPassage:
    """Lays the windows."""
    width = max_length - 2 - len(title)
    last = max(0, len(text) - width)
    starts = [*range(0, last, max(1, width // WINDOW_STEP)), last]
    windows = [f"{title} {text[start : start + width]}".strip() for start in starts]
    return TrainingPassage(text, starts, width, windows, tuple(text_key(window) for window in windows))


def read_answers(path: Path) -> dict[str, str]:
    """The first answer to each question, by its id."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        content = json.load(file)
    return {
        question["id"]: question["answers"][0]["text"]
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
