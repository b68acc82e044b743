"""`tfchain monitor pairs`: training pairs and an evaluation set from a query log's feedback."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from tfchain.monitoring.pairs.impressions import Impression

FOLDER = click.Path(path_type=Path)


@click.command("pairs", short_help="Make training pairs and judgments of feedback.")
@click.option("--query-log", required=True, metavar="DIR", type=FOLDER, help="The server's --query_log_dir.")
@click.option("--documents", required=True, metavar="PATH", type=FOLDER, help="The documents that are searched.")
@click.option("--out", required=True, metavar="DIR", type=FOLDER, help="The new folder.")
@click.option(
    "--propensity",
    type=click.Choice(["em", "randomized", "power"]),
    default="em",
    show_default=True,
    help="How likely users look at each place: estimated from all clicks; measured where hits were shuffled (query "
    "attribute `randomized`); or assumed, (1 / place) ** eta.",
)
@click.option("--eta", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Of --propensity power.")
@click.option("--min-clicks", type=click.IntRange(min=1), default=2, show_default=True, help="Of a relevant document.")
@click.option(
    "--min-relevance",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="The least share of those who look that click, certain to one standard error.",
)
@click.option(
    "--evaluation-share",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="The share of the queries that are kept for evaluation, qrels/test.tsv.",
)
@output_options
def pairs_command(
    query_log: Path,
    documents: Path,
    out: Path,
    propensity: str,
    eta: float,
    min_clicks: int,
    min_relevance: float,
    evaluation_share: float,
    as_json: bool,
) -> None:
    """Turn clicks and thumbs into a BEIR folder, for `tfchain train` and `tfchain evaluate`.

    Users click what stands first. So each click counts as one over the chance that its place is looked at (inverse
    propensity weighting), and a thumb counts as it is. Only queries of applications that send feedback count. A query
    is for training or for evaluation, the same in each run.

    \b
    Examples:
      tfchain monitor pairs --query-log queries --documents docs/ --out feedback
      tfchain train feedback --model index --out better
      tfchain evaluate better feedback
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out must be a new or an empty folder. Received: {out}. Name another one.")
    from tfchain.data.documents.reading import read_documents
    from tfchain.monitoring.log.log_reader import LogReader
    from tfchain.monitoring.pairs.impressions import read_impressions
    from tfchain.monitoring.pairs.judged_folder import write_judged_folder
    from tfchain.monitoring.pairs.judgments import JudgmentOptions, judge

    options = JudgmentOptions(min_clicks=min_clicks, min_relevance=min_relevance)
    with waiting("reading the log"):
        impressions = read_impressions(LogReader(query_log))
        propensities = find_propensities(impressions, propensity, eta)
        judgments = judge(impressions, propensities, options)
    with waiting("writing the judgments"):
        made = write_judged_folder(
            out,
            judgments,
            read_documents(documents),
            impressions=impressions,
            propensities=propensities,
            evaluation_share=evaluation_share,
        )
    values = {
        "output": str(made.path),
        "impressions": len(impressions),
        "propensities": [round(float(one), 4) for one in propensities[:10]],
        "train": {"queries": made.queries["train"], "positives": made.positives["train"]},
        "test": {"queries": made.queries["test"], "positives": made.positives["test"]},
        "missing_documents": made.missing or None,
    }
    if as_json:
        print_json(values)
    else:
        print_values(values)


def find_propensities(impressions: "Sequence[Impression]", kind: str, eta: float) -> "np.ndarray":
    """Returns the chance that each place is looked at, relative to the first."""
    from tfchain.monitoring.pairs import position_model as model

    if kind == "randomized":
        return model.estimate_from_randomization(impressions)
    counts = model.count_impressions(impressions)
    return model.assume_power(max(counts.num_places, 1), eta) if kind == "power" else model.estimate_by_em(counts)
