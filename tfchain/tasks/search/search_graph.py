"""Search as a TensorFlow graph: tokenizer, encoder, vectors and documents in one module that needs no Python."""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.proof import TOLERANCE, Proof
from tfchain.core.signatures import EMBED, EMBED_IDS, SEARCH, SEARCH_VECTORS, SERVING_DEFAULT, TOKENIZE, TOKENIZE_QUERY
from tfchain.models.engines.precision import TOLERANCES
from tfchain.models.engines.runner import pad
from tfchain.models.indexes.exact import VectorIndex
from tfchain.models.indexes.exact_graph import make_search
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.tasks.search.document_index import DocumentIndex

logger = logging.getLogger(__name__)

# Asked of every version beside the documents' own texts, so that a chain without documents proves its answers too.
SAMPLE_TEXTS = (
    "how do I merge two sorted lists",
    "The café's owner said: «It’s 20 °C, isn't it?»",
    "你好，我是一个智能助手。",
    "Ein Überblick über Straßennamen in Düsseldorf",
    "[SEP] special tokens [MASK] written out",
    "",
)
PROVED_DOCUMENTS = 6
PROVED_CHARACTERS = 400  # of each; one more text is longer than any model's maximum


@dataclass(frozen=True)
class SearchGraph:
    """A module with its signatures, and what they must answer.

    Args:
        module: Owns the variables.
        signatures: Name → `tf.function`.
        proofs: Questions with Python's answers.
        litert_proofs: The same of a flatbuffer that lies beside the SavedModel. Default: none.
    """

    module: Any
    signatures: Mapping[str, Any]
    proofs: Sequence[Proof]
    litert_proofs: Sequence[Proof] = ()


def make_search_graph(
    text_encoder: TextEncoder,
    index: DocumentIndex | None,
    *,
    top_k: int = 10,
    signatures: str = "text",
    beside: TextEncoder | None = None,
) -> SearchGraph:
    """Composes what a version answers.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents; None or empty, there is no search.
        top_k: How many documents a search gives; all, if there are fewer. Default: 10.
        signatures: `text`: `serving_default` and `search` (text → ids, scores, texts), `embed` (text → embedding, with
            the model's default prompt, if it has one) and `embed_ids` (token ids → embedding). `ids`: `embed_ids`
            alone, which needs no op of TF Text. Default: `text`.
        beside: The text encoder, run by LiteRT, whose flatbuffer will lie beside the SavedModel. For a server that runs
            it, the halves of the text signatures are signatures, too: `tokenize` and `tokenize_query` (text →
            token_ids, padding_mask; with the default prompt, as `embed`, and with the query's, as `search`) and
            `search_vectors` (embedding → ids, scores, texts). Default: none, and no halves.

    Returns:
        The graph. A tokenizer that has no graph yet gives `embed_ids` alone, and a warning says so.

    Raises:
        InputError: if `top_k` or `signatures` is out of range, or TensorFlow does not compute in the text encoder's
            precision.
    """
    import tensorflow as tf

    index = None if index is None else index.snapshot()
    top_k = check_graph_options(top_k, signatures)
    check_tensorflow_runs()
    if text_encoder.runner.needs_flatbuffer:
        raise InputError(
            "A SavedModel computes in float32, bfloat16 or calibrated int8. "
            f"Received: a text encoder in {text_encoder.precision}. "
            "Give one `with_precision('float32')`, and documents encoded by it; `to_served` makes both."
        )
    encoder = text_encoder.runner.compute_encoder
    module = tf.Module(name="search")
    module.encoder = [weight.value for weight in encoder.weights]

    def embed_ids(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
        inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
        return {"embedding": encoder(inputs, training=False)}

    id_specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    functions = {EMBED_IDS: tf.function(embed_ids, input_signature=id_specs, autograph=False)}
    texts = _proof_texts(index)
    proofs = [_prove_embed_ids(text_encoder, texts)]
    litert_proofs = [] if beside is None else [_prove_embed_ids(beside, texts)]
    tokenizer = text_encoder.tokenizer
    if signatures == "ids":
        return SearchGraph(module, functions, proofs, litert_proofs)
    try:
        graph_tokenizer = make_graph_tokenizer(tokenizer)
    except InputError as error:
        logger.warning(
            "The tokenizer has no TensorFlow graph yet, so the version answers token ids alone: its clients tokenize, "
            "and send `token_ids` and `padding_mask` to `embed_ids`. %s",
            error,
        )
        return SearchGraph(module, functions, proofs, litert_proofs)

    def tokenize(text: Any, prompt: str) -> dict[str, Any]:
        asked = tf.strings.join([prompt, text]) if prompt else text
        token_ids, padding_mask = graph_tokenizer(asked, tokenizer.max_length)
        skipped = text_encoder.skipped_tokens(prompt)
        if skipped:
            place = tf.range(tf.shape(padding_mask)[1])[tf.newaxis]
            padding_mask = tf.where((place < skipped) & (padding_mask == 1), 2, padding_mask)
        return {"token_ids": token_ids, "padding_mask": padding_mask}

    def to_vectors(text: Any, prompt: str) -> Any:
        return encoder(tokenize(text, prompt), training=False)

    def embed(text: Any) -> dict[str, Any]:
        return {"embedding": to_vectors(text, text_encoder.find_prompt(None))}

    text_spec = [tf.TensorSpec([None], tf.string, name="text")]
    functions[EMBED] = tf.function(embed, input_signature=text_spec, autograph=False)
    proofs.append(_prove_embed(text_encoder, texts))
    cut_off = ["a text that is cut off at the end, 你好。 " * 200]
    proofs.append(dataclasses.replace(_prove_embed(text_encoder, cut_off), is_warm_up=False))
    halves = {} if beside is None else {TOKENIZE: text_encoder.find_prompt(None)}
    if beside is not None:
        litert_proofs += [_prove_embed(beside, texts), _prove_embed(beside, cut_off)]
        if index is not None and len(index):
            halves[TOKENIZE_QUERY] = text_encoder.query_prompt
    for name, prompt in halves.items():
        functions[name] = tf.function(
            functools.partial(tokenize, prompt=prompt), input_signature=text_spec, autograph=False
        )
        proofs += [_prove_tokenize(text_encoder, name, prompt, some) for some in (texts, cut_off)]
    if index is None or not len(index):
        return SearchGraph(module, functions, proofs, litert_proofs)

    lookup = _make_lookup(module, index, min(top_k, len(index)))

    def search(text: Any) -> dict[str, Any]:
        return lookup(to_vectors(text, text_encoder.query_prompt))

    functions[SEARCH] = tf.function(search, input_signature=text_spec, autograph=False)
    functions[SERVING_DEFAULT] = functions[SEARCH]
    asked = [text for text in texts if text.strip()]
    vectors = text_encoder.encode_query(asked, progress=False)
    tolerance = TOLERANCES[text_encoder.precision]
    if index.vectors.storage.precision == "binary":
        # Rounding decides the sign of a number near zero, and signs the first scores: what is compared is the search of
        # the graph's own vectors, if they are Python's but for rounding, and of those whose signs are clear.
        own = tf.function(lambda text: to_vectors(text, text_encoder.query_prompt), input_signature=text_spec)
        found = own(tf.constant(_to_array(asked))).numpy()
        if np.abs(found - vectors).max() <= tolerance * max(1.0, np.abs(vectors).max()):
            vectors = found
        rows = np.flatnonzero(has_clear_signs(index.vectors, vectors))
        asked, vectors = [asked[row] for row in rows], vectors[rows]
    proofs.append(_prove_search(index, asked, vectors, top_k, tolerance))
    if beside is not None:
        vector_spec = [tf.TensorSpec([None, text_encoder.embedding_dim], tf.float32, name="embedding")]
        functions[SEARCH_VECTORS] = tf.function(lookup, input_signature=vector_spec, autograph=False)
        inputs = {"embedding": vectors}
        proofs.append(dataclasses.replace(proofs[-1], signature=SEARCH_VECTORS, inputs=inputs, is_warm_up=False))
    return SearchGraph(module, functions, proofs, litert_proofs)


def check_graph_options(top_k: Any, signatures: Any) -> int:
    """The number of hits as an int, if `make_search_graph` takes it and the word for the signatures.

    Raises:
        InputError: if one is out of its range.
    """
    if signatures not in ("text", "ids"):
        raise InputError(f"`signatures` must be 'text' or 'ids'. Received: signatures={signatures!r}.")
    return check_whole_number("top_k", top_k, advice="Ask for one hit or more.")


def make_graph_tokenizer(tokenizer: HostTokenizer) -> Any:
    """The same tokenizer inside a graph.

    Raises:
        InputError: if it has a part that the graph cannot express.
    """
    from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

    if tokenizer.do_lower_case:
        raise InputError("Texts are lower-cased before tokenizing here (`do_lower_case`), which the graph does not do.")
    return WordPieceTokenizer.from_hugging_face(tokenizer.tokenizer)


def _make_lookup(module: Any, index: DocumentIndex, top_k: int) -> Any:
    """The index as variables of the module, and a function from query vectors to the best documents."""
    import tensorflow as tf

    documents = list(index)
    search = make_search(module, index.vectors, top_k)
    module.ids = tf.Variable([one.id.encode() for one in documents], trainable=False, name="ids")
    module.texts = tf.Variable([_to_bytes(one.text or one.title) for one in documents], trainable=False, name="texts")

    def look_up(queries: Any) -> dict[str, Any]:
        scores, rows = search(queries)
        return {"ids": tf.gather(module.ids, rows), "scores": scores, "texts": tf.gather(module.texts, rows)}

    return look_up


def _proof_texts(index: DocumentIndex | None) -> list[str]:
    documents = list(index) if index is not None else []
    step = max(1, len(documents) // PROVED_DOCUMENTS)
    chosen = documents[::step][:PROVED_DOCUMENTS]
    return [*SAMPLE_TEXTS, *(document.full_text[:PROVED_CHARACTERS] for document in chosen)]


def _prove_embed_ids(text_encoder: TextEncoder, texts: Sequence[str]) -> Proof:
    token_ids = text_encoder.tokenizer(texts)
    ids, mask = pad(token_ids, text_encoder.tokenizer.pad_token_id)
    expected = text_encoder.runner(token_ids)
    tolerance = TOLERANCES[text_encoder.precision]
    return Proof(EMBED_IDS, {"token_ids": ids, "padding_mask": mask}, {"embedding": expected}, tolerance=tolerance)


def _prove_embed(text_encoder: TextEncoder, texts: Sequence[str]) -> Proof:
    expected = text_encoder.encode(texts, progress=False)
    tolerance = TOLERANCES[text_encoder.precision]
    return Proof(EMBED, {"text": _to_array(texts)}, {"embedding": expected}, tolerance=tolerance)


def _prove_tokenize(text_encoder: TextEncoder, signature: str, prompt: str, texts: Sequence[str]) -> Proof:
    tokenizer = text_encoder.tokenizer
    token_ids = tokenizer([prompt + text for text in texts])
    ids, mask = pad(token_ids, tokenizer.pad_token_id, skipped=text_encoder.skipped_tokens(prompt))
    expected = {"token_ids": ids, "padding_mask": mask}
    return Proof(signature, {"text": _to_array(texts)}, expected, is_warm_up=False, tolerance=0.0)


def _prove_search(
    index: DocumentIndex, texts: Sequence[str], vectors: np.ndarray, top_k: int, tolerance: float
) -> Proof:
    # One hit more than is served tells whether the last one is tied with the one behind it.
    more = index.search(vectors, top_k, more=1)
    ties = find_ties(np.array([[hit.score for hit in hits] for hits in more], "float32"), tolerance)[:, :top_k]
    found = [hits[:top_k] for hits in more]
    outputs = {
        "ids": np.array([[hit.id.encode() for hit in hits] for hits in found], dtype=object),
        "scores": np.array([[hit.score for hit in hits] for hits in found], dtype="float32"),
        "texts": np.array([[_to_bytes(hit.text or hit.title) for hit in hits] for hits in found], dtype=object),
    }
    inputs = {"text": _to_array(texts)}
    return Proof(SERVING_DEFAULT, inputs, outputs, {"ids": ties, "texts": ties}, tolerance=tolerance)


def has_clear_signs(index: VectorIndex, queries: np.ndarray) -> np.ndarray:
    """Which queries are compared with bits by signs that rounding does not turn over.

    Args:
        index: Of binary vectors.
        queries: float32 `(queries, dim)`.

    Returns:
        Booleans `(queries,)`; all true where no query's are clear.
    """
    sizes = np.abs(index.project(index.prepare(queries))[0])
    clear: np.ndarray = ((sizes == 0) | (sizes > TOLERANCE * sizes.max(axis=1, keepdims=True))).all(axis=1)
    return clear if clear.any() else np.ones_like(clear)


def find_ties(scores: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Where a hit's score is its neighbour's but for rounding; `(queries, hits)`, best first, to booleans."""
    # Two correct scores may each be off by the tolerance.
    near = np.abs(np.diff(scores, axis=-1)) <= 2 * tolerance * max(1.0, float(np.abs(scores).max(initial=0)))
    edge = np.zeros((len(scores), 1), dtype=bool)
    return np.concatenate([edge, near], -1) | np.concatenate([near, edge], -1)


def _to_array(texts: Sequence[str]) -> np.ndarray:
    return np.array([_to_bytes(text) for text in texts], dtype=object)


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
