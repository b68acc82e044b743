"""What a deployment serves: one base path, several, or the models of a config file, as flags of the server."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.deployment.arguments import check_model_name
from tfchain.deployment.server.config import parse_config, read_config_file
from tfchain.deployment.server.status import StatusError


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models of a deployment; exactly one of `base_path`, `models` and `config_file` is given.

    Args:
        base_path: The folder of the version folders of one model.
        model_name: The name of that model.
        models: Base paths by model name.
        config_file: A model config file of TensorFlow Serving.
        config_poll_seconds: The seconds between two reads of the config file; 0 reads it once. Default: 0.
        source: Serves only the versions of `base_path` that this source exported. Default: None, all.
    """

    base_path: Path | str | None = None
    model_name: str | None = None
    models: Mapping[str, Path | str] | None = None
    config_file: Path | str | None = None
    config_poll_seconds: int = 0
    source: str | None = None

    def check(self) -> tuple[str, ...]:
        """Checks the arguments, and returns the names of the models.

        Raises:
            InputError: if not exactly one kind of models is given, a name is not a valid model name, or the config file
                is wrong.
        """
        given = [name for name in ("base_path", "models", "config_file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(
                "A deployment must have one of `base_path`, `models` and `config_file`. Received: "
                f"{' and '.join(given) or 'none of them'}. Several models go into `models` or `config_file`."
            )
        if self.config_poll_seconds and self.config_file is None:
            raise InputError(
                "`config_poll_seconds` belongs to `config_file`. Received: "
                f"config_poll_seconds={self.config_poll_seconds!r} with `{given[0]}`. Leave it out."
            )
        if self.base_path is not None:
            check_model_name(self.model_name)
            return (str(self.model_name),)
        for name, value in (("model_name", self.model_name), ("source", self.source)):
            if value is not None:
                raise InputError(f"`{name}` belongs to `base_path`. Received: {name}={value!r} with `{given[0]}`.")
        poll = self.config_poll_seconds
        if isinstance(poll, bool) or not isinstance(poll, int) or poll < 0:
            raise InputError(
                "`config_poll_seconds` must be a whole number of seconds, 0 or more. Received: "
                f"config_poll_seconds={poll!r}. Use 0 to read the file once."
            )
        return self._check_models(self.models) if self.models is not None else self._check_file()

    @contextlib.contextmanager
    def flags(self) -> Iterator[list[str]]:
        """Gives the server's flags; valid until the server has started and the `with` block ends."""
        if self.base_path is not None:
            flags = [f"--model_name={self.model_name}", f"--model_base_path={Path(self.base_path).resolve()}"]
            yield flags if self.source is None else [*flags, f"--version_source={self.source}"]
        elif self.config_file is not None:
            yield [
                f"--model_config_file={Path(self.config_file).resolve()}",
                f"--model_config_file_poll_wait_seconds={self.config_poll_seconds}",
                # all versions are loaded before `deploy` returns, but none is when the file is read
                "--allow_version_labels_for_unavailable_models",
            ]
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".config", encoding="utf-8") as file:
                file.write(make_config_text(self.models or {}))
                file.flush()
                yield [f"--model_config_file={file.name}"]

    def _check_models(self, models: Any) -> tuple[str, ...]:
        if not isinstance(models, Mapping) or not models:
            raise InputError(
                f"`models` must map the names of models to their base paths. Received: models={models!r}. "
                'Pass for instance models={"docs": "saved_models/docs", "intents": "saved_models/intents"}.'
            )
        for name in models:
            check_model_name(name, argument="models")
        return tuple(models)

    def _check_file(self) -> tuple[str, ...]:
        try:
            models = parse_config(read_config_file(Path(self.config_file or "")))
        except StatusError as error:
            raise InputError(
                f"`config_file` must be a model config file of TensorFlow Serving. Received: {self.config_file}. "
                f"{error.message}"
            ) from error
        if not models:
            raise InputError(f"`config_file` must name a model. Received: {self.config_file}, which names none.")
        return tuple(models)


def make_config_text(models: Mapping[str, Path | str]) -> str:
    """Returns a model config file of TensorFlow Serving, in text.

    Args:
        models: Base paths by model name; relative ones are of the current folder.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.SetInParent()
    for name, base_path in models.items():
        config.model_config_list.config.add(
            name=name, base_path=str(Path(base_path).resolve()), model_platform="tensorflow"
        )
    return text_format.MessageToString(config)
