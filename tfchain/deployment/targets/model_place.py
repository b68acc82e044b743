"""Where pods find a version: in the image, on a volume, or in a bucket."""

import re
from dataclasses import dataclass

from tfchain.core.errors import InputError
from tfchain.deployment.targets.platform_values import check_object_name

IMAGE = "image"
_PLACE = re.compile(r"(pvc|gs|s3)://([^/]+)((?:/[^/]+)*)/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_PATH = re.compile(r"[A-Za-z0-9._/=+@-]*")


@dataclass(frozen=True)
class ModelPlace:
    """A place for versions.

    Args:
        scheme: `image`, `pvc`, `gs` or `s3`.
        root: The claim or the bucket; empty for an image.
        path: The path in it, without slashes around; empty for its root.
    """

    scheme: str
    root: str = ""
    path: str = ""

    @property
    def models_path(self) -> str:
        """The folder of models in a container: what is mounted must not lie among the versions that an image holds."""
        return "/models" if self.scheme == IMAGE else "/mnt/models"

    @property
    def is_bucket(self) -> bool:
        """Whether the version must be fetched over the network."""
        return self.scheme in ("gs", "s3")

    def below(self, *names: str) -> str:
        """Returns the path of something in this place, such as `models/docs/3`."""
        return "/".join(part for part in (self.path, *names) if part)

    def uri(self, *names: str) -> str:
        """Returns the address of something in this place, such as `gs://bucket/models/docs/3`."""
        return f"{self.scheme}://{'/'.join((self.root, self.below(*names))).rstrip('/')}"


def read_model_place(name: str, value: str, *, schemes: tuple[str, ...] = (IMAGE, "pvc", "gs", "s3")) -> ModelPlace:
    """Reads where pods find a version.

    Args:
        name: The option's name, for the error.
        value: `image`, `pvc://<claim>/<path>`, `gs://<bucket>/<path>` or `s3://<bucket>/<path>`.
        schemes: What the target takes of these. Default: all.

    Raises:
        InputError: if it is none of them, or holds a user name, a key or `..`.
    """
    if value == IMAGE and IMAGE in schemes:
        return ModelPlace(IMAGE)
    match = _PLACE.fullmatch(value) if isinstance(value, str) else None
    examples = [IMAGE if scheme == IMAGE else f"{scheme}://{_root_of(scheme)}/models/docs" for scheme in schemes]
    if (
        match is None
        or match[1] not in schemes
        or not _PATH.fullmatch(match[3])
        or not {".", ".."}.isdisjoint(match[3].split("/"))
        or (match[1] != "pvc" and not _BUCKET.fullmatch(match[2]))
    ):
        raise InputError(
            f"`{name}` must be {' or '.join(examples)}, without user names, keys or query. Received: {name}={value!r}.",
            argument=name,
        )
    if match[1] == "pvc":
        check_object_name(name, match[2])
    return ModelPlace(match[1], match[2], match[3].strip("/"))


def _root_of(scheme: str) -> str:
    return "claim" if scheme == "pvc" else "bucket"
