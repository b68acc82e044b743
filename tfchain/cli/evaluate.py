"""`tfchain evaluate`: measures a saved chain on data with known answers."""

from pathlib import Path
from typing import Any

import click

from tfchain.cli.loading import task_option
from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import engine_option, output_options


@click.command("evaluate", short_help="Measure a saved chain on data with known answers.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="The split of a folder: qrels/SPLIT.tsv of BEIR.")
@click.option(
    *("-m", "--metric", "metrics"),
    multiple=True,
    help="A metric of the chain's task; for a search ndcg, mrr, map, recall or precision, with @k; may be repeated.  "
    "[default: the task's, such as ndcg@10, mrr@10, recall@100, map@100]",
)
@task_option
@engine_option
@output_options
def evaluate_command(
    directory: Path,
    dataset: Path,
    split: str,
    metrics: tuple[str, ...],
    task: str | None,
    engine: str,
    as_json: bool,
) -> None:
    """Compare the answers of the chain in DIR with the known answers of DATASET, in any form that its task reads.

    For a search DATASET is a BEIR folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv. If DIR holds exactly
    these documents, their vectors are used; otherwise they are encoded for this evaluation. For a classification it is
    a file of texts and labels, for a reranking rows of queries, documents and labels. DIR is not changed.

    \b
    Examples:
      tfchain evaluate index data/scifact
      tfchain evaluate index data/scifact --split train --metric ndcg@10 --metric recall@50
      tfchain evaluate labels data/questions.csv --metric accuracy
    """
    from tfchain.chains.chain_types import read_saved_task
    from tfchain.cli.folders import check_is_chain

    check_is_chain(directory)
    is_search = task is None and read_saved_task(directory) == "search"
    judged: Any = check_search(dataset, split, metrics) if is_search else dataset
    with waiting("loading the chain"):
        from tfchain.cli.loading import load_chain

        chain = load_chain(directory, engine=engine, task=task)
    report = chain.evaluate(judged, split=split, metrics=metrics or None)
    context: dict[str, Any] = {"dataset": str(dataset), "split": split}
    if is_search:
        context["queries"] = len(judged.queries)
        context["passages"] = chain.passages.mode
        context["max_length"] = chain.text_encoder.tokenizer.max_length
    else:
        context["task"] = chain.task.name
    if as_json:
        print_json({**context, "metrics": report})
    else:
        print_values({**context, **report})


def check_search(dataset: Path, split: str, metrics: tuple[str, ...]) -> Any:
    """Reads the judgements of a search: a wrong metric, split or folder is reported before the slow loading."""
    from tfchain.data.documents.judged import read_judged
    from tfchain.tasks.ranking_metrics import DEFAULT_METRICS, largest_cutoff

    largest_cutoff(metrics or DEFAULT_METRICS)
    return read_judged(dataset, split=split)
