"""`QuestionAnsweringChain`: questions in, answers cut out of documents out, on top of what every chain does."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, Unpack, get_args, overload

import numpy as np

from tfchain.chains.base import Chain
from tfchain.chains.deploy_options import ServerOptions, TargetOptions
from tfchain.chains.reader_arguments import check_has_no_reranker, make_reader, make_retriever
from tfchain.chains.search import NeuralSearchChain
from tfchain.core.checks import check_whole_number, to_path
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.texts import check_queries, has_surrogate
from tfchain.data.documents.reading import DocumentSource
from tfchain.models.precision import EngineName
from tfchain.tasks.live_model import Current
from tfchain.tasks.manifest import MANIFEST, read_manifest
from tfchain.tasks.question_answering.answers import Answer
from tfchain.tasks.question_answering.asking import PASSAGES, RetrieverParts, answer_questions, read_context
from tfchain.tasks.question_answering.metrics import measure_all
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.reader_state import to_state
from tfchain.tasks.question_answering.retrieval import PassagePlaces
from tfchain.tasks.question_answering.task import QuestionAnsweringTask
from tfchain.tasks.question_answering.windows import WindowMemory, check_tokenizer

if TYPE_CHECKING:
    from tfchain.chains.question_client import QuestionClient
    from tfchain.deployment.deploy import Deployment

Contexts = Literal["given", "retrieved"]
RETRIEVER = "retriever"  # the folder of the retriever in a saved chain


class QuestionAnsweringChain(Chain):
    """Answers questions from documents: a retriever finds passages, and a reader marks the answer in them.

    The retriever is a `NeuralSearchChain` with its documents; `add`, `remove` and everything else about these is its
    own. The reader is an encoder that gives each token two logits, to start and to end the answer: what transformers
    calls a model for question answering. The methods of every chain (`fit`, `evaluate`, `tune`, `compress`, …) are the
    reader's; the retriever's are at `chain.retriever`.

    Threads may use a chain at the same time. Pickling and copying use the saved form that `save` writes.

    Args:
        retriever: A `NeuralSearchChain`, without a reranker; the folder of a saved one; or the folder or hub name of
            its encoder. Default: one with the small English model that comes with tfchain, made when it is needed.
        reader: The folder or hub name of a `…ForQuestionAnswering`. Any other encoder gets a new head, which is to be
            trained with `fit`: a folder or hub name, a tfchain encoder, a `TextEncoder`. Default: the small English
            model that comes with tfchain, with a new head.
        learning_rate: The learning rate of training, above 0. Default: 3e-5.
        batch_size: Windows in one step, in training and reading. Default: 32.
        epochs: The number of training epochs. Default: 2.
        tokenizer: The tokenizer of a reader that is an encoder without one. Default: the folder's.
        max_length: The most tokens of a question and a window of text together. Default: 384, or as many as fit.
        reading: How texts are read: see `ReadingOptions`. Default: `ReadingOptions()`.
        engine: The engine that runs the reader. Default: `auto`.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.
        ModelFolderError: if a folder cannot be read, or its architecture has no such head.

    Example:
        >>> chain = QuestionAnsweringChain(reader="deepset/minilm-uncased-squad2")
        >>> chain.add(["The cat sleeps on the sofa.", "Stocks fell on Monday."])
        >>> chain.ask("Where does the cat sleep?").text
        'on the sofa'
    """

    task_type: ClassVar[Any] = QuestionAnsweringTask
    task: QuestionAnsweringTask
    _retriever: NeuralSearchChain | None = None

    def __init__(
        self,
        retriever: Any = None,
        reader: Any = None,
        learning_rate: float = 3e-5,
        batch_size: int = 32,
        epochs: int = 2,
        *,
        tokenizer: Any = None,
        max_length: int | None = None,
        reading: ReadingOptions | None = None,
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        if not (reading is None or isinstance(reading, ReadingOptions)):
            raise InputError(
                f"`reading` must be a ReadingOptions, such as ReadingOptions(stride=64). Received: {reading!r:.80}."
            )
        task = QuestionAnsweringTask(reading or ReadingOptions())
        made = None if retriever is None else make_retriever(retriever, engine=engine)
        model = make_reader(reader, tokenizer, max_length=max_length, engine=engine, seed=chosen.seed)
        check_tokenizer(model.tokenizer)
        super().__init__(task, model, hyperparameters=chosen)
        self._set_up(made)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, retriever: Any = None, **options: Any) -> Self:
        """Reads a `…ForQuestionAnswering` of transformers, or an encoder that gets a new head.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            retriever: As in the constructor.
            **options: Other arguments of the constructor, except reader and tokenizer.

        Raises:
            ModelFolderError: if the folder cannot be read.
        """
        return cls(retriever, name_or_path, **options)

    @classmethod
    def load(cls, path: str | Path, *, engine: EngineName = "auto") -> Self:
        """Reads a saved chain, with its retriever and documents.

        Args:
            path: The folder.
            engine: As in the constructor.

        Raises:
            IndexFolderError: if the folder has no saved chain of this kind, or a damaged one.
        """
        chain = super().load(path, engine=engine)
        folder = to_path("path", path)
        has_retriever = read_manifest(folder)["settings"].get(RETRIEVER, (folder / RETRIEVER / MANIFEST).is_file())
        chain._set_up(NeuralSearchChain.load(folder / RETRIEVER, engine=engine) if has_retriever else None)
        return chain

    def _set_up(self, retriever: NeuralSearchChain | None) -> None:
        self._retriever = retriever
        self._places, self._memory = PassagePlaces(), WindowMemory()

    def __repr__(self) -> str:
        return f"<QuestionAnsweringChain: {len(self)} documents, {self.max_length} tokens>"

    def __len__(self) -> int:
        """Returns the number of the retriever's documents."""
        return 0 if self._retriever is None else len(self._retriever)

    @property
    def client_type(self) -> type[QuestionClient]:
        """The class of the client that `deploy` hands out."""
        from tfchain.chains.question_client import QuestionClient

        return QuestionClient

    @property
    def retriever(self) -> NeuralSearchChain:
        """The search chain with the documents."""
        if self._retriever is None:
            with self._saving:
                if self._retriever is None:
                    self._retriever = NeuralSearchChain()
        return self._retriever

    @property
    def max_length(self) -> int:
        """The most tokens of a question and a window of text together."""
        return self.text_encoder.tokenizer.max_length

    @property
    def reading(self) -> ReadingOptions:
        """How texts are read."""
        return self.task.options

    @property
    def threshold(self) -> float | None:
        """How far the logit of no answer must be above the best answer's for none to be given; None: always one.

        `fit` finds it. Set it (0 is usual) for a reader that learnt elsewhere, as of SQuAD 2, that some have no answer.
        """
        return to_state(self.state).threshold

    @threshold.setter
    def threshold(self, threshold: float | None) -> None:
        is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold is not None and not (is_number and math.isfinite(threshold)):
            raise InputError(f"`threshold` must be a finite number, or None. Received: {threshold!r:.80}.")
        self._live.update(lambda _, state: dataclasses.replace(to_state(state), threshold=threshold))

    def add(self, documents: DocumentSource, **options: Any) -> Self:
        """Adds documents to the retriever: see `NeuralSearchChain.add`, also for the options."""
        self.retriever.add(documents, **options)
        return self

    def remove(self, ids: Any) -> Self:
        """Removes documents of the retriever by id: see `NeuralSearchChain.remove`."""
        self.retriever.remove(ids)
        return self

    @overload
    def ask(self, question: str, top_k: int = 1, *, passages: int = PASSAGES) -> Answer: ...

    @overload
    def ask(
        self, question: list[str] | tuple[str, ...] | np.ndarray, top_k: int = 1, *, passages: int = PASSAGES
    ) -> list[Answer]: ...

    def ask(self, question: Any, top_k: int = 1, *, passages: int = PASSAGES) -> Answer | list[Answer]:
        """Answers a question from the documents.

        Args:
            question: A question, or a list of questions.
            top_k: The most answers; those behind the first are its `others`, and none overlaps another. Default: 1.
            passages: How many passages of the documents are read. Default: 5.

        Returns:
            The best answer, empty (and false) if the documents have none; a list for a list.

        Raises:
            InputError: if a question is empty, a number is less than 1, there are no documents, or the retriever was
                given a reranker.
        """
        answers = self._answer(check_queries(question), top_k, passages=passages)
        return answers[0] if isinstance(question, str) else answers

    def _answer(
        self, questions: list[str], top_k: int = 1, *, passages: int, progress: bool | None = False
    ) -> list[Answer]:
        """Answers questions from the documents; see `ask`."""
        top_k = check_whole_number("top_k", top_k, advice="Ask for one answer or more.")
        top = check_whole_number("passages", passages, advice="Read one passage or more.")
        with self._current() as current, self._retriever_parts() as parts:  # in the order in which `save` holds them
            if parts is None:
                raise InputError(
                    "`ask` answers from documents. Received: a chain without any. Add documents with `add(documents)`, "
                    "or use `read(question, context)`."
                )
            return answer_questions(
                current.text_encoder,
                parts,
                questions,
                self.reading,
                threshold=to_state(current.state).threshold,
                top_k=top_k,
                passages=top,
                batch_size=self.hyperparameters.batch_size,
                places=self._places,
                memory=self._memory,
                progress=progress,
            )

    def read(self, question: str, context: str, top_k: int = 1) -> Answer:
        """Answers a question from a text, without the retriever.

        Args:
            question: The question.
            context: The text, of any length; the answer's offsets are in it.
            top_k: As in `ask`. Default: 1.

        Raises:
            InputError: if the question is empty, the context is not a text, or `top_k` is less than 1.
        """
        (checked,) = check_queries([question])
        top_k = check_whole_number("top_k", top_k, advice="Ask for one answer or more.")
        if not isinstance(context, str) or has_surrogate(context):
            raise InputError(f"`context` must be a text of valid Unicode. Received: {context!r:.80}.")
        with self._current() as current:
            return read_context(
                current.text_encoder,
                checked,
                context,
                self.reading,
                threshold=to_state(current.state).threshold,
                top_k=top_k,
                batch_size=self.hyperparameters.batch_size,
            )

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers `tfchain predict`: each question from the documents."""
        answers = self.ask(list(texts), 1 if top_k is None else top_k)
        return [
            {"question": text, "answer": each.text, "score": each.score, "id": each.id, "passage": each.passage}
            for text, answer in zip(texts, answers, strict=True)
            for each in (answer, *answer.others)
        ]

    def evaluate(
        self,
        dataset: Any,
        *,
        split: str = "test",
        metrics: Sequence[str] | None = None,
        progress: bool | None = None,
        contexts: Contexts = "given",
        passages: int = PASSAGES,
    ) -> dict[str, float]:
        """Evaluates answers by the rules of SQuAD (`exact_match`, `f1`) or of CMRC (`cmrc_exact_match`, `cmrc_f1`).

        Args:
            dataset: Questions with contexts and answers: see `tasks.question_answering.questions`.
            split: The split of a `DatasetDict`. Default: `test`.
            metrics: Names of metrics, from 0 to 1; also `has_answer_f1` and `no_answer_accuracy`, of the questions with
                and without an answer. Default: `exact_match` and `f1`.
            progress: Whether to show a progress bar. Default: when it takes more than a second.
            contexts: `given` reads each question's own context, which measures the reader; `retrieved` asks the whole
                chain, which looks for passages among its documents. Default: `given`.
            passages: How many passages are read, with `retrieved`. Default: 5.

        Returns:
            Metric → value; `report` keeps those of given contexts.

        Raises:
            InputError: if the data cannot be read, a metric is unknown, or there are no documents.
        """
        if contexts not in get_args(Contexts):
            raise InputError(f"`contexts` must be 'given' or 'retrieved'. Received: contexts={contexts!r}.")
        if contexts == "given":
            return super().evaluate(dataset, split=split, metrics=metrics, progress=progress)
        metrics = self.task.metrics if metrics is None else metrics
        self.task.check_metrics(metrics)
        questions = self.task.read_judged(dataset, split=split)
        answers = self._answer([question.question for question in questions], passages=passages, progress=progress)
        return dict(measure_all(metrics, [answer.text for answer in answers], questions))

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 1,
        passages: int = PASSAGES,
        signatures: str = "text",
        name: str | None = None,
        reference: Any = None,
    ) -> Path:
        """Writes the next version, a SavedModel that answers questions in stock TensorFlow Serving.

        `answer` and `serving_default` take a question's `text` and search, read and cut out the answer; `search` is the
        retriever's; `reader` takes `question` and `context`, where the reader's tokenizer is WordPiece. A chain without
        documents exports `reader` alone. Before the version appears, its ops are checked and its answers compared with
        this chain's.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            top_k: The number of answers. Default: 1.
            passages: How many passages are read. Default: 5.
            signatures: `text`, or `ids` for embed_ids only.
            name: The model's name, for the default path. Default: `question_answering`.
            reference: Questions for the version's reference; see `Chain.export`. Default: none.

        Returns:
            The version's folder.

        Raises:
            InputError: if an argument is out of range, or the path is a file; raised before any costly work.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        with self._current(), self._retriever_parts() as parts:
            options = {"top_k": top_k, "passages": passages, "retriever": parts}
            return self._export(path, signatures=signatures, name=name, options=options, reference=reference)

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 1,
        passages: int = PASSAGES,
        **options: Unpack[ServerOptions],
    ) -> Deployment: ...

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 1,
        passages: int = PASSAGES,
        target: str,
        **options: Unpack[TargetOptions],
    ) -> Path: ...

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 1,
        passages: int = PASSAGES,
        target: str | None = None,
        **options: Any,
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, or writes the files that run it elsewhere.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            name: The model's name in requests. Default: `question_answering`.
            top_k: The number of answers. Default: 1.
            passages: How many passages are read. Default: 5.
            target: Where the version is to run; see `Chain.deploy`. Default: None, a server on this machine.
            **options: As `Chain.deploy` takes them.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` (a `QuestionClient`) and `stop()`. With a target, its
            folder.

        Raises:
            InputError: if an argument is out of range; nothing is exported then.
            ServerError: if the server does not start, for example because a port is in use.
        """
        with self._current(), self._retriever_parts() as parts:
            serving = {"top_k": top_k, "passages": passages, "retriever": parts}
            return self._deploy(path, name=name, target=target, options=options, serving=serving)

    @contextlib.contextmanager
    def _retriever_parts(self) -> Iterator[RetrieverParts | None]:
        """Yields the retriever's model and documents, neither of which changes in the block; None without documents."""
        retriever = self._retriever
        if retriever is None or not len(retriever):
            yield None
            return
        check_has_no_reranker(retriever)
        with retriever._current() as found:
            yield RetrieverParts(found.text_encoder, found.state, retriever.passages) if found.state else None

    def _settings(self, current: Current) -> dict[str, Any]:
        return super()._settings(current) | {RETRIEVER: self._retriever is not None}

    def _save_into(self, folder: Any, current: Current) -> None:
        retriever, place = self._retriever, Path(folder.path) / RETRIEVER
        if retriever is not None and folder is self._folder:
            retriever.save(place)
        elif retriever is not None:  # for a copy: the folder is deleted, and the retriever's own one stays its own
            with retriever._current() as found:
                retriever._save_into(retriever.task.open_folder(place), found)
        super()._save_into(folder, current)
        if retriever is None and (place / MANIFEST).is_file():  # of the chain that was replaced
            shutil.rmtree(place)

    def _write_pretrained(self, folder: Path) -> None:
        """Writes what transformers' AutoModelForQuestionAnswering loads: the reader."""
        from tfchain.models.span_encoder import save_span_encoder

        save_span_encoder(self.text_encoder, folder)
