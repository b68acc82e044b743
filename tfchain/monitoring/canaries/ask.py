"""Puts a canary query to a served model of any task, over whatever reaches it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.signatures import EMBED, SERVING_DEFAULT
from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.served_model import ANSWERS, SCORES, ServedModel

NUM_EXPECTED = 3  # hits of a good version that its canaries expect
WITHOUT_TEXTS = (
    "Watch the server by its metrics, `tfchain monitor --scrape URL`, and compare versions with `tfchain release`."
)


GIVE_CANDIDATES = "Name `candidates` with it: the texts that the model puts in order, or reads."


@dataclass(frozen=True, eq=False)
class CanaryAnswer:
    """What a model answered.

    Args:
        ids: What it found, best first: the hits of a search, the label or labels of a classification, of a reranker the
            positions of the three best candidates, a translation's text, a reader's best answers.
        scores: The scores of `ids`.
        vector: The text's vector as a query; None without the signature for it.
        plain_vector: Its vector with the default prompt; None without the signature for it.
        latency_ms: How long the answer took, without the vectors; None if only vectors were asked for.
    """

    ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    vector: np.ndarray | None = None
    plain_vector: np.ndarray | None = None
    latency_ms: float | None = None


Ask = Callable[[CanaryQuery], CanaryAnswer]
Found = tuple[tuple[str, ...], tuple[float, ...]]  # ids and scores, best first


def make_ask(model: ServedModel) -> Ask:
    """Makes the function that puts a canary to a model.

    Args:
        model: The model.

    Raises:
        InputError: if it has no signature for texts.
    """
    as_query, output = model.query_signature, model.answer_output
    if output is None and not model.takes_candidates and as_query is None:
        raise InputError(
            f"Canary queries are texts, so a model needs a signature {SERVING_DEFAULT!r} from `text` to an answer, or "
            f"{EMBED!r}. Received: {', '.join(sorted(model.signatures)) or 'no signatures'}. {WITHOUT_TEXTS}"
        )

    def ask(canary: CanaryQuery) -> CanaryAnswer:
        begin = time.perf_counter()
        found = _answer(model, canary, output)
        if found is None and canary.ids:
            raise InputError(
                "A canary query with `ids` needs an answer, and this model gives none to a text alone. Received: "
                f"{canary.text!r:.60}. " + (GIVE_CANDIDATES if model.takes_candidates else "Leave `ids` out.")
            )
        latency = (time.perf_counter() - begin) * 1e3 if found is not None else None
        wanted = [name for name in dict.fromkeys((as_query, EMBED)) if name is not None and name in model.signatures]
        vectors = {name: model.embed([canary.text], name)[0] for name in wanted}
        return CanaryAnswer(*(found or ((), ())), vectors.get(as_query or ""), vectors.get(EMBED), latency)

    return ask


def record_canaries(
    ask: Ask, canaries: Sequence[CanaryQuery], *, num_expected: int = NUM_EXPECTED
) -> list[CanaryQuery]:
    """Adds to canaries what a good version answers: vectors, scores, and ids where none are expected yet.

    Args:
        ask: Asks the good version.
        canaries: The canaries.
        num_expected: How many of its hits are expected of a canary without ids. Default: 3.
    """
    recorded = []
    for canary in canaries:
        answer = ask(canary)
        scores = dict(zip(answer.ids, answer.scores, strict=True)) if answer.scores else {}
        expected = canary.ids or answer.ids[:num_expected]
        recorded.append(
            CanaryQuery(
                canary.text,
                expected,
                tuple(scores[id] for id in expected) if scores and all(id in scores for id in expected) else (),
                answer.vector,
                answer.plain_vector,
                canary.candidates,
            )
        )
    return recorded


def _answer(model: ServedModel, canary: CanaryQuery, output: str | None) -> Found | None:
    """Returns what the model finds for a canary; None if it only makes vectors."""
    if model.is_reranker and canary.candidates:
        pairs = {"text": [canary.text] * len(canary.candidates), "text_pair": list(canary.candidates)}
        return _rank(model.predict(pairs, SERVING_DEFAULT)["score"])
    if model.is_reader and canary.candidates:
        asked = {"question": [canary.text] * len(canary.candidates), "context": list(canary.candidates)}
        return _read_best(model.predict(asked, SERVING_DEFAULT))
    return None if output is None else _read_first(output, model.predict({"text": [canary.text]}, SERVING_DEFAULT))


def _rank(scores: np.ndarray) -> Found:
    """Returns the positions of the best candidates, and their scores."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:NUM_EXPECTED]
    return tuple(str(place) for place in order.tolist()), tuple(float(scores[place]) for place in order)


def _read_best(outputs: Mapping[str, np.ndarray]) -> Found:
    """Returns the best answer from each candidate, the most certain first, without those that have none."""
    names = [_to_text(row[0]) for row in outputs["answers"]]
    scores = [float(row[0]) for row in outputs["scores"]]
    order = [place for place in sorted(range(len(names)), key=lambda place: -scores[place]) if names[place]]
    return tuple(names[place] for place in order[:NUM_EXPECTED]), tuple(scores[place] for place in order[:NUM_EXPECTED])


def _read_first(output: str, outputs: Mapping[str, np.ndarray]) -> Found:
    """Reads the answer to the first text of a request: hits without the blanks at their end, or the chosen labels.

    Numbers that name nothing are no answer to compare: engines of different precision give others.
    """
    found = np.atleast_1d(outputs[output][0])
    if output not in ANSWERS and found.dtype.kind not in "OSU":
        return (), ()
    names = found.tolist()
    read = list(map(_to_text, names))
    kept = [place for place, name in enumerate(read) if name]
    if output == "labels":
        kept = np.flatnonzero(outputs["chosen"][0]).tolist() if "chosen" in outputs else kept[:1]
    scores = next((np.atleast_1d(outputs[name][0]) for name in SCORES if name in outputs), None)
    values = () if scores is None else tuple(float(scores[place]) for place in kept)
    return tuple(read[place] for place in kept), values


def _to_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
