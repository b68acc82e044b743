"""The reference and the canary queries of a version: what they are made of, and what the version answers."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfchain.chains.monitored_version import make_unknown_counter, open_version
from tfchain.core.errors import InputError
from tfchain.core.sampling import spread_evenly
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.core.task import Task
from tfchain.data.files.text_file import ENDINGS, read_texts
from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.drift.config import LEAST_WINDOW, DriftConfig
from tfchain.monitoring.drift.reference import Sample
from tfchain.monitoring.served_model import ServedModel

NUM_CANARIES = 20  # of the queries, evenly spaced, where none are given


@dataclass(frozen=True)
class Asked:
    """What a reference and canaries are made of.

    Args:
        queries: Queries, as users ask them; None if none are known, and documents stand in for them.
        documents: Documents, to watch these too. Default: they are not watched.
        canaries: The canary queries. Default: some of the queries.
        config: How drift is looked for. Default: `DriftConfig()`.
    """

    queries: Sequence[str] | None
    documents: Sequence[str] | None = None
    canaries: Sequence[CanaryQuery] = ()
    config: DriftConfig = field(default_factory=DriftConfig)


@dataclass(frozen=True)
class Answers:
    """What a version answers: samples of queries and documents, the canaries, and the model's fingerprint."""

    queries: Sample
    documents: Sample | None
    canaries: Sequence[CanaryQuery]
    fingerprint: str


def read_asked(task: Task, source: Any, *, state: Any = None, signatures: str = "text") -> Asked:
    """Reads the queries for the reference of a version that is to be exported.

    Args:
        task: The task, which reads evaluation data; if it orders candidates, or reads a text given with a question, the
            canaries get those of the data.
        source: Texts; a file of them (.txt, .jsonl, .csv, .tsv); or evaluation data in any form that the task reads.
        state: The task's state. Default: unknown.
        signatures: The version's signatures, `text` or `ids`. Default: `text`.

    Raises:
        InputError: if it cannot be read or has too few queries, or the version will not answer texts.
    """
    task.check_asked(state)
    if signatures != "text":
        raise InputError(
            f"`reference` needs a version that answers texts. Received: signatures={signatures!r}. Leave one out."
        )
    texts, candidates = _read(task, source)
    lists: dict[str, list[str]] = {}
    for place, text in enumerate(texts):
        lists.setdefault(text, []).extend(() if candidates is None else candidates[place])
    queries = list(texts) if candidates is None else list(lists)  # rows of a reranker name a query again and again
    if len(queries) < LEAST_WINDOW:
        raise InputError(
            f"`reference` must have at least {LEAST_WINDOW} queries, better some hundred. Received: {len(queries)}. "
            "Give more of them."
        )
    chosen = spread_evenly(queries, NUM_CANARIES)
    return Asked(queries, canaries=[CanaryQuery(text, candidates=tuple(dict.fromkeys(lists[text]))) for text in chosen])


def ask_version(version: Path, asked: Asked, *, engine: str = "auto") -> Answers:
    """Loads a version, and asks it.

    Args:
        version: The version's folder.
        asked: What it is asked.
        engine: What computes, as in `open_version`. Default: `auto`.

    Raises:
        InputError: if it cannot be loaded, or does not answer single texts.
    """
    from tfchain.deployment.repository import read_description
    from tfchain.monitoring.canaries.ask import make_ask, record_canaries
    from tfchain.monitoring.drift.record import record_documents, record_queries

    with open_version(version, engine=engine) as model:
        _check_takes_texts(model)
        ask, count_unknown = make_ask(model), make_unknown_counter(version, model)
        texts = asked.queries if asked.queries is not None else asked.documents or ()
        origin: Any = "documents" if asked.queries is None else "queries"
        sample = record_queries(model, texts, origin=origin, count_unknown=count_unknown)
        documents = None if asked.documents is None else record_documents(model, asked.documents)
        chosen = asked.canaries or [CanaryQuery(text) for text in spread_evenly(texts, NUM_CANARIES)]
        if not model.takes_candidates:
            chosen = [replace(canary, candidates=()) for canary in chosen]
        fingerprint = str(read_description(version).get("fingerprint", ""))
        return Answers(sample, documents, record_canaries(ask, chosen), fingerprint)


def record_texts(version: Path, model: ServedModel, texts: Sequence[str]) -> Sample:
    """Returns what a version makes of queries: a sample for a reference.

    Args:
        version: The version's folder.
        model: The version, as `open_version` loads it.
        texts: The queries.

    Raises:
        InputError: if it does not answer single texts.
    """
    from tfchain.monitoring.drift.record import record_queries

    _check_takes_texts(model)
    return record_queries(model, texts, count_unknown=make_unknown_counter(version, model))


def _check_takes_texts(model: ServedModel) -> None:
    from tfchain.monitoring.canaries.ask import WITHOUT_TEXTS

    if model.takes_candidates or SERVING_DEFAULT not in model.signatures:
        return
    inputs = model.signatures[SERVING_DEFAULT].inputs
    if model.takes_text and inputs != {"text"}:
        raise InputError(
            "A reference is made of single texts. Received: a version that answers `text` together with "
            f"{', '.join(sorted(inputs - {'text'}))}. {WITHOUT_TEXTS}"
        )
    if not model.takes_text and model.query_signature is None:
        raise InputError(
            "A reference is made of single texts. Received: a version that answers "
            f"{', '.join(f'`{name}`' for name in sorted(inputs))}. {WITHOUT_TEXTS}"
        )


def write_answers(version: Path, answers: Answers, config: DriftConfig) -> list[Path]:
    """Finds the thresholds, and writes `reference.npz` and `canaries.jsonl` into a version; returns the files.

    Raises:
        InputError: if there are too few queries or documents.
    """
    from tfchain.monitoring.canaries.canary import write_canaries
    from tfchain.monitoring.drift.reference import make_reference, write_reference

    reference = make_reference(answers.queries, answers.documents, config=config, fingerprint=answers.fingerprint)
    return [write_reference(version, reference), write_canaries(version, answers.canaries)]


def make_completion(task: Task, source: Any, *, state: Any, signatures: str) -> Callable[[Path], object] | None:
    """Returns what adds the reference to a version before it appears; None without a source.

    The source is read here, before anything is exported; the arguments and errors are those of `read_asked`.
    """
    if source is None:
        return None
    return functools.partial(_complete, read_asked(task, source, state=state, signatures=signatures))


def _complete(asked: Asked, version: Path) -> None:
    write_answers(version, ask_version(version, asked), asked.config)


def _read(task: Task, source: Any) -> tuple[Sequence[str], Sequence[Sequence[str]] | None]:
    if isinstance(source, str | Path) and Path(source).suffix in ENDINGS:
        return read_texts(Path(source)), None
    if isinstance(source, list | tuple) and all(isinstance(text, str) for text in source):
        return [text for text in source if text.strip()], None
    return task.asked(task.read_judged(source, split="test"))
