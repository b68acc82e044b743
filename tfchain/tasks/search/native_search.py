"""Search in a version by tfchain's own kernels: the index beside the encoder, in NumPy and without TensorFlow."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.core.native import NativeParts
from tfchain.core.proof import TOLERANCE, Proof
from tfchain.core.signatures import SEARCH_FILTERED, SERVING_DEFAULT
from tfchain.core.stages import SEARCH as SEARCH_STAGE
from tfchain.core.stages import stage
from tfchain.core.string_file import StringFile, write_strings
from tfchain.models.indexes.binary_codebook import BinaryCodebook
from tfchain.models.indexes.exact import StoredVectors, VectorIndex
from tfchain.models.indexes.storage import VectorStorage
from tfchain.tasks.native_version import (
    Finish,
    Question,
    can_serve_natively,
    make_native_parts,
    prove_texts,
    read_texts,
)
from tfchain.tasks.search.blanks import widen

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.models.text_roles import Role
    from tfchain.tasks.search.document_index import DocumentIndex
    from tfchain.tasks.search.second_stage import SecondStage

logger = logging.getLogger(__name__)
INDEX = "index"


def make_native_search(
    text_encoder: "TextEncoder",
    index: "DocumentIndex | None",
    *,
    top_k: int,
    texts: Sequence[str],
    second_stage: "SecondStage | None" = None,
) -> NativeParts | None:
    """Makes the parts of a version for the kernels.

    They search the chain's own vectors, not those that were encoded again for the SavedModel: the kernels are the
    encoder of both, so the answers are the chain's.

    Args:
        text_encoder: The chain's model.
        index: The documents, encoded by it; if None or empty, there is no search.
        top_k: The number of documents that a search returns; all, if there are fewer.
        texts: The texts to prove the answers with.
        second_stage: A reranker of the documents found. Default: none.

    Returns:
        The parts; None if a model does not compute in int8, or the kernels cannot run it here.
    """
    from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer
    from tfchain.tasks.search.native_second_stage import NativeSecondStage
    from tfchain.tasks.search.search_graph import list_expected, prove_filtered
    from tfchain.tasks.search.search_lookup import SEARCH, has_clear_signs, has_metadata
    from tfchain.tasks.text_graph import to_array

    if not can_serve_natively(text_encoder):
        return None
    if second_stage is not None and not can_serve_natively(second_stage.model):
        return None
    if second_stage is not None and isinstance(second_stage.model.tokenizer, PromptedPairTokenizer):
        logger.info("The version has no files for --engine=native: its reranker reads query and passage in a prompt.")
        return None
    native = text_encoder.with_precision("int8", engine="native")
    proofs = prove_texts(native, texts)
    if index is None or not len(index):
        return make_native_parts(native, "search", {}, proofs, settings={})
    prompt, top_k = native.query_prompt, min(top_k, len(index))
    asked = [text for text in texts if text.strip()]
    vectors = native.encode_query(asked, progress=False)
    if index.vectors.storage.precision == "binary":
        rows = np.flatnonzero(has_clear_signs(index.vectors, vectors))
        asked, vectors = [asked[row] for row in rows], vectors[rows]
    second = None if second_stage is None else NativeSecondStage.prepare(second_stage, index, top_k)
    if second is not None:
        proofs += second.prove(asked, vectors, TOLERANCE)
    else:
        outputs, ties = list_expected(index, vectors, top_k, TOLERANCE)
        proofs.append(Proof(SERVING_DEFAULT, {"text": to_array(asked)}, outputs, ties))
    role: Role | None = "query" if native.query_tokenizer is not native.tokenizer else None
    question = Question(prompt, native.skipped_tokens(prompt), role=role)
    questions = {SEARCH: question, SERVING_DEFAULT: question}
    if has_metadata(index):
        questions[SEARCH_FILTERED] = question
        if second is None:
            proofs.append(prove_filtered(index, asked, vectors, top_k, TOLERANCE))
    settings = {
        "top_k": top_k,
        "dim": index.vectors.dim,
        "similarity": index.vectors.similarity,
        "vectors": index.vectors.storage.to_dict(),
    }
    if second is not None:
        settings["candidates"] = second.candidates

    def write_state(path: Path) -> None:
        save_index(path / INDEX, index)
        if second is not None:
            second.save(path)

    return make_native_parts(
        native,
        "search",
        questions,
        proofs,
        settings=settings,
        write_state=write_state,
    )


def save_index(path: Path, index: "DocumentIndex") -> None:
    """Writes documents and vectors for `load_search`.

    Args:
        path: A new folder.
        index: The documents; at least one.
    """
    from tfchain.tasks.text_graph import to_bytes

    path.mkdir()
    vectors = index.vectors.copy()
    vectors.compact()
    arrays = {"vectors": vectors.stored.values, "scales": vectors.stored.scales, "counts": vectors.counts}
    if vectors.codebook is not None:
        arrays |= {"mean": vectors.codebook.mean, "matrix": vectors.codebook.matrix}
    for name, array in arrays.items():
        if array is not None:
            np.save(path / f"{name}.npy", array)
    write_strings(path / "ids", (to_bytes(document.id) for document in index))
    write_strings(path / "texts", (to_bytes(document.text or document.title) for document in index))


def load_search(path: Path, settings: Mapping[str, Any]) -> Finish:
    """Reads what `save_index` wrote, and returns the function from queries' vectors to the answer.

    Args:
        path: The folder of the version's native files.
        settings: As in `make_native_search`.

    Raises:
        ModelFolderError: if the files do not belong together.
    """
    folder, top_k = path / INDEX, int(settings["top_k"])
    index = _load_vectors(folder, settings)
    ids, texts = StringFile(folder / "ids"), StringFile(folder / "texts")
    if not len(index) == len(ids) == len(texts):
        raise ModelFolderError(
            f"{folder} has {len(index)} documents, {len(ids)} ids and {len(texts)} texts. Export the version again."
        )
    second, candidates = None, int(settings.get("candidates", top_k))
    if "candidates" in settings:
        from tfchain.tasks.search.native_second_stage import LoadedSecondStage

        second = LoadedSecondStage(path, len(index))

    def answer(
        vectors: np.ndarray, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]
    ) -> list[np.ndarray] | None:
        allowed = inputs.get("allowed")
        if allowed is not None and (allowed.dtype != bool or allowed.shape != (len(index),)):
            return None
        with stage(SEARCH_STAGE):
            rows, scores = index.search(vectors, candidates, allowed=allowed)
            if second is not None:
                ranked = second.rank(read_texts(inputs, None) or [], rows, scores, top_k)
                if ranked is None:
                    return None
                rows, scores = ranked
            found = {"scores": scores}
            for name, strings in (("ids", ids), ("texts", texts)):
                if name in outputs:
                    table = np.empty(rows.size, dtype=object)
                    table[:] = strings.take(rows.ravel().tolist())
                    found[name] = table.reshape(rows.shape)
            return [widen(found[name], top_k) for name in outputs]

    return answer


def _load_vectors(path: Path, settings: Mapping[str, Any]) -> VectorIndex:
    def read(name: str) -> np.ndarray | None:
        file = path / f"{name}.npy"
        return np.load(file, mmap_mode="r") if file.is_file() else None  # `add` copies what is in it

    mean, matrix, scales = read("mean"), read("matrix"), read("scales")
    codebook = None if mean is None or matrix is None else BinaryCodebook(np.array(mean), np.array(matrix))
    storage = VectorStorage.from_dict(settings["vectors"])
    index = VectorIndex(int(settings["dim"]), settings["similarity"], storage, codebook)
    index.add(
        StoredVectors(np.load(path / "vectors.npy", mmap_mode="r"), scales), np.load(path / "counts.npy").tolist()
    )
    return index
