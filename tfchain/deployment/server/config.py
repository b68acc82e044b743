"""The configuration of the served models: read from TensorFlow Serving's protos and files, and checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.deployment.server.policies import All, Latest, Policy, Specific
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

TENSORFLOW_PLATFORM = "tensorflow"
_URI = re.compile(r"(?P<scheme>[a-zA-Z][0-9a-zA-Z.]*)://(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How to serve one model.

    Args:
        name: The name that requests use.
        base_path: The folder of its version folders.
        policy: Which versions to serve. Default: the highest.
        labels: Versions by label. Default: none.
        platform: The kind of model. Default: `tensorflow`, the only one that is served.
        warnings: What to log when the model is taken up. Default: none.
    """

    name: str
    base_path: Path
    policy: Policy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = TENSORFLOW_PLATFORM
    warnings: tuple[str, ...] = ()


def read_config_file(path: Path | str) -> Any:
    """Reads a model config file.

    Args:
        path: A text file with a `tensorflow.serving.ModelServerConfig`.

    Returns:
        The proto.

    Raises:
        StatusError: if the file cannot be read, or is not such a proto.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid_argument(
            f"Invalid protobuf file: '{path}' (Error parsing text-format tensorflow.serving.ModelServerConfig: {error})"
        ) from error
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.FAILED_PRECONDITION
        raise StatusError(code, f"{path}; {error.strerror or error}") from error
    return config


def parse_config(config: Any) -> dict[str, ModelConfig] | None:
    """Reads the models of a `ModelServerConfig`.

    Args:
        config: The proto.

    Returns:
        The models by name, in the proto's order; None for a proto that sets nothing.

    Raises:
        StatusError: if the proto has a custom configuration, or a model's entry is wrong.
    """
    kind = config.WhichOneof("config")
    if kind is None:
        return None
    if kind != "model_config_list":
        raise invalid_argument("ModelServer does not yet support custom model config.")
    entries = config.model_config_list.config
    names: set[str] = set()
    for entry in entries:
        if entry.name in names:
            raise invalid_argument(f"Illegal to list model {entry.name} multiple times in config list")
        names.add(entry.name)
    return {entry.name: _parse_model(entry) for entry in entries}


def check_platforms(old: Mapping[str, ModelConfig], new: Mapping[str, ModelConfig]) -> None:
    """Raises a StatusError if a model changes its platform, or has one that is not served.

    Args:
        old: The models that are configured now.
        new: The models to serve instead.
    """
    for model in new.values():
        before = old.get(model.name, model).platform
        if model.platform != before:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was {before} and new platform "
                f"requested is {model.platform}"
            )
    for model in new.values():
        if model.platform != TENSORFLOW_PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {model.platform}")


def _parse_model(entry: Any) -> ModelConfig:
    if not entry.name:
        raise invalid_argument("Every model of a config list must have a name: requests use it.")
    warnings = []
    if entry.HasField("logging_config"):
        warnings.append("logging_config is ignored: the embedded server does not log requests. A stock one does.")
    if entry.model_type:
        warnings.append(
            "Deprecated ModelServerConfig::model_type field used. Prefer ModelServerConfig::model_platform."
        )
    return ModelConfig(
        name=entry.name,
        base_path=_parse_base_path(entry),
        policy=_parse_policy(entry.model_version_policy),
        labels=dict(entry.version_labels),
        platform=_parse_platform(entry),
        warnings=tuple(warnings),
    )


def _parse_base_path(entry: Any) -> Path:
    """Reads a base path: an absolute one, or a URI of a local file."""
    uri = _URI.fullmatch(entry.base_path)
    if uri is not None and uri["scheme"] != "file":
        raise invalid_argument(
            f"The embedded server reads local folders only. Model {entry.name} has base_path()={entry.base_path}: "
            "copy it, or use a stock TensorFlow Serving."
        )
    path = Path(entry.base_path if uri is None else uri["path"])
    if not path.is_absolute() or "\0" in entry.base_path:
        raise invalid_argument(
            f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}"
        )
    return path


def _parse_policy(proto: Any) -> Policy:
    match proto.WhichOneof("policy_choice"):
        case "all":
            return All()
        case "specific":
            return Specific(frozenset(proto.specific.versions))
    return Latest(max(proto.latest.num_versions, 1))


def _parse_platform(entry: Any) -> str:
    if not entry.model_type:
        if not entry.model_platform:
            raise invalid_argument(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                f"ModelServerConfig::model_platform, model name is {entry.name}"
            )
        return str(entry.model_platform)
    if entry.model_platform:
        raise invalid_argument(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."
        )
    if entry.model_type != 1:  # ModelType.TENSORFLOW
        raise invalid_argument(f"ModelServerConfig::model_type choice {entry.model_type} not supported.")
    return TENSORFLOW_PLATFORM
