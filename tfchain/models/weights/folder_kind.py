"""Tells text encoders from model folders of other kinds, for which pooled vectors have no meaning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError

RERANKER = "a CrossEncoder, which scores pairs of texts (a reranker)"
SPARSE = "a SparseEncoder (SPLADE), whose vectors have a number for each word of the vocabulary"
MULTI_VECTOR = "a multi-vector encoder (ColBERT), which gives a vector for each token"
CLASSIFIER = "a classifier of texts or of pairs of texts (a reranker)"
READER = "a finder of answers in a text"
# The class that takes a folder of another kind; what is not here has none.
TAKEN_BY = {
    RERANKER: "tfchain.Reranker takes it: Reranker.from_pretrained(folder). ",
    CLASSIFIER: "tfchain.Reranker takes it if it scores pairs: Reranker.from_pretrained(folder). ",
    SPARSE: "tfchain.SparseEncoder takes it: SparseEncoder.from_pretrained(folder). ",
    READER: "tfchain.QuestionAnsweringChain takes it: QuestionAnsweringChain(reader=folder). ",
    MULTI_VECTOR: "tfchain.LateInteractionReranker takes it: LateInteractionReranker.from_pretrained(folder). ",
}
NO_CLASS = "tfchain has no class for it, only for such encoders and for rerankers. Use another model. "
# By `model_type` in config_sentence_transformers.json, and by parts of a module's type that only such models have.
MODEL_TYPES = {
    "CrossEncoder": RERANKER,
    "SparseEncoder": SPARSE,
    "MultiVectorEncoder": MULTI_VECTOR,
    "ColBERT": MULTI_VECTOR,  # PyLate
}
MODULE_PARTS = {
    "cross_encoder": RERANKER,
    "sparse_encoder": SPARSE,
    "SpladePooling": SPARSE,
    "MLMTransformer": SPARSE,
    "multi_vector_encoder": MULTI_VECTOR,
    "pylate": MULTI_VECTOR,
}
# By the ending of the names in `architectures` of config.json.
ARCHITECTURES = {
    "ForSequenceClassification": CLASSIFIER,
    "ForTokenClassification": "a classifier of tokens",
    "ForQuestionAnswering": READER,
    "ForMultipleChoice": "a chooser between texts",
    "ForNextSentencePrediction": "a classifier of pairs of texts",
    "ColBERT": MULTI_VECTOR,
}
COLBERT_FILE = "artifact.metadata"  # Stanford's ColBERT writes it


def find_other_kind(settings: Mapping[str, Any], modules: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the kind of a sentence-transformers folder, or None for a SentenceTransformer.

    Args:
        settings: The content of config_sentence_transformers.json.
        modules: The content of modules.json.
    """
    if settings.get("model_type") in MODEL_TYPES:
        return MODEL_TYPES[settings["model_type"]]
    types = " ".join(str(module["type"]) for module in modules)
    return next((kind for part, kind in MODULE_PARTS.items() if part in types), None)


def find_other_architecture(values: Mapping[str, Any], path: Path) -> str | None:
    """Returns the kind of a plain Hugging Face folder, or None for a plain encoder or a language model.

    Args:
        values: The content of config.json.
        path: The folder.
    """
    if (path / COLBERT_FILE).is_file():
        return MULTI_VECTOR
    names = values.get("architectures") or ()
    return next((kind for name in names for end, kind in ARCHITECTURES.items() if str(name).endswith(end)), None)


def make_kind_error(path: Path, kind: str) -> ModelFolderError:
    """Makes the error for a folder that holds a model of another kind than a text encoder."""
    return ModelFolderError(
        f"{path} holds {kind}. Expected: an encoder with one vector per text, such as a SentenceTransformer. "
        + TAKEN_BY.get(kind, NO_CLASS)
        + "To train an encoder from its transformer, pass the result of tfchain.AutoModel.from_pretrained and its "
        "tokenizer."
    )
