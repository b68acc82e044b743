"""Whether a server runs a version: stock TensorFlow Serving, or an engine of tfchain's; and the way out if not."""

import re

from tfchain.core.errors import InputError
from tfchain.deployment.op_check import OLDEST_SERVERS, core_ops, read_release
from tfchain.deployment.targets.platform_values import read_image_release
from tfchain.deployment.targets.served_version import ServedVersion

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
STOCK_RELEASE = "2.20.0"
STOCK_IMAGE = f"tensorflow/serving:{STOCK_RELEASE}"


def check_stock_server(version: ServedVersion, image: str, *, release: str | None = None) -> None:
    """Raises if the TensorFlow Serving of an image does not run a version.

    Args:
        version: The version.
        image: The image, for the error; its tag says the release.
        release: The release, where the tag does not say it. Default: the tag's; without either nothing is compared.

    Raises:
        InputError: if an op is missing there, or a function needs XLA, which is off there. It names op, signature and
            the way out.
    """
    if version.compiled:
        raise InputError(
            f"Version {version.number} of {version.model_name} has XLA functions ({', '.join(version.compiled[:3])}), "
            f"and XLA is off in {image}: each request would fail. Export it without jit_compile."
        )
    found = release or read_image_release(image)
    missing = [op for op in version.ops if not _has_op(op, found)]
    if not missing:
        return
    op = missing[0]
    signature = next((name for name, ops in version.signatures.items() if op in ops), None)
    oldest = OLDEST_SERVERS.get(op)
    ways = [f"Take an image of TensorFlow Serving {oldest} or newer"] if oldest else []
    ways.append("export with signatures='ids', which has no op for texts")
    raise InputError(
        f"{image} cannot run version {version.number} of {version.model_name}: "
        f"{f'its signature {signature!r}' if signature else 'its graph'} needs the op {op!r}, "
        f"which {f'TensorFlow Serving {oldest} has first' if oldest else 'no known release has'}. "
        f"{', or '.join(ways)}."
    )


def check_engine(version: ServedVersion, engine: str) -> None:
    """Raises if an engine of tfchain's server cannot answer a version.

    Raises:
        InputError: if the version has no files for it.
    """
    if engine != "auto" and engine not in version.engines:
        raise InputError(
            f"`engine` must be one that answers version {version.number} of {version.model_name}: auto, "
            f"{', '.join(version.engines)}. Received: engine={engine}. The engines native and litert need an int8 "
            'chain: compress it with Quantize("int8"), and export again.',
            argument="engine",
        )


def check_names(version: ServedVersion) -> None:
    """Raises if a version's names cannot be in a path, an address and a command line of every platform.

    Raises:
        InputError: if the model's name has other characters than letters, digits, `.`, `_` and `-`, or the folder is
            not named by a number from 1 on, as `003` or `0` is.
    """
    if not _MODEL_NAME.fullmatch(version.model_name):
        raise InputError(
            "`model_name` must have letters, digits, ., _ and - alone on this target, where it is part of paths and "
            f"commands. Received: {version.model_name!r}. Give another name.",
            argument="model_name",
        )
    if version.number < 1 or version.path.name != str(version.number):
        raise InputError(
            f"The version's folder must be named by a number from 1 on, without zeros before it. Received: "
            f"{version.path.name!r}. Copy the folder to {version.model_name}/{max(version.number, 1)}."
        )


def _has_op(op: str, release: str | None) -> bool:
    """Whether a release has an op; of an unknown release, whether any has it."""
    if op in OLDEST_SERVERS:
        return release is None or read_release(OLDEST_SERVERS[op]) <= read_release(release)[:2]
    return op in core_ops()
