"""Whether a server of a target runs a version: TensorFlow Serving, tfchain's own, or that without TensorFlow."""

from tfchain.core.errors import InputError
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_command import OWN, STOCK
from tfchain.deployment.targets.version_checks import STOCK_IMAGE, check_engine, check_stock_server


def check_can_run(version: ServedVersion, server: str, *, image: str = STOCK_IMAGE, engine: str = "auto") -> None:
    """Raises if a server cannot run a version.

    Args:
        version: The version.
        server: `stock`, `own` or `lean`, which is tfchain's own without TensorFlow.
        image: The stock server's image. Default: that of the newest release.
        engine: What answers in tfchain's own server. Default: `auto`.

    Raises:
        InputError: names what is missing, an op with its signature for example, and the way out.
    """
    if not version.signatures:
        raise InputError(
            f"{version.path} has no signature, so no client can ask it. Pass signatures= to tf.saved_model.save, or "
            "export it with `tfchain export`."
        )
    if server == STOCK:
        check_stock_server(version, image)
    elif server == OWN:
        check_engine(version, engine)
        # pip's TensorFlow, in which it runs, is as new as the newest server, and has no other ops.
        check_stock_server(version, "tfchain's own server", release=STOCK_IMAGE.rpartition(":")[2])
    else:
        check_native(version)


def check_native(version: ServedVersion) -> None:
    """Raises an InputError if a server without TensorFlow cannot answer a version's texts."""
    if "native" not in version.engines:
        raise InputError(
            f"A server without TensorFlow cannot answer {version.path}, which has no files for the native engine. "
            "Export it after Quantize('int8') on a processor with AVX-512 VNNI, or use --set server=own."
        )
    if SERVING_DEFAULT in version.signatures and SERVING_DEFAULT not in version.native_signatures:
        raise InputError(
            f"A server without TensorFlow cannot answer the signature {SERVING_DEFAULT} of {version.path}: the native "
            f"engine answers {', '.join(version.native_signatures) or 'none'}. Use --set server=own."
        )


def check_secured(server: str, *, api_keys: bool) -> None:
    """Raises an InputError if a stock server is to ask for API keys, which it cannot."""
    if server == STOCK and api_keys:
        raise InputError(
            "A stock TensorFlow Serving has no API keys. Received: api_keys=true with server=stock. Take server=own or "
            "server=lean, or put a proxy that checks keys in front.",
            argument="api_keys",
        )
