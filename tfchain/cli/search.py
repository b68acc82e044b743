"""`tfchain search`: searches a saved chain."""

from pathlib import Path

import click

from tfchain.cli.output import print_hits, print_json, waiting
from tfchain.cli.process import engine_option, output_options


@click.command("search", short_help="Find the documents that answer a question.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("queries", metavar="QUERY...", nargs=-1, required=True)
@click.option("-k", "--top-k", type=int, default=10, show_default=True, help="How many documents to show.")
@engine_option
@output_options
def search_command(directory: Path, queries: tuple[str, ...], top_k: int, engine: str, as_json: bool) -> None:
    """Find the documents in DIR that answer a question.

    DIR is a folder that `tfchain index` or `chain.save` wrote. Several questions are answered one after another.

    \b
    Examples:
      tfchain search index "how do I merge two sorted lists"
      tfchain search index "first question" "second question" --top-k 3
      tfchain search index "a question" --json | jq -r '.results[0].hits[0].id'
    """
    from tfchain.core.errors import InputError

    if top_k < 1:  # reported before the slow loading
        raise InputError(f"`--top-k` must be at least 1. Received: {top_k}. Ask for one hit or more.")
    for query in queries:
        if not query.strip():
            raise InputError(f"A query must not be empty. Received: {query!r}. Ask for something.")
    with waiting("loading the index"):
        from tfchain.cli.loading import load_chain

        chain = load_chain(directory, engine=engine)
        results = chain.search(queries, top_k=top_k)
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
