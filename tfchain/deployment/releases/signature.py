"""The signature of a version's manifest: HMAC-SHA256 with a shared secret."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import TfchainError


def sign(manifest: Mapping[str, Any], key: bytes | None) -> dict[str, Any]:
    """Returns a manifest with its signature; without a key, as it is.

    Args:
        manifest: Plain values, the hashes of all files among them.
        key: The secret.
    """
    return dict(manifest) if key is None else {**manifest, "signature": _compute(manifest, key)}


def check_signature(manifest: Mapping[str, Any], key: bytes | None) -> None:
    """Raises if a manifest is not signed with the key; without a key, anything passes.

    Raises:
        TfchainError: if it has no signature, or another one.
    """
    if key is None:
        return
    name = f"{manifest.get('name')} version {manifest.get('version')}"
    signature = manifest.get("signature")
    if not isinstance(signature, str):
        raise TfchainError(f"{name} in the registry is not signed. Push it with the key, or read it without one.")
    unsigned = {key: value for key, value in manifest.items() if key != "signature"}
    if not hmac.compare_digest(signature, _compute(unsigned, key)):
        raise TfchainError(
            f"The signature of {name} in the registry is wrong: it was changed, or signed with another key. "
            "Nothing was written."
        )


def _compute(manifest: Mapping[str, Any], key: bytes) -> str:
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
