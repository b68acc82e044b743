"""Small random models of late interaction and their vectors in PyTorch: `python -m tests.parity.small_late`.

Run it in the environment of `make test-torch`. For each model it writes a folder and, beside it, `<name>.npz`.
"""

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from tests.parity import small_tokenizers
from tests.parity.small_models import SHAPE, fill_with_noise, write_json
from tests.parity.texts import SMALL_MODEL_TEXTS

FIXTURES = Path(__file__).parent / "late_fixtures"
DIM = 8
DOCUMENT_LENGTH = 40
QUERIES = ["how do I merge two sorted lists?", "", "what, exactly, is «this»? " * 9, "[MASK] and [SEP]", "你好"]
DOCUMENTS = [*SMALL_MODEL_TEXTS, "", "...", "long, long " * 60]
# The types of PyLate's modules.
PYLATE_MODULES = ("sentence_transformers.models.Transformer", "pylate.models.Dense.Dense")


def with_unused(length: int) -> transformers.PreTrainedTokenizerBase:
    """BERT's kind with `[unused0]` and `[unused1]` in the vocabulary, as its checkpoints have them."""
    vocabulary = small_tokenizers.wordpiece_vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), lower=True)
    vocabulary |= {token: len(vocabulary) + number for number, token in enumerate(("[unused0]", "[unused1]"))}
    return transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=length)


def with_markers(length: int) -> transformers.PreTrainedTokenizerBase:
    """BERT's kind with PyLate's markers added to the vocabulary."""
    tokenizer = small_tokenizers.bert_tokenizer(length)
    tokenizer.add_tokens(["[Q] ", "[D] "])
    return tokenizer


@dataclass(frozen=True)
class SmallLate:
    """One fixture.

    Args:
        model_class: The class of transformers.
        configuration: Arguments of its configuration class.
        make_tokenizer: Called with the maximum length.
        finish: Turns the folder of transformers into that of a model of late interaction.
    """

    model_class: str
    configuration: Mapping[str, Any]
    make_tokenizer: Callable[[int], transformers.PreTrainedTokenizerBase]
    finish: Callable[[Path, np.ndarray], None]


def finish_stanford(folder: Path, projection: np.ndarray) -> None:
    """As colbert-ir/colbertv2.0 has it."""
    path = folder / "model.safetensors"
    tensors = {f"bert.{name}": tensor for name, tensor in load_file(path).items()}
    save_file({**tensors, "linear.weight": projection}, path, metadata={"format": "pt"})
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", values | {"architectures": ["HF_ColBERT"]})
    metadata = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 16, "dim": DIM}
    metadata |= {"doc_maxlen": 36, "mask_punctuation": True, "attend_to_mask_tokens": False, "similarity": "cosine"}
    write_json(folder / "artifact.metadata", metadata)


def finish_pylate(folder: Path, projection: np.ndarray) -> None:
    """As PyLate 1 saves it: an expansion that other tokens attend to, and no modules for mask and normalisation."""
    settings = {"model_type": "ColBERT", "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 20}
    settings |= {"document_length": 30, "attend_to_expansion_tokens": True, "skiplist_words": [".", ","]}
    write_json(folder / "config_sentence_transformers.json", settings | {"similarity_fn_name": "MaxSim"})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 39, "do_lower_case": False})
    listed = [
        {"idx": number, "name": str(number), "path": "1_Dense" * number, "type": kind}
        for number, kind in enumerate(PYLATE_MODULES)
    ]
    write_json(folder / "modules.json", listed)
    (folder / "1_Dense").mkdir()
    values = {"in_features": projection.shape[1], "out_features": DIM, "bias": False}
    write_json(folder / "1_Dense" / "config.json", values | {"activation_function": "torch.nn.modules.linear.Identity"})
    save_file({"linear.weight": projection}, folder / "1_Dense" / "model.safetensors")


def finish_multi_vector(folder: Path, projection: np.ndarray, **options: Any) -> None:
    """As sentence-transformers 6 saves it."""
    transformer = Transformer(str(folder), document_length=DOCUMENT_LENGTH, **options)
    dense = Dense(
        *projection.shape[::-1], bias=False, activation_function=torch.nn.Identity(),
        init_weight=torch.tensor(projection), module_input_name="token_embeddings",
    )  # fmt: skip
    mask = MultiVectorMask(skiplist_words=list(string.punctuation) if options else [])
    normalize = Normalize(module_input_name="token_embeddings")
    whole = MultiVectorEncoder(modules=[transformer, dense, mask, normalize], device="cpu")
    whole.prompts = {"query": "query: ", "document": ""} if options else {}
    whole.similarity_fn_name = "meanmaxsim" if options else None
    for file in folder.iterdir():
        file.unlink()
    whole.save_pretrained(str(folder), create_model_card=False)


def finish_expanded(folder: Path, projection: np.ndarray) -> None:
    """With queries of at least 12 and at most 24 tokens."""
    finish_multi_vector(
        folder, projection, query_length=24, query_expansion={"strategy": "min", "attend": False, "length": 12}
    )


SMALL_LATE: Mapping[str, SmallLate] = {
    "stanford": SmallLate("BertModel", SHAPE, with_unused, finish_stanford),
    "pylate": SmallLate("BertModel", SHAPE | {"num_hidden_layers": 1}, with_markers, finish_pylate),
    "roberta": SmallLate("RobertaModel", SHAPE, small_tokenizers.roberta_tokenizer, finish_expanded),
    "modernbert": SmallLate(
        "ModernBertModel", SHAPE | {"local_attention": 8}, small_tokenizers.roberta_tokenizer, finish_multi_vector
    ),
}


def save_small_late(name: str, folder: Path) -> None:
    """Writes the model of that name; its weights depend on names alone."""
    small = SMALL_LATE[name]
    tokenizer = small.make_tokenizer(DOCUMENT_LENGTH)
    model_class = getattr(transformers, small.model_class)
    configuration = model_class.config_class(
        **small.configuration,
        vocab_size=len(tokenizer),
        max_position_embeddings=DOCUMENT_LENGTH + (2 if tokenizer.pad_token_id == 1 else 0),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **({"type_vocab_size": 1} if "Roberta" in small.model_class else {}),
    )
    model = model_class(configuration)
    fill_with_noise(model, f"late {name}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    layer = torch.nn.Linear(SHAPE["hidden_size"], DIM, bias=False)
    fill_with_noise(layer, f"late projection {name}")
    small.finish(folder, layer.weight.detach().numpy())


def expected_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Vectors and scores by MultiVectorEncoder."""
    model = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    made = {}
    for side, encode, texts in (
        ("query", model.encode_query, QUERIES),
        ("document", model.encode_document, DOCUMENTS),
    ):
        vectors = encode(texts, show_progress_bar=False)
        made[f"{side}_texts"] = np.array(texts)
        made[f"{side}_vectors"] = np.concatenate([np.asarray(each, "float32") for each in vectors])
        made[f"{side}_counts"] = np.array([len(each) for each in vectors])
    made["scores"] = np.asarray(
        model.similarity(
            model.encode_query(QUERIES, show_progress_bar=False),
            model.encode_document(DOCUMENTS, show_progress_bar=False),
        )
    )
    return made


def make_small_late(name: str, folder: Path) -> None:
    """Writes one model's folder and its arrays."""
    save_small_late(name, folder / name)
    np.savez_compressed(folder / f"{name}.npz", **expected_arrays(folder / name))


if __name__ == "__main__":
    for each in SMALL_LATE:
        make_small_late(each, FIXTURES)
