"""`NeuralSearchChain`: documents in, answers out, on top of what every chain does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload

import numpy as np

from tfchain.chains.arguments import make_text_encoder
from tfchain.chains.deploy_options import ServerOptions, TargetOptions
from tfchain.chains.documents import DocumentChain
from tfchain.chains.search_reranker import SearchReranker, load_search_reranker
from tfchain.core.checks import check_whole_number, to_path
from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.texts import check_queries
from tfchain.core.types import SearchResult
from tfchain.data.documents.passages import PassageMode
from tfchain.models.indexes.exact import Similarity
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current
from tfchain.tasks.manifest import read_manifest
from tfchain.tasks.search.search import PassageConfig, search_texts
from tfchain.tasks.search.second_stage import rerank_results
from tfchain.tasks.search.task import SearchTask

if TYPE_CHECKING:
    from tfchain.chains.search_client import Client
    from tfchain.deployment.deploy import Deployment
    from tfchain.optimization.learning_texts import LearningTexts
    from tfchain.optimization.recipes import Recipe
    from tfchain.optimization.report import CompressionReport
    from tfchain.optimization.rule import Keep
    from tfchain.training.adapters.options import AdapterOptions


class NeuralSearchChain(DocumentChain):
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
        reranker: A `Reranker` or a `LateInteractionReranker`, or the folder or hub name of one, that puts the documents
            found in order. Hits then have its scores: from 0 to 1 (a sigmoid), or MaxSim. Default: none.
        rerank_top: How many documents it reads for a query, at least as many as are asked for. Default: 50.
        rerank_ms: Its time budget for a query in milliseconds: documents that it does not reach are left out; as many
            as are asked for, and eight, are read in any case. Versions have no such budget. Default: no limit.
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
    second: SearchReranker | None = None
    """The reranker with its values, which `use_reranker` sets; `None` without one."""

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
        reranker: Any = None,
        rerank_top: int = 50,
        rerank_ms: float | None = None,
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        task = SearchTask(PassageConfig(mode=passages, overlap_tokens=overlap_tokens))
        settings = {"max_length": max_length, "similarity": similarity, "prompts": prompts}
        self.second = SearchReranker.make(reranker, top=rerank_top, within_ms=rerank_ms, engine=engine)
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
        folder = to_path("path", path)
        chain.second = load_search_reranker(folder, read_manifest(folder)["settings"], engine=engine)
        if chain.is_stale and not reindex:
            raise FingerprintError(
                f"The vectors in {path} were made by model {chain.index.fingerprint[:12]}, the model there now is "
                f"{chain.text_encoder.fingerprint[:12]}. Put the right model back, or call load(path, reindex=True)."
            )
        return chain

    def __repr__(self) -> str:
        return f"<NeuralSearchChain: {len(self)} documents, {self.text_encoder.embedding_dim} dimensions>"

    @property
    def client_type(self) -> type[Client]:
        """The class of the client that `deploy` hands out."""
        from tfchain.chains.search_client import Client

        return Client

    def use_reranker(
        self, reranker: Any, top: int = 50, *, within_ms: float | None = None, engine: EngineName = "auto"
    ) -> NeuralSearchChain:
        """Sets the reranker that puts the documents found in order.

        Args:
            reranker: A `Reranker` or a `LateInteractionReranker`, or the folder or hub name of one; None for none.
            top: As the constructor's `rerank_top`. Default: 50.
            within_ms: As the constructor's `rerank_ms`. Default: no limit.
            engine: The engine that runs a reranker that is read here. Default: `auto`.

        Returns:
            The chain.

        Raises:
            InputError: if it is no reranker of one output, or a value is out of range; the chain does not change.
        """
        self.second = SearchReranker.make(reranker, top=top, within_ms=within_ms, engine=engine)
        return self

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
        options: dict[str, Any] = {"batch_size": self.hyperparameters.batch_size}
        second, found = self.second, check_whole_number("top_k", top_k, advice="Ask for one hit or more.")
        found = found if second is None else max(found, second.top)
        with self._current() as current:
            results = search_texts(current.text_encoder, current.state, texts, top_k=found, filter=filter, **options)
        if second is not None:
            with second.reranker.text_encoder.unchanged():
                results = rerank_results(second.stage, results, top_k=top_k, **options)
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

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        signatures: str = "text",
        name: str | None = "search",
        reference: Any = None,
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
            reference: Queries for the version's reference and canary queries; see `Chain.export`. Default: none.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of range, or the path is a file; raised before any costly work.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        options = self._serving_options(top_k)
        return self._export(path, signatures=signatures, name=name, options=options, reference=reference)

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = "search",
        top_k: int = 10,
        **options: Unpack[ServerOptions],
    ) -> Deployment: ...

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = "search",
        top_k: int = 10,
        target: str,
        **options: Unpack[TargetOptions],
    ) -> Path: ...

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = "search",
        top_k: int = 10,
        target: str | None = None,
        **options: Any,
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, or writes the files that run it elsewhere.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            name: The model's name in requests. Default: `search`.
            top_k: The number of documents that a search returns. Default: 10.
            target: Where the version is to run; see `Chain.deploy`. Default: None, a server on this machine.
            **options: As `Chain.deploy` takes them, such as `host`, `engine`, `canary`, or `out` for a target.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.
            With a target, its folder.

        Raises:
            InputError: if an argument is out of range; nothing is exported then.
            ServerError: if the server does not start, for example because a port is in use.
        """
        return self._deploy(path, name=name, target=target, options=options, serving=self._serving_options(top_k))

    def _serving_options(self, top_k: int) -> dict[str, Any]:
        return {"top_k": top_k} | ({} if self.second is None else {"second_stage": self.second.stage})

    def _make_evaluation(self, judged: Any, state: Any, **options: Any) -> Any:
        """Returns the measurement of both stages, if there is a reranker."""
        if self.second is not None:
            options["second_stage"] = self.second.stage
        return self.task.make_evaluation(judged, state, **options)

    def _settings(self, current: Current) -> dict[str, Any]:
        return super()._settings(current) | ({} if self.second is None else self.second.to_dict())

    def _save_into(self, folder: Any, current: Current) -> None:
        second = self.second
        folder.beside = {} if second is None else {second.folder: second.reranker.text_encoder.save}
        super()._save_into(folder, current)
