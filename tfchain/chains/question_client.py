"""The client of served question answering: questions in, answers out."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.texts import check_queries, check_texts
from tfchain.deployment.client.client import Client
from tfchain.tasks.question_answering.answers import Answer


class QuestionClient(Client):
    """A client for answers and predictions of a TensorFlow Serving, stock or embedded. Threads may share it.

    Its arguments are those of `deployment.client.client.Client`.

    Example:
        with QuestionClient(rest_url="http://127.0.0.1:8501") as client:
            client.ask("where does the cat sleep", model="question_answering")[0].text
    """

    def ask(
        self,
        questions: str | Sequence[str],
        *,
        model: str = "question_answering",
        version: int | str | None = None,
        protocol: str | None = None,
    ) -> list[Answer]:
        """Answers questions from an exported chain's documents.

        Args:
            questions: A question, or several.
            model: The model's name. Default: `question_answering`.
            version: The version, or its label; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            An answer for each question, as `QuestionAnsweringChain.ask` gives it, with as many others as the version
            was exported for.

        Raises:
            InputError: if a question is empty, or not a string.
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        asked = check_queries(questions)
        options = {"model": model, "signature": "answer", "version": version, "protocol": protocol}
        return _to_answers(self.predict({"text": asked}, **options)) if asked else []  # type: ignore[arg-type]

    def read(
        self,
        questions: str | Sequence[str],
        contexts: str | Sequence[str],
        *,
        model: str = "question_answering",
        version: int | str | None = None,
        protocol: str | None = None,
    ) -> list[Answer]:
        """Answers questions from texts.

        Args:
            questions: A question, or several.
            contexts: A text, which all questions are asked of, or one for each question.
            model: The model's name. Default: `question_answering`.
            version: The version, or its label; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Raises:
            InputError: if a question is empty, or there is not one text for each.
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        asked = check_queries(questions)
        texts = check_texts([contexts] * len(asked) if isinstance(contexts, str) else contexts)
        if len(asked) != len(texts):
            raise InputError(
                f"`contexts` must have a text for each question. Received: {len(texts)} texts, {len(asked)} questions."
            )
        inputs = {"question": asked, "context": texts}
        options = {"model": model, "signature": "reader", "version": version, "protocol": protocol}
        found = _to_answers(self.predict(inputs, **options)) if asked else []  # type: ignore[arg-type]
        return [_with_passage(answer, text) for answer, text in zip(found, texts, strict=True)]


def _with_passage(answer: Answer, text: str) -> Answer:
    """Returns an answer that names the text that was read, as a chain's does."""
    others = tuple(dataclasses.replace(one, passage=text if one else "") for one in answer.others)
    return dataclasses.replace(answer, passage=text if answer else "", others=others)


def _to_answers(outputs: Mapping[str, np.ndarray]) -> list[Answer]:
    """Returns the answers of a version's outputs, `(questions, top_k)`; blanks behind the last are left out."""
    names = {"text": "answers", "score": "scores", "id": "ids", "start": "starts", "end": "ends", "passage": "passages"}
    columns = {name: outputs[output].tolist() for name, output in names.items() if output in outputs}
    made = []
    for row in range(len(columns["text"])):
        answers = [
            Answer(**{name: values[row][place] for name, values in columns.items()})
            for place in range(len(columns["text"][row]))
        ]
        first, *others = answers
        made.append(dataclasses.replace(first, others=tuple(one for one in others if one.start >= 0)))
    return made
