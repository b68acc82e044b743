"""Opens the chain that a file describes: its task's, around its model, with its settings; errors name file and line."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.chains.chain_types import find_chain_type
from tfchain.core.errors import InputError
from tfchain.jobs.chain_settings import find_dataclass, find_place, find_settings, locate_setting, make_settings
from tfchain.jobs.plan import NewModel
from tfchain.tasks.manifest import MANIFEST

if TYPE_CHECKING:
    from tfchain.jobs.plan import DatasetPlan
    from tfchain.models.text_encoder import TextEncoder


def open_chain(
    task: str,
    model: str | Path | None,
    settings: Mapping[str, Any],
    places: Mapping[str, str],
    *,
    encoder: str | Path | None = None,
    new_model: NewModel | Mapping[str, Any] | None = None,
    dataset: "DatasetPlan | None" = None,
    engine: str = "tensorflow",
    folder: Path | None = None,
    seed: int = 0,
) -> Any:
    """Opens the chain that a training, a tuning, a compression or a life cycle begins with.

    Args:
        task: The name of a task, or `module:Class` of a chain of your own.
        model: A folder or hub name that the chain's `from_pretrained` reads, or the folder of a saved chain; None for
            `encoder` or `new_model`, or else for what the chain's constructor makes.
        settings: Arguments of the chain, by name.
        places: File and line of each setting by its name, and of `task`, `model`, `encoder` and `new_model`.
        encoder: A folder or hub name of an encoder, which the chain gives new outputs. Default: none.
        new_model: The shape of a model without weights: of an encoder of texts; or a mapping of the fields of the shape
            that the chain's `from_scratch` takes. Default: none.
        dataset: The rows, of which `from_scratch` learns a vocabulary. Default: none.
        engine: The engine that runs the model, if the settings name none and the chain has one. Default: `tensorflow`.
        folder: The folder that paths among the settings are relative to. Default: the current folder.
        seed: Seed of a new model's weights. Default: 0.

    Returns:
        A `Chain` of the task.

    Raises:
        InputError: names file and line of a setting that the chain does not have or that is out of range.
    """
    try:
        kind = find_chain_type(task)
    except InputError as error:
        raise locate_setting(error, places, "task") from error
    is_saved = model is not None and (Path(model) / MANIFEST).is_file()
    if is_saved:
        others = [name for name in settings if name != "engine"]
        if others:
            raise InputError(
                f"{find_place(places, others[0])}: A saved chain keeps its settings. Received: `{others[0]}` and "
                f"`model: {model}`, which is one. Leave the setting out, or name the folder of a model."
            )
        return kind.load(model, engine=settings.get("engine", engine))
    made: tuple[Any, ...] = () if model is None else (model,)
    if isinstance(new_model, Mapping):
        make, settings, places = _find_maker(kind, new_model, settings, places)
        made = () if dataset is None else (dataset.path,)
    else:
        make = kind if model is None else _find_reader(kind, places)
    known = find_settings(make)
    given = make_settings(known, settings, places, folder=folder)
    if "engine" in known:
        given.setdefault("engine", engine)
    if isinstance(new_model, Mapping) and dataset is not None and "split" in known:
        given.setdefault("split", dataset.split)
    if model is None and encoder is None and new_model is None:
        check_needs_no_model(kind, places)
    if encoder is not None or isinstance(new_model, NewModel):
        check_takes_encoder(kind, places)
        made = _make_new(new_model, seed=seed) if isinstance(new_model, NewModel) else (None, encoder)
    try:
        return make(*made, **given)
    except InputError as error:
        raise locate_setting(error, places, "model") from error
    except TypeError as error:
        raise InputError(
            f"{find_place(places, 'chain')}: The chain cannot be made with {', '.join(given) or 'no settings'}: {error}"
        ) from error


def check_takes_encoder(kind: Any, places: Mapping[str, str]) -> None:
    """Rejects `encoder` and `new_model` for a chain that is not made of a tokenizer and an encoder of texts.

    Raises:
        InputError: names file and line.
    """
    if {"tokenizer", "model"} <= set(inspect.signature(kind).parameters):
        return
    name = "new_model" if "new_model" in places else "encoder"
    raise InputError(
        f"{find_place(places, name)}: `{name}` is an encoder of texts, which {kind.__name__} is not made of. Leave it "
        "out."
    )


def check_needs_no_model(kind: Any, places: Mapping[str, str]) -> None:
    """Rejects a file without a model for a chain whose constructor has no default for it.

    Raises:
        InputError: names file and line.
    """
    parameter = inspect.signature(kind).parameters.get("model")
    if parameter is not None and parameter.default is parameter.empty:
        raise InputError(
            f"{find_place(places, 'task')}: `model` is missing, of which {kind.__name__} is made: a folder or hub name."
        )


def make_text_encoder(new: NewModel, *, seed: int) -> "TextEncoder":
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


def _find_reader(kind: Any, places: Mapping[str, str]) -> Any:
    """Returns the chain's `from_pretrained`."""
    if not hasattr(kind, "from_pretrained"):
        raise InputError(
            f"{find_place(places, 'model')}: {kind.__name__} reads no folder of a model, as it has no "
            "`from_pretrained`. Name the folder of a saved chain."
        )
    return kind.from_pretrained


def _find_maker(
    kind: Any, shape: Mapping[str, Any], settings: Mapping[str, Any], places: Mapping[str, str]
) -> tuple[Any, dict[str, Any], dict[str, str]]:
    """Returns the chain's `from_scratch`, and the settings and places with those of the shape."""
    if not hasattr(kind, "from_scratch"):
        raise InputError(
            f"{find_place(places, 'new_model')}: `new_model` must have `vocabulary` and `transformer`, as "
            f"{kind.__name__} has no `from_scratch`. Received: {', '.join(shape) or 'nothing'}."
        )
    named = find_settings(kind.from_scratch)
    name = next((name for name, hint in named.items() if find_dataclass(hint) is not None), "shape")
    own = {f"{name}{key.removeprefix('new_model')}": place for key, place in places.items() if "new_model" in key}
    return kind.from_scratch, {**settings, name: dict(shape)}, {**places, **own}


def _make_new(new_model: NewModel, *, seed: int) -> tuple[Any, Any]:
    """Makes the tokenizer and the encoder of a new model."""
    made = make_text_encoder(new_model, seed=seed)
    return made.tokenizer.tokenizer, made.encoder
