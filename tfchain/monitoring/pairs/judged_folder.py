"""Writes judgments as a BEIR folder: documents, queries, and what is relevant, for training and for evaluation."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfchain.core.atomic import new_folder, write_file
from tfchain.core.errors import InputError
from tfchain.monitoring.pairs.impressions import Impression
from tfchain.monitoring.pairs.judgments import Judgment, is_for_evaluation

TRAIN, TEST = "train", "test"


class Text(Protocol):
    """A document, such as `tfchain.Document`."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class JudgedFolder:
    """What was written.

    Args:
        path: The folder.
        queries: The number of judged queries by split.
        positives: The number of relevant pairs by split.
        negatives: The number of pairs that are not relevant by split.
        missing: The number of relevant documents that were not among the documents, and are left out.
    """

    path: Path
    queries: Mapping[str, int]
    positives: Mapping[str, int]
    negatives: Mapping[str, int]
    missing: int


def write_judged_folder(
    path: Path | str,
    judgments: Sequence[Judgment],
    documents: Iterable[Text],
    *,
    impressions: Sequence[Impression] = (),
    propensities: np.ndarray | None = None,
    evaluation_share: float = 0.2,
) -> JudgedFolder:
    """Writes `corpus.jsonl`, `queries.jsonl`, `qrels/train.tsv` and `qrels/test.tsv`, and what they were made of.

    A query is in one of the splits. `pairs.jsonl` has the training split's texts, `judgments.jsonl` all judgments with
    their numbers, `propensities.json` the chance of a look by place.

    Args:
        path: The new folder.
        judgments: The judgments.
        documents: All documents that are searched.
        impressions: Where the queries' texts as they were asked are taken from. Default: queries in lower case.
        propensities: The chance of a look by place, for the record. Default: none.
        evaluation_share: The share of the queries that are for evaluation. Default: 0.2.

    Raises:
        FileExistsError: if `path` is a file or a folder that is not empty.
        InputError: if no query has a relevant document that is among the documents, or a share is out of range.
    """
    if not 0 <= evaluation_share <= 1:
        raise InputError(f"`evaluation_share` must be from 0 to 1. Received: {evaluation_share}.")
    known = [judgment for judgment in judgments if judgment.grade >= 0]
    wanted = {judgment.document_id for judgment in known}
    asked = {impression.query: impression.text or impression.query for impression in reversed(impressions)}
    with new_folder(path) as folder:
        texts: dict[str, str] = {}
        with open(folder / "corpus.jsonl", "w", encoding="utf-8") as corpus:
            for document in documents:
                written = {"_id": document.id, "title": document.title, "text": document.text}
                corpus.write(json.dumps(written, ensure_ascii=False) + "\n")
                if document.id in wanted:
                    texts[document.id] = f"{document.title} {document.text}".strip()
        kept = _keep_useful([judgment for judgment in known if judgment.document_id in texts])
        if not kept:
            raise InputError(
                "The feedback says of no document that it is relevant. Received: "
                f"{len(judgments)} pairs of query and document, {len(known)} judged, {len(texts)} of their documents "
                "found. Wait for more clicks, ask for less (--min-clicks 1), or check --documents."
            )
        splits = {query: TEST if is_for_evaluation(query, evaluation_share) else TRAIN for query in kept}
        _write_queries(folder, kept, splits, asked)
        _write_pairs(folder, kept, splits, asked, texts)
        _write_lines(folder / "judgments.jsonl", [vars(judgment) for judgment in judgments])
        if propensities is not None:
            values = [round(float(one), 6) for one in propensities]
            write_file(folder / "propensities.json", json.dumps({"propensities": values}) + "\n")
    missing = len({judgment.document_id for judgment in known if judgment.grade > 0} - set(texts))
    queries, positives, negatives = ({TRAIN: 0, TEST: 0} for _ in range(3))
    for query, rows in kept.items():
        split = splits[query]
        queries[split] += 1
        positives[split] += sum(judgment.grade > 0 for judgment in rows)
        negatives[split] += sum(judgment.grade == 0 for judgment in rows)
    return JudgedFolder(Path(path), queries, positives, negatives, missing)


def _keep_useful(judgments: Sequence[Judgment]) -> dict[str, list[Judgment]]:
    """Returns the judgments by query, of the queries that have a relevant document."""
    found: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        found.setdefault(judgment.query, []).append(judgment)
    return {query: rows for query, rows in found.items() if any(judgment.grade > 0 for judgment in rows)}


def _write_queries(
    folder: Path, kept: Mapping[str, Sequence[Judgment]], splits: Mapping[str, str], asked: Mapping[str, str]
) -> None:
    ids = {query: f"q{number}" for number, query in enumerate(kept)}
    _write_lines(folder / "queries.jsonl", [{"_id": ids[query], "text": asked.get(query, query)} for query in kept])
    (folder / "qrels").mkdir()
    for split in (TRAIN, TEST):
        lines = ["query-id\tcorpus-id\tscore"]
        for query, rows in kept.items():
            if splits[query] == split:
                lines += [f"{ids[query]}\t{judgment.document_id}\t{judgment.grade}" for judgment in rows]
        write_file(folder / "qrels" / f"{split}.tsv", "\n".join(lines) + "\n")


def _write_pairs(
    folder: Path,
    kept: Mapping[str, Sequence[Judgment]],
    splits: Mapping[str, str],
    asked: Mapping[str, str],
    texts: Mapping[str, str],
) -> None:
    pairs = [
        {"query": asked.get(query, query), "positive": texts[judgment.document_id]}
        for query, rows in kept.items()
        for judgment in rows
        if judgment.grade > 0 and splits[query] == TRAIN
    ]
    _write_lines(folder / "pairs.jsonl", pairs)


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    write_file(path, "".join(f"{line}\n" for line in lines))
