"""`tfchain train`: runs a whole training from a file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, to_words, waiting
from tfchain.cli.process import output_options

if TYPE_CHECKING:
    from tfchain.jobs.plan import LossPlan, TrainingPlan
    from tfchain.optimization.recipes import TrainingRecipe
    from tfchain.training.fit.validation import Validation


@click.command("train", short_help="Train a model as a file says.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option(
    "--worker-hosts",
    metavar="HOST:PORT,...",
    help="The addresses of all workers of one training, the same on each; sets TF_CONFIG.",
)
@click.option("--worker-index", type=int, help="The index of this process in --worker-hosts, from 0.")
@output_options
def train_command(config: Path, worker_hosts: str | None, worker_index: int | None, as_json: bool) -> None:
    """Train a model as the YAML file CONFIG says, and save it.

    A search is saved as a sentence-transformers folder, for `tfchain index`; any other task as a chain, which
    `tfchain evaluate`, `compress` and `export` take.

    The file is checked as a whole before anything is loaded. With a `checkpoint`, the same command resumes a stopped
    training. Relative paths in CONFIG are relative to its folder.

    \b
    Keys of CONFIG:
      task             search, classification, reranking, … (an unknown one lists all), or module:Class
                       of a chain of your own  [default: search]
      chain            the chain's own settings, such as {multi_label: true} of a classification
      model            a folder, a hub name or a saved chain, or
      encoder          a folder or a hub name of an encoder that gets new outputs, or
      new_model        the shape of a model without weights: vocabulary (WordPiece), transformer
                       (hidden_dim, num_layers, num_heads, intermediate_dim, max_positions, …),
                       lower_case, pooling, normalize
      dataset          a file or folder of the task's rows; a search reads pairs, and also
                       name: {path, split, loss} for several, or
                       {shards, shuffle_rows, uneven} for a file or folder of TFRecord or Parquet
                       that is streamed, for data larger than memory
      output           the new folder for the trained model
      loss             a name, or {name, and its arguments}  [default: chosen by the columns]
      hyperparameters  learning_rate, batch_size, epochs, warmup, …
      mining           adds hard negatives: {num_negatives, range_min, range_max, relative_margin,
                       absolute_margin, min_score, max_score, sampling, fill, corpus, every, seed, batch_size}
      recipes          recipes that act while training: a list of {prune: {sparsity, pattern, …}},
                       {quantize_aware: {weight_bits, …}} and {cluster: {num_clusters, …}}
      augment          steps that disturb the rows anew in each epoch: a list such as {delete_words: {rate: 0.1}}
      validation       data with known answers (a BEIR folder for a search), or
                       {path, split, every, metrics, monitor, patience, restore_best}
      length_groups    rectangles that a batch's texts are cut into by length  [default: 4]
      data_service     grpc://host:port of a tf.data service that reads the shards
      max_length, passages, split, mixing, guide, strategy, checkpoint, checkpoint_every, log_path
      tuning           for `tfchain tune`; ignored here

    Several machines train together if TF_CONFIG or Slurm says so; `tfchain launch` arranges that.

    \b
    Examples:
      tfchain train train.yaml
      tfchain train train.yaml --worker-hosts node0:2222,node1:2222 --worker-index 0
    """
    if (worker_hosts is None) != (worker_index is None):
        raise click.UsageError("--worker-hosts and --worker-index belong together.")
    from tfchain.jobs.config import read_plan

    plan = read_plan(config)
    if worker_hosts is not None and worker_index is not None:
        from tfchain.jobs.cluster import make_tf_config
        from tfchain.jobs.plan import check_for_workers

        hosts = worker_hosts.split(",")
        os.environ["TF_CONFIG"] = make_tf_config(hosts, worker_index)  # before TensorFlow reads it
        check_for_workers(plan, len(hosts))
    history = run_training(plan)
    if history is None:
        return
    if as_json:
        print_json({"model": str(plan.output.resolve()), "history": history})
    else:
        print_epochs(history)
        click.echo(f"the model is in {plan.output.resolve()}")


def run_training(plan: "TrainingPlan") -> dict[str, list[float]] | None:
    """Trains, and saves the model.

    Args:
        plan: The plan of the training.

    Returns:
        Losses and metrics by epoch; None in a process that is not the chief, which writes nothing.

    Raises:
        InputError: if the plan cannot be carried out.
    """
    recipes = make_recipes(plan)
    with waiting("starting TensorFlow"):
        from tfchain.models.text_encoder import TextEncoder
        from tfchain.training.distributed.strategies import find_task, make_strategy
        from tfchain.training.fit.fit import FitOptions

    dataset, split = read_datasets(plan)
    options: dict[str, Any] = {"loss": make_losses(plan), **split}
    names = (
        "checkpoint",
        "checkpoint_every",
        "log_path",
        "mixing",
        "mining",
        "length_groups",
        "data_service",
        "augment",
    )
    for name in names:
        if getattr(plan, name) is not None:
            options[name] = getattr(plan, name)
    validation = make_validation(plan)
    # Workers must be connected before TensorFlow computes anything, and loading a model does.
    with waiting("waiting for the other workers"):
        strategy = make_strategy(plan.strategy)
        options["strategy"] = "one" if strategy is None else strategy
    with waiting("loading the model"):
        chain = open_chain(plan)
        check_validation(plan, chain)
        if plan.guide is not None:
            options["guide"] = TextEncoder.from_pretrained(plan.guide)
    fitted = chain.fit(
        dataset,
        validation=validation,
        options=FitOptions(**options),
        recipes=recipes,
        **plan.hyperparameters,
    )
    if find_task(strategy)[0] != 0:
        return None
    save_trained(plan, chain)
    return {name: [float(value) for value in values] for name, values in fitted.history.items()}


def make_recipes(plan: "TrainingPlan") -> "tuple[TrainingRecipe, ...]":
    """Makes the recipes that act while training; needs no TensorFlow.

    Raises:
        InputError: names file and line of an unknown name, a value out of range, or recipes that do not go together.
    """
    from tfchain.jobs.recipe_values import make_training_recipes

    made: tuple[TrainingRecipe, ...] = make_training_recipes(plan.recipes, plan.places)
    return made


def make_validation(plan: "TrainingPlan") -> "Validation | None":
    """Makes the validation of a training; None if the plan has none."""
    from tfchain.jobs.yaml_lines import located
    from tfchain.training.fit.validation import Validation

    if plan.validation is None:
        return None
    with located(plan.places["validation"]):
        return Validation(dataset=plan.validation.path, split=plan.validation.split, **plan.validation.options)


def make_losses(plan: "TrainingPlan") -> Any:
    """Makes the loss of the plan, or those of its datasets by name; None if all follow from the columns.

    Tasks other than a search read the names of their own losses.
    """
    from tfchain.jobs.yaml_lines import located
    from tfchain.training.losses import get_loss

    if plan.task != "search":
        (dataset,) = plan.datasets.values()
        return dataset.loss or plan.loss

    def make(loss: "LossPlan", place: str) -> Any:
        with located(plan.places[place]):
            return get_loss(loss)

    of_all = None if plan.loss is None else make(plan.loss, "loss")
    own = {
        name: make(dataset.loss, f"dataset.{name}.loss")
        for name, dataset in plan.datasets.items()
        if dataset.loss is not None
    }
    if not own:
        return of_all
    return {name: own.get(name, of_all) for name in plan.datasets}


def read_datasets(plan: "TrainingPlan") -> tuple[Any, dict[str, str]]:
    """Makes what `fit` takes, and the fields of `FitOptions` that belong to it.

    A search gets a path if it reads the wanted split by default, else shards or rows. The other tasks read a path.
    """
    if plan.task != "search":
        (only,) = plan.datasets.values()
        return only.path, {"split": only.split}
    from tfchain.data.pairs.reading import read_pairs
    from tfchain.data.shards.pair_shards import PairShards
    from tfchain.jobs.yaml_lines import located

    datasets: dict[str, Any] = {}
    for name, dataset in plan.datasets.items():
        with located(plan.places[f"dataset.{name}" if name else "dataset"]):
            if dataset.shards is not None:
                datasets[name] = PairShards(dataset.path, **dataset.shards)
                continue
            is_usual = dataset.split == "train"
            datasets[name] = dataset.path if is_usual else read_pairs(dataset.path, split=dataset.split)
    return (datasets[""] if list(datasets) == [""] else datasets), {}


def open_chain(plan: "TrainingPlan") -> Any:
    """Opens the chain of the plan's task, around its model."""
    from tfchain.jobs.chain_opening import open_chain as open_one

    return open_one(
        plan.task,
        plan.model,
        plan.settings,
        plan.setting_places,
        encoder=plan.encoder,
        new_model=plan.new_model,
        dataset=next(iter(plan.datasets.values())),
        folder=plan.path.absolute().parent,
        seed=plan.hyperparameters.get("seed", 0),
    )


def check_validation(plan: "TrainingPlan", chain: Any) -> None:
    """Rejects metrics that the chain's task does not measure, with their line."""
    from tfchain.jobs.yaml_lines import located

    if plan.validation is not None and "metrics" in plan.validation.options:
        with located(plan.places.get("validation.metrics", str(plan.path))):
            chain.task.check_metrics(plan.validation.options["metrics"])


def save_trained(plan: "TrainingPlan", chain: Any) -> None:
    """Saves what was trained as `output`.

    A search without documents is its model, a sentence-transformers folder; the chains of other tasks keep what they
    learned beside the model, such as labels, and are saved whole.
    """
    if plan.task == "search":
        chain.save_pretrained(plan.output)
    else:
        chain.save(plan.output)


def print_epochs(history: Mapping[str, Sequence[float]]) -> None:
    """Prints a table of losses and metrics, one line per epoch."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("epoch", justify="right", style="dim")
    for name in history:
        table.add_column(name, justify="right")
    for epoch in range(max(map(len, history.values()), default=0)):
        cells = [to_words(float(values[epoch])) if epoch < len(values) else "" for values in history.values()]
        table.add_row(str(epoch + 1), *cells)
    Console(highlight=False).print(table)
