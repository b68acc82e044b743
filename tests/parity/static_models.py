"""Small random static encoders: sentence-transformers' StaticEmbedding, and model2vec's own folders."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router, StaticEmbedding
from tokenizers import Tokenizer

from tests.parity import small_tokenizers
from tests.parity.small_models import fill_with_noise, write_json
from tests.parity.texts import SMALL_MODEL_TEXTS, SPECIAL_TEXTS

FIXTURES = Path(__file__).parent / "fixtures"
DIM = 16
MODEL2VEC_LENGTH = 512  # the default of model2vec's `encode`
STATIC_MODELS = ("static", "static_model2vec", "static_plain_model2vec", "router")


def save_static_model(name: str, folder: Path) -> None:
    """Writes the model of that name.

    `router` has a static encoder for queries and a BERT for documents. `static` is a StaticEmbedding with a Dense
    module; `static_model2vec` is a folder as model2vec writes it, with rows that tokens share and a weight for each
    token; `static_plain_model2vec` is the same without modules.json.
    """
    tokenizer = small_tokenizers.bert_tokenizer(40).backend_tokenizer
    random = np.random.default_rng(list(name.encode()))
    size = tokenizer.get_vocab_size()
    if name == "static":
        table = random.normal(0.0, 0.2, size=(size, DIM)).astype(np.float32)
        dense = Dense(DIM, 12)
        fill_with_noise(dense, name)
        whole = SentenceTransformer(modules=[StaticEmbedding(tokenizer, table), dense, Normalize()], device="cpu")
        whole.save_pretrained(str(folder), create_model_card=False)
        return
    if name == "router":
        save_router(folder)
        return
    folder.mkdir(parents=True)
    rows = size - 40
    tensors = {
        "embeddings": random.normal(0.0, 0.2, size=(rows, DIM)).astype(np.float32),
        "mapping": random.integers(0, rows, size=size),
        "weights": random.uniform(0.1, 1.0, size=size),
    }
    save_file(tensors, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", {"model_type": "model2vec", "hidden_dim": DIM, "normalize": True})
    if name == "static_model2vec":
        kinds = (("StaticEmbedding", "."), ("Normalize", "1_Normalize"))
        modules = [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (kind, path) in enumerate(kinds)
        ]
        write_json(folder / "modules.json", modules)


def save_router(folder: Path) -> None:
    """Writes a folder with routes for queries and documents, and one Normalize for both."""
    documents = SentenceTransformer(str(FIXTURES / "bert_prompt_excluded"), device="cpu", local_files_only=True)
    tokenizer = small_tokenizers.bert_tokenizer(40).backend_tokenizer
    random = np.random.default_rng(7)
    table = random.normal(0.0, 0.2, size=(tokenizer.get_vocab_size(), 24)).astype(np.float32)
    routes = Router.for_query_document([StaticEmbedding(tokenizer, table)], list(documents.children()))
    whole = SentenceTransformer(modules=[routes, Normalize()], device="cpu", prompts={"query": "ask: "})
    whole.save_pretrained(str(folder), create_model_card=False)


def static_arrays(folder: Path) -> dict[str, np.ndarray]:
    """What sentence-transformers makes of a folder; without modules.json, what model2vec's formula says."""
    arrays = {"texts": np.array(SMALL_MODEL_TEXTS), "special_texts": np.array(SPECIAL_TEXTS)}
    if (folder / "modules.json").is_file():
        whole = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        arrays["embeddings"] = whole.encode(list(SMALL_MODEL_TEXTS), show_progress_bar=False)
        arrays["special_embeddings"] = whole.encode(list(SPECIAL_TEXTS), show_progress_bar=False)
        arrays["query_embeddings"] = whole.encode_query(list(SMALL_MODEL_TEXTS), show_progress_bar=False)
        arrays["document_embeddings"] = whole.encode_document(list(SMALL_MODEL_TEXTS), show_progress_bar=False)
    else:
        arrays["embeddings"] = encode_as_model2vec(folder, SMALL_MODEL_TEXTS)
        arrays["special_embeddings"] = encode_as_model2vec(folder, SPECIAL_TEXTS)
    return arrays


def encode_as_model2vec(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """The mean of each text's rows, without unknown words, cut at 512 tokens: `StaticModel.encode` of model2vec 0.7."""
    tensors = load_file(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    unknown = tokenizer.token_to_id(json.loads(tokenizer.to_str())["model"]["unk_token"])
    vectors = []
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        ids = [token_id for token_id in encoding.ids if token_id != unknown][:MODEL2VEC_LENGTH]
        rows = tensors["embeddings"][tensors["mapping"][ids]] * tensors["weights"][ids][:, None]
        vector = rows.mean(axis=0) if ids else np.zeros(DIM)
        vectors.append(vector / (np.linalg.norm(vector) + 1e-32))
    return np.array(vectors, dtype=np.float32)
