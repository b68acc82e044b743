"""Compresses the chain that a file names: opens it, compares the candidates, saves the chain and its report."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.jobs.chain_opening import open_chain
from tfchain.jobs.compression_plan import CompressionPlan, make_candidates
from tfchain.jobs.plan import find_setting_places
from tfchain.jobs.yaml_lines import located

if TYPE_CHECKING:
    from tfchain.optimization.report import CompressionReport


def run_compression(plan: CompressionPlan) -> "CompressionReport":
    """Compresses, and saves the chain with its report.

    Args:
        plan: What the file says.

    Raises:
        InputError: names file and line of a setting, or of recipes, that do not suit the chain.
    """
    from tfchain.data.files.text_file import read_texts

    texts = None if plan.texts is None else read_texts(plan.texts)
    places = find_setting_places(plan.places)
    chain = open_chain(plan.task, plan.model, plan.chain, places, folder=plan.path.absolute().parent, engine="auto")
    given: dict[str, Any] = {"dataset": plan.dataset, "keep": plan.keep, "max_loss": plan.max_loss}
    with located(plan.places["recipes"]):
        report = compress(chain, plan.candidates, texts=texts, split=plan.split, **given)
    chain.save(plan.output)
    report.save(plan.report_path)
    return report


def compress(
    chain: Any,
    candidates: Any,
    *,
    texts: Any = None,
    dataset: Path | None = None,
    split: str = "test",
    keep: Any = None,
    max_loss: float | None = None,
) -> "CompressionReport":
    """Compresses a chain of any task by recipes as files have them; see `Chain.compress` for the arguments.

    `NeuralSearchChain.compress` names the limit after its task's objective, `max_ndcg_loss`.
    """
    given = {"texts": texts, "dataset": dataset, "split": split, "keep": keep}
    if max_loss is not None:
        is_general = "max_loss" in inspect.signature(chain.compress).parameters
        given["max_loss" if is_general else "max_ndcg_loss"] = max_loss
    report: CompressionReport = chain.compress(make_candidates(candidates), **given)
    return report
