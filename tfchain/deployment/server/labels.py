"""Version labels: names for versions that a configuration moves, and requests follow."""

from collections.abc import Callable, Mapping

from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.status import Code, StatusError, invalid_argument


class Labels:
    """The labels of all models. Threads may share it."""

    def __init__(self) -> None:
        self._versions: Mapping[str, Mapping[str, int]] = {}  # by model and label; replaced as a whole

    def find(self, name: str, label: str) -> int:
        """Returns the version of a label.

        Raises:
            StatusError: if the model has no such label.
        """
        version = self._versions.get(name, {}).get(label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return version

    def check(
        self,
        models: Mapping[str, ModelConfig],
        is_available: Callable[[str, int], bool],
        *,
        allow_unavailable: bool = False,
    ) -> None:
        """Raises if a label must not point to its version yet.

        Args:
            models: The models that are to be served.
            is_available: A function that says whether a version of a model answers now.
            allow_unavailable: Whether new labels may point to versions that do not answer yet. A label in use still
                moves only to a version that does. Default: False.

        Raises:
            StatusError: if a label points to a version that does not answer.
        """
        for model in models.values():
            in_use = self._versions.get(model.name, {})
            for label, version in model.labels.items():
                is_new = in_use.get(label, version) == version
                if not (allow_unavailable and is_new) and not is_available(model.name, version):
                    raise StatusError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, which is not currently "
                        "available for inference",
                    )

    def replace(self, models: Mapping[str, ModelConfig]) -> None:
        """Takes the labels of a configuration in place of all present ones."""
        self._versions = {model.name: dict(model.labels) for model in models.values() if model.labels}
