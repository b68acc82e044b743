"""Synthetic queries by a generator: any function from prompts to texts, such as a keras-hub model."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.augmentation.crops import check_document, make_row
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

Generate = Callable[[Sequence[str]], Sequence[str]]
PROMPT = (
    "Write {count} different questions, one on each line, that a user would type into a search engine and that the "
    "following text answers.\n\nText: {text}\n\nQuestions:\n"
)
MARK = re.compile(r"\s*(?:[-*•]|\(?\d{1,3}[.):]|Q\d*:|Questions?:)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class GenerateQueries(Step):
    """Makes training rows of documents with queries that a generator writes (as GPL and InPars do).

    The generator gets a prompt for each document and returns text with a query on each line; marks of lists, quotes and
    repeated lines are taken off. Put `FilterRoundTrip` after it, as generators also write queries that their document
    does not answer. Documents are data: what is in them goes into the prompt as it is, so treat the output as text
    and nothing else. The rows have the columns `query`, `positive`, `id`, `kind` and `source`.

    Args:
        generate: Returns a text for each prompt; `to_generate` makes one of a keras-hub model.
        count: The most queries of a document. Default: 3.
        prompt: The prompt, with the places `{text}` and, if wanted, `{count}`. For doc2query models, whose input is the
            document alone, `"{text}"`. Default: instructions for a chat model.
        most_characters: The document's text is cut to this length in the prompt. Default: 4000.

    Raises:
        InputError: if the prompt has no place for the text, or the generator does not return a text for each prompt.
    """

    name: ClassVar[str] = "generate_queries"

    count: int = 3
    prompt: str = PROMPT
    most_characters: int = 4000
    generate: Generate | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole_number("count", self.count)
        check_whole_number("most_characters", self.most_characters)
        if "{text}" not in self.prompt:
            raise InputError(f"`prompt` must have the place {{text}}. Received: prompt={self.prompt!r:.80}.")

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {"count": self.count, "prompt": self.prompt, "most_characters": self.most_characters}

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Makes the rows of a block of documents, which the generator gets together."""
        if self.generate is None:
            raise InputError("generate_queries needs a generator. Received: none. Hand one in: generate=….")
        documents = [check_document(self.name, record) for record in records]
        prompts = [
            # Not `format`: a document may have braces.
            self.prompt.replace("{count}", str(self.count)).replace("{text}", one.full_text[: self.most_characters])
            for one in documents
        ]
        answers = list(self.generate(prompts))
        if len(answers) != len(prompts) or not all(isinstance(answer, str) for answer in answers):
            raise InputError(
                f"`generate` must return a text for each prompt. Received: {len(answers)} answers for {len(prompts)}."
            )
        rows: list[Record] = []
        for document, answer in zip(documents, answers, strict=True):
            queries = read_queries(answer)[: self.count]
            if not queries:
                log.drop(document, "no query found")
            for number, query in enumerate(queries):
                row = make_row(document, "generated", number, query, document.full_text)
                log.add(row, "generated")
                rows.append(row)
        return rows


def read_queries(answer: str) -> list[str]:
    """Returns the queries in a generator's answer, one of each line.

    Example:
        >>> read_queries('1. "What is BM25?"\\n2) what is bm25?\\n\\n- Who made it?')
        ['What is BM25?', 'Who made it?']
    """
    found: dict[str, str] = {}
    for line in answer.splitlines():
        while match := MARK.match(line):
            line = line[match.end() :]
        query = line.strip().strip("\"'“”").strip()
        if query:
            found.setdefault(query.casefold(), query)
    return list(found.values())


def to_generate(model: Any, *, max_length: int = 512, batch_size: int = 8) -> Generate:
    """Makes a generator of a keras-hub model, causal (Gemma, GPT-2) or sequence-to-sequence (BART).

    Args:
        model: A `keras_hub.models.CausalLM` or `Seq2SeqLM` with its preprocessor: anything with a method `generate`
            that takes a list of texts.
        max_length: The most tokens of prompt and answer together. Default: 512.
        batch_size: Prompts generated at once. Default: 8.

    Returns:
        A function from prompts to answers, without the prompt that causal models repeat before their answer.
    """

    def generate(prompts: Sequence[str]) -> list[str]:
        answers: list[str] = []
        for start in range(0, len(prompts), batch_size):
            block = list(prompts[start : start + batch_size])
            for prompt, answer in zip(block, model.generate(block, max_length=max_length), strict=True):
                text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
                answers.append(text.removeprefix(prompt))
        return answers

    return generate
