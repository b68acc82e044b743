"""`TranslationChain`: models that translate, from parallel texts to a served model, on top of what every chain does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, Unpack, overload

from tfchain.chains.base import Chain
from tfchain.chains.deploy_options import ServerOptions, TargetOptions
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.texts import check_texts
from tfchain.deployment.client.client import Client
from tfchain.deployment.deploy import Deployment
from tfchain.tasks.translation.choices import GenerationChoices
from tfchain.tasks.translation.options import TranslationOptions
from tfchain.tasks.translation.parallel_rows import ParallelRows, read_parallel
from tfchain.tasks.translation.task import TranslationTask
from tfchain.training.seq2seq.new_model_shape import NewModel

if TYPE_CHECKING:
    from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
    from tfchain.tasks.translation.glossary import Glossary

Sentences = Literal["split", "whole"]


class TranslationClient(Client):
    """A client for translations from a TensorFlow Serving, stock or embedded; see `Client` for its arguments.

    Example:
        with TranslationClient(rest_url="http://127.0.0.1:8501") as client:
            client.translate("Where is the station?", model="translation")
    """

    def translate(
        self,
        texts: Any,
        *,
        model: str,
        source_language: str | None = None,
        target_language: str | None = None,
        version: int | str | None = None,
        protocol: str | None = None,
    ) -> Any:
        """Translates texts with a model that a `TranslationChain` exported.

        A text is translated as a whole, and cut off where it is longer than the model reads: send sentences.

        Args:
            texts: A text, or several.
            model: The model's name.
            source_language: The language of the texts, for a model of several; name both languages, or none. (Marian's
                models need the target's alone.) Default: the version's.
            target_language: The language to translate into. Default: the version's.
            version: The version, or its label, such as `"stable"`; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            The translation of a text; a list for a list.

        Raises:
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        asked = [texts] if isinstance(texts, str) else check_texts(texts)
        if not asked:
            return []
        inputs: dict[str, Any] = {"text": asked}
        signature = "translate"
        if source_language is not None or target_language is not None:
            signature = "translate_between"
            inputs["source_language"] = [source_language or ""] * len(asked)
            inputs["target_language"] = [target_language or ""] * len(asked)
        outputs = self.predict(inputs, model=model, signature=signature, version=version, protocol=protocol)
        translations = [str(text) for text in outputs["translation"]]
        return translations[0] if isinstance(texts, str) else translations


class TranslationChain(Chain):
    """Translation from parallel texts to a served model.

    The model is one of Marian (opus-mt), T5, mT5, M2M-100 or NLLB, read from a folder of transformers without PyTorch,
    or made from nothing by `from_scratch`, with a vocabulary learnt from the data. `model` is a `Seq2SeqModel`.

    Training teaches each token of a target after the right ones before it, with label smoothing. `evaluate` translates,
    and measures chrF and BLEU by sacrebleu. A saved chain keeps a sample of 64 training sources.

    Args:
        model: A `Seq2SeqModel`, a folder, or a name on the Hugging Face hub.
        learning_rate: The learning rate of training, above 0. Default: 2e-5, for a trained model.
        batch_size: Rows in one step of training, and texts in one step of generation. Default: 32.
        epochs: The number of training epochs. Default: 1.
        source_language: The language of texts, such as `en` or `eng_Latn`. A model of one pair knows its own, but
            columns of data may be named so. Default: the model's, if it has several.
        target_language: The language of translations; it also decides how BLEU cuts texts (`zh` into characters).
            Default: the model's, if it has several.
        label_smoothing: The part of the target distribution that is spread over the vocabulary, in [0, 1).
            Default: 0.1.
        batch_tokens: The most tokens of a training batch's sources, and of its targets; replaces `batch_size` in
            training. Default: none.
        generation: How to generate unless a call says otherwise, such as `{"num_beams": 1}`. Default: as the model's
            folder says.
        engine: The engine that runs the model. Default: `auto`.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`. `batches` is `length` by default.

    Raises:
        InputError: if an argument is of the wrong type or out of range.

    Example:
        >>> chain = TranslationChain.from_pretrained("Helsinki-NLP/opus-mt-en-zh")  # doctest: +SKIP
        >>> chain.translate("Where is the station?")  # doctest: +SKIP
        '车站在哪里?'
    """

    task_type: ClassVar[Any] = TranslationTask
    task: TranslationTask

    def __init__(
        self,
        model: Any,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        label_smoothing: float = 0.1,
        batch_tokens: int | None = None,
        generation: Mapping[str, Any] | None = None,
        engine: str = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        from tfchain.tasks.translation.translating import find_languages, merge_generation
        from tfchain.training.seq2seq.checks import TokenOptions

        TokenOptions(label_smoothing=label_smoothing, batch_tokens=batch_tokens)  # raises
        chosen = Hyperparameters(batches="length").replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        made = _to_model(model, engine)
        source, target = made.languages
        options = TranslationOptions(
            source_language=source_language or source,
            target_language=target_language or target,
            generation=generation or {},
            label_smoothing=label_smoothing,
            batch_tokens=batch_tokens,
        )
        made.choose(**merge_generation(options, {}))  # raises
        for language in find_languages(made, options).values():
            made.tokenizer.find_language(language)  # raises
        super().__init__(TranslationTask(options), made, hyperparameters=chosen)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Reads a folder of transformers: Marian, T5, mT5, M2M-100 or NLLB.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            **options: Arguments of the constructor, except model.

        Raises:
            ModelFolderError: if the folder cannot be read.
        """
        return cls(name_or_path, **options)

    @classmethod
    def from_scratch(
        cls,
        dataset: Any,
        shape: NewModel | None = None,
        *,
        learning_rate: float = 7e-4,
        epochs: int = 10,
        source_language: str | None = None,
        target_language: str | None = None,
        split: str = "train",
        **options: Any,
    ) -> Self:
        """Makes a Marian model with new weights, whose vocabulary is learnt from parallel texts; `fit` trains it.

        Args:
            dataset: Data that `fit` accepts; the texts that the pieces are learnt from.
            shape: Sizes and vocabulary. Default: `NewModel()`.
            learning_rate: As in the constructor. Default: 7e-4.
            epochs: As in the constructor. Default: 10.
            source_language: As in the constructor.
            target_language: As in the constructor.
            split: The split of a Hugging Face `DatasetDict`. Default: `train`.
            **options: Other arguments of the constructor, except model. `schedule` is `inverse_sqrt` by default.

        Raises:
            InputError: if the data cannot be read, or the vocabulary not be learnt from it.
            TfchainError: if sentencepiece is not installed.
        """
        from tfchain.tasks.translation.parallel_rows import Languages
        from tfchain.training.seq2seq.new_model import make_new_model

        languages = Languages(source_language, target_language)
        sources, targets = read_parallel(dataset, split=split, languages=languages).pairs()
        model = make_new_model(sources, targets, shape, seed=options.get("seed", 0))
        return cls(
            model,
            learning_rate,
            epochs=epochs,
            source_language=source_language,
            target_language=target_language,
            **{"schedule": "inverse_sqrt", **options},
        )

    def __repr__(self) -> str:
        return f"<TranslationChain: {self.source_language or 'source'} to {self.target_language or 'target'}>"

    @property
    def client_type(self) -> type[Client]:
        """The class of the client that `deploy` hands out."""
        return TranslationClient

    @property
    def source_language(self) -> str | None:
        """The language of texts, if it is named."""
        return self.task.options.source_language

    @property
    def target_language(self) -> str | None:
        """The language of translations, if it is named."""
        return self.task.options.target_language

    def translate(
        self,
        texts: Any,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        glossary: Mapping[str, str] | Glossary | None = None,
        sentences: Sentences = "split",
        seed: int = 0,
        progress: bool | None = None,
        **generation: Unpack[GenerationChoices],
    ) -> Any:
        """Translates texts of any length.

        Args:
            texts: A text, or a list of texts.
            source_language: The language of the texts, for a model of several. Default: the chain's.
            target_language: The language to translate into, for a model of several. Default: the chain's.
            glossary: Terms with their translations, such as `{"chain": "链"}`. The translation of each sentence holds
                the translation of each term that the sentence has, letter by letter and at least once: where the model
                does not write it by itself, a search finds the likeliest translation that does. Default: none.
            sentences: `split` translates sentence by sentence, and keeps the white space between sentences as it is;
                `whole` gives the model each text as it is, and cuts off what is too long. Default: `split`.
            seed: For draws, at least 0. Default: 0.
            progress: Whether to show a progress bar. Default: when it takes more than a second.
            **generation: Choices of generation, for this call, such as `num_beams=1`. Default: the chain's.

        Returns:
            The translation of a text; a list for a list.

        Raises:
            InputError: if an item is not a text, a language or a choice is unknown, or the vocabulary cannot write the
                translation of a term.
        """
        from tfchain.tasks.translation.translating import name_languages, translate_long_texts, translate_texts

        asked = [texts] if isinstance(texts, str) else check_texts(texts)
        if sentences not in ("split", "whole"):
            raise InputError(
                f"`sentences` must be 'split' or 'whole'. Received: sentences={sentences!r}.", argument="sentences"
            )
        given: dict[str, Any] = {
            "batch_size": self.hyperparameters.batch_size,
            "seed": seed,
            "progress": progress,
            **generation,
        }
        terms = _to_glossary(glossary)
        with self._current(progress) as current:
            options = name_languages(current.model, self.task.options, source_language, target_language)
            if terms is None and sentences == "whole":
                translations = translate_texts(current.model, asked, options, **given)
            else:
                translations = translate_long_texts(
                    current.model, asked, options, glossary=terms, is_split=sentences == "split", **given
                )
        return translations[0] if isinstance(texts, str) else translations

    def write_targets(self, sources: Sequence[str], *, progress: bool | None = None) -> ParallelRows:
        """Translates texts for another chain to learn from: distillation by sequences (Kim and Rush 2016).

        `student.fit(teacher.write_targets(sources))`: what a large model writes by beam search is easier to learn than
        what people wrote. Texts without a translation are left out.

        Args:
            sources: Texts of the source language.
            progress: Whether to show a progress bar. Default: when it takes more than a second.
        """
        checked = check_texts([sources] if isinstance(sources, str) else sources)
        rows = zip(checked, self.translate(checked, sentences="whole", progress=progress), strict=True)
        kept = [(source, target) for source, target in rows if source.strip() and target.strip()]
        return ParallelRows.of_pairs([source for source, _ in kept], [target for _, target in kept])

    def write_sources(self, targets: Sequence[str], *, progress: bool | None = None) -> ParallelRows:
        """Translates texts for a chain of the other direction to learn from: back-translation (Sennrich et al. 2016).

        `forwards.fit(backwards.write_sources(texts))`: texts of the target language, of which there are many, become
        the targets, and this chain writes their sources. Texts without a translation are left out.

        Args:
            targets: Texts of this chain's source language, which is the other's target language.
            progress: Whether to show a progress bar. Default: when it takes more than a second.
        """
        rows = self.write_targets(targets, progress=progress)
        return ParallelRows.of_pairs([target for (target,) in rows.references], list(rows.sources))

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers `tfchain predict`: each text with its translation; `top_k` has no meaning here."""
        translated = self.translate(list(texts))
        return [{"text": text, "translation": other} for text, other in zip(texts, translated, strict=True)]

    def export(
        self,
        path: str | Path | None = None,
        *,
        signatures: str = "text",
        name: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        generation: Mapping[str, Any] | None = None,
        reference: Any = None,
    ) -> Path:
        """Writes the next version, a SavedModel that translates texts in stock TensorFlow Serving.

        Its signatures: `translate` and `serving_default` (`text` → `translation`, `score`), `generate` (`token_ids`,
        `padding_mask` → `target_ids`, `score`) and, of a model of several languages, `translate_between` (`text`,
        `source_language`, `target_language` → as `translate`). Tokenizer, encoder,
        decoder with its cache and its search, and detokenizer are in the graph. A text is translated as a whole, as
        `translate(sentences="whole")` does.

        Before the version appears, its ops are checked and its answers compared with this chain's.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            signatures: `text`, for all of them; there is no other choice. Default: `text`.
            name: The model's name, for the default path. Default: `translation`.
            source_language: The version's source language, for a model of several. Default: the chain's.
            target_language: The version's target language, for a model of several. Default: the chain's.
            generation: How the version generates, such as `{"num_beams": 1, "max_length": 128}`. Default: as the chain.
            reference: Queries for the version's reference and canary queries; see `Chain.export`. Default: none.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of range.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        options = _to_serving(source_language, target_language, generation)
        return self._export(path, signatures=signatures, name=name, options=options, reference=reference)

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        generation: Mapping[str, Any] | None = None,
        **options: Unpack[ServerOptions],
    ) -> Deployment: ...

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        generation: Mapping[str, Any] | None = None,
        target: str,
        **options: Unpack[TargetOptions],
    ) -> Path: ...

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        generation: Mapping[str, Any] | None = None,
        target: str | None = None,
        **options: Any,
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, or writes the files that run it elsewhere.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            name: The model's name in requests. Default: the task's.
            generation: How the version generates. Default: as the chain.
            target: Where the version is to run; see `Chain.deploy`. Default: None, a server on this machine.
            **options: As `Chain.deploy` takes them, such as `host`, `canary`, or `out` for a target.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.
            With a target, its folder.

        Raises:
            InputError: if an argument is out of range.
            ServerError: if the server does not start, for example because a port is in use.
        """
        serving = _to_serving(None, None, generation)
        return self._deploy(path, name=name, target=target, options=options, serving=serving)

    def _write_pretrained(self, folder: Path) -> None:
        """Writes what transformers loads."""
        self._live.model.save(folder)


def _to_model(model: Any, engine: str) -> Seq2SeqModel:
    from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

    if isinstance(model, Seq2SeqModel):
        return model
    if not isinstance(model, str | Path):
        raise InputError(
            "`model` must be a Seq2SeqModel, a folder or a hub name. Received: "
            f"{type(model).__name__}. Save a model of transformers with `save_pretrained`, and give its folder; "
            "`from_scratch` makes a new one.",
            argument="model",
        )
    return Seq2SeqModel.from_pretrained(model, engine=engine)


def _to_glossary(glossary: Mapping[str, str] | Glossary | None) -> Glossary | None:
    from tfchain.tasks.translation.glossary import Glossary

    return glossary if glossary is None or isinstance(glossary, Glossary) else Glossary(glossary)


def _to_serving(source: str | None, target: str | None, generation: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the arguments of `export` as the task takes them."""
    if generation is not None and not isinstance(generation, Mapping):
        raise InputError(
            f"`generation` must be a dict of options. Received: {generation!r:.60}.", argument="generation"
        )
    return {"source_language": source, "target_language": target, "generation": dict(generation or {})}
