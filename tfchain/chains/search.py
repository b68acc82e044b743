"""`NeuralSearchChain`: documents in, answers out, on top of what every chain does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, Unpack, overload

import numpy as np

from tfchain.chains.arguments import make_text_encoder
from tfchain.chains.base import Chain
from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.ids import to_ids
from tfchain.core.texts import check_queries
from tfchain.core.types import SearchResult
from tfchain.data.documents.passages import PassageMode
from tfchain.data.documents.reading import DocumentSource, read_for_index
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.read_session import ReadSession
from tfchain.data.preparation.report import PreparationReport
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.run import StepsRun
from tfchain.models.indexes.exact import Similarity
from tfchain.models.precision import EngineName
from tfchain.models.step_callables import make_step_callables
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.live_index import Encoding, LiveIndex
from tfchain.tasks.search.search import PassageConfig, search_texts
from tfchain.tasks.search.task import SearchTask

if TYPE_CHECKING:
    from tfchain.chains.forget import ForgetReceipt, Versions
    from tfchain.chains.search_client import Client
    from tfchain.deployment.deploy import Deployment
    from tfchain.deployment.engine import ServerEngine
    from tfchain.optimization.learning_texts import LearningTexts
    from tfchain.optimization.recipes import Recipe
    from tfchain.optimization.report import CompressionReport
    from tfchain.optimization.rule import Keep
    from tfchain.training.adapters.options import AdapterOptions

logger = logging.getLogger(__name__)


class NeuralSearchChain(Chain):
    """Neural search from documents to a served model.

    Threads may use a chain at the same time: each call sees a model and the documents that belong to it, and the
    changes of a call appear in one step. Pickling and copying use the saved form that `save` writes.

    Args:
        tokenizer: A transformers tokenizer, or a folder or hub name to read it from. Default: the model folder's.
        model: A tfchain encoder, a Hugging Face PyTorch encoder (its weights are converted), any Keras model from
            `token_ids` and `padding_mask` to vectors, or a folder or hub name. Default: the small English model that
            comes with tfchain (`models.bundled`).
        learning_rate: The learning rate of training, above 0. Default: 2e-5.
        batch_size: Texts in one step, in training and encoding. Default: 32.
        epochs: The number of training epochs. Default: 1.
        max_length: The most tokens of a text. Default: the most that the folder, the tokenizer and the encoder allow.
        passages: `split` cuts longer documents into passages, `sentences` at the ends of sentences alone, `structure`
            along the headings of Markdown and HTML; `truncate` drops the rest of the text. Default: `split`.
        overlap_tokens: The tokens that neighbouring passages share. Default: a tenth of `max_length`.
        similarity: `cosine` or `dot`. Default: the folder's, else `cosine`.
        prompts: Prompt name → text to put before each text; `query` and `document` are used by `search` and `add`.
            Default: the folder's.
        engine: The engine that runs the encoder: `auto`, `tensorflow`, `litert` or, if the model is saved in int8,
            `native`; see `EncoderRunner`. Default: `auto`.
        **hyperparameters: More defaults of `fit`, such as `warmup` or `weight_decay`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.

    Example:
        >>> chain = NeuralSearchChain()  # or NeuralSearchChain.from_pretrained("a folder, or a hub name")
        >>> chain.add(["The cat sleeps.", "Stocks fell on Monday."])
        >>> chain.search("What does the cat do?")
        {'text': 'What does the cat do?', 'answer': 'The cat sleeps.'}
    """

    task_type: ClassVar[Any] = SearchTask
    task: SearchTask
    preparation: PreparationReport | None = None
    """What the steps of the last `add` with steps did; `None` if there was none."""

    def __init__(
        self,
        tokenizer: Any = None,
        model: Any = None,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        max_length: int | None = None,
        passages: PassageMode = "split",
        overlap_tokens: int | None = None,
        similarity: Similarity | None = None,
        prompts: Mapping[str, str] | None = None,
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        task = SearchTask(PassageConfig(mode=passages, overlap_tokens=overlap_tokens))
        settings = {"max_length": max_length, "similarity": similarity, "prompts": prompts}
        super().__init__(task, make_text_encoder(tokenizer, model, engine=engine, **settings), hyperparameters=chosen)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Reads a sentence-transformers or Hugging Face folder: tokenizer, weights, pooling, heads, length, prompts.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            **options: Arguments of the constructor, except tokenizer and model.

        Raises:
            ModelFolderError: if the folder cannot be read.
        """
        return cls(None, name_or_path, **options)

    @classmethod
    def load(cls, path: str | Path, *, reindex: bool = False, engine: EngineName = "auto") -> Self:
        """Reads a saved chain.

        Args:
            path: The folder.
            reindex: Whether to encode the documents again if another model made their vectors. Default: False.
            engine: As in the constructor.

        Raises:
            IndexFolderError: if the folder has no saved chain, or a damaged one.
            FingerprintError: if another model made the vectors, unless `reindex` is set.
        """
        chain = super().load(path, engine=engine)
        if chain.is_stale and not reindex:
            raise FingerprintError(
                f"The vectors in {path} were made by model {chain.index.fingerprint[:12]}, the model there now is "
                f"{chain.text_encoder.fingerprint[:12]}. Put the right model back, or call load(path, reindex=True)."
            )
        return chain

    def __len__(self) -> int:
        """Returns the number of documents."""
        return len(self._live)

    def __repr__(self) -> str:
        return f"<NeuralSearchChain: {len(self)} documents, {self.text_encoder.embedding_dim} dimensions>"

    @property
    def client_type(self) -> type[Client]:
        """The class of the client that `deploy` hands out."""
        from tfchain.chains.search_client import Client

        return Client

    @property
    def passages(self) -> PassageConfig:
        """How documents longer than the model's maximum length are handled."""
        return self.task.passages

    @property
    def index(self) -> DocumentIndex:
        """Documents and vectors."""
        return self._live.index

    @property
    def is_stale(self) -> bool:
        """Whether the model has changed since the documents were encoded."""
        return self._live.is_stale

    def add(
        self,
        documents: DocumentSource,
        *,
        steps: Sequence[Any] = (),
        empty: Literal["skip", "error"] = "skip",
        max_broken: int = 0,
        broken_file: Path | str | None = None,
        limits: ReadLimits | None = None,
        progress: bool | None = None,
    ) -> NeuralSearchChain:
        """Adds documents in memory; `save` writes them to disk.

        Args:
            documents: Texts, dicts (`id`, `title`, `text`, `metadata`), `Document`s, a path (a folder of text, PDF,
                HTML and Office files, .jsonl, .csv, .tsv, .parquet, an archive, a BEIR folder), a pattern, a URL, or a
                generator of these; see `data.documents.reading`. A document without an id gets its number in the order
                of adding; an existing id is replaced.
            steps: Steps that the documents pass first, such as `["repair_text", {"filter_length": {"least": 200}}]`:
                see `prepare`. What they did is then in `preparation`. Default: none.
            empty: What becomes of documents with neither text nor title: `skip` leaves them out with a warning, `error`
                adds nothing. An index holds none. Default: `skip`.
            max_broken: How many files or records that cannot be read are left out, with a warning, before one is an
                error. Default: 0.
            broken_file: Where to write them, as lines of JSON. Default: not kept.
            limits: How much a file may take. Default: `ReadLimits()`.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The chain.

        Raises:
            InputError: if a document cannot be read or is not text, an id is repeated, or a step is unknown; nothing is
                added then.
        """
        reader = read_for_index(documents, empty=empty, session=ReadSession(max_broken, broken_file, limits))
        if not steps:
            self._live.add(reader, self._encoding(progress))
            return self
        callables = make_step_callables(self.text_encoder, batch_size=self.hyperparameters.batch_size)
        run = StepsRun([step.bind(**callables) for step in make_steps(steps)])
        read = self._live.add(reader, self._encoding(progress), run)
        self.preparation = PreparationReport(read, run.logs[-1].passed, tuple(run.logs))
        logger.info("Prepared documents: %s", self.preparation)
        return self

    def remove(self, ids: str | int | Iterable[str | int]) -> NeuralSearchChain:
        """Removes documents by id.

        Args:
            ids: An id, or several; a whole number means its decimal text, as in `add`.

        Returns:
            The chain.

        Raises:
            InputError: if an id does not exist; nothing is removed then.
        """
        self._live.remove(ids)
        return self

    def forget(
        self,
        ids: str | int | Iterable[str | int],
        paths: str | Path | Sequence[str | Path] = (),
        *,
        texts: Iterable[str] = (),
        versions: Versions = "report",
    ) -> ForgetReceipt:
        """Removes documents for good: from memory, from the folder of this chain, and from other places on disk.

        `remove` and `save` leave a removed document's text in its file until most of the index is written anew; this
        rewrites the file. Use it when someone asks for their data to be deleted.

        Args:
            ids: The documents' ids. Ids that the chain does not hold are looked for on disk all the same.
            paths: Other places: see `forget`. Default: the folder that the chain was loaded from or saved to.
            texts: As in `forget`. The texts of the documents that the chain holds are known.
            versions: As in `forget`.

        Returns:
            The receipt. Its `remaining` lists what still holds a document.

        Raises:
            InputError: if a path does not exist; nothing is removed then.
            IndexFolderError: if another process is writing a saved chain, or has written this one's folder meanwhile.
        """
        from tfchain.chains.forget import forget

        wanted = to_ids(ids)
        given = [paths] if isinstance(paths, str | Path) else list(paths)
        with self._saving:
            present = [document for id in wanted if (document := self.index.get(id)) is not None]
            folder = self._folder if self._folder is not None and self._folder.path.is_dir() else None
            if folder is not None:
                folder.check()
                given = [folder.path, *given]
            known = [text for document in present for text in (document.text, document.full_text)]
            receipt = forget(wanted, given, texts=[*texts, *known], versions=versions)
            if folder is not None:
                folder.follow_purge()
            if present:
                self._live.remove([document.id for document in present])
        return receipt

    @overload
    def search(self, text: str, top_k: int = 10, *, filter: Mapping[str, Any] | None = None) -> SearchResult: ...

    @overload
    def search(
        self,
        text: list[str] | tuple[str, ...] | np.ndarray,
        top_k: int = 10,
        *,
        filter: Mapping[str, Any] | None = None,
    ) -> list[SearchResult]: ...

    def search(
        self, text: Any, top_k: int = 10, *, filter: Mapping[str, Any] | None = None
    ) -> SearchResult | list[SearchResult]:
        """Finds the documents that answer a text.

        Args:
            text: A question, or a list of questions (any ordered iterable, including a NumPy array).
            top_k: The number of hits; all documents, if there are fewer. Default: 10.
            filter: Conditions that the metadata of a hit must meet, such as `{"language": "en", "year": {"$gte":
                2020}}`; `docs/filters.md` has all of them. Default: none, any document may be found.

        Returns:
            A dict of `text` and `answer` (the best document's text) with the attribute `hits`; a list for a list.
            Without hits the answer is the question itself. Without documents, a warning is logged, too.

        Raises:
            InputError: if a text is empty, `top_k` is less than 1, or `filter` is not a filter.
        """
        texts = check_queries(text)
        batch_size = self.hyperparameters.batch_size
        with self._current() as current:
            results = search_texts(
                current.text_encoder, current.state, texts, top_k=top_k, filter=filter, batch_size=batch_size
            )
        return results[0] if isinstance(text, str) else results

    def encode(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """Returns vectors of texts, float32 `(texts, dim)`; for the options see `TextEncoder.encode`."""
        return self.text_encoder.encode(texts, **{"batch_size": self.hyperparameters.batch_size, **options})

    def encode_query(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """Works like `encode`, with the model's prompt for queries, if it has one."""
        return self.text_encoder.encode_query(texts, **{"batch_size": self.hyperparameters.batch_size, **options})

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """Works like `encode`, with the model's prompt for documents, if it has one."""
        return self.text_encoder.encode_document(texts, **{"batch_size": self.hyperparameters.batch_size, **options})

    def compress(  # type: ignore[override]  # the limit is named after the task's objective
        self,
        recipes: Recipe | Sequence[Recipe] | Sequence[Sequence[Recipe]],
        *,
        texts: LearningTexts | None = None,
        teacher: NeuralSearchChain | TextEncoder | None = None,
        dataset: Any = None,
        split: str = "test",
        keep: Keep | None = None,
        max_ndcg_loss: float | None = None,
        progress: bool | None = None,
    ) -> CompressionReport:
        """Makes the model small and fast; the documents are encoded again at the next search, export or save.

        With a dataset, every candidate and the model in float32 are measured in one run (nDCG@10, recall@100, files,
        memory, speed), and the rule chooses the chain's model. Without a dataset, there must be a single candidate.

        Args:
            recipes: A list of recipes such as `[Quantize("int8")]`, or several such lists: the candidates.
            texts: Texts for `Shrink`, `Distill`, `ReduceDimensions` and a calibrated `Quantize` to learn from. Default:
                the chain's documents. `Distill` also learns other languages from rows of a text and its translations.
            teacher: The model whose vectors `Distill` learns. Default: the chain's own model before all recipes.
            dataset: Data that `evaluate` accepts. Default: only the files are measured.
            split: The split of a BEIR folder, `qrels/<split>.tsv`. Default: `test`.
            keep: The property that the kept candidate is best at: see `Rule`. Default: `smallest`.
            max_ndcg_loss: The largest allowed loss of the float32 model's nDCG@10, as a fraction of it. Default: 0.01.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if an item is not a recipe, or the rule needs an unmeasured figure; the model does not change.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow here has no int8 products
                for a calibrated `Quantize`; the model does not change.
        """
        return super().compress(
            recipes,
            texts=texts,
            teacher=teacher,
            dataset=dataset,
            split=split,
            keep=keep,
            max_loss=max_ndcg_loss,
            progress=progress,
        )

    def fit_adapter(
        self, dataset: Any, options: AdapterOptions | None = None, *, progress: bool | None = None
    ) -> NeuralSearchChain:
        """Fits a linear map of the vectors on queries and their documents; the encoder's layers do not change.

        Use it where there are few pairs, or only such as `SynthesizeQueries` makes of documents: it takes one pass over
        the texts and seconds after that, and compares each query with all documents. The chain's documents are encoded
        again at the next search, export or save.

        Args:
            dataset: Pairs that `fit` accepts; negatives and labels are not read.
            options: How to fit. Default: `AdapterOptions()`.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The chain.

        Raises:
            InputError: if the data cannot be read, or the model cannot have an adapter; the chain does not change.
        """
        from tfchain.data.pairs.reading import read_pairs
        from tfchain.training.adapters.linear_adapter import fit_linear_adapter

        pairs = read_pairs(dataset)
        if pairs.num_columns < 2:
            raise InputError("`dataset` must have queries and documents. Received: single texts.")
        numbers = {text: number for number, text in enumerate(dict.fromkeys(pairs.columns[1]))}
        before = self._live.snapshot()
        adapted = fit_linear_adapter(
            before.text_encoder,
            pairs.columns[0],
            list(numbers),
            [numbers[text] for text in pairs.columns[1]],
            options,
            batch_size=self.hyperparameters.batch_size,
            progress=progress,
        )
        self._live.adopt(adapted, before.state)
        return self

    def reindex(self, *, progress: bool | None = None) -> NeuralSearchChain:
        """Encodes all documents again, such as after a change of the model's weights."""
        self.text_encoder.refresh()
        self._live.encode_again(self._encoding(progress))
        return self

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        signatures: str = "text",
        name: str | None = "search",
    ) -> Path:
        """Writes the next version, a SavedModel that searches in stock TensorFlow Serving.

        Before the version appears, its ops are checked and its answers compared with this chain's. A `bfloat16` or
        calibrated `int8` model is served in its precision. After `Quantize("int8")` the version computes in int8,
        calibrated on the documents (in float32, if there are fewer than eight), after `Quantize("float16")` in float32;
        the documents are encoded again for it. It then also holds `model.tflite`, the quantized encoder of token ids,
        which servers run with `--prefer_tflite_model`: the embedded server between the SavedModel's tokenizer and
        search, a stock server by itself, so that it accepts token ids only. int8 needs a processor with VNNI or AMX to
        be fast.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            top_k: The number of documents that a search returns; all, if there are fewer. Default: 10.
            signatures: `text` for search, embed and embed_ids; `ids` for embed_ids only, which needs no op of TF Text.
                A chain without documents has no search, and a tokenizer other than WordPiece allows embed_ids only.
            name: The model's name, for the default path. Default: `search`.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of range, or the path is a file; raised before any costly work.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        return self._export(path, signatures=signatures, name=name, options={"top_k": top_k})

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int = 0,
        name: str | None = "search",
        top_k: int = 10,
        prefer_tflite_model: bool = False,
        engine: ServerEngine | None = None,
        timeout_seconds: float = 120.0,
        flags: Mapping[str, str | int | float | bool] | None = None,
    ) -> Deployment:
        """Exports a version and serves it with the embedded server, in a process of its own.

        The server loads later exports of this chain to the same path, and ignores those of other chains: two chains may
        be deployed with the same name and path. It runs until `stop`, the end of the `with` block or the end of this
        process; Ctrl-C and Jupyter's stop button do not stop it.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            host: The address to listen on. Default: `127.0.0.1`, reachable from this machine only.
            port: The gRPC port; 0 lets the system choose. Default: 0.
            rest_port: The REST port; 0 lets the system choose. Default: 0.
            name: The model's name in requests. Default: `search`.
            top_k: The number of documents that a search returns. Default: 10.
            prefer_tflite_model: After `Quantize("int8")` or `Quantize("float16")`, whether the server runs the encoder
                with LiteRT between the SavedModel's tokenizer and search. Default: False.
            engine: What answers: `tensorflow`, `litert`, `native` (after `Quantize("int8")`, the chain's own int8
                kernels: it starts in a second, and gives the chain's own answers) or `auto`, the first of native,
                LiteRT and TensorFlow that can. Default: TensorFlow, or LiteRT with `prefer_tflite_model`.
            timeout_seconds: How long to wait until the server is ready. Default: 120.
            flags: Further flags of `tfchain-model-server` by name, such as `{"max_connections": 100}`. Default: none.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.

        Raises:
            InputError: if an argument is out of range; nothing is exported then.
            ServerError: if the server does not start, for example because a port is in use.
        """
        return self._deploy(
            path,
            name=name,
            options={"top_k": top_k},
            host=host,
            grpc_port=port,
            rest_port=rest_port,
            prefer_tflite_model=prefer_tflite_model,
            engine=engine,
            timeout_seconds=timeout_seconds,
            flags=flags,
        )

    def _make_live(self, text_encoder: TextEncoder, state: Any) -> LiveIndex:
        return LiveIndex(text_encoder, state)

    def _current(self, progress: bool | None = None) -> contextlib.AbstractContextManager[Current]:
        return self._live.current(self._encoding(progress))

    def _encoding(self, progress: bool | None) -> Encoding:
        return Encoding(self.passages, self.hyperparameters.batch_size, progress)
