"""Small random sparse encoders and sentence-transformers' vectors of them: `python -m tests.parity.small_sparse`.

Run it in the environment of `make test-torch`. For each model it writes a folder and, beside it, `<name>.npz`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

from tests.parity import small_tokenizers
from tests.parity.small_models import DISTILBERT_SHAPE, SHAPE, fill_with_noise
from tests.parity.texts import SMALL_MODEL_TEXTS

FIXTURES = Path(__file__).parent / "sparse_fixtures"
MAX_LENGTH = 40
QUERIES = ["how do I merge two sorted lists?", "a list, a list of lists", "你好", "[SEP] and [MASK]", ""]
DOCUMENTS = [*SMALL_MODEL_TEXTS, "", "long, long " * 60]


@dataclass(frozen=True)
class SmallSparse:
    """One fixture.

    Args:
        model_class: The class of transformers.
        configuration: Arguments of its configuration class.
        make_tokenizer: Called with the maximum length.
        pooling: Arguments of SpladePooling.
        has_table: Whether queries have a table in the model's place.
    """

    model_class: str
    configuration: Mapping[str, Any]
    make_tokenizer: Callable[[int], transformers.PreTrainedTokenizerBase]
    pooling: Mapping[str, str]
    has_table: bool = False


SMALL_SPARSE: Mapping[str, SmallSparse] = {
    "splade": SmallSparse("BertForMaskedLM", SHAPE, small_tokenizers.bert_tokenizer, {}),
    "opensearch": SmallSparse(
        "DistilBertForMaskedLM",
        DISTILBERT_SHAPE,
        small_tokenizers.bert_tokenizer,
        {"activation_function": "log1p_relu"},
        has_table=True,
    ),
    "roberta": SmallSparse(
        "RobertaForMaskedLM", SHAPE, small_tokenizers.roberta_tokenizer, {"pooling_strategy": "sum"}
    ),
}


def save_small_sparse(name: str, folder: Path) -> None:
    """Writes the model of that name; its weights depend on names alone."""
    small = SMALL_SPARSE[name]
    tokenizer = small.make_tokenizer(MAX_LENGTH)
    model_class = getattr(transformers, small.model_class)
    model = model_class(
        model_class.config_class(
            **small.configuration,
            vocab_size=len(tokenizer),
            max_position_embeddings=MAX_LENGTH + (2 if tokenizer.pad_token_id == 1 else 0),
            pad_token_id=tokenizer.pad_token_id,
            **({"type_vocab_size": 1} if "Roberta" in small.model_class else {}),
        )
    )
    fill_with_noise(model, f"sparse {name}")
    if small.pooling.get("pooling_strategy") == "sum":  # keeps sums over a text's tokens at about 1, as a maximum is
        with torch.no_grad():
            model.lm_head.layer_norm.weight.mul_(0.05)
            model.lm_head.layer_norm.bias.mul_(0.05)
            model.lm_head.bias.mul_(0.05)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parts = [Transformer(str(folder), transformer_task="fill-mask"), SpladePooling(**small.pooling)]
    if small.has_table:
        table = SparseStaticEmbedding(tokenizer, weight=torch.linspace(-0.5, 3, len(tokenizer)).relu(), frozen=True)
        parts = [Router.for_query_document(query_modules=[table], document_modules=parts)]
    whole = SparseEncoder(modules=parts, device="cpu")
    for file in folder.iterdir():
        file.unlink()
    whole.save_pretrained(str(folder), create_model_card=False)


def expected_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Vectors by SparseEncoder, as tables of all words."""
    model = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    made = {}
    for side, encode, texts in (
        ("query", model.encode_query, QUERIES),
        ("document", model.encode_document, DOCUMENTS),
    ):
        made[f"{side}_texts"] = np.array(texts)
        made[f"{side}_vectors"] = encode(texts, show_progress_bar=False).to_dense().numpy()
    return made


def make_small_sparse(name: str, folder: Path) -> None:
    """Writes one model's folder and its arrays."""
    save_small_sparse(name, folder / name)
    np.savez_compressed(folder / f"{name}.npz", **expected_arrays(folder / name))


if __name__ == "__main__":
    for each in SMALL_SPARSE:
        make_small_sparse(each, FIXTURES)
