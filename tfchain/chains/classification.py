"""`TextClassificationChain`: texts in, labels out, on top of what every chain does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack, overload

import numpy as np

from tfchain.chains.arguments import make_text_encoder
from tfchain.chains.base import Chain
from tfchain.chains.deploy_options import ServerOptions, TargetOptions
from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.deployment.client.client import Client
from tfchain.deployment.deploy import Deployment
from tfchain.models.precision import EngineName
from tfchain.tasks.classification.predictions import Prediction, ScoredLabel, make_predictions
from tfchain.tasks.classification.task import ClassificationTask, ClassWeights, check_pairs
from tfchain.tasks.text_rows import TextRows


class ClassificationClient(Client):
    """A client for labels from a TensorFlow Serving, stock or embedded; see `Client` for its arguments.

    Example:
        with ClassificationClient(rest_url="http://127.0.0.1:8501") as client:
            client.classify(["Where is my card?"], model="classification")[0].scores
    """

    def classify(
        self, texts: Any, *, model: str, version: int | str | None = None, protocol: str | None = None
    ) -> list[Prediction]:
        """Classifies texts with a model that a `TextClassificationChain` exported.

        Args:
            texts: A text, or several; for a model of pairs, a tuple of two texts, or several tuples.
            model: The model's name.
            version: The version, or its label, such as `"stable"`; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            One prediction per text; with several labels per text, those of the scored labels that the model chose.

        Raises:
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        asked = [texts] if isinstance(texts, str | tuple) else list(texts)
        if not asked:
            return []
        rows = _to_rows(asked, paired=isinstance(asked[0], tuple))
        inputs: dict[str, Any] = {"text": list(rows.texts)}
        if rows.second_texts is not None:
            inputs["text_pair"] = list(rows.second_texts)
        outputs = self.predict(inputs, model=model, signature="classify_text", version=version, protocol=protocol)
        predictions = []
        for number, text in enumerate(asked):
            names, values = outputs["labels"][number], outputs["scores"][number]
            scores = [ScoredLabel(str(name), float(value)) for name, value in zip(names, values, strict=True)]
            decision: str | list[str] = scores[0].label
            if "chosen" in outputs:
                decision = [str(name) for name, has in zip(names, outputs["chosen"][number], strict=True) if has]
            predictions.append(Prediction(text, decision, scores))
        return predictions


class TextClassificationChain(Chain):
    """Text classification from labelled texts to a served model.

    The labels come from the data. `fit_head` takes seconds: it fits a logistic regression on the encoder's vectors and
    leaves the encoder unchanged. It is the better choice for a few dozen texts per label or fewer. `fit` trains the
    encoder with the head, which pays off from a few hundred texts on.

    `fit` with `validation` calibrates: it divides the model's outputs by the temperature with the lowest log loss and,
    with `multi_label`, gives each label the threshold with the best F1. Without validation, the temperature is 1 and
    thresholds are 0.5; `calibrate` finds them later.

    `model` returns a text's logits, one per label, and so do the signatures `embed` and `embed_ids` of a version. Saved
    chains keep a sample of 64 training texts, on which `export` calibrates int8.

    Args:
        tokenizer: As in `NeuralSearchChain`, as are model, learning_rate, batch_size, epochs, max_length and engine.
        model: The encoder, which gets a head. Default: the small English model that comes with tfchain.
        learning_rate: The learning rate of training, above 0. Default: 2e-5.
        batch_size: Texts in one step. Default: 32.
        epochs: The number of training epochs. Default: 1.
        multi_label: Whether a text may have several labels, or none. Default: False, each text has one.
        class_weights: `balanced`, so that rare labels count as much as frequent labels, or a dict of weights by label.
            Default: all texts have equal weight.
        label_smoothing: The part of the target that is spread over all labels, in [0, 1). Default: 0.
        max_length: The most tokens of a text. Default: the most that the folder, the tokenizer and the encoder allow.
        engine: The engine that runs the encoder. Default: `auto`.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.

    Example:
        >>> chain = TextClassificationChain()
        >>> chain.fit_head([("Where is my card?", "card"), ("I want a loan.", "loan")])
        >>> chain.predict("My card has not come.")
        {'text': 'My card has not come.', 'label': 'card'}
    """

    task_type: ClassVar[Any] = ClassificationTask
    task: ClassificationTask

    def __init__(
        self,
        tokenizer: Any = None,
        model: Any = None,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        multi_label: bool = False,
        class_weights: ClassWeights = None,
        label_smoothing: float = 0.0,
        max_length: int | None = None,
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        task = ClassificationTask(multi_label, class_weights, label_smoothing)
        text_encoder = make_text_encoder(tokenizer, model, engine=engine, max_length=max_length)
        super().__init__(task, text_encoder, hyperparameters=chosen)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Reads a sentence-transformers or Hugging Face folder as the encoder; there are no labels yet.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            **options: Arguments of the constructor, except tokenizer and model.

        Raises:
            ModelFolderError: if the folder cannot be read.
        """
        return cls(None, name_or_path, **options)

    def __repr__(self) -> str:
        return f"<TextClassificationChain: {len(self.labels)} labels>"

    @property
    def client_type(self) -> type[Client]:
        """The class of the client that `deploy` hands out."""
        return ClassificationClient

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the model's outputs; none before the first `fit` or `fit_head`."""
        return () if self.state is None else self.state.names

    def fit_head(self, dataset: Any, *, validation: Any = None, split: str = "train") -> "TextClassificationChain":
        """Fits a head on the vectors of labelled texts; the encoder does not change.

        Use it for a first result, with few texts per label, or with a shared encoder. It takes one pass over the texts
        and a logistic regression (scikit-learn's, with its defaults). `fit` continues from this head.

        Args:
            dataset: Data that `fit` accepts.
            validation: Held-out labelled texts to calibrate on. Default: none, the temperature is 1.
            split: The split of a Hugging Face `DatasetDict`. Default: `train`.

        Returns:
            The chain.

        Raises:
            InputError: if the data cannot be read, or has fewer than two labels; the chain does not change.
        """
        rows = self.task.read(dataset, split=split)
        judged = None if validation is None else self.task.read_judged(validation, split="test")
        model, labels = self.task.adapt(self.text_encoder, self.state, rows, keeps_head=False)
        batch_size = self.hyperparameters.batch_size
        self._live.adopt(model, self.task.finish(model, labels, judged, batch_size=batch_size))
        return self

    def calibrate(self, dataset: Any, *, split: str = "test") -> "TextClassificationChain":
        """Finds temperature and thresholds on held-out texts, such as after `compress`; the model does not change.

        Args:
            dataset: Data that `evaluate` accepts.
            split: The split of a Hugging Face `DatasetDict`. Default: `test`.

        Returns:
            The chain.

        Raises:
            InputError: if the data cannot be read or has unknown labels, or the chain has no labels.
        """
        batch_size = self.hyperparameters.batch_size
        with self._current() as current:
            labels = self.task.check_state(current.state)
            judged = self.task.read_judged(dataset, split=split)
            check_pairs(judged, labels)
            calibrated = self.task.finish(current.text_encoder, labels, judged, batch_size=batch_size)
        self._live.adopt(current.text_encoder, calibrated)
        return self

    def predict(self, texts: Any, top_k: int = 5) -> Any:
        """Classifies texts.

        Args:
            texts: A text, or a list of texts; for a chain of pairs, a tuple of two texts, or a list of such tuples.
            top_k: The number of scored labels in a prediction; all, if there are fewer. Default: 5.

        Returns:
            A `Prediction`: a dict of `text` and `label` (or `labels`, with `multi_label`), with the attribute `scores`:
            labels with probabilities, best first. A list for a list.

        Raises:
            InputError: if an item is not a text, or the chain has no labels yet.
        """
        top_k = check_whole_number("top_k", top_k, advice="Ask for one label or more.")
        is_single = isinstance(texts, str | tuple)
        asked = [texts] if is_single else list(texts)
        with self._current() as current:
            labels = self.task.check_state(current.state)
            rows = _to_rows(asked, paired=labels.paired)
            outputs = (
                self.task.compute(current.text_encoder, rows, batch_size=self.hyperparameters.batch_size)
                if asked
                else np.zeros((0, len(labels)), "float32")
            )
        predictions = make_predictions(asked, outputs, labels, top_k)
        return predictions[0] if is_single else predictions

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers `tfchain predict`: each text with its label or labels, and the scores of the best."""
        found = self.predict(list(texts), 5 if top_k is None else top_k)
        return [{**answer, "scores": {scored.label: scored.score for scored in answer.scores}} for answer in found]

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 5,
        signatures: str = "text",
        name: str | None = None,
        reference: Any = None,
    ) -> Path:
        """Writes the next version, a SavedModel that classifies texts in stock TensorFlow Serving.

        Its signatures: `classify_text` and `serving_default` (`text`, and `text_pair` for pairs → `labels`, `scores`,
        and `chosen` with `multi_label`), `classify` for TensorFlow Serving's Classify API (`tf.Example`s with the
        features `text` and `text_pair` → `classes`, `scores`), `embed` and `embed_ids`, which return the logits.

        Before the version appears, its ops are checked and its answers compared with this chain's. Precisions are
        served as by `NeuralSearchChain.export`, but int8 is calibrated on a sample of the training texts.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            top_k: The number of labels in an answer, best first; all, if there are fewer. Default: 5.
            signatures: `text` for all of them; `ids` for embed_ids only, which needs no op of TF Text.
            name: The model's name, for the default path. Default: `classification`.
            reference: Queries for the version's reference and canary queries; see `Chain.export`. Default: none.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if the chain has no labels yet.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        options = {"top_k": top_k}
        return self._export(path, signatures=signatures, name=name, options=options, reference=reference)

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 5,
        **options: Unpack[ServerOptions],
    ) -> Deployment: ...

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 5,
        target: str,
        **options: Unpack[TargetOptions],
    ) -> Path: ...

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 5,
        target: str | None = None,
        **options: Any,
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, or writes the files that run it elsewhere.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            name: The model's name in requests. Default: the task's.
            top_k: The number of labels in an answer. Default: 5.
            target: Where the version is to run; see `Chain.deploy`. Default: None, a server on this machine.
            **options: As `Chain.deploy` takes them, such as `host`, `engine`, `canary`, or `out` for a target.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.
            With a target, its folder.

        Raises:
            InputError: if the chain has no labels yet, or an argument is out of range.
            ServerError: if the server does not start, for example because a port is in use.
        """
        return self._deploy(path, name=name, target=target, options=options, serving={"top_k": top_k})


def _to_rows(asked: Sequence[Any], *, paired: bool) -> TextRows:
    """Returns texts or pairs as rows without labels."""
    if not paired:
        for text in asked:
            if not isinstance(text, str):
                raise InputError(f"A text must be a string. Received: {text!r:.100} of type {type(text).__name__}.")
        return TextRows(list(asked), [()] * len(asked))
    for pair in asked:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise InputError(f"A pair must be a tuple of two texts. Received: {pair!r:.100}.")
    return TextRows([first for first, _ in asked], [()] * len(asked), [second for _, second in asked])
