"""A REST request that a version answers, for people to paste."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.signatures import EMBED, SERVING_DEFAULT

# What each input of texts is asked. Of other inputs a version knows what it was checked with when it was exported.
TEXTS = {"text": "how do I merge two sorted lists"}
RANKED = {"text": "what does the cat do", "text_pair": "The cat sleeps."}
READ = {"question": "what does the cat do", "context": "The cat sleeps."}
ENCODED = {"text": "a text to encode"}
LONGEST = 2_000  # characters of a request that people paste


def make_request(base_path: Path) -> dict[str, Any] | None:
    """Returns a Predict request that the latest version answers.

    Args:
        base_path: The folder of versions; there is at least one.

    Returns:
        The body, in row format; None for a version without `serving_default` and `embed`, and if it is not known what
        its inputs may be.
    """
    version = find_latest(base_path)
    signatures = read_inputs(version)
    name = next((name for name in (SERVING_DEFAULT, EMBED) if name in signatures), None)
    if name is None:
        return None
    row = _find_row(version, signatures[name], ENCODED if name == EMBED else TEXTS)
    if row is None:
        return None
    chosen = {} if name == SERVING_DEFAULT else {"signature_name": name}
    request = {**chosen, "instances": [row if len(row) > 1 else next(iter(row.values()))]}
    return request if len(json.dumps(request)) <= LONGEST else None


def find_latest(base_path: Path) -> Path:
    """Returns the folder of the latest version."""
    from tfchain.deployment.repository import list_versions

    return list(list_versions(base_path).values())[-1]


def read_inputs(version: Path) -> dict[str, frozenset[str]]:
    """Returns the names of the inputs of each signature, by the signature's name; none if there is no SavedModel."""
    from tfchain.deployment.server.servables.lazy_saved_model import read_signature_defs

    found = read_signature_defs(version, ["serve"]) or {}
    return {name: frozenset(signature.inputs) for name, signature in found.items()}


def _find_row(version: Path, inputs: frozenset[str], texts: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Returns a value for each input, without the batch's dimension; None if they are not known."""
    for known in (texts, RANKED, READ):
        if inputs == frozenset(known):
            return known
    from tfchain.deployment.proof_files import read_proofs

    for proof in read_proofs(version)[0]:
        arrays = proof.inputs
        if frozenset(arrays) == inputs and len({array.shape[:1] for array in arrays.values()}) == 1:
            return {name: _to_plain(array[0]) for name, array in arrays.items()}
    return None


def _to_plain(value: Any) -> Any:
    """Turns an array, a number or bytes into what the REST API reads: a picture's bytes become base64."""
    if hasattr(value, "tolist"):
        return _to_plain(value.tolist())
    if isinstance(value, list):
        return [_to_plain(item) for item in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        import base64

        return {"b64": base64.b64encode(value).decode("ascii")}
