"""A graph that answers texts: tokenizer and encoder in one module, to which a task adds functions of the vectors."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.proof import Proof
from tfchain.core.signatures import (
    EMBED,
    EMBED_DOCUMENT,
    EMBED_IDS,
    EMBED_QUERY,
    EMBED_QUERY_IDS,
    QUERY_VOCABULARY_FILE,
    TOKENIZE,
    TOKENIZE_DOCUMENT,
    TOKENIZE_QUERY,
    VOCABULARY_FILE,
    Halves,
)
from tfchain.models.engines.padding import pad
from tfchain.models.precision import TOLERANCES
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_roles import Role
from tfchain.models.tokenizers.pairs import PAIR, join_pair
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.tasks.encoder_graph import EncoderGraph

# Every version is asked these, besides texts of the task, so that a task without texts proves its answers too.
SAMPLE_TEXTS = (
    "how do I merge two sorted lists",
    "The café's owner said: «It’s 20 °C, isn't it?»",
    "你好，我是一个智能助手。",
    "Ein Überblick über Straßennamen in Düsseldorf",
    "[SEP] special tokens [MASK] written out",
    "",
)
CUT_OFF = ("a text that is cut off at the end, 你好。 " * 200,)  # longer than any model's maximum
MOST_TEXTS = 6
MOST_CHARACTERS = 400  # of each of the task's own texts

Answer = Callable[[Any], dict[str, Any]]  # from vectors (batch, dim) to a signature's outputs


class TextGraph:
    """A module with signatures of texts, and proofs of their answers.

    It starts with `embed_ids` (token ids → embedding) and, unless `signatures="ids"`, `embed` (text → embedding, with
    the model's default prompt), `tokenize` (text → token ids, with that prompt), and `embed_query` and `embed_document`
    where the model has other prompts for these. A task adds its own signatures with `add`, and their proofs with
    `prove`.

    If queries have an encoder of their own (`TextEncoder.query_route`), it answers the texts with the role `query`, and
    there are `embed_query`, `tokenize_query` and `embed_query_ids`, which takes token ids of its tokenizer.

    With `litert`, the halves of the text signatures are signatures too, for a server that runs the encoder by itself:
    text to token ids, and vectors to the answer. Queries with an encoder of their own have no halves.

    Args:
        text_encoder: Tokenizer and encoder, in `float32`, `bfloat16` or calibrated `int8`.
        name: The module's name.
        texts: The task's own texts, which the version is asked besides `SAMPLE_TEXTS`. Default: none.
        signatures: `text`, or `ids` for `embed_ids` only, which needs no op of TF Text. Default: `text`.
        litert: The text encoder, run by LiteRT, of the flatbuffer beside the SavedModel. Default: none.

    Raises:
        InputError: if `signatures` is out of range, or TensorFlow does not compute in the text encoder's precision.

    Attributes:
        module: The module that owns the variables.
        signatures: Name → `tf.function`.
        proofs: Questions with Python's answers.
        litert_proofs: The same for the flatbuffer.
        halves: Signature of texts → the signatures before and after the encoder; empty without `litert`.
        methods: Signature → its TensorFlow Serving method, if that is not Predict.
        has_text: Whether texts are answered; False with `signatures="ids"` or a tokenizer that has no graph.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        *,
        name: str,
        texts: Sequence[str] = (),
        signatures: str = "text",
        litert: TextEncoder | None = None,
    ) -> None:
        import tensorflow as tf

        check_signatures(signatures)
        check_tensorflow_runs()
        has_text = signatures == "text"
        self.text_encoder = text_encoder
        self.litert = litert
        self._documents = self._queries = EncoderGraph(text_encoder, EMBED_IDS, has_text=has_text)
        if text_encoder.query_route is not None:
            self._queries = EncoderGraph(text_encoder.query_route, EMBED_QUERY_IDS, has_text=has_text)
        self._sides = dict.fromkeys((self._documents, self._queries))  # one, or the documents' and the queries'
        self._has_text = all(side.tokenizer is not None for side in self._sides)
        step = max(1, len(texts) // MOST_TEXTS)
        self.texts = [*SAMPLE_TEXTS, *(text[:MOST_CHARACTERS] for text in texts[::step][:MOST_TEXTS])]
        self._cut_off: tuple[str, ...] = CUT_OFF
        self.tolerance = max(TOLERANCES[side.text_encoder.precision] for side in self._sides)
        self.module = tf.Module(name=name)
        self.signatures: dict[str, Any] = {}
        self.proofs: list[Proof] = []
        self.litert_proofs: list[Proof] = []
        self.halves: dict[str, Halves] = {}
        self.methods: dict[str, str] = {}
        if self._has_text:
            self._leave_out_ties()
        for side in self._sides:
            start = "" if side is self._documents else "query_"
            setattr(self.module, f"{start}encoder", side.weights)
            self.signatures[side.signature] = side.make_embed_ids()
            self.proofs.append(prove_embed_ids(side.text_encoder, self.texts, signature=side.signature))
            if self._has_text:  # the tokenizer's pieces and tables are resources, saved with the module
                setattr(self.module, f"{start}tokenizer", side.tokenizer)
        if litert is not None:
            self.litert_proofs.append(prove_embed_ids(litert, self.texts))
        if self._has_text:
            self._add_embeds()

    @property
    def query_prompt(self) -> str:
        """The prompt for queries, of the encoder that encodes them."""
        return self._queries.text_encoder.query_prompt

    @property
    def has_text(self) -> bool:
        """Whether texts are answered."""
        return self._has_text

    def has_halves(self, role: Role | None = None) -> bool:
        """Whether signatures of texts with a role have halves: LiteRT has an encoder, and it is that of these texts."""
        return self.litert is not None and self._find_side(role) is self._documents

    @property
    def text_model(self) -> dict[str, Any]:
        """Plain values for the version's description: what a server of texts tells its clients of the model."""
        encoder, queries = self.text_encoder, self._queries.text_encoder
        has_own = queries is not encoder
        lengths = encoder.role_lengths
        if has_own:
            lengths = {**lengths, "query_length": queries.query_tokenizer.max_length}
        return {
            "embedding_dim": encoder.embedding_dim,
            "max_tokens": encoder.tokenizer.max_length,
            **({"role_lengths": lengths} if lengths else {}),
            **_describe_tokenizer(encoder),
            **({"queries": _describe_tokenizer(queries)} if has_own else {}),
            "precision": encoder.precision,
            "pooling": [] if encoder.config is None else list(encoder.config.pooling.modes),
            "similarity": encoder.similarity,
            "matryoshka_dims": list(encoder.matryoshka_dims),
        }

    @property
    def text_files(self) -> dict[str, bytes]:
        """Files for the version's folder: each vocabulary, a JSON list of the tokens by id. None without texts."""
        if not self.has_text:
            return {}
        names = (VOCABULARY_FILE, QUERY_VOCABULARY_FILE)
        return {name: _list_tokens(side.text_encoder) for name, side in zip(names, self._sides, strict=False)}

    def add(
        self,
        name: str,
        answer: Answer,
        *,
        prompt: str,
        tokenize: str,
        role: Role | None = None,
        answer_name: str | None = None,
        separator: str | None = None,
    ) -> None:
        """Adds a signature from `text`, string `(batch,)`, to the task's outputs for the vectors.

        Args:
            name: The signature's name.
            answer: A function from vectors, float32 `(batch, dim)`, to outputs by name.
            prompt: The text put before each text.
            tokenize: The name of the half before the encoder; halves of one name share prompt, role and separator.
            role: `query` or `document` truncates texts at the maximum of these. Default: at that of all texts.
            answer_name: The name of the half after the encoder; None if the vectors are the answer. Default: None.
            separator: The text between the two texts of a pair; the signature then takes `text` and `text_pair`.
                Default: single texts.
        """
        self.signatures[name] = self._make_text_function(
            lambda text: answer(self.to_vectors(text, prompt, role)), separator
        )
        if not self.has_halves(role):
            return
        self.halves[name] = Halves(tokenize, answer_name)
        self._add_half(tokenize, prompt, role, separator)
        if answer_name is not None and answer_name not in self.signatures:
            import tensorflow as tf

            vector_spec = [tf.TensorSpec([None, self.text_encoder.embedding_dim], tf.float32, name="embedding")]
            self.signatures[answer_name] = tf.function(answer, input_signature=vector_spec, autograph=False)

    def add_alias(self, alias: str, name: str) -> None:
        """Adds a second name for a signature."""
        self.signatures[alias] = self.signatures[name]
        if name in self.halves:
            self.halves[alias] = self.halves[name]

    def prove(
        self,
        name: str,
        inputs: Sequence[str] | Mapping[str, np.ndarray],
        vectors: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        *,
        ties: Mapping[str, np.ndarray] | None = None,
        tolerance: float | None = None,
    ) -> None:
        """Adds the proof of a signature that `add` made, and of its half after the encoder.

        Args:
            name: The signature's name.
            inputs: The texts to ask, or arrays by the signature's input names.
            vectors: The texts' vectors, float32 `(texts, dim)`.
            outputs: The expected outputs.
            ties: As in `Proof`. Default: none.
            tolerance: As in `Proof`. Default: rounding in the text encoder's precision.
        """
        asked = inputs if isinstance(inputs, Mapping) else {"text": to_array(inputs)}
        tolerance = self.tolerance if tolerance is None else tolerance
        proof = Proof(name, asked, outputs, ties or {}, tolerance=tolerance)
        self.proofs.append(proof)
        half = self.halves[name].answer if name in self.halves else None
        if half is not None:
            self.proofs.append(
                dataclasses.replace(proof, signature=half, inputs={"embedding": vectors}, is_warm_up=False)
            )

    def to_vectors(self, text: Any, prompt: str, role: Role | None = None) -> Any:
        """Encodes texts in the graph: string `(batch,)` → float32 `(batch, dim)`."""
        side = self._find_side(role)
        return side.encode(**side.tokenize(text, prompt, role))

    def _find_side(self, role: Role | None) -> EncoderGraph:
        return self._queries if role == "query" else self._documents

    def _add_embeds(self) -> None:
        """Adds `tokenize` and `embed`, and those for queries and documents where they differ."""
        encoder, queries = self.text_encoder, self._queries.text_encoder
        default, for_query, for_document = encoder.find_prompt(None), self.query_prompt, encoder.document_prompt
        self._add_half(TOKENIZE, default)
        self._add_embed(EMBED, default, TOKENIZE)
        if queries is not encoder or for_query != default or "query_length" in encoder.role_lengths:
            self._add_half(TOKENIZE_QUERY, for_query, "query")
            self._add_embed(EMBED_QUERY, for_query, TOKENIZE_QUERY, "query")
        if for_document != default or "document_length" in encoder.role_lengths:
            self._add_half(TOKENIZE_DOCUMENT, for_document, "document")
            self._add_embed(EMBED_DOCUMENT, for_document, TOKENIZE_DOCUMENT, "document")

    def _add_embed(self, name: str, prompt: str, tokenize: str, role: Role | None = None) -> None:
        """Adds a signature from texts to vectors, with its proofs."""
        self.add(name, lambda vectors: {"embedding": vectors}, prompt=prompt, tokenize=tokenize, role=role)
        options: dict[str, Any] = {"signature": name, "prompt": prompt, "role": role}
        for texts, is_warm_up in ((self.texts, True), (self._cut_off, False)):
            if not texts:
                continue
            encoder = self._find_side(role).text_encoder
            self.proofs.append(prove_embed(encoder, texts, **options, is_warm_up=is_warm_up))
            if self.litert is not None and self.has_halves(role):
                self.litert_proofs.append(prove_embed(self.litert, texts, **options))

    def _add_half(self, name: str, prompt: str, role: Role | None = None, separator: str | None = None) -> None:
        """Adds a signature from texts to token ids, with its proofs, unless it is there."""
        if name in self.signatures:
            return
        side = self._find_side(role)
        self.signatures[name] = self._make_text_function(lambda text: side.tokenize(text, prompt, role), separator)
        for texts in filter(len, (self.texts, self._cut_off)):
            self.proofs.append(prove_tokenize(side.text_encoder, name, prompt, texts, separator, role=role))

    def _leave_out_ties(self) -> None:
        """Leaves out of the proofs the texts that the graph cuts in another way, which is exactly as likely."""
        for side in self._sides:
            encoder = side.text_encoder
            prompts = {encoder.find_prompt(None), encoder.query_prompt, encoder.document_prompt}
            tied = side.find_tied((*self.texts, *self._cut_off), prompts)
            self.texts = [text for text in self.texts if text not in tied]
            self._cut_off = tuple(text for text in self._cut_off if text not in tied)

    def _make_text_function(self, compute: Callable[[Any], Any], separator: str | None) -> Any:
        """Makes a `tf.function` of `text`, or of `text` and `text_pair`."""
        import tensorflow as tf

        specs = [tf.TensorSpec([None], tf.string, name=name) for name in ("text", "text_pair")]
        if separator is None:
            return tf.function(lambda text: compute(text), input_signature=specs[:1], autograph=False)

        def join(text: Any, text_pair: Any) -> Any:
            first = tf.strings.regex_replace(text, PAIR, "") if separator == PAIR else text
            return compute(tf.strings.join([first, separator, text_pair]))

        return tf.function(
            join,
            input_signature=specs,
            autograph=False,
        )


def check_signatures(signatures: str) -> None:
    """Raises if `signatures` is neither `text` nor `ids`."""
    if signatures not in ("text", "ids"):
        raise InputError(f"`signatures` must be 'text' or 'ids'. Received: signatures={signatures!r}.")


def _describe_tokenizer(text_encoder: TextEncoder) -> dict[str, Any]:
    """Returns what a server tells of a tokenizer, as plain values."""
    tokenizer = text_encoder.tokenizer
    return {
        "vocabulary_size": len(tokenizer.tokenizer),
        **_describe_decoder(tokenizer.tokenizer),
        "empty_text": list(map(int, tokenizer([""])[0])),  # the special tokens around each text
        "special_ids": sorted(map(int, tokenizer.tokenizer.all_special_ids)),
        "unknown_id": tokenizer.tokenizer.unk_token_id,  # None: the vocabulary lacks nothing
    }


def _describe_decoder(tokenizer: Any) -> dict[str, Any]:
    """Returns how tokens become text, as tokenizer.json has it; nothing for WordPiece, which is the default."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts = {} if backend is None else json.loads(backend.to_str())
    return {"decoder": parts.get("decoder")} if parts.get("model", {}).get("type") in ("BPE", "Unigram") else {}


def _list_tokens(text_encoder: TextEncoder) -> bytes:
    """Returns the tokens by id as a JSON list."""
    tokenizer = text_encoder.tokenizer.tokenizer
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return json.dumps(tokens, ensure_ascii=False).encode("utf-8", "replace")


def prove_embed_ids(text_encoder: TextEncoder, texts: Sequence[str], *, signature: str = EMBED_IDS) -> Proof:
    """Returns a proof of `embed_ids`, or of another signature of token ids, for those of texts."""
    token_ids = text_encoder.tokenizer(texts)
    ids, mask = pad(token_ids, text_encoder.tokenizer.pad_token_id)
    expected = text_encoder.runner(token_ids)
    tolerance = TOLERANCES[text_encoder.precision]
    inputs = {"token_ids": ids, "padding_mask": mask}
    return Proof(signature, inputs, {"embedding": expected}, tolerance=tolerance)


def prove_embed(
    text_encoder: TextEncoder,
    texts: Sequence[str],
    *,
    signature: str = EMBED,
    prompt: str | None = None,
    role: Role | None = None,
    is_warm_up: bool = True,
) -> Proof:
    """Returns a proof of `embed`, or of another signature from texts to vectors; no prompt means the default one."""
    expected = {"embedding": text_encoder.encode(texts, prompt=prompt, role=role, progress=False)}
    tolerance = TOLERANCES[text_encoder.precision]
    return Proof(signature, {"text": to_array(texts)}, expected, is_warm_up=is_warm_up, tolerance=tolerance)


def prove_tokenize(
    text_encoder: TextEncoder,
    signature: str,
    prompt: str,
    texts: Sequence[str],
    separator: str | None = None,
    *,
    role: Role | None = None,
) -> Proof:
    """Returns a proof of the half before the encoder for texts, or for pairs of each text with itself."""
    tokenizer = text_encoder.find_tokenizer(role)
    inputs = {"text": to_array(texts)}
    if separator is not None:
        inputs["text_pair"] = to_array(texts)
        texts = [join_pair(text, text, separator) for text in texts]
    token_ids = tokenizer([prompt + text for text in texts])
    ids, mask = pad(token_ids, tokenizer.pad_token_id, skipped=text_encoder.skipped_tokens(prompt))
    expected = {"token_ids": ids, "padding_mask": mask}
    return Proof(signature, inputs, expected, is_warm_up=False, tolerance=0.0)


def to_array(texts: Sequence[str]) -> np.ndarray:
    """Returns texts in their wire format, an object array of UTF-8."""
    return np.array([to_bytes(text) for text in texts], dtype=object)


def to_bytes(text: str) -> bytes:
    """Encodes a text as UTF-8; half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace")
