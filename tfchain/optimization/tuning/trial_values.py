"""From a trial's values to what it trains: hyperparameters, losses, mining, and the shape of the encoder."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HYPERPARAMETER_NAMES, Hyperparameters
from tfchain.core.sampling import spread_evenly
from tfchain.models.encoders.config import PoolingConfig, PoolingMode
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Shrink
from tfchain.optimization.shrink import shrink
from tfchain.training.batches.training_data import NamedPairs
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.training_copy import make_training_copy
from tfchain.training.losses import LOSSES, WRAPPERS, Matryoshka, PairLoss, SpreadOut, get_loss
from tfchain.training.mining.options import Mining

LOSS_ARGUMENTS = tuple(
    sorted({name for loss in LOSSES.values() if loss not in WRAPPERS for name in inspect.signature(loss).parameters})
)
MINING_NAMES = tuple(field.name for field in dataclasses.fields(Mining) if field.name not in ("corpus", "batch_size"))
SHRINK_NAMES = tuple(field.name for field in dataclasses.fields(Shrink))
PREFIXES = {"loss": LOSS_ARGUMENTS, "mining": MINING_NAMES, "shrink": SHRINK_NAMES, "matryoshka": ("dims",)}
PLAIN_NAMES = (*HYPERPARAMETER_NAMES, "loss", "pooling")
SHAPE_NAMES = ("pooling", *(f"shrink.{name}" for name in SHRINK_NAMES))
TEXTS_TO_LOOK_AT = 512  # texts of the training data that Shrink sees


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one trial trains.

    Args:
        hyperparameters: The hyperparameters of the training.
        options: The options, with the trial's losses and mining.
        shrink: What is made smaller first. Default: nothing.
        pooling: How token vectors become one vector. Default: the model's own pooling.
    """

    hyperparameters: Hyperparameters
    options: FitOptions
    shrink: Shrink | None = None
    pooling: tuple[PoolingMode, ...] | None = None


def check_name(name: Any) -> str:
    """Returns the name if a space may have it.

    Raises:
        InputError: if no hyperparameter has this name.
    """
    if isinstance(name, str):
        prefix, _, rest = name.partition(".")
        if name in PLAIN_NAMES or rest in PREFIXES.get(prefix, ()):
            return name
        if prefix == "loss" and rest.isidentifier():  # a task's own losses have others; `check_losses` knows them
            return name
        if prefix in PREFIXES and rest:
            raise InputError(
                f"`space` must name hyperparameters. Received: {name!r}. Those of {prefix}: "
                f"{', '.join(f'{prefix}.{argument}' for argument in PREFIXES[prefix])}."
            )
    raise InputError(
        f"`space` must name hyperparameters. Received: {name!r}. Expected one of: {', '.join(PLAIN_NAMES)}; or "
        f"{', '.join(f'{prefix}.…' for prefix in PREFIXES)}, such as loss.scale, mining.num_negatives, shrink.layers "
        "and matryoshka.dims."
    )


def check_value(name: str, value: Any) -> None:
    """Raises if a hyperparameter cannot have a value, whatever the model and the data.

    Raises:
        InputError: if it is of the wrong type or out of its range.
    """
    prefix, _, rest = name.partition(".")
    try:
        if name in HYPERPARAMETER_NAMES:
            Hyperparameters(**{name: value})
        elif name == "loss":
            if value is not None:
                get_loss(value)
        elif name == "pooling":
            _to_pooling(value)
        elif prefix == "mining" and not (rest == "num_negatives" and value == 0):
            Mining(**{rest: value})
        elif prefix == "shrink" and value is not None:
            Shrink(**{rest: _to_tuple(value)})
        elif name == "matryoshka.dims" and value:
            Matryoshka(get_loss("in_batch_softmax"), value)
        elif prefix == "loss" and not isinstance(value, int | float | str):
            raise InputError(f"Expected a number or a word. Received: {value!r:.100}.")
    except InputError as error:
        raise InputError(f"`{name}` of the space: {error}") from error


def check_losses(names: Sequence[str], datasets: Sequence[NamedPairs], losses: Sequence[Any]) -> None:
    """Raises if the space has an argument that none of its losses takes.

    Args:
        names: The names in the space.
        datasets: The datasets, with the losses that apply if the space names none.
        losses: The losses that the space names.

    Raises:
        InputError: if an argument would never have an effect.
    """
    own = [_unwrap(dataset.loss, names) for dataset in datasets]
    chosen = [get_loss(loss) for loss in losses if loss is not None] or own
    if None in losses:
        chosen += own
    for name in names:
        argument = name.removeprefix("loss.")
        if argument != name and not any(_takes(loss, argument) for loss in chosen):
            raise InputError(
                f"`{name}` of the space must be an argument of a loss that is used. Received: the losses "
                f"{', '.join(dict.fromkeys(loss.name for loss in chosen))}, none of which has it. Leave it out."
            )


def check_plain_names(names: Sequence[str], model: str) -> None:
    """Raises if the space has a name that trainings of text encoders alone have.

    Args:
        names: The names in the space.
        model: The class of the model, for the error.

    Raises:
        InputError: if a name is no hyperparameter.
    """
    for name in names:
        if name not in HYPERPARAMETER_NAMES:
            raise InputError(
                f"`space` for a {model} must name hyperparameters. Received: {name!r}, which trainings of text "
                f"encoders have. Expected some of: {', '.join(HYPERPARAMETER_NAMES)}."
            )


def strip_loss(loss: PairLoss, names: Sequence[str]) -> PairLoss:
    """Resets the loss's arguments to their defaults where every trial sets them itself.

    Args:
        loss: A dataset's loss before a trial.
        names: The names that every trial sets.
    """
    if "loss" in names:
        return get_loss("in_batch_softmax")  # any will do: a trial keeps nothing of the given loss
    loss = _unwrap(loss, names)
    config = loss.get_config()
    for name in names:
        config.pop(name.removeprefix("loss."), None)
        if name == "loss.temperature":
            config.pop("scale", None)
    if isinstance(loss, SpreadOut):
        return SpreadOut(strip_loss(loss.loss, names), **{name: config[name] for name in config if name != "loss"})
    return type(loss).from_config(config)


def make_setting(
    values: Mapping[str, Any], hyperparameters: Hyperparameters, options: FitOptions, datasets: Sequence[NamedPairs]
) -> Setting:
    """Makes the setting that a trial with these values trains.

    Args:
        values: Values by name, as `SearchSpace.values` returns them.
        hyperparameters: The base hyperparameters; the values replace some of them.
        options: The base options; the values replace some of them.
        datasets: The datasets, with the losses that apply if the values name none.

    Raises:
        InputError: if values do not go together.
    """
    own = {name: value for name, value in values.items() if name in HYPERPARAMETER_NAMES}
    changes: dict[str, Any] = {}
    if any(name == "loss" or name.startswith(("loss.", "matryoshka.")) for name in values):
        losses = {dataset.name: _make_loss(values, dataset.loss) for dataset in datasets}
        changes["loss"] = losses if len(losses) > 1 else next(iter(losses.values()))
    mining = _strip("mining", values)
    if mining:
        changes["mining"] = _make_mining(mining, options.mining)
        if changes["mining"] is None:
            changes["cross_check"] = None
    smaller = {name: _to_tuple(value) for name, value in _strip("shrink", values).items() if value is not None}
    return Setting(
        hyperparameters=hyperparameters.replace(**own),
        options=dataclasses.replace(options, **changes),
        shrink=Shrink(**smaller) if smaller else None,
        pooling=_to_pooling(values["pooling"]) if values.get("pooling") is not None else None,
    )


def make_trial_encoder(
    text_encoder: TextEncoder, setting: Setting, texts: Sequence[str], *, progress: bool | None = None
) -> TextEncoder:
    """Makes the trial's own text encoder, in its shape and not trained yet; the given one is unchanged.

    Args:
        text_encoder: The text encoder that all trials begin with.
        setting: The trial's setting.
        texts: Texts for `Shrink`.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.

    Raises:
        InputError: if the encoder cannot have the trial's shape, or Keras cannot copy it.
    """
    made = text_encoder
    if setting.pooling is not None:
        made = made.with_encoder(_with_pooling(made.own_encoder, setting.pooling))
    if setting.shrink is not None:
        made = shrink(made, setting.shrink, texts, progress=progress)
    if made.own_encoder is text_encoder.own_encoder:
        made = made.with_encoder(make_training_copy(made.own_encoder, Hyperparameters()))
    if text_encoder.query_route is not None:  # trained with it, and otherwise shared by all trials
        made.query_route = text_encoder.query_route.copy()
    return made


def sample_texts(datasets: Sequence[NamedPairs]) -> list[str]:
    """An evenly spaced sample of up to 512 documents of the training data."""
    texts = [text for dataset in datasets for text in dataset.pairs.columns[min(1, dataset.pairs.num_columns - 1)]]
    return spread_evenly(texts, TEXTS_TO_LOOK_AT)


def _make_loss(values: Mapping[str, Any], own: PairLoss) -> PairLoss:
    loss = get_loss(values["loss"]) if values.get("loss") is not None else _unwrap(own, tuple(values))
    loss = _with_arguments(loss, _strip("loss", values))
    dims = values.get("matryoshka.dims")
    return Matryoshka(loss, dims) if dims else loss


def _with_arguments(loss: PairLoss, values: Mapping[str, Any]) -> PairLoss:
    """The loss, and what `SpreadOut` stands around, with those of the values that are its arguments."""
    arguments = {name: value for name, value in values.items() if name in inspect.signature(type(loss)).parameters}
    config = {**loss.get_config(), **arguments}
    if arguments.get("temperature") is not None:
        config.pop("scale", None)  # another name for the same setting
    if isinstance(loss, SpreadOut):
        inner = _with_arguments(loss.loss, values)
        return SpreadOut(inner, **{name: config[name] for name in config if name != "loss"})
    return type(loss).from_config(config) if arguments else loss


def _unwrap(loss: PairLoss, names: Sequence[str]) -> PairLoss:
    return loss.loss if isinstance(loss, Matryoshka) and "matryoshka.dims" in names else loss


def _make_mining(values: Mapping[str, Any], own: Mining | None) -> Mining | None:
    if values.get("num_negatives") == 0:
        return None
    return dataclasses.replace(own or Mining(), **values)


def _with_pooling(encoder: Any, modes: tuple[PoolingMode, ...]) -> Encoder:
    if not isinstance(encoder, Encoder):
        raise InputError(
            f"`pooling` needs one of tfchain's own encoders. Received: {type(encoder).__name__}. Leave it out."
        )
    config = encoder.config
    if (config.dense or config.head) and len(modes) != len(config.pooling.modes):
        raise InputError(
            f"`pooling` must keep the width that the model's Dense layer takes: {len(config.pooling.modes)} mode(s). "
            f"Received: pooling={list(modes)}."
        )
    pooling = dataclasses.replace(config.pooling, modes=modes)
    made = make_blank_encoder(dataclasses.replace(config, pooling=pooling), name=encoder.name)
    made.set_weights(encoder.get_weights())  # pooling has none
    return made


def _takes(loss: PairLoss, argument: str) -> bool:
    is_inside = isinstance(loss, SpreadOut) and _takes(loss.loss, argument)
    return is_inside or argument in inspect.signature(type(loss)).parameters


def _strip(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(f"{prefix}."): value for name, value in values.items() if name.startswith(f"{prefix}.")}


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _to_pooling(value: Any) -> tuple[PoolingMode, ...]:
    modes = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (value,)
    if not modes or any(mode not in get_args(PoolingMode) for mode in modes):
        raise InputError(f"Expected one of {', '.join(get_args(PoolingMode))}. Received: {value!r:.100}.")
    return PoolingConfig(modes=modes).modes
