"""`tfchain tune`: searches for the hyperparameters of a training from a file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options

if TYPE_CHECKING:
    from tfchain.jobs.plan import TrainingPlan
    from tfchain.optimization.tuning.report import TuningReport


@click.command("tune", short_help="Search for a training's hyperparameters as a file says.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@output_options
def tune_command(config: Path, as_json: bool) -> None:
    """Search for the hyperparameters of the training that the YAML file CONFIG describes, and train with the best.

    CONFIG is what `tfchain train` takes, with `validation` and one more key, `tuning`. Each trial trains a fresh copy
    of the model and is ranked on `validation`; a model trained with the best values is saved as `output`. The same
    command resumes a stopped search. `checkpoint` and `log_path` are for `tfchain train` alone.

    \b
    Keys of `tuning`:
      space           name: [choices], or name: {min, max, step, sampling}; the names are those of
                      `hyperparameters`, loss, loss.scale and other arguments of losses,
                      mining.num_negatives, matryoshka.dims, pooling, shrink.layers, …
      tuner           random, bayesian, hyperband or grid  [default: random]
      max_trials      [default: 12]
      objective       a metric of `validation`  [default: the task's, such as ndcg@10]
      max_latency_ms  the largest time of one query in milliseconds  [default: no limit]
      max_size_mb     the largest size of the model's files in millions of bytes  [default: no limit]
      seed            seed of the draws  [default: 0]
      path            the folder for trials, report, picture and TensorBoard's logs

    Several workers share the trials if KerasTuner's variables are set; `tfchain launch --tune` arranges that.

    \b
    Examples:
      tfchain tune tune.yaml
      tfchain launch tune.yaml --tune --workers 2
    """
    from tfchain.jobs.config import read_plan
    from tfchain.jobs.plan import check_for_tuning

    plan = read_plan(config)
    check_for_tuning(plan)
    report = run_tuning(plan)
    if report is None:
        return
    if as_json:
        print_json({"model": str(plan.output.resolve()), **report.to_dict()})
        return
    from rich.console import Console

    Console(highlight=False).print(report.to_table())
    click.echo(f"the report is in {report_path(plan)}, the model in {plan.output.resolve()}")


def run_tuning(plan: "TrainingPlan") -> "TuningReport | None":
    """Searches, trains with the best values, and saves the model.

    Args:
        plan: The plan of the training, with `tuning`.

    Returns:
        The report; None in a worker, which writes nothing.

    Raises:
        InputError: if the plan cannot be carried out.
    """
    with waiting("starting TensorFlow"):
        from tfchain.cli.train import (
            check_validation,
            make_losses,
            make_validation,
            open_chain,
            read_datasets,
            save_trained,
        )
        from tfchain.jobs.yaml_lines import located
        from tfchain.models.text_encoder import TextEncoder
        from tfchain.optimization.tuning.space import SearchSpace
        from tfchain.optimization.tuning.workers import find_role
        from tfchain.training.fit.fit import FitOptions

    assert plan.tuning is not None
    with located(plan.places["tuning.space"]):
        SearchSpace(plan.tuning.space)
    dataset, split = read_datasets(plan)
    options: dict[str, Any] = {"loss": make_losses(plan), "strategy": plan.strategy, **split}
    for name in ("mixing", "mining", "length_groups", "data_service", "augment"):
        if getattr(plan, name) is not None:
            options[name] = getattr(plan, name)
    with waiting("loading the model"):
        chain = open_chain(plan)
        check_validation(plan, chain)
        chain.hyperparameters = chain.hyperparameters.replace(**plan.hyperparameters)
        if plan.guide is not None:
            options["guide"] = TextEncoder.from_pretrained(plan.guide)
    with located(plan.places["tuning"]):
        report = chain.tune(
            dataset,
            plan.tuning.space,
            validation=make_validation(plan),
            options=FitOptions(**options),
            path=report_path(plan),
            refit=True,
            **plan.tuning.options,
        )
    if find_role(os.environ) == "worker":
        return None
    save_trained(plan, chain)
    return report


def report_path(plan: "TrainingPlan") -> Path:
    """The folder of the search: beside the model if the file does not name one."""
    assert plan.tuning is not None
    return plan.tuning.path or plan.output.with_name(f"{plan.output.name}-tuning")
