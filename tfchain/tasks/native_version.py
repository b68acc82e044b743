"""The folder of a version for tfchain's own kernels: written by a task's `serve`, and read by the embedded server.

    native.json        the task, its signatures of texts, its settings, and size and digest of each other file
    encoder/           8-bit weights, shape and tokenizer (`models.native_text_encoder`)
    …                  what the task adds, such as an index

A task's own answers are in its folder (`tasks/search/native_search.py`); every version also answers `tokenize` and
`embed`, and the same for queries and documents where the model has prompts for these.
"""

import hashlib
import importlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import ModelFolderError, TfchainError
from tfchain.core.native import Answer, NativeParts
from tfchain.core.proof import TOLERANCE, Proof
from tfchain.core.signatures import (
    EMBED,
    EMBED_DOCUMENT,
    EMBED_QUERY,
    TOKENIZE,
    TOKENIZE_DOCUMENT,
    TOKENIZE_QUERY,
)
from tfchain.models.native_text_encoder import NativeTextEncoder, find_native_obstacle, save_native_text_encoder
from tfchain.models.tokenizers.pairs import join_pair

if TYPE_CHECKING:  # a server reads a version without what made it
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.models.text_roles import Role

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "native.json"
ENCODER = "encoder"
# A task's name → the function that reads its part: from the folder and its settings to a `Finish`.
READERS = {
    "search": "tfchain.tasks.search.native_search:load_search",
    "classification": "tfchain.tasks.classification.native_classification:load_classification",
    "reranking": "tfchain.tasks.reranking.native_reranking:load_reranking",
}

# From vectors, output names and the signature's inputs to the outputs; None if the inputs are for the SavedModel.
Finish = Callable[[np.ndarray, Sequence[str], Mapping[str, np.ndarray]], Sequence[np.ndarray] | None]


@dataclass(frozen=True)
class Question:
    """How a signature's texts are encoded.

    Args:
        prompt: The text put before each text. Default: none.
        skipped: How many of each text's first tokens pooling leaves out. Default: 0.
        separator: The text between the two texts of a pair; None for single texts. Default: None.
        answer: The outputs: `task`, the task's own; `vectors`; or `tokens`, ids and their mask. Default: `task`.
        role: `query` or `document` truncates texts at the maximum of these. Default: at that of all texts.
    """

    prompt: str = ""
    skipped: int = 0
    separator: str | None = None
    answer: str = "task"
    role: "Role | None" = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, without a role if there is none."""
        values = asdict(self)
        return values if self.role is not None else {name: values[name] for name in values if name != "role"}


def make_native_parts(
    text_encoder: "TextEncoder",
    task: str,
    questions: Mapping[str, Question],
    proofs: Sequence[Proof],
    *,
    settings: Mapping[str, Any],
    write_state: Callable[[Path], None] | None = None,
) -> NativeParts:
    """Describes the folder of a version that the kernels answer.

    Args:
        text_encoder: The encoder in int8, for which `can_serve_natively` is True.
        task: The task's name, one of `READERS`.
        questions: The task's signatures.
        proofs: Questions with the answers that must come.
        settings: Plain values for the task's reader.
        write_state: Writes what the task keeps beside the model. Default: nothing.
    """

    def write(path: Path) -> None:
        (path / ENCODER).mkdir()
        save_native_text_encoder(text_encoder, path / ENCODER)
        if write_state is not None:
            write_state(path)
        asked = {**_text_questions(text_encoder), **questions}
        signatures = {name: question.to_dict() for name, question in asked.items()}
        values = {"format": FORMAT, "task": task, "signatures": signatures, "settings": dict(settings)}
        values["files"] = {name: _describe_file(path / name) for name in _list_files(path)}
        (path / MANIFEST).write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    return NativeParts(write, load_answers, proofs)


def can_serve_natively(text_encoder: "TextEncoder") -> bool:
    """Returns whether a version of a text encoder gets files for the kernels; logs the reason if int8 does not."""
    obstacle = find_native_obstacle(text_encoder)
    if obstacle is not None and text_encoder.precision == "int8":
        logger.info("The version has no files for --engine=native: %s.", obstacle)
    return obstacle is None


def prove_texts(text_encoder: "TextEncoder", texts: Sequence[str]) -> list[Proof]:
    """Returns the proofs of the signatures that every version answers: for the texts, and for one that is cut off.

    The kernels compute the same numbers wherever they run, so the answers may differ by as little as in float32.

    Args:
        text_encoder: The encoder in int8, run by the kernels.
        texts: The texts.
    """
    from tfchain.tasks.text_graph import CUT_OFF, prove_embed, prove_tokenize

    proofs = []
    for name, question in _text_questions(text_encoder).items():
        for asked in (texts, CUT_OFF):
            if question.answer == "tokens":
                proof = prove_tokenize(text_encoder, name, question.prompt, asked, role=question.role)
            else:
                options: dict[str, Any] = {"prompt": question.prompt, "role": question.role}
                proof = prove_embed(text_encoder, asked, signature=name, is_warm_up=False, **options)
                proof = replace(proof, tolerance=TOLERANCE)
            proofs.append(proof)
    return proofs


def _text_questions(text_encoder: "TextEncoder") -> dict[str, Question]:
    """The signatures that every version answers; those of `TextGraph`."""
    default = text_encoder.find_prompt(None)

    def ask(prompt: str, answer: str = "vectors", role: "Role | None" = None) -> Question:
        return Question(prompt, text_encoder.skipped_tokens(prompt), answer=answer, role=role)

    found = {EMBED: ask(default), TOKENIZE: ask(default, "tokens")}
    prompts: tuple[tuple[str, str, str, Role], ...] = (
        (EMBED_QUERY, TOKENIZE_QUERY, text_encoder.query_prompt, "query"),
        (EMBED_DOCUMENT, TOKENIZE_DOCUMENT, text_encoder.document_prompt, "document"),
    )
    for embed, tokenize, prompt, role in prompts:
        own = role if text_encoder.find_tokenizer(role) is not text_encoder.tokenizer else None
        if prompt != default or own:
            found |= {embed: ask(prompt, role=own), tokenize: ask(prompt, "tokens", own)}
    return found


def load_answers(path: Path, *, num_threads: int | None = None) -> dict[str, Answer]:
    """Reads the folder, and returns its signatures as functions.

    Args:
        path: The folder.
        num_threads: The most threads of a call, at most 16. Default: one per core.

    Raises:
        TfchainError: if a file is missing or damaged, or the kernels cannot run in this process.
    """
    values = _read_manifest(path)
    try:
        questions = {name: Question(**question) for name, question in values["signatures"].items()}
        module, _, name = READERS[values["task"]].partition(":")
        text_encoder = NativeTextEncoder(path / ENCODER, num_threads=num_threads)
        is_task = any(question.answer == "task" for question in questions.values())
        finish = getattr(importlib.import_module(module), name)(path, values["settings"]) if is_task else None
    except TfchainError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError) as error:
        raise _make_error(path, f"{type(error).__name__}: {error}") from error
    return {
        name: make_answer(text_encoder, question, finish if question.answer == "task" and finish else _give_vectors)
        for name, question in questions.items()
    }


def make_answer(text_encoder: NativeTextEncoder, question: Question, finish: Finish) -> Answer:
    """Makes the function of a signature; it leaves requests that are not lists of UTF-8 texts to the SavedModel."""

    def answer(
        inputs: Mapping[str, np.ndarray], outputs: Sequence[str], check_time: Callable[[], object]
    ) -> Sequence[np.ndarray] | None:
        texts = read_texts(inputs, question.separator)
        if texts is None:
            return None
        check_time()
        options: dict[str, Any] = {"prompt": question.prompt, "role": question.role, "skipped": question.skipped}
        if question.answer == "tokens":
            ids, mask = text_encoder.tokenize(texts, **options)
            return [{"token_ids": ids, "padding_mask": mask}[name] for name in outputs]
        vectors = text_encoder.encode(texts, **options, progress=lambda _: check_time())
        return None if vectors is None else finish(vectors, outputs, inputs)

    return answer


def read_texts(inputs: Mapping[str, np.ndarray], separator: str | None) -> list[str] | None:
    """Returns the texts of a request, pairs joined; None if they are not one or more texts in UTF-8."""
    columns = [inputs["text"]] if separator is None else [inputs["text"], inputs["text_pair"]]
    shapes = {column.shape for column in columns}
    if len(shapes) > 1 or any(column.dtype != object or column.ndim != 1 or not column.size for column in columns):
        return None
    try:
        read = [[text.decode("utf-8") for text in column.tolist()] for column in columns]
    except (UnicodeDecodeError, AttributeError):
        return None
    if separator is None:
        return read[0]
    return [join_pair(first, second, separator) for first, second in zip(*read, strict=True)]


def _give_vectors(vectors: np.ndarray, outputs: Sequence[str], _: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [vectors] * len(outputs)


def _read_manifest(path: Path) -> dict[str, Any]:
    """Reads the manifest, and compares every file with it."""
    try:
        values: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise _make_error(path, f"it has the format {values['format']}, and this tfchain reads {FORMAT}")
        if values["task"] not in READERS:
            raise _make_error(path, f"the task {values['task']!r} is unknown")
        for name, described in values["files"].items():
            if not (path / name).is_file():
                raise _make_error(path, f"{name} is missing")
            if _describe_file(path / name) != described:
                raise _make_error(path, f"{name} is damaged")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _make_error(path, f"{type(error).__name__}: {error}") from error
    return values


def _list_files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def _describe_file(path: Path) -> list[int | str]:
    """Returns a file's size and SHA-256."""
    with open(path, "rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]


def _make_error(path: Path, reason: str) -> ModelFolderError:
    return ModelFolderError(f"{path} cannot be read: {reason}. Export the version again.")
