"""The folders of DPR's question and context encoders: BERT under another name, pooled by its first token."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.weights.architectures.bert import BERT, read_bert


def read_dpr(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of DPR as BERT's, which is what it is saved as."""
    if values.get("projection_dim"):
        raise InputError(
            "A DPR encoder must have no projection (`projection_dim`), as in every published checkpoint. "
            f"Received: projection_dim={values['projection_dim']!r}."
        )
    return {"architecture": "bert", **read_bert(values)}


# What is read becomes a BERT, whose weight map knows the prefixes of both encoders.
DPR = dataclasses.replace(BERT, read=read_dpr, pooling="cls")
