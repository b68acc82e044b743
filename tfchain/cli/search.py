"""`tfchain search`: searches a saved chain."""

import json
from pathlib import Path
from typing import Any

import click

from tfchain.cli.loading import check_saved_task, load_chain
from tfchain.cli.output import print_hits, print_json, waiting
from tfchain.cli.process import engine_option, output_options


@click.command("search", short_help="Find the documents that answer a question.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("queries", metavar="QUERY...", nargs=-1, required=True)
@click.option("-k", "--top-k", type=int, default=10, show_default=True, help="How many documents to show.")
@click.option("--filter", "condition", metavar="JSON", help="Conditions on the documents' metadata.")
@engine_option
@output_options
def search_command(
    directory: Path, queries: tuple[str, ...], top_k: int, condition: str | None, engine: str, as_json: bool
) -> None:
    """Find the documents in DIR that answer a question.

    DIR is a folder that `tfchain index` or `chain.save` wrote. Several questions are answered one after another.

    \b
    Examples:
      tfchain search index "how do I merge two sorted lists"
      tfchain search index "first question" "second question" --top-k 3
      tfchain search index "a question" --filter '{"year": {"$gte": 2020}}'
      tfchain search index "a question" --json | jq -r '.results[0].hits[0].id'
    """
    from tfchain.core.errors import InputError

    if top_k < 1:  # reported before the slow loading
        raise InputError(f"`--top-k` must be at least 1. Received: {top_k}. Ask for one hit or more.")
    for query in queries:
        if not query.strip():
            raise InputError(f"A query must not be empty. Received: {query!r}. Ask for something.")
    wanted = None if condition is None else _read_filter(condition)
    check_saved_task(directory, "search", "search")
    with waiting("loading the index"):
        chain = load_chain(directory, engine=engine)
        results = chain.search(queries, top_k=top_k, filter=wanted)
    if as_json:
        print_json(
            {
                "results": [
                    {
                        "query": result["text"],
                        "hits": [
                            {
                                "id": hit.id,
                                "score": hit.score,
                                "title": hit.title,
                                "text": hit.text,
                                "metadata": dict(hit.metadata),
                            }
                            for hit in result.hits
                        ],
                    }
                    for result in results
                ]
            }
        )
        return
    for number, result in enumerate(results):
        if number:
            click.echo()
        print_hits(result)


def _read_filter(condition: str) -> Any:
    """Reads a filter and checks it, before the slow loading."""
    from tfchain.core.errors import InputError
    from tfchain.core.filters.filter import parse_filter

    try:
        values = json.loads(condition)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f'`--filter` must be JSON, such as \'{{"language": "en"}}\'. Received: {condition!r:.80} ({error}).'
        ) from None
    parse_filter(values)
    return values
