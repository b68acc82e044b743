"""`tfchain train`: runs a whole training from a file."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, to_words, waiting
from tfchain.cli.process import output_options

if TYPE_CHECKING:
    from tfchain.chains.search import NeuralSearchChain
    from tfchain.jobs.plan import LossPlan, NewModel, TrainingPlan
    from tfchain.models.text_encoder import TextEncoder
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
    """Train a model as the YAML file CONFIG says, and save it as a sentence-transformers folder.

    The file is checked as a whole before anything is loaded. With a `checkpoint`, the same command resumes a stopped
    training. Relative paths in CONFIG are relative to its folder.

    \b
    Keys of CONFIG:
      model            a folder or a hub name, or
      new_model        vocabulary (WordPiece), transformer (hidden_dim, num_layers, num_heads,
                       intermediate_dim, max_positions, …), lower_case, pooling, normalize
      dataset          a file or folder of pairs, or name: {path, split, loss} for several, or
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
      validation       a BEIR folder, or {path, split, every, metrics, monitor, patience, restore_best}
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

    options: dict[str, Any] = {"loss": make_losses(plan)}
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
        if plan.guide is not None:
            options["guide"] = TextEncoder.from_pretrained(plan.guide)
    fitted = chain.fit(
        read_datasets(plan),
        validation=validation,
        options=FitOptions(**options),
        recipes=recipes,
        **plan.hyperparameters,
    )
    if find_task(strategy)[0] != 0:
        return None
    chain.save_pretrained(plan.output)
    return {name: [float(value) for value in values] for name, values in fitted.history.items()}


def make_recipes(plan: "TrainingPlan") -> "tuple[TrainingRecipe, ...]":
    """Makes the recipes that act while training; needs no TensorFlow.

    Raises:
        InputError: names file and line of an unknown name, a value out of range, or recipes that do not go together.
    """
    from tfchain.core.errors import InputError
    from tfchain.jobs.yaml_lines import located, suggest
    from tfchain.optimization.recipes import TRAINING_BY_NAME, check_training_recipes

    kinds: dict[str, Any] = dict(TRAINING_BY_NAME)
    made = []
    for number, (name, arguments) in enumerate(plan.recipes):
        key = f"recipes[{number}].{name}"
        if name not in kinds:
            raise InputError(f"{plan.places[key]}: No recipe `{name}` acts while training. {suggest(name, [*kinds])}")
        known = [field.name for field in dataclasses.fields(kinds[name])]
        for argument in arguments:
            if argument not in known:
                where = f"{key}.{argument}"
                raise InputError(f"{plan.places[where]}: There is no key `{where}`. {suggest(argument, known)}")
        try:
            made.append(kinds[name](**arguments))
        except InputError as error:
            named = f"{key}.{error.argument}" if error.argument else key
            raise InputError(f"{plan.places.get(named, plan.places[key])}: {error}") from error
    with located(plan.places.get("recipes", "")):
        return check_training_recipes(made)


def make_validation(plan: "TrainingPlan") -> "Validation | None":
    """Makes the validation of a training; None if the plan has none."""
    from tfchain.jobs.yaml_lines import located
    from tfchain.training.fit.validation import Validation

    if plan.validation is None:
        return None
    with located(plan.places["validation"]):
        return Validation(dataset=plan.validation.path, split=plan.validation.split, **plan.validation.options)


def make_losses(plan: "TrainingPlan") -> Any:
    """Makes the loss of the plan, or those of its datasets by name; None if all follow from the columns."""
    from tfchain.jobs.yaml_lines import located
    from tfchain.training.losses import get_loss

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


def read_datasets(plan: "TrainingPlan") -> Any:
    """Makes what `fit` takes: a path if it reads the wanted split by default, else shards or rows."""
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
    return datasets[""] if list(datasets) == [""] else datasets


def open_chain(plan: "TrainingPlan") -> "NeuralSearchChain":
    """Makes a chain around the plan's model, without documents."""
    from tfchain.chains.search import NeuralSearchChain

    options: dict[str, Any] = {"passages": plan.passages, "engine": "tensorflow"}
    if plan.max_length is not None:
        options["max_length"] = plan.max_length
    if plan.new_model is None:
        return NeuralSearchChain.from_pretrained(plan.model or "", **options)
    seed = plan.hyperparameters.get("seed", 0)
    text_encoder = make_text_encoder(plan.new_model, seed=seed)
    return NeuralSearchChain(text_encoder.tokenizer.tokenizer, text_encoder.encoder, **options)


def make_text_encoder(new: "NewModel", *, seed: int) -> "TextEncoder":
    """Makes a model with random weights and a WordPiece tokenizer.

    Args:
        new: Its shape and vocabulary.
        seed: Seed of the weights.
    """
    import keras

    from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
    from tfchain.models.encoders.encoder import Encoder
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.models.tokenizers.hugging_face import load_transformers

    values: Mapping[str, Any] = new.transformer
    length = values["max_positions"] - values.get("position_offset", 0)
    tokenizer = load_transformers().BertTokenizer(
        vocab=str(new.vocabulary), do_lower_case=new.lower_case, model_max_length=length
    )
    transformer = TransformerConfig(**{"vocabulary_size": len(tokenizer), **values})
    keras.utils.set_random_seed(seed)
    encoder = Encoder(
        EncoderConfig(transformer=transformer, pooling=PoolingConfig(modes=(new.pooling,)), normalize=new.normalize)
    )
    return TextEncoder(tokenizer, encoder, engine="tensorflow")


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
