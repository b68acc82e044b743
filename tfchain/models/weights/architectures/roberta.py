"""The folders of RoBERTa, XLM-RoBERTa and CamemBERT."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfchain.models.weights.architectures.bert import BERT_WEIGHTS, read_bert, write_bert
from tfchain.models.weights.architectures.family import Family


def read_roberta(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of RoBERTa, which counts positions from behind the padding id."""
    pad = values.get("pad_token_id", 1)
    return {**read_bert(values), "pad_token_id": pad, "position_offset": pad + 1}


ROBERTA = Family(
    model_class="RobertaModel",
    weights=dataclasses.replace(BERT_WEIGHTS, prefix="roberta."),
    read=read_roberta,
    write=write_bert,
)
XLM_ROBERTA = dataclasses.replace(ROBERTA, model_class="XLMRobertaModel")
CAMEMBERT = dataclasses.replace(ROBERTA, model_class="CamembertModel")
