"""The head of a Hugging Face model for sequence classification, by architecture: data, one entry each."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import LAYER_NORM, list_dense
from tfchain.models.encoders.config import HEAD, EncoderConfig, Module, PoolingMode, TransformerConfig
from tfchain.models.encoders.dense_config import DenseConfig

# What config.json may set: values of `PoolingConfig` and `DenseConfig`, as transformers names them.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "pooling": ("cls", "mean"),
    "activation": ("tanh", "linear", "relu", "gelu", "sigmoid"),
}

DROPOUT: Mapping[str, str] = {"dropout": "classifier_dropout"}


@dataclass(frozen=True, kw_only=True)
class ClassifierHead:
    """A pooled token vector, a Dense layer, perhaps a normalisation, and a Dense layer of an output for each label.

    Args:
        class_name: The class in transformers.
        dense: The name of the first layer's tensors, without `.weight`.
        outputs: The name of the second layer's tensors.
        activation: The activation between them.
        pooling: How token vectors are pooled. Default: the first one's.
        use_bias: Whether the first layer has a bias. Default: True.
        norm: The name of the tensors of a layer normalisation between the layers. Default: none.
        dropout: Rate on the second layer's input while training. Default: the transformer's.
        pooled_dropout: Rate on the first layer's input while training; `same` for that of the second. Default: 0.
        keys: Field of this class → the key of config.json that sets it. Default: config.json sets none.
    """

    class_name: str
    dense: str
    outputs: str
    activation: str = "tanh"
    pooling: PoolingMode = "cls"
    use_bias: bool = True
    norm: str | None = None
    dropout: float | None = None
    pooled_dropout: float | Literal["same"] = 0.0
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> tuple[Module, ...]:
        """The modules between the pooling and the outputs."""
        return ("dense",) if self.norm is None else ("dense", "layer_norm")

    @property
    def modules(self) -> dict[str, str]:
        """The encoder's modules → the names of their tensors."""
        named = {"dense_0": self.dense, HEAD: self.outputs}
        return named if self.norm is None else {**named, f"{LAYER_NORM}_0": self.norm}

    def list_dense(self, transformer: TransformerConfig, num_labels: int) -> tuple[DenseConfig, DenseConfig]:
        """Returns both layers.

        Args:
            transformer: The transformer's shape.
            num_labels: The number of outputs.
        """
        dim = transformer.hidden_dim
        rate = transformer.dropout if self.dropout is None else self.dropout
        first = DenseConfig(
            in_dim=dim,
            out_dim=dim,
            use_bias=self.use_bias,
            activation=self.activation,  # type: ignore[arg-type]
            dropout=rate if self.pooled_dropout == "same" else self.pooled_dropout,
        )
        return first, DenseConfig(in_dim=dim, out_dim=num_labels, activation="linear", dropout=rate)


def _roberta_like(class_name: str, activation: str = "tanh") -> ClassifierHead:
    """Returns the head of RoBERTa's kind, both layers of which are the classifier's."""
    return ClassifierHead(
        class_name=class_name,
        dense="classifier.dense",
        outputs="classifier.out_proj",
        activation=activation,
        pooled_dropout="same",
        keys=DROPOUT,
    )


def _bert_like(class_name: str, pooler: str) -> ClassifierHead:
    """Returns the head of BERT's kind: the model's pooler, and the classifier."""
    return ClassifierHead(class_name=class_name, dense=pooler, outputs="classifier", keys=DROPOUT)


CLASSIFIER_HEADS = {
    "bert": _bert_like("BertForSequenceClassification", "bert.pooler.dense"),
    "ernie": _bert_like("ErnieForSequenceClassification", "ernie.pooler.dense"),
    "albert": dataclasses.replace(
        _bert_like("AlbertForSequenceClassification", "albert.pooler"),
        dropout=0.1,
        keys={"dropout": "classifier_dropout_prob"},
    ),
    "distilbert": ClassifierHead(
        class_name="DistilBertForSequenceClassification",
        dense="pre_classifier",
        outputs="classifier",
        activation="relu",
        dropout=0.2,
        keys={"dropout": "seq_classif_dropout"},
    ),
    "deberta-v2": ClassifierHead(
        class_name="DebertaV2ForSequenceClassification",
        dense="pooler.dense",
        outputs="classifier",
        activation="gelu",
        keys={"dropout": "cls_dropout", "pooled_dropout": "pooler_dropout"},
    ),
    "roberta": _roberta_like("RobertaForSequenceClassification"),
    "xlm-roberta": _roberta_like("XLMRobertaForSequenceClassification"),
    "camembert": _roberta_like("CamembertForSequenceClassification"),
    "electra": _roberta_like("ElectraForSequenceClassification", "gelu"),
    "mpnet": dataclasses.replace(_roberta_like("MPNetForSequenceClassification"), keys={}),
    "modernbert": ClassifierHead(
        class_name="ModernBertForSequenceClassification",
        dense="head.dense",
        outputs="classifier",
        activation="gelu",
        use_bias=False,
        norm="head.norm",
        dropout=0.0,
        keys={
            "pooling": "classifier_pooling",
            "use_bias": "classifier_bias",
            "activation": "classifier_activation",
            **DROPOUT,
        },
    ),
}


def find_classifier_head(architecture: str) -> ClassifierHead:
    """Returns the head of an architecture.

    Raises:
        ModelFolderError: if there is no entry for it.
    """
    head = CLASSIFIER_HEADS.get(architecture)
    if head is None:
        raise ModelFolderError(
            f"A reranker must have one of the architectures {', '.join(CLASSIFIER_HEADS)}. Received: "
            f"{architecture!r}. Use another model."
        )
    return head


def read_classifier_head(architecture: str, values: Mapping[str, Any]) -> ClassifierHead:
    """Returns the head of an architecture, as a config.json sets it.

    Args:
        architecture: The architecture.
        values: The content of config.json.

    Raises:
        ModelFolderError: if there is no entry for the architecture, or config.json sets what tfchain does not have.
    """
    head = find_classifier_head(architecture)
    for name, known in KNOWN.items():
        key = head.keys.get(name)
        if key is not None and values.get(key, getattr(head, name)) not in known:
            raise ModelFolderError(
                f"config.json must have a {key} of {', '.join(known)}. Received: {key}={values[key]!r:.50}. Use "
                "another model."
            )
    return dataclasses.replace(head, **{name: values[key] for name, key in head.keys.items() if key in values})


def write_classifier_head(config: EncoderConfig) -> dict[str, Any]:
    """Returns the keys of config.json that a cross-encoder's head sets.

    Args:
        config: The shape of a cross-encoder.
    """
    dense, outputs = (module for _, module in list_dense(config))
    found = {
        "pooling": config.pooling.modes[0],
        "use_bias": dense.use_bias,
        "activation": dense.activation,
        "dropout": outputs.dropout,
        "pooled_dropout": dense.dropout,
    }
    return {key: found[name] for name, key in find_classifier_head(config.transformer.architecture).keys.items()}
