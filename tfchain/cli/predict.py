"""`tfchain predict`: what a saved chain answers to texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tfchain.cli.loading import task_option
from tfchain.cli.output import print_json, to_line, to_words, waiting
from tfchain.cli.process import engine_option, output_options


@click.command("predict", short_help="Ask a saved chain: labels, answers, translations, recommendations.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("-k", "--top-k", type=int, help="How many labels, documents or items to show.  [default: the task's]")
@task_option
@engine_option
@output_options
def predict_command(
    directory: Path, texts: tuple[str, ...], top_k: int | None, task: str | None, engine: str, as_json: bool
) -> None:
    """Ask the chain in DIR.

    A classification answers each TEXT with its labels, question answering each question from its documents, a
    translation with other words, a recommendation each user's id with items, an image search with pictures. A
    reranking takes the first TEXT for the query and the others for documents, and puts them in order. `tfchain search`
    asks an index.

    \b
    Examples:
      tfchain predict labels "Where is my card?" "I want a loan."
      tfchain predict reranker "what does the cat do" "Stocks fell on Monday." "The cat sleeps."
    """
    from tfchain.chains.answering import AnswersTexts
    from tfchain.core.errors import InputError

    if top_k is not None and top_k < 1:
        raise InputError(f"`--top-k` must be at least 1. Received: {top_k}. Ask for one or more.")
    with waiting("loading the chain"):
        from tfchain.cli.loading import load_chain

        chain = load_chain(directory, engine=engine, task=task)
        if not isinstance(chain, AnswersTexts):
            raise InputError(
                f"`tfchain predict` cannot ask a chain of the task {chain.task.name}. Received: {directory}. "
                "`tfchain search` asks an index."
            )
        answers = chain.answer_texts(texts, top_k=top_k)
    if as_json:
        print_json({"answers": answers})
    else:
        print_answers(answers)


def print_answers(answers: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table, a line for each answer."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in answers[0] if answers else ():
        table.add_column(name.replace("_", " "), overflow="fold")
    for answer in answers:
        table.add_row(*(Text(to_line(to_words(value))) for value in answer.values()))
    Console(highlight=False).print(table)
