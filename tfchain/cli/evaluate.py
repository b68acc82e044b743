"""`tfchain evaluate`: how well a saved chain's rankings agree with judgements."""

from pathlib import Path

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import engine_option, output_options


@click.command("evaluate", short_help="Compare an index's rankings with judgements.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("dataset", metavar="BEIR", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="The judgements to use: qrels/SPLIT.tsv.")
@click.option(
    *("-m", "--metric", "metrics"),
    multiple=True,
    help="ndcg, mrr, map, recall or precision, with @k; may be repeated.  "
    "[default: ndcg@10, mrr@10, recall@100, map@100]",
)
@engine_option
@output_options
def evaluate_command(
    directory: Path, dataset: Path, split: str, metrics: tuple[str, ...], engine: str, as_json: bool
) -> None:
    """Rank the documents of a BEIR folder for its queries with the model of DIR, and compare with its judgements.

    BEIR is a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv. If DIR holds exactly these documents, their
    vectors are used; otherwise they are encoded for this evaluation. DIR is not changed.

    \b
    Examples:
      tfchain evaluate index data/scifact
      tfchain evaluate index data/scifact --split train --metric ndcg@10 --metric recall@50
    """
    from tfchain.data.documents.judged import read_judged
    from tfchain.tasks.search.metrics import DEFAULT_METRICS, largest_cutoff

    names = metrics or DEFAULT_METRICS
    largest_cutoff(names)  # a wrong name, split or folder is reported before the slow loading
    judged = read_judged(dataset, split=split)
    with waiting("loading the index"):
        from tfchain.cli.loading import load_chain

        chain = load_chain(directory, engine=engine)
    report = chain.evaluate(judged, metrics=names)
    context = {
        "dataset": str(dataset),
        "split": split,
        "queries": len(judged.queries),
        "passages": chain.passages.mode,
        "max_length": chain.text_encoder.tokenizer.max_length,
    }
    if as_json:
        print_json({**context, "metrics": report})
    else:
        print_values({**context, **report})
