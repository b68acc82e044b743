"""Tells text encoders from model folders of other kinds, for which pooled vectors have no meaning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError

RERANKER = "a CrossEncoder, which scores pairs of texts (a reranker)"
SPARSE = "a SparseEncoder (SPLADE), whose vectors have a number for each word of the vocabulary"
MULTI_VECTOR = "a multi-vector encoder (ColBERT), which gives a vector for each token"
# By `model_type` in config_sentence_transformers.json, and by parts of a module's type that only such models have.
MODEL_TYPES = {"CrossEncoder": RERANKER, "SparseEncoder": SPARSE, "MultiVectorEncoder": MULTI_VECTOR}
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
    "ForSequenceClassification": "a classifier of texts or of pairs of texts (a reranker)",
    "ForTokenClassification": "a classifier of tokens",
    "ForQuestionAnswering": "a finder of answers in a text",
    "ForMultipleChoice": "a chooser between texts",
    "ForNextSentencePrediction": "a classifier of pairs of texts",
    "ColBERT": MULTI_VECTOR,
}
COLBERT_FILE = "artifact.metadata"  # Stanford's ColBERT writes it
# Settings of a Transformer module that tfchain does not support. Missing or with these values, they change nothing.
PLAIN_SETTINGS: Mapping[str, Sequence[Any]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "query_expansion": (None,),
    "processing_kwargs": (None, {}),
}
PLAIN_MODALITY = {"method": "forward", "method_output_name": "last_hidden_state"}
HARMLESS_ARGUMENTS = ("trust_remote_code", "use_fast", "clean_up_tokenization_spaces")


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
        f"{path} holds {kind}; tfchain needs an encoder with one vector per text, such as a SentenceTransformer. "
        "Use another model. To train an encoder from its transformer, pass the result of "
        "tfchain.AutoModel.from_pretrained and its tokenizer."
    )


def check_transformer_settings(values: Mapping[str, Any], max_length: int, path: Path) -> None:
    """Checks that no setting of a Transformer module changes the vectors in a way that tfchain does not support.

    Args:
        values: The content of sentence_bert_config.json.
        max_length: The maximum number of tokens in a text in this folder.
        path: The module's folder, for error messages.

    Raises:
        ModelFolderError: if a setting does; the message names it.
    """
    for name, plain in PLAIN_SETTINGS.items():
        if values.get(name) not in plain:
            raise _make_setting_error(path, f"{name}={values[name]!r}", f"no such setting, or {plain[-1]!r}")
    text = (values.get("modality_config") or {}).get("text", PLAIN_MODALITY)
    if text != PLAIN_MODALITY:
        raise _make_setting_error(path, f"modality_config of text={text!r}", repr(PLAIN_MODALITY))
    for name in ("query_length", "document_length"):
        if values.get(name) not in (None, max_length):
            raise _make_setting_error(
                path, f"{name}={values[name]!r}", f"one maximum for queries and documents, {max_length} tokens here"
            )
    for name in ("tokenizer_args", "processor_kwargs"):
        given = {key: value for key, value in (values.get(name) or {}).items() if key not in HARMLESS_ARGUMENTS}
        if given:
            raise _make_setting_error(path, f"{name}={given!r}", "such settings in tokenizer_config.json")


def _make_setting_error(path: Path, received: str, expected: str) -> ModelFolderError:
    return ModelFolderError(
        f"The settings of the Transformer in {path} (sentence_bert_config.json) have {received}, which tfchain does "
        f"not support: its vectors would differ. Expected: {expected}. Use another model, or remove the setting if "
        "the model was trained without it."
    )
