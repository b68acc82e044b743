"""`NeuralSearchChain`: one object that composes the rooms; it holds no mechanism of its own."""

import contextlib
import dataclasses
import logging
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import keras
import numpy as np

from tfchain.core.atomic import new_folder
from tfchain.core.checks import to_path
from tfchain.core.errors import FingerprintError, IndexFolderError, InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.packing import pack, unpacked
from tfchain.core.texts import check_queries
from tfchain.core.types import SearchResult
from tfchain.data.documents.reading import DocumentSource
from tfchain.deployment.arguments import check_address, check_base_path, check_model_name, check_ports, check_timeout
from tfchain.deployment.deploy import Deployment, deploy
from tfchain.deployment.export import export
from tfchain.models.bundled import find_bundled_model
from tfchain.models.convert import to_encoder
from tfchain.models.engines.runner import Engine
from tfchain.models.indexes.exact import Similarity
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import to_tokenizer
from tfchain.optimization.learning_texts import LearningTexts
from tfchain.optimization.recipe_hooks import make_hooks
from tfchain.optimization.recipes import Recipe, TrainingRecipe, check_training_recipes
from tfchain.optimization.report import CompressionReport
from tfchain.optimization.rule import Keep
from tfchain.optimization.tuning.options import Search, TunerName
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.space import Space
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.tasks.search.compression import compress_for_search
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.evaluation import (
    EvaluationSource,
    choose_index,
    evaluate_index,
    make_evaluation,
    read_evaluation,
)
from tfchain.tasks.search.index_folder import IndexFolder, load_index_folder
from tfchain.tasks.search.live_index import Current, Encoding, LiveIndex
from tfchain.tasks.search.search import PassageConfig, PassageMode, new_index, search_texts
from tfchain.tasks.search.search_graph import check_graph_options, make_search_graph
from tfchain.tasks.search.served_precision import to_served
from tfchain.tasks.search.tuning import tune_for_search
from tfchain.training.batches.training_data import LossChoice
from tfchain.training.fit.fit import FitOptions, fit_text_encoder
from tfchain.training.fit.validation import Validation
from tfchain.training.metrics import DEFAULT_METRICS, largest_cutoff
from tfchain.training.mining.options import Mining

logger = logging.getLogger(__name__)
SAVED_MODELS = Path("saved_models")


class NeuralSearchChain:
    """Neural search from documents to a served model.

    Threads may use a chain at the same time: each call sees one model and the documents of one moment, and what a call
    adds, removes or trains appears in one step. It is pickled and copied by its saved form, as `save` writes it.

    Args:
        tokenizer: A transformers tokenizer, or a folder or hub name to read one from. Default: the one in the model's
            folder.
        model: A tfchain encoder, a Hugging Face PyTorch encoder (its weights are converted), any Keras model from
            `token_ids` and `padding_mask` to vectors, or a folder or hub name. Default: the small English model that
            comes with tfchain (`models.bundled`).
        learning_rate: For training, above 0. Default: 2e-5.
        batch_size: Texts in one step, of training and of encoding. Default: 32.
        epochs: For training. Default: 1.
        max_length: The most tokens of a text. Default: what the folder, the tokenizer and the encoder allow.
        passages: `split` cuts longer documents into passages, `truncate` leaves out what is over. Default: `split`.
        overlap_tokens: Tokens that neighbouring passages share. Default: a tenth of `max_length`.
        similarity: `cosine` or `dot`. Default: what the folder names, else cosine.
        prompts: Prompt name → what is put before a text; `query` and `document` are used by `search` and `add`.
            Default: the folder's.
        engine: What runs the encoder, `auto`, `tensorflow`, `litert` or, if the model is saved in int8, `native`; see
            `EncoderRunner`. Default: `auto`.
        **hyperparameters: Defaults of `fit`, such as `warmup` or `weight_decay`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of its range.

    Example:
        >>> chain = NeuralSearchChain()  # or NeuralSearchChain.from_pretrained("a folder, or a hub name")
        >>> chain.add(["The cat sleeps.", "Stocks fell on Monday."])
        >>> chain.search("What does the cat do?")
        {'text': 'What does the cat do?', 'answer': 'The cat sleeps.'}
    """

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
        engine: Engine = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        config = PassageConfig(mode=passages, overlap_tokens=overlap_tokens)
        given = {"max_length": max_length, "similarity": similarity, "prompts": prompts}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if model is None:
            if tokenizer is not None:
                raise InputError("A tokenizer needs the model that it belongs to. Received: model=None. Give `model`.")
            model = find_bundled_model()
        if isinstance(model, str | Path):
            encoder = TextEncoder.from_pretrained(model, tokenizer=to_tokenizer(tokenizer), engine=engine, **changes)
        else:
            encoder = TextEncoder(to_tokenizer(tokenizer), to_encoder(model), engine=engine, **changes)
        self._compose(encoder, chosen, config)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        max_length: int | None = None,
        passages: PassageMode = "split",
        overlap_tokens: int | None = None,
        similarity: Similarity | None = None,
        prompts: Mapping[str, str] | None = None,
        engine: Engine = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> "NeuralSearchChain":
        """Reads a sentence-transformers or Hugging Face folder: tokenizer, weights, pooling, heads, length, prompts.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            learning_rate: As in the constructor, like all that follow.
            batch_size: As in the constructor.
            epochs: As in the constructor.
            max_length: As in the constructor.
            passages: As in the constructor.
            overlap_tokens: As in the constructor.
            similarity: As in the constructor.
            prompts: As in the constructor.
            engine: As in the constructor.
            **hyperparameters: As in the constructor.

        Raises:
            ModelFolderError: if the folder cannot be read.
        """
        return cls(
            None,
            name_or_path,
            learning_rate,
            batch_size,
            epochs,
            max_length=max_length,
            passages=passages,
            overlap_tokens=overlap_tokens,
            similarity=similarity,
            prompts=prompts,
            engine=engine,
            **hyperparameters,
        )

    @classmethod
    def load(cls, path: str | Path, *, reindex: bool = False, engine: Engine = "auto") -> "NeuralSearchChain":
        """Reads what `save` published.

        Args:
            path: The folder.
            reindex: Whether to encode the documents again if another model made their vectors. Default: False.
            engine: As in the constructor.

        Raises:
            IndexFolderError: if there is no saved chain, or it is damaged.
            FingerprintError: if another model made the vectors, unless `reindex` is set.
        """
        path = to_path("path", path)
        loaded = load_index_folder(path)
        settings = loaded.settings
        try:
            hyperparameters = Hyperparameters(**settings["hyperparameters"])
            passages, report = PassageConfig(**settings["passages"]), dict(settings["report"])
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. {loaded.advice}"
            ) from error
        similarity = loaded.index.vectors.similarity
        text_encoder = TextEncoder.from_pretrained(loaded.model_path, similarity=similarity, engine=engine)
        chain = cls.__new__(cls)
        chain._compose(text_encoder, hyperparameters, passages, loaded.index)
        chain._folder, chain.report = loaded.folder, report
        if chain.is_stale and not reindex:
            raise FingerprintError(
                f"The vectors in {path} were made by model {loaded.index.fingerprint[:12]}, the model there now is "
                f"{text_encoder.fingerprint[:12]}. Put the right model back, or call load(path, reindex=True)."
            )
        return chain

    def _compose(
        self,
        text_encoder: TextEncoder,
        hyperparameters: Hyperparameters,
        passages: PassageConfig,
        index: DocumentIndex | None = None,
    ) -> None:
        self._live = LiveIndex(text_encoder, index)
        self.hyperparameters = hyperparameters
        self.passages = passages
        self.fit_options = FitOptions()
        self.report = {}
        self._folder: IndexFolder | None = None
        self._source = uuid.uuid4().hex  # what tells the versions of this chain from those of others
        self._saving = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._current() as current:
            packed = pack(lambda path: self._save_into(IndexFolder(path), current))
            return _unpack, (type(self), packed, current.text_encoder.runner.engine, self.fit_options)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._live)

    def __repr__(self) -> str:
        return f"<NeuralSearchChain: {len(self)} documents, {self.text_encoder.embedding_dim} dimensions>"

    @property
    def text_encoder(self) -> TextEncoder:
        """Tokenizer and encoder; with another one the documents are encoded again at the next search."""
        return self._live.text_encoder

    @text_encoder.setter
    def text_encoder(self, text_encoder: TextEncoder) -> None:
        self._live.text_encoder = text_encoder

    @property
    def report(self) -> dict[str, float]:
        """What `evaluate` found last; empty once documents or model have changed."""
        changes, report = self._report
        return report if changes == self._live.changes else {}

    @report.setter
    def report(self, report: dict[str, float]) -> None:
        self._report = (self._live.changes, report)

    @property
    def model(self) -> Any:
        """The encoder, a Keras model. Once it is asked for, a query looks at its weights first: 0.1 ms."""
        return self.text_encoder.encoder

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.text_encoder.tokenizer.tokenizer

    @property
    def index(self) -> DocumentIndex:
        """Documents and vectors."""
        return self._live.index

    @property
    def is_stale(self) -> bool:
        """Whether the model has changed since the documents were encoded."""
        return self._live.is_stale

    def add(self, documents: DocumentSource, *, progress: bool | None = None) -> "NeuralSearchChain":
        """Adds documents, in memory; `save` publishes them.

        Args:
            documents: Texts, dicts (`id`, `title`, `text`, `metadata`), `Document`s, a path (a folder of text files,
                .jsonl, .csv, .tsv, .parquet, a BEIR folder), or a generator of them; see `data.documents.reading`.
                Documents without an id get their number in order of adding; an id that is there already is replaced.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The chain.

        Raises:
            InputError: if a document cannot be read, is not text, or comes twice; nothing is added then.
        """
        self._live.add(documents, self._encoding(progress))
        return self

    def remove(self, ids: str | int | Iterable[str | int]) -> "NeuralSearchChain":
        """Removes documents by id.

        Args:
            ids: An id, or several; a whole number stands for its decimal text, as in `add`.

        Raises:
            InputError: if an id is not there; nothing is removed then.
        """
        self._live.remove(ids)
        return self

    @overload
    def search(self, text: str, top_k: int = 10) -> SearchResult: ...

    @overload
    def search(self, text: list[str] | tuple[str, ...] | np.ndarray, top_k: int = 10) -> list[SearchResult]: ...

    def search(self, text: Any, top_k: int = 10) -> SearchResult | list[SearchResult]:
        """Finds the documents that answer a text.

        Args:
            text: A question, or a list of them (any iterable in an order, a NumPy array too).
            top_k: How many hits; all documents, if there are fewer. Default: 10.

        Returns:
            A dict of `text` and `answer` (the best document's text) with the attribute `hits`; a list for a list.
            Without documents the answer is the text asked, and a warning says so.

        Raises:
            InputError: if a text is empty, or `top_k` is less than 1.
        """
        texts = check_queries(text)
        batch_size = self.hyperparameters.batch_size
        with self._current() as current:
            results = search_texts(current.text_encoder, current.index, texts, top_k=top_k, batch_size=batch_size)
        return results[0] if isinstance(text, str) else results

    def encode(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """Vectors of texts, float32 `(texts, dim)`; options are those of `TextEncoder.encode`."""
        return self.text_encoder.encode(texts, **{"batch_size": self.hyperparameters.batch_size, **options})

    def encode_query(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """As `encode`, with the prompt for queries where the model has one."""
        return self.text_encoder.encode_query(texts, **{"batch_size": self.hyperparameters.batch_size, **options})

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """As `encode`, with the prompt for documents where the model has one."""
        return self.text_encoder.encode_document(texts, **{"batch_size": self.hyperparameters.batch_size, **options})

    def evaluate(
        self,
        dataset: EvaluationSource,
        *,
        split: str = "test",
        metrics: Sequence[str] = DEFAULT_METRICS,
        progress: bool | None = None,
    ) -> dict[str, float]:
        """Ranks a dataset's documents for its queries and compares with its judgements.

        The chain's own documents are not touched. They are searched where the dataset brings none, or just them.

        Args:
            dataset: A BEIR folder, a `BeirDataset`, or a dict of `queries` (id → text), `qrels` (query id → document
                id → grade), and `documents`, anything that `add` takes, if they are not in the chain.
            split: Of a BEIR folder, `qrels/<split>.tsv`. Default: `test`.
            metrics: `ndcg@10`, `mrr@10`, `map@100`, `recall@100`, `precision@10` and so on, at any cutoff.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            Metric → mean over the judged queries.
        """
        read = read_evaluation(dataset, split=split)
        largest_cutoff(metrics)  # a wrong name is told before anything is encoded
        batch_size = self.hyperparameters.batch_size
        with self._current(progress) as current:
            text_encoder = current.text_encoder
            index = choose_index(
                text_encoder, read, current.index, self.passages, batch_size=batch_size, progress=progress
            )
            report = evaluate_index(text_encoder, index, read, metrics=metrics, batch_size=batch_size)
        self._report = (current.changes, report)
        return report

    def fit(
        self,
        dataset: Any,
        batch_size: int | None = None,
        epochs: int | None = None,
        *,
        learning_rate: float | None = None,
        validation: EvaluationSource | Validation | None = None,
        options: FitOptions | None = None,
        loss: LossChoice = None,
        mining: Mining | None = None,
        strategy: Any = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        recipes: TrainingRecipe | Sequence[TrainingRecipe] = (),
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> keras.callbacks.History:
        """Trains the model on pairs; the documents are encoded again at the next search, export or save.

        Everything is checked before the first step, and the model keeps its weights until the training has ended well.

        Args:
            dataset: `(query, document)` or `(query, document, negative, …)` tuples, dicts, a file, a BEIR folder, a
                Hugging Face or TensorFlow dataset (see `data.pairs.reading.read_pairs`), `PairShards` for what is
                larger than memory, or a dict of several by name.
            batch_size: Pairs in a step, over all replicas. Default: the chain's.
            epochs: Default: the chain's.
            learning_rate: Default: the chain's.
            validation: What `evaluate` takes, held out, measured after each epoch; or a `Validation` that says when,
                what, and whether to stop early. The model ends with the best weights. Default: nothing is measured.
            options: Logs, saving within an epoch, several datasets' mixing, a guide model: see `FitOptions`. Default:
                `chain.fit_options`, which `tune` sets.
            loss: A loss of `training.losses` or its name; takes the place of that in `options`, like the next five.
                Default: what suits the columns, named in the log.
            mining: Adds hard negatives, found by the model itself: see `Mining`. Default: none are added.
            strategy: `auto`, `one`, `mirrored`, `multi_worker`, `tpu`, or a `tf.distribute.Strategy`. Default: `auto`.
            checkpoint: A folder to save to, and to go on from when the same call is made again. Default: none.
            callbacks: Keras callbacks. Default: none.
            recipes: What acts while training, such as `[Prune(0.5)]`; a `fit` without it fills the zeros again.
                Default: none.
            **hyperparameters: All others of `Hyperparameters`, for this call. Default: the chain's.

        Returns:
            Keras' `History`: the loss, and the metrics of `validation`, by epoch.

        Raises:
            InputError: if something does not fit; nothing has been trained then.
            DivergedError: if the loss or a weight is no finite number any more; the model keeps its weights.
            WorkerLostError: if another worker of a distributed training stopped.
        """
        given = {"batch_size": batch_size, "epochs": epochs, "learning_rate": learning_rate}
        changed = self.hyperparameters.replace(
            **{name: value for name, value in given.items() if value is not None}, **hyperparameters
        )
        mine = {"loss": loss, "mining": mining, "strategy": strategy, "checkpoint": checkpoint}
        mine |= {} if isinstance(callbacks, tuple) and not callbacks else {"callbacks": callbacks}
        replaced = {name: value for name, value in mine.items() if value is not None}
        options = dataclasses.replace(options or self.fit_options, **replaced)
        hooks = make_hooks(check_training_recipes(recipes), seed=changed.seed)
        options = dataclasses.replace(options, hooks=(*options.hooks, *hooks))
        evaluate = None
        if validation is not None:
            validation = validation if isinstance(validation, Validation) else Validation(dataset=validation)
            read = read_evaluation(validation.dataset, split=validation.split)
            documents = list(self.index) if read.corpus is None else read.documents()
            evaluate = make_evaluation(
                read, documents, self.passages, metrics=validation.metrics, batch_size=changed.batch_size
            )
        history = fit_text_encoder(
            self.text_encoder, dataset, changed, options, evaluate=evaluate, validation=validation
        )
        self._live.note_change()
        return history

    def tune(
        self,
        dataset: Any,
        space: Space,
        tuner: TunerName = "random",
        max_trials: int = 12,
        *,
        validation: EvaluationSource | Validation | None = None,
        objective: str = "ndcg@10",
        max_latency_ms: float | None = None,
        max_size_mb: float | None = None,
        seed: int = 0,
        path: str | Path | None = None,
        refit: bool = False,
        options: FitOptions | None = None,
    ) -> TuningReport:
        """Searches for the hyperparameters that a training on the dataset ends best with.

        Each trial trains a fresh copy of the model and is ranked on `validation`; the best values become the chain's:
        its `hyperparameters`, and in `fit_options` loss and mining with the models that they ask. The model stays as
        it is, unless `refit` is set.

        Args:
            dataset: What `fit` takes.
            space: A dict from names to lists of choices, or to ranges: `Range(min, max, step, sampling)` or a tuple of
                these; or a function of KerasTuner's `hp`. Names: those of `Hyperparameters`; `loss`, `loss.scale` and
                its other arguments; `mining.num_negatives` (0 for none) and the others of `Mining`; `matryoshka.dims`;
                `pooling`; `shrink.layers` and the others of `Shrink`.
            tuner: `random`, `bayesian`, `hyperband` (which deals out the chain's epochs) or `grid`: see `Search`.
            max_trials: The most trials. Default: 12.
            validation: What trials are ranked on, and nothing of it trained on: what `evaluate` takes, or a
                `Validation`. A trial counts with its best evaluation at an epoch's end.
            objective: The metric that counts. Default: `ndcg@10`.
            max_latency_ms: The most milliseconds for one query; a trial above it is not trained. It needs idle cores:
                see `Search`. Default: no limit.
            max_size_mb: The most millions of bytes of a server's files, likewise. Default: no limit.
            seed: Of the values that are drawn; trainings take the chain's seed. Default: 0.
            path: A folder to keep the search in: report, picture, TensorBoard's logs. The same call goes on from there
                after a stop. Default: nothing is kept.
            refit: Whether the model is trained with the best values at the end, and becomes the chain's; of several
                workers that share a search the chief alone does so. Default: False.
            options: Loss, strategy and mining where the space leaves them: see `FitOptions`. Default: the chain's.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if something does not fit, or no trial keeps the limits; the chain stays as it was.
            TfchainError: if the disk is full; the trials that have ended are kept.
        """
        search = Search(
            tuner=tuner,
            max_trials=max_trials,
            objective=objective,
            max_latency_ms=max_latency_ms,
            max_size_mb=max_size_mb,
            seed=seed,
        )
        tuned = tune_for_search(
            self.text_encoder,
            dataset,
            space,
            search,
            self.index,
            self.passages,
            hyperparameters=self.hyperparameters,
            validation=validation,
            options=options or self.fit_options,
            path=path,
            refit=refit,
        )
        self.hyperparameters = tuned.setting.hyperparameters
        found = {name: getattr(tuned.setting.options, name) for name in ("loss", "mining", "cross_check", "guide")}
        self.fit_options = dataclasses.replace(self.fit_options, **found)
        if tuned.text_encoder is not None:
            self.text_encoder = tuned.text_encoder
        elif tuned.lacks_shape:
            logger.warning("The best trial has another shape, which the chain's model takes with refit=True alone.")
        return tuned.report

    def compress(
        self,
        recipes: Recipe | Sequence[Recipe] | Sequence[Sequence[Recipe]],
        *,
        texts: LearningTexts | None = None,
        teacher: "NeuralSearchChain | TextEncoder | None" = None,
        dataset: EvaluationSource | None = None,
        split: str = "test",
        keep: Keep | None = None,
        max_ndcg_loss: float | None = None,
        progress: bool | None = None,
    ) -> CompressionReport:
        """Makes the model small and fast; the documents are encoded again at the next search, export or save.

        With a dataset, every candidate and the model in float32 are measured in one run (nDCG@10, recall@100, files,
        memory, speed), and the one that the rule keeps becomes the chain's. Without one, the only candidate does.

        Args:
            recipes: A list of recipes such as `[Quantize("int8")]`, or several such lists: the candidates.
            texts: What `Shrink`, `Distill`, `ReduceDimensions` and a calibrated `Quantize` learn from. Default: the
                chain's documents. `Distill` also learns other languages from rows of a text and its translations.
            teacher: Whose vectors `Distill` learns. Default: the chain's own model before all recipes.
            dataset: What `evaluate` takes. Default: nothing is measured but the files.
            split: Of a BEIR folder, `qrels/<split>.tsv`. Default: `test`.
            keep: What the candidate kept is best at: see `Rule`. Default: `smallest`.
            max_ndcg_loss: The part of the float32 model's nDCG@10 that may be lost. Default: 0.01.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if something is no recipe, or the rule needs what is not measured; the model stays as it was.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow no int8 products here for
                a calibrated `Quantize`; the model stays as it was.
        """
        kept, report = compress_for_search(
            self.text_encoder,
            recipes,
            self.index,
            self.passages,
            texts=texts,
            teacher=teacher.text_encoder if isinstance(teacher, NeuralSearchChain) else teacher,
            dataset=dataset,
            split=split,
            keep=keep,
            max_ndcg_loss=max_ndcg_loss,
            batch_size=self.hyperparameters.batch_size,
            progress=progress,
        )
        if kept.fingerprint != self.text_encoder.fingerprint:
            self.text_encoder = kept
        return report

    def reindex(self, *, progress: bool | None = None) -> "NeuralSearchChain":
        """Encodes all documents again, after the model's weights have changed."""
        self.text_encoder.refresh()
        self._live.encode_again(self._encoding(progress))
        return self

    def save(self, path: str | Path) -> Path:
        """Publishes the chain as a folder that `load` reads; what was saved there before is replaced in one step.

        Saving to the same folder again writes only what is new.

        Args:
            path: A new folder, an empty one, or one that holds a saved chain.

        Raises:
            IndexFolderError: if another process is writing there, or if the folder holds something else.
            TfchainError: if the disk is full; what was saved before is still there.
        """
        path = to_path("path", path)
        with self._saving:
            if self._folder is None or self._folder.path.resolve() != path.resolve():
                self._folder = IndexFolder(path)
            self._folder.check()  # before documents are encoded again
            with self._current() as current:
                self._save_into(self._folder, current)
        return path

    def save_pretrained(self, path: str | Path) -> Path:
        """Writes tokenizer and encoder as a sentence-transformers folder, which sentence-transformers loads.

        Args:
            path: A new or an empty folder.

        Raises:
            InputError: if the folder is not empty, or if sentence-transformers has no such model.
        """
        path = to_path("path", path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"`path` must be a new or an empty folder. Received: {path}. Name another one.")
        with self.text_encoder.unchanged(), new_folder(path) as partial:
            self.text_encoder.save(partial, portable=True)
        return path

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        signatures: str = "text",
        name: str = "search",
    ) -> Path:
        """Writes the next version of a SavedModel that stock TensorFlow Serving answers texts with.

        Before the version appears, its ops are checked and its answers compared with this chain's. In `bfloat16` and
        calibrated `int8` the version computes so, too. After `Quantize("int8")` it computes in int8 that is calibrated
        on the documents (in float32, if there are fewer than eight), after `Quantize("float16")` in float32; the
        documents are encoded again for it, and it holds `model.tflite`, the quantized encoder of token ids, which
        servers run with `--prefer_tflite_model`: the embedded one between the SavedModel's tokenizer and search, a
        stock one alone, so that it offers token ids only. int8 needs a processor with VNNI or AMX to be fast.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            top_k: How many documents a search gives; all, if there are fewer. Default: 10.
            signatures: `text` for search, embed and embed_ids; `ids` for embed_ids alone, which needs no op of TF Text
                (a chain without documents has no search, one with a tokenizer other than WordPiece embed_ids alone).
            name: Of the model, for the default path. Default: `search`.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of its range, or the path is a file; known before the work begins.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        if path is None:
            check_model_name(name, argument="name")
        base_path = check_base_path(SAVED_MODELS / name if path is None else to_path("path", path))
        check_graph_options(top_k, signatures)
        check_tensorflow_runs()
        batch_size = self.hyperparameters.batch_size
        with self._current() as current:
            served = to_served(
                current.text_encoder, current.index, self.passages, signatures=signatures, batch_size=batch_size
            )
            graph = make_search_graph(
                served.text_encoder,
                served.index,
                top_k=top_k,
                signatures=signatures,
                beside=served.beside,
            )
            settings = self._settings(current)
            if served.files:  # the last evaluation was of other vectors than those that the SavedModel holds
                settings["report"] = {}
            return export(
                base_path,
                graph.module,
                graph.signatures,
                proofs=graph.proofs,
                litert_proofs=graph.litert_proofs,
                description={
                    "source": self._source,
                    "fingerprint": served.text_encoder.fingerprint,
                    "documents": 0 if current.index is None else len(current.index),
                    **settings,
                    **served.description,
                },
                files=served.files,
            )

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int = 0,
        name: str = "search",
        top_k: int = 10,
        prefer_tflite_model: bool = False,
        timeout_seconds: float = 120.0,
    ) -> Deployment:
        """Exports a version and serves it with the embedded server, in a process of its own.

        The server takes up what this chain exports to the same path later, and nothing that another chain does: two
        chains may be deployed with the same name and path. It runs until `stop`, the end of the `with` block or of
        this process; Ctrl-C and Jupyter's stop button leave it alone.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            host: The address to listen on. Default: this machine alone.
            port: For gRPC; 0 lets the system choose. Default: 0.
            rest_port: For REST; 0 lets the system choose. Default: 0.
            name: The model's name in requests. Default: `search`.
            top_k: How many documents a search gives. Default: 10.
            prefer_tflite_model: After `Quantize("int8")` or `Quantize("float16")`, whether the server runs the encoder
                by LiteRT between the SavedModel's tokenizer and search. Default: False.
            timeout_seconds: How long to wait until the server is ready. Default: 120.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.

        Raises:
            InputError: if an argument is out of its range; nothing is exported then.
            ServerError: if the server does not start, for example because a port is in use.
        """
        check_model_name(name, argument="name")
        check_address(host, {"port": port, "rest_port": rest_port})
        check_timeout(timeout_seconds)
        check_ports(host, port, rest_port)
        version = self.export(path, top_k=top_k, name=name)
        return deploy(
            version.parent,
            model_name=name,
            host=host,
            grpc_port=port,
            rest_port=rest_port,
            prefer_tflite_model=prefer_tflite_model,
            timeout_seconds=timeout_seconds,
            source=self._source,
        )

    def _current(self, progress: bool | None = None) -> contextlib.AbstractContextManager[Current]:
        return self._live.current(self._encoding(progress))

    def _encoding(self, progress: bool | None) -> Encoding:
        return Encoding(self.passages, self.hyperparameters.batch_size, progress)

    def _save_into(self, folder: IndexFolder, current: Current) -> None:
        text_encoder = current.text_encoder
        folder.save(text_encoder, current.index or new_index(text_encoder), self._settings(current))

    def _settings(self, current: Current) -> dict[str, Any]:
        changes, report = self._report
        return {
            "hyperparameters": self.hyperparameters.to_dict(),
            "passages": self.passages.to_dict(),
            "report": report if changes == current.changes else {},
        }


def _unpack(kind: type[NeuralSearchChain], packed: bytes, engine: Engine, fit_options: FitOptions) -> NeuralSearchChain:
    with unpacked(packed) as path:
        chain = kind.load(path, engine=engine)
    chain._folder = None  # it is gone
    chain.fit_options = fit_options
    return chain
