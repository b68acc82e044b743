"""The head of a Hugging Face model for question answering, by architecture: data, one entry each."""

from dataclasses import dataclass

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import LAYER_NORM
from tfchain.models.encoders.config import Module
from tfchain.models.encoders.dense_config import DenseConfig

NUM_LOGITS = 2  # of each token: whether an answer starts with it, and whether one ends with it


@dataclass(frozen=True, kw_only=True)
class SpanHead:
    """A Dense layer on each token's vector, with two outputs; perhaps a Dense layer and a normalisation before it.

    Args:
        class_name: The class in transformers.
        outputs: The name of the last layer's tensors, without `.weight`. Default: `qa_outputs`.
        dense: The name of the tensors of a Dense layer before it. Default: none.
        norm: The name of the tensors of the normalisation after that. Default: none.
        dropout: Rate on the last layer's input while training. Default: 0.
        dropout_key: The key of config.json that sets it. Default: none does.
    """

    class_name: str
    outputs: str = "qa_outputs"
    dense: str | None = None
    norm: str | None = None
    dropout: float = 0.0
    dropout_key: str | None = None

    @property
    def order(self) -> tuple[Module, ...]:
        """The modules on a token's vector."""
        return () if self.dense is None else ("dense", "layer_norm", "dense")

    @property
    def modules(self) -> dict[str, str]:
        """The encoder's modules → the names of their tensors."""
        if self.dense is None or self.norm is None:
            return {"dense_0": self.outputs}
        return {"dense_0": self.dense, f"{LAYER_NORM}_0": self.norm, "dense_1": self.outputs}

    def list_dense(self, dim: int, *, use_bias: bool = False) -> tuple[DenseConfig, ...]:
        """Returns the Dense layers.

        Args:
            dim: Width of a token's vector.
            use_bias: Whether the layer before the outputs has a bias. Default: False.
        """
        outputs = DenseConfig(in_dim=dim, out_dim=NUM_LOGITS, activation="linear", dropout=self.dropout)
        if self.dense is None:
            return (outputs,)
        return (DenseConfig(in_dim=dim, out_dim=dim, use_bias=use_bias, activation="gelu"), outputs)


SPAN_HEADS = {
    "bert": SpanHead(class_name="BertForQuestionAnswering"),
    "ernie": SpanHead(class_name="ErnieForQuestionAnswering"),
    "albert": SpanHead(class_name="AlbertForQuestionAnswering"),
    "distilbert": SpanHead(class_name="DistilBertForQuestionAnswering", dropout=0.1, dropout_key="qa_dropout"),
    "deberta-v2": SpanHead(class_name="DebertaV2ForQuestionAnswering"),
    "roberta": SpanHead(class_name="RobertaForQuestionAnswering"),
    "xlm-roberta": SpanHead(class_name="XLMRobertaForQuestionAnswering"),
    "camembert": SpanHead(class_name="CamembertForQuestionAnswering"),
    "electra": SpanHead(class_name="ElectraForQuestionAnswering"),
    "mpnet": SpanHead(class_name="MPNetForQuestionAnswering"),
    "modernbert": SpanHead(
        class_name="ModernBertForQuestionAnswering",
        dense="head.dense",
        norm="head.norm",
        outputs="classifier",
        dropout_key="classifier_dropout",
    ),
}


def find_span_head(architecture: str) -> SpanHead:
    """Returns the head of an architecture.

    Raises:
        ModelFolderError: if there is no entry for it.
    """
    head = SPAN_HEADS.get(architecture)
    if head is None:
        raise ModelFolderError(
            f"A reader must have one of the architectures {', '.join(SPAN_HEADS)}. Received: {architecture!r}. Use "
            "another model."
        )
    return head
