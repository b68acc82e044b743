"""text-embeddings-inference's `POST /predict`: the labels of texts, or of pairs of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.observing.answered import CLASSIFICATION
from tfchain.deployment.server.text.body import Body, read_body
from tfchain.deployment.server.text.embedding import TEXTS_IN_A_RUN, TextService, check_not_cut
from tfchain.deployment.server.text.errors import JSON, FieldError, write_json, write_tei_error
from tfchain.deployment.server.text.text_model import Label, TextModel

DIRECTIONS = ("Right", "Left", "right", "left")
_FORMS = "a string, a pair of strings, or a list of lists of one or two strings"


class PredictApi:
    """Answers `POST /predict` for versions that classify.

    Args:
        service: Lends the models.
    """

    def __init__(self, service: TextService) -> None:
        self._service = service

    def add_to(self, router: Router) -> None:
        """Adds the endpoint."""
        router.add("POST", "/predict", self._service.counted("predict", self.predict), errors=write_tei_error)

    def predict(self, request: Request, call: Call) -> Answer:
        """Answers `POST /predict`: the labels of a text, best first, or a list of these for several."""
        body = read_body(request.body)
        texts, is_single = _read_inputs(body, self._service.limits.max_batch_size)
        if body.switch("raw_scores"):
            raise body.error(
                "raw_scores", "`raw_scores` must be false: versions answer with probabilities. Received: true."
            )
        cuts = body.switch("truncate") is not False
        from_left = (body.choice("truncation_direction", DIRECTIONS) or "right").lower() == "left"
        with self._service.lend(body.text("model"), call) as model:
            model.check_classifies()
            _check_columns(model, texts)
            if not cuts or from_left:
                _check_not_cut(model, texts)
            found = _classify(model, texts)
            labels = [[label.name for label in row] for row in found]
            scores = [[label.score for label in row] for row in found]
            asked = [text[0] for text in texts]
            self._service.observe(call, request, model, CLASSIFICATION, asked, labels=labels, scores=scores)
        rows = [[_write_label(label) for label in labels] for labels in found]
        return Answer(200, JSON, write_json(rows[0] if is_single else rows))


def _read_inputs(body: Body, most: int) -> tuple[list[list[str]], bool]:
    """Returns texts and pairs, and whether there is only one, whose answer is no list of answers."""
    value = body.get("inputs")
    is_single = isinstance(value, str) or (isinstance(value, list) and bool(value) and isinstance(value[0], str))
    texts = [[value]] if isinstance(value, str) else [value] if is_single else value
    if not isinstance(texts, list):
        raise body.error("inputs", f"`inputs` must be {_FORMS}.")
    body.check_count("inputs", len(texts), most)
    for row, text in enumerate(texts):
        if not isinstance(text, list) or not 1 <= len(text) <= 2 or not all(isinstance(part, str) for part in text):
            raise body.error("inputs", f"`inputs` must be {_FORMS}. Received: another form at position {row}.")
        if not all(text):
            raise body.error("inputs", f"`inputs` must have no empty texts. Received: one at position {row}.")
    return texts, is_single


def _check_columns(model: TextModel, texts: Sequence[Sequence[str]]) -> None:
    """Raises if pairs are sent to a model of single texts, or the other way round."""
    wanted = 2 if model.classifies_pairs else 1
    row = next((row for row, text in enumerate(texts) if len(text) != wanted), None)
    if row is not None:
        raise FieldError(
            f"`inputs` must have {('single texts', 'pairs of texts')[wanted - 1]}, which the model {model.lease.name} "
            f"classifies. Received: {('a single text', 'a pair')[len(texts[row]) - 1]} at position {row}.",
            "inputs",
        )


def _check_not_cut(model: TextModel, texts: Sequence[Sequence[str]]) -> None:
    """Raises if a text may be cut off that must not be, or not at its end."""
    if model.classifies_pairs:
        raise FieldError(
            "`truncate` must be true and `truncation_direction` Right for pairs of texts: this server cannot tell "
            "whether a pair is cut off.",
            "truncate",
        )
    check_not_cut(model, [text[0] for text in texts], "", "inputs", advice="Shorten it, or let it be cut off.")


def _classify(model: TextModel, texts: Sequence[Sequence[str]]) -> list[list[Label]]:
    """Returns the labels of each text, `TEXTS_IN_A_RUN` at a time, those of a length together."""
    order = sorted(range(len(texts)), key=lambda row: sum(map(len, texts[row])))
    found: list[list[Label]] = [[]] * len(texts)
    for start in range(0, len(order), TEXTS_IN_A_RUN):
        rows = order[start : start + TEXTS_IN_A_RUN]
        for row, labels in zip(rows, model.classify([texts[row] for row in rows]), strict=True):
            found[row] = labels
    return found


def _write_label(label: Label) -> dict[str, Any]:
    return {"score": float(str(np.float32(label.score))), "label": label.name}
