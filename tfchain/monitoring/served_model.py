"""A served model of any task, as monitoring sees it: a function that runs a signature, and the signatures' names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.signatures import EMBED, EMBED_QUERY, SERVING_DEFAULT

# From a signature's inputs and its name to its outputs: a server's client, or a version loaded in this process.
Predict = Callable[[Mapping[str, Any], str], Mapping[str, np.ndarray]]
ANSWERS = ("ids", "labels")  # the outputs that name what was found: of a search, of a classification
SCORES = ("scores", "score")
EMBEDDING = "embedding"
READ = frozenset({"question", "context"})


@dataclass(frozen=True)
class SignatureNames:
    """The names of a signature's inputs and outputs.

    Args:
        inputs: Of the inputs.
        outputs: Of the outputs.
    """

    inputs: frozenset[str]
    outputs: frozenset[str]


@dataclass(frozen=True)
class ServedModel:
    """A model that serves, wherever it is.

    What kind of model it is follows from the names in its `serving_default`: `ids` are found by a search, `labels` by
    a classification; `text_pair` is what a reranker wants, `question` and `context` what a reader wants. Where a text
    has one output besides a score, that is the answer, such as a translation. Of other models only vectors are of use.

    Args:
        predict: Runs a signature; it has a timeout.
        signatures: The signatures, as the model's metadata names them.
    """

    predict: Predict
    signatures: Mapping[str, SignatureNames]

    @property
    def takes_text(self) -> bool:
        """Whether `serving_default` answers texts."""
        return SERVING_DEFAULT in self.signatures and "text" in self.signatures[SERVING_DEFAULT].inputs

    @property
    def is_reranker(self) -> bool:
        """Whether `serving_default` scores pairs of texts."""
        answer = self.signatures.get(SERVING_DEFAULT)
        return answer is not None and "text_pair" in answer.inputs and "score" in answer.outputs

    @property
    def is_reader(self) -> bool:
        """Whether `serving_default` answers a question from a text that is given with it."""
        answer = self.signatures.get(SERVING_DEFAULT)
        return answer is not None and answer.inputs == READ and "answers" in answer.outputs

    @property
    def takes_candidates(self) -> bool:
        """Whether `serving_default` takes texts beside the query: to put them in order, or to read them."""
        return self.is_reranker or self.is_reader

    @property
    def answer_output(self) -> str | None:
        """The output of `serving_default` that says what was found for a text; None without one."""
        if not self.takes_text or self.is_reranker:
            return None
        signature = self.signatures[SERVING_DEFAULT]
        found = next((name for name in ANSWERS if name in signature.outputs), None)
        others = signature.outputs - {*SCORES, EMBEDDING}
        return next(iter(others)) if found is None and len(others) == 1 and signature.inputs == {"text"} else found

    @property
    def query_signature(self) -> str | None:
        """The signature that gives a query's vector; None without one."""
        return next((name for name in (EMBED_QUERY, EMBED) if name in self.signatures), None)

    def embed(self, texts: Sequence[str], signature: str) -> np.ndarray:
        """Returns the vectors of texts, float32 `(texts, dim)`."""
        return np.asarray(self.predict({"text": list(texts)}, signature)[EMBEDDING], np.float32)
